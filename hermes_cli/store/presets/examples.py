"""Examples in a preset: what to ask it, and how to see that the answer is a right one."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from hermes_cli.formats.json.mode import is_json
from hermes_cli.store.presets import front_matter
from hermes_cli.store.presets.front_matter import Fault

FORMS = ("json", "code", "line")
_KEYS = ("input", "variables", "contains", "not_contains", "matches", "form")
_CODE_BLOCK = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Example:
    """A question with the values of the preset's variables, and what every right answer has in common."""

    input: str
    variables: Mapping[str, str]
    contains: tuple[str, ...] = ()
    not_contains: tuple[str, ...] = ()
    matches: tuple[re.Pattern[str], ...] = ()
    form: str | None = None

    def faults(self, answer: str) -> list[str]:
        """What is wrong with an answer, each as the end of a sentence; upper and lower case count as one in texts."""
        answer = answer.strip()
        folded = answer.casefold()
        missing = [f'"{text}"' for text in self.contains if text.casefold() not in folded]
        unwanted = [f'"{text}"' for text in self.not_contains if text.casefold() in folded]
        wrong = [f"does not contain {' or '.join(missing)}"] if missing else []
        wrong += [f"contains {' and '.join(unwanted)}"] if unwanted else []
        wrong += [f"does not match {pattern.pattern}" for pattern in self.matches if not pattern.search(answer)]
        if self.form == "json" and not is_json(answer):
            wrong.append("is not JSON and nothing else")
        if self.form == "code" and not _CODE_BLOCK.search(answer):
            wrong.append("has no code block")
        if self.form == "line" and "\n" in answer:
            wrong.append("has more than one line")
        return wrong


def parsed_examples(value: object, variables: Mapping[str, str | None]) -> tuple[Example, ...]:
    """The examples of a front matter, for a preset with these variables and defaults. Raises Fault."""
    if not isinstance(value, list | None):
        raise Fault("needs a list as examples, each beginning with `- input:`")
    return tuple(_example(f"example {number}", fields, variables) for number, fields in enumerate(value or (), 1))


def _example(place: str, fields: object, variables: Mapping[str, str | None]) -> Example:
    if not isinstance(fields, dict):
        raise Fault(f"needs `name: value` lines in {place}")
    front_matter.check_keys(fields, _KEYS, f" in {place}")
    asked = front_matter.text(f"input of {place}", fields.get("input"))
    if not asked or not asked.strip():
        raise Fault(f"has no input in {place}")
    form = front_matter.text(f"form of {place}", fields.get("form"))
    if form is not None and form not in FORMS:
        raise Fault(f"needs {', '.join(FORMS[:-1])} or {FORMS[-1]} as form of {place}")
    example = Example(
        input=asked,
        variables=_values(place, fields, variables),
        contains=_texts(place, fields, "contains"),
        not_contains=_texts(place, fields, "not_contains"),
        matches=tuple(_pattern(place, text) for text in _texts(place, fields, "matches")),
        form=form,
    )
    if not (example.contains or example.not_contains or example.matches or form):
        raise Fault(f"says nothing of the answer in {place}; give contains, not_contains, matches or form")
    return example


def _values(place: str, fields: Mapping[object, object], variables: Mapping[str, str | None]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in front_matter.mapping(fields, "variables", f" of {place}").items():
        if name not in variables:
            raise Fault(f"has no variable {name}, which {place} fills")
        values[str(name)] = front_matter.text(f"{name} of {place}", value) or ""
    missing = [name for name, default in variables.items() if default is None and name not in values]
    if missing:
        raise Fault(f"has no value for {missing[0]} in {place}; give it below variables")
    return values


def _texts(place: str, fields: Mapping[object, object], key: str) -> tuple[str, ...]:
    """A text, or a list of them."""
    value = fields.get(key)
    given = value if isinstance(value, list) else [] if value is None else [value]
    texts = tuple(front_matter.text(f"{key} of {place}", each) or "" for each in given)
    if "" in texts:
        raise Fault(f"has an empty text as {key} of {place}")
    return texts


def _pattern(place: str, text: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings(action="ignore"):  # Python's plans for the syntax are not the user's business
            return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise Fault(f"has a regular expression that is none as matches of {place}: {error}") from error
