"""What constrained decoding costs, and whether what it lets through is valid.

python -m benchmarks.constraint speed MODEL      cost of a token, constrained and free decoding, the first token
python -m benchmarks.constraint validity [N]     N answers of the demo model to each of thirty schemas
python -m benchmarks.constraint collection [N] [FOLDER]
    N random walks through the masks of some hundreds of schemas, or of those in the JSON files below a folder
"""

import collections
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jsonschema
from referencing import Registry

from benchmarks.rounds import interleaved, table
from benchmarks.schemas import EVERYDAY, Schema, collection, listing, record, schemas_below
from hermes_cli import paths
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling, decide
from hermes_cli.engine.constraint.constraint import Constraint
from hermes_cli.engine.constraint.planner import Planner
from hermes_cli.engine.constraint.vocabulary import Tables, Vocabulary
from hermes_cli.engine.decoding import sampling
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.masked_sampler import tokens_in
from hermes_cli.engine.llama.model import Model
from hermes_cli.engine.local import LoadSettings, LocalBackend, open_backend
from hermes_cli.errors import UsageError
from hermes_cli.formats.json.check import checked
from hermes_cli.formats.json.mode import schema_prompt
from hermes_cli.session.turn_loop import schema_faults

ROUNDS, TOKENS, WALK_TOKENS = 5, 96, 400
# Long enough that no answer ends before all tokens are counted.
LONG = listing(record(name={"type": "string", "minLength": 8}, count={"type": "integer"}), 50, 99)
QUESTION = (Message("system", schema_prompt(LONG)), Message("user", "List some things."))


def main() -> None:
    """Run what was asked for and print it."""
    match sys.argv[1:]:
        case ["speed", model]:
            speed(Path(model))
            cost(Path(model))
        case ["validity", *count]:
            validity(int(count[0]) if count else 100)
        case ["collection", *rest]:
            walks(int(rest[0]) if rest else 5, schemas_below(Path(rest[1])) if rest[1:] else collection())
        case _:
            sys.exit(__doc__)


def answer(backend: LocalBackend, request: GenerationRequest) -> tuple[str, Finished]:
    """The whole text and how it ended."""
    events = list(backend.generate(request, CancelToken()))
    finished = events[-1]
    assert isinstance(finished, Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), finished


def speed(path: Path) -> None:
    """Free and constrained answers after one prompt, interleaved: their decoding, and the wait for the first token."""

    def asked(schema: Schema | None, tokens: int) -> GenerationRequest:
        return GenerationRequest(QUESTION, Sampling(seed=1), tokens, schema=schema)

    def rate(schema: Schema | None) -> float:
        finished = answer(backend, asked(schema, TOKENS))[1]
        return (finished.usage.completion_tokens - 1) / finished.timings.decode_s

    def wait_ms(schema: Schema | None) -> float:
        started = time.perf_counter()
        answer(backend, asked(schema, 1))
        return (time.perf_counter() - started) * 1e3

    with open_backend(path, LoadSettings(context_length=2048, kv_store_bytes=0)) as backend:
        wait_ms(None)
        first = wait_ms(LONG) - wait_ms(None)
        measures = {"free": lambda: rate(None), "constrained": lambda: rate(LONG)}
        print(table(interleaved(measures, ROUNDS), "free", "tok/s"))
        waits = interleaved({"free": lambda: wait_ms(None), "held": lambda: wait_ms(LONG)}, 4 * ROUNDS)
    late = statistics.median(held - free for held, free in zip(waits["held"], waits["free"], strict=True))
    print(f"first constrained token after the free one: {first:.1f} ms with the tables to be built,")
    print(f"then {late:.1f} ms (median), where a free one takes {statistics.median(waits['free']):.0f} ms")


