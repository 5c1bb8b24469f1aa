"""Test cases: a prompt, how it is asked, and what its answer must be."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.cli.trials.expected_calls import ExpectedCall, Parameters, call_faults, same, shown
from hermes_cli.formats.json.mode import is_json, parsed
from hermes_cli.formats.json.schema import Schema

Form = Literal["json", "code", "line"]
NO_CALL = "no call"
_CODE_BLOCK = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must be. `json` holds the expected value in a tuple, since null is a value too.

    `calls` is None if any calls are allowed, and empty if the model must not call a tool.
    """

    contains: tuple[str, ...] = ()
    not_contains: tuple[str, ...] = ()
    regex: tuple[re.Pattern[str], ...] = ()
    equals: str | None = None
    json: tuple[Any] | None = None
    form: Form | None = None
    calls: tuple[ExpectedCall, ...] | None = None

    @property
    def only_calls(self) -> bool:
        """Whether the text of the answer does not matter, so that no tool has to run."""
        return self.calls is not None and self == Expected(calls=self.calls)

    def faults(self, answer: str, calls: Sequence[ToolCall], parameters: Parameters) -> list[str]:
        """The problems of an answer and its tool calls, each as a short sentence."""
        answer = answer.strip()
        wrong = [] if self.calls is None else call_faults(self.calls, calls, parameters)
        return [*wrong, *self._text_faults(answer), *self._form_faults(answer)]

    def _text_faults(self, answer: str) -> list[str]:
        folded = answer.casefold()
        missing = [f'"{text}"' for text in self.contains if text.casefold() not in folded]
        unwanted = [f'"{text}"' for text in self.not_contains if text.casefold() in folded]
        wrong = [f"the answer does not contain {' or '.join(missing)}"] if missing else []
        wrong += [f"the answer contains {' and '.join(unwanted)}"] if unwanted else []
        wrong += [f"the answer does not match {one.pattern}" for one in self.regex if not one.search(answer)]
        if self.equals is not None and answer != self.equals.strip():
            wrong.append(f"the answer is not {shown(self.equals.strip())}")
        return wrong

    def _form_faults(self, answer: str) -> list[str]:
        if self.json is not None:
            if not is_json(answer):
                return ["the answer is not JSON"]
            return [] if same(parsed(answer), self.json[0]) else [f"the answer is not {shown(self.json[0])}"]
        if self.form == "json" and not is_json(answer):
            return ["the answer is not JSON"]
        if self.form == "code" and not _CODE_BLOCK.search(answer):
            return ["the answer has no code block"]
        if self.form == "line" and "\n" in answer:
            return ["the answer has more than one line"]
        return []


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt to ask `repeats` times; it passes if at least the share `pass_rate` of the answers is right."""

    source: str
    number: int
    prompt: str
    expected: Expected
    preset: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    tools: tuple[str, ...] = ()
    schema: Schema | None = None
    repeats: int = 1
    pass_rate: float = 1.0

    @property
    def label(self) -> str:
        """The source and the number in it, as `shell 2`."""
        return f"{self.source} {self.number}"

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of the case in the summary: the tools it expects, else its source."""
        if self.expected.calls is None:
            return (self.source,)
        return tuple(dict.fromkeys(call.name for call in self.expected.calls)) or (NO_CALL,)
