"""How much of JSON Schema is enforced during generation, measured on published schemas with their instances.

python -m benchmarks.conformance FOLDER [N] [SEED]

FOLDER holds the JSON files of JSON-Schema-Test-Suite (`tests/draft2020-12`) or JSONSchemaBench (`maskbench/data`).
With N, a random sample of N files. Every valid instance must be writable in some order of its keys, and no invalid
instance may pass both the grammar and the final check.
"""

import collections
import json
import random
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from llguidance import LLMatcher

from hermes_cli.chat.request import GenerationRequest
from hermes_cli.engine.constraint.compiler import bytes_tokenizer, limits
from hermes_cli.engine.constraint.planner import Planner
from hermes_cli.errors import UsageError
from hermes_cli.formats.json.check import checked, faults

MOST_STEPS = {True: 20_000, False: 300}  # of a search for a way to write a valid and an invalid instance


def main() -> None:
    """Measure the folder and print the counts."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    files = sorted(Path(sys.argv[1]).rglob("*.json"))
    if sys.argv[2:]:
        files = random.Random(sys.argv[3] if sys.argv[3:] else 0).sample(files, min(int(sys.argv[2]), len(files)))
    counts: collections.Counter[str] = collections.Counter()
    slowest = (0.0, "")
    for path in files:
        for name, schema, tests in groups(path):
            started = time.perf_counter()
            measure(f"{path.name}: {name}", schema, tests, counts)
            slowest = max(slowest, (time.perf_counter() - started, f"{path.name}: {name}"))
    print(json.dumps(dict(sorted(counts.items())), indent=1))
    print(f"slowest: {slowest[0]:.2f} s, {slowest[1]}")


def groups(path: Path) -> Iterator[tuple[str, Any, list[Any]]]:
    """The schemas in a file, each with its name and its instances."""
    content = json.loads(path.read_bytes())
    for group in content if isinstance(content, list) else [content]:
        if isinstance(group, dict) and "schema" in group:
            yield group.get("description", ""), group["schema"], group.get("tests", [])


def measure(name: str, schema: Any, tests: list[Any], counts: collections.Counter[str]) -> None:
    """Count how a schema is enforced, and what becomes of its instances; print what is wrong."""
    try:
        plan = Planner().plan(GenerationRequest((), schema=checked(schema)))
    except UsageError as problem:
        counts["schemas refused"] += 1
        counts["schemas refused that have valid instances"] += any(test["valid"] for test in tests)
        print(f"refused: {name}: {problem.message}")
        return
    assert plan and plan.whole
    kind = "in part" if plan.notes else "whole"
    counts[f"schemas enforced {kind}"] += 1
    for test in tests:
        written = Writer(plan.whole, schema).can_write(test["data"], MOST_STEPS[test["valid"]])
        accepted = not faults(schema, test["data"])
        counts[f"{'valid' if test['valid'] else 'invalid'} instances"] += 1
        counts["valid, cannot be an answer"] += test["valid"] and not (written and accepted)
        shown = f"{name}: {json.dumps(test['data'], ensure_ascii=False)[:200]}"
        if test["valid"] and not written:
            counts[f"valid, cannot be written ({kind})"] += 1
            print(f"cannot be written ({kind}): {shown}")
        if test["valid"] and not accepted:
            counts["valid, refused by the final check"] += 1
            print(f"final check refuses: {shown}: {faults(schema, test['data'])}")
        if not test["valid"] and accepted:
            counts[f"invalid, accepted by the final check{' and the grammar' * written}"] += 1
            print(f"accepted by the final check{' and the grammar' * written}: {shown}")
        if not test["valid"] and written and kind == "whole":
            counts["invalid, accepted by a whole grammar"] += 1
            print(f"accepted by the grammar: {shown}")


class Writer:
    """Whether a grammar can write a value, with the keys of its objects in any order."""

    def __init__(self, grammar: str, schema: Any) -> None:
        self._matcher = LLMatcher(bytes_tokenizer(), grammar, log_level=0, limits=limits())
        self._orders = list(_declared(schema))
        self._steps_left = 0

    def can_write(self, value: Any, most_steps: int) -> bool:
        """Search for an order of keys in which `value` can be written."""
        self._steps_left = most_steps
        return any(self._matcher.is_accepting() for _ in self._ways(value))

    def _ways(self, value: Any) -> Iterator[None]:
        """Stand behind `value` in every way in which it can be written; consumed text is taken back in between."""
        self._steps_left -= 1
        if self._steps_left < 0:
            return
        if isinstance(value, dict):
            keys = self._ordered(value)
            for _ in self._text("{"):
                yield from self._entries(value, keys, "")
        elif isinstance(value, list):
            for _ in self._text("["):
                yield from self._items(value, "")
        else:
            texts = [json.dumps(value, ensure_ascii=False)]
            if isinstance(value, float) and value.is_integer():
                texts.append(str(int(value)))
            for text in texts:
                yield from self._text(text)

    def _ordered(self, value: dict[str, Any]) -> list[str]:
        """The keys of `value` in the order of the properties that it most likely has."""
        names = max(self._orders, key=lambda names: (len(value.keys() & set(names)), -len(names)), default=[])
        return sorted(value, key=lambda key: names.index(key) if key in names else len(names))

    def _entries(self, value: dict[str, Any], left: list[str], separator: str) -> Iterator[None]:
        if not left:
            yield from self._text("}")
        possible = [key for key in left if self._accepts(separator + _key(key))]
        # Keys have an order: first those after which everything that was possible still is.
        for keeps_all in (True, False):
            for key in possible:
                rest = [one for one in left if one != key]
                for _ in self._text(separator + _key(key)):
                    for _ in islice(self._ways(value[key]), 1):  # another order inside seldom leads elsewhere
                        others = (one for one in possible if one != key)
                        if all(self._accepts(", " + _key(one)) for one in others) is keeps_all:
                            yield from self._entries(value, rest, ", ")

    def _accepts(self, text: str) -> bool:
        return sum(1 for _ in self._text(text)) > 0

    def _items(self, left: list[Any], separator: str) -> Iterator[None]:
        if not left:
            yield from self._text("]")
            return
        for _ in self._text(separator):
            for _ in self._ways(left[0]):
                yield from self._items(left[1:], ", ")

    def _text(self, text: str) -> Iterator[None]:
        tokens = list(text.encode("utf-8", "surrogatepass"))
        read = self._matcher.try_consume_tokens(tokens) if tokens else 0
        try:
            if read == len(tokens):
                yield
        finally:
            if read:
                self._matcher.rollback(read)


def _key(name: str) -> str:
    return f"{json.dumps(name, ensure_ascii=False)}: "


def _declared(schema: Any) -> Iterator[list[str]]:
    """The names in every `properties` of a schema."""
    for key, value in schema.items() if isinstance(schema, dict) else ():
        if key == "properties" and isinstance(value, dict):
            yield list(value)
        yield from _declared(value)
    for value in schema if isinstance(schema, list) else ():
        yield from _declared(value)


if __name__ == "__main__":
    main()