def cost(path: Path) -> None:
    """What choosing a token takes, free and held, as time of this thread; and what preparing takes once."""
    model = Model(path)
    context = Context(model, context_length=512, batch_size=256, threads=2)
    vocabulary = Vocabulary(model)
    started = time.thread_time()
    Tables(model)
    print(f"tables: {(time.thread_time() - started) * 1e3:.0f} ms for {model.vocab_size:,} tokens")
    vocabulary.tables()
    plan = Planner().plan(GenerationRequest(QUESTION, schema=LONG))
    assert plan
    values = decide(Sampling(seed=1))
    free = sampling.sampler(values, model, context_length=context.context_length)
    constraint = Constraint(plan, vocabulary, model, context, values, lambda: True)
    spent: dict[str, list[float]] = {"free": [], "held": []}

    def timed(name: str, choose: Callable[[], int]) -> int:
        before = time.thread_time()
        token = choose()
        spent[name].append((time.thread_time() - before) * 1e6)
        return token

    context.decode(model.tokenize("Some text."))
    for number in range(3 * TOKENS):
        # The second one finds the logits in the processor's caches, so they take turns.
        if number % 2:
            timed("free", lambda: context.sample(free))
        token = timed("held", lambda: constraint.choose(free))
        if not number % 2:
            timed("free", lambda: context.sample(free))
        context.decode([token])
    medians = {name: statistics.median(values) for name, values in spent.items()}
    print(f"choosing a token: free {medians['free']:.0f} µs, held {medians['held']:.0f} µs (medians)")
    extra = sorted(held - medians["free"] for held in spent["held"])
    tenth, most = extra[len(extra) // 10], extra[len(extra) * 9 // 10]
    print(f"mask and bookkeeping: median {statistics.median(extra):.0f} µs, 8 in 10 from {tenth:.0f} to {most:.0f} µs")
    print(f"on average {statistics.mean(spent['held']) - statistics.mean(spent['free']):.0f} µs")


def validity(count: int) -> None:
    """How many answers satisfy their schema, at the default temperature with `count` seeds."""
    total: collections.Counter[str] = collections.Counter()
    with open_backend(paths.DEMO_MODEL, LoadSettings(context_length=2048, kv_store_bytes=0)) as backend:
        for name, schema in EVERYDAY.items():
            messages = (Message("system", schema_prompt(schema)), Message("user", f"Give me an example of {name}."))
            judged = collections.Counter(judge(backend, messages, schema, seed) for seed in range(count))
            total += judged
            print(f"{name}: {dict(judged)}", flush=True)
    print(f"all: {dict(total)}")


def judge(backend: LocalBackend, messages: tuple[Message, ...], schema: Schema, seed: int) -> str:
    """`valid`, `cut` by the end of the context, or `INVALID` with the text."""
    text, finished = answer(backend, GenerationRequest(messages, Sampling(seed=seed), schema=schema))
    if finished.reason == "length":
        return f"cut: {text[:40]!r}"
    return "valid" if is_valid(text, schema) else f"INVALID: {text!r}"


def is_valid(text: str, schema: Schema) -> bool:
    """Whether `text` is JSON that jsonschema accepts, formats included. Raises re.error for patterns it cannot read."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    return bool(validator(schema, format_checker=validator.FORMAT_CHECKER, registry=Registry()).is_valid(value))


def verdict(schema: Schema, text: str, *, partly: bool) -> str:
    """What is to be said of a complete answer; `partly` where the schema could not be held as a whole."""
    try:
        if is_valid(text, schema):
            return "valid"
    except re.error:
        return "not judged"
    return "invalid, and found to be" if partly and schema_faults(schema, text) else "INVALID"


def walks(count: int, schemas: Mapping[str, Schema]) -> None:
    """Random walks through the masks: what is complete must be valid where the schema is held as a whole.

    Where it is held in part, what is not must be found by the check that every answer goes through.
    """
    tables = Tables(Model(paths.DEMO_MODEL, vocab_only=True))
    found: collections.Counter[str] = collections.Counter()
    for name, schema in schemas.items():
        try:
            planned = Planner().plan(GenerationRequest((), schema=checked(schema)))
        except UsageError as problem:
            found["refused"] += 1
            print(f"refused: {name}: {problem.message}", flush=True)
            continue
        kind = "lenient" if planned and planned.notes else "strict"
        found[kind] += 1
        for seed in range(count):
            ended, text = walk(tables, schema, random.Random(f"{name} {seed}"))
            if ended == "complete":
                ended = verdict(schema, text, partly=kind == "lenient")
            found[f"{kind} answers {ended}"] += 1
            if ended in ("INVALID", "stuck"):
                print(f"{kind} {ended}: {name}: {text[:90]!r}", flush=True)
    print(json.dumps(found, indent=1))


def walk(tables: Tables, schema: Schema, source: random.Random) -> tuple[str, str]:
    """Take any allowed token at each step, the shortest ways out more often; how it ended, and the text."""
    from llguidance import LLMatcher

    plan = Planner().plan(GenerationRequest((), schema=schema))
    assert plan and plan.whole
    matcher = LLMatcher(tables.tokenizer, plan.whole, log_level=0)
    text = b""
    for _ in range(WALK_TOKENS):
        allowed = tokens_in(matcher.compute_bitmask()) if not matcher.is_error() else []
        if not allowed:
            return "stuck", matcher.get_error().partition("\n")[0]
        closing = [token for token in allowed if tables.tokens[token] in (b'"', b"}", b"]", b'"}')]
        ends = [token for token in allowed if token in tables.special_token_ids]
        token = (
            source.choice(ends or closing) if (ends or closing) and source.random() < 0.4 else source.choice(allowed)
        )
        if token in tables.special_token_ids:
            return "complete", text.decode("utf-8", "replace")
        matcher.consume_token(token)
        text += tables.tokens[token]
        if matcher.is_stopped() and not matcher.is_error():
            return "complete", text.decode("utf-8", "replace")
    return "endless", text.decode("utf-8", "replace")


if __name__ == "__main__":
    main()
