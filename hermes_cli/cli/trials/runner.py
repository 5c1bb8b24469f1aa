"""Asking a model the cases: one model, one set of tools for each case, a new conversation for each answer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import MOST_REPAIRS, CancelToken, GenerationRequest
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.tool_call import BrokenCall, ToolCall
from hermes_cli.cli.ask.answer_form import final_text
from hermes_cli.cli.opening import open_session
from hermes_cli.cli.trials.cases import Case
from hermes_cli.errors import ContextOverflow, UsageError, did_you_mean
from hermes_cli.session.choices import Choices, Layers
from hermes_cli.session.opening import begin
from hermes_cli.session.session import Session, as_read
from hermes_cli.session.sources import from_preset, from_settings, with_model_defaults
from hermes_cli.session.tool_loading import ToolLoader
from hermes_cli.store.settings.settings import load_settings
from hermes_cli.terminal.answer.output import Collected
from hermes_cli.terminal.answer.turn_view import show_answer
from hermes_cli.terminal.consent import Consent

if TYPE_CHECKING:
    from hermes_cli.backend import Backend
    from hermes_cli.session.turn_loop import ToolUse

SEED = 1
_MAX_TOKENS = 1024  # if neither preset nor settings set a limit: a model may never stop by itself


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a case, and its problems."""

    seed: int
    text: str
    calls: tuple[ToolCall, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case with its answers."""

    case: Case
    answers: tuple[Answer, ...]

    @property
    def right(self) -> int:
        """How many answers are right."""
        return sum(not answer.faults for answer in self.answers)

    @property
    def passed(self) -> bool:
        """Whether enough answers are right."""
        return self.right >= self.case.pass_rate * len(self.answers)


def base_layers(given: Choices) -> Layers:
    """What all cases share: the options given, the settings and the defaults of the model."""
    return with_model_defaults(replace(from_settings(load_settings()), flags=given))


class Runner:
    """Prepares cases, so that a mistake in one is found before the model loads, and asks them."""

    def __init__(self, cases: Sequence[Case], base: Layers, cancel: CancelToken) -> None:
        """Load the tools. Raises UsageError, LoadCancelled."""
        self._base, self._cancel = base, cancel
        self._stack = ExitStack()
        self._tools: dict[tuple[str, ...], ToolUse | None] = {(): None}
        try:
            self._prepared = [(case, self._choices(case)) for case in cases]
            for case, choices in self._prepared:
                sources = choices.tools or ()
                if sources not in self._tools and (loaded := ToolLoader(Consent, {}).load(choices, cancel)):
                    self._tools[sources] = loaded
                    self._stack.callback(loaded.toolbox.close)
                _check_calls(case, self._parameters(choices))
        except BaseException:
            self._stack.close()
            raise

    def outcomes(self, backend: "Backend") -> Iterator[Outcome]:
        """The outcome of each case in order; a cancel ends them early."""
        for case, choices in self._prepared:
            answers: list[Answer] = []
            for seed in range(SEED, SEED + case.repeats):
                answers.append(self._answer(backend, case, choices, seed))
                if self._cancel.cancelled:
                    return
            yield Outcome(case, tuple(answers))

    def open(self) -> Session:
        """A session on the model, for its backend; closing it is up to the caller. Raises LoadCancelled."""
        return open_session(begin(self._base), self._cancel)

    def close(self) -> None:
        """Stop the tools."""
        self._stack.close()

    def _choices(self, case: Case) -> Choices:
        """The choices of a case over those of its preset and of the settings. Raises UsageError."""
        from hermes_cli.store.presets.presets import find_preset

        layers = self._base.with_flag(system_prompt=case.system, tools=case.tools or None, schema=case.schema)
        if case.preset is not None:
            try:
                preset = from_preset(find_preset(case.preset), case.variables, with_prompt=case.system is None)
            except UsageError as problem:
                problem.message += f" (in {case.label})"
                raise
            layers = layers.with_preset(preset)
        choices = layers.now
        return replace(choices, max_tokens=choices.max_tokens or _MAX_TOKENS)

    def _parameters(self, choices: Choices) -> Mapping[str, Mapping[str, object]]:
        """By name, the JSON Schema of the arguments of each tool offered."""
        tools = self._tools[choices.tools or ()]
        return {name: tool.parameters for name, tool in tools.toolbox.tools.items()} if tools else {}

    def _answer(self, backend: "Backend", case: Case, choices: Choices, seed: int) -> Answer:
        choices = replace(choices, sampling=replace(choices.sampling, seed=seed))
        ask = self._first_generation if case.expected.only_calls else self._whole_turn
        try:
            text, calls, broken = ask(backend, case, choices)
        except ContextOverflow as problem:
            return Answer(seed, "", (), (f"not asked: {problem.message}",))
        wrong = case.expected.faults(text, calls, self._parameters(choices))
        return Answer(seed, text, tuple(calls), (*broken, *wrong))

    def _whole_turn(self, backend: "Backend", case: Case, choices: Choices) -> tuple[str, list[ToolCall], list[str]]:
        """The final answer, with tools that run, and the calls on the way to it."""
        session = Session(
            backend,
            Conversation(choices.system_prompt),
            settings=SessionSettings(sampling=choices.sampling, max_tokens=choices.max_tokens),
            tools=self._tools[choices.tools or ()],
            schema=choices.schema,
            grammar=choices.grammar,
            most_repairs=MOST_REPAIRS,
            constrained=choices.constrained is not False,
        )
        shown = show_answer(session.send(case.prompt, self._cancel), Collected())
        return final_text(shown, session), [result.call for result in shown.tool_results], []

    def _first_generation(
        self, backend: "Backend", case: Case, choices: Choices
    ) -> tuple[str, list[ToolCall], list[str]]:
        """The calls of the first generation and its text outside of them; no tool runs."""
        from hermes_cli.formats.tool_call_parser import ToolCallParser

        tools = self._tools[choices.tools or ()]
        schemas = tools.toolbox.schemas if tools else ()
        read = as_read(Conversation(choices.system_prompt), schemas, choices.schema)
        request = GenerationRequest(
            (*read.messages, Message("user", case.prompt)),
            choices.sampling,
            choices.max_tokens,
            tools=schemas,
            schema=choices.schema,
            grammar=choices.grammar,
            constrained=choices.constrained is not False,
        )
        parser, found, ended = ToolCallParser(), list[str | ToolCall | BrokenCall](), False
        with closing(backend.generate(request, self._cancel)) as events:
            for event in events:
                match event:
                    case TextDelta(piece):
                        found += parser.feed(piece)
                    case Finished(reason):
                        ended = reason == "stop"
        found += parser.finish(ended=ended)
        text = "".join(one if isinstance(one, str) else one.text for one in found if not isinstance(one, ToolCall))
        broken = [f"a call cannot be read: {one.problem}" for one in found if isinstance(one, BrokenCall)]
        return text.strip(), [one for one in found if isinstance(one, ToolCall)], broken


def _check_calls(case: Case, parameters: Mapping[str, Mapping[str, object]]) -> None:
    """Raise UsageError for an expected call that no tool offered could satisfy."""
    for call in case.expected.calls or ():
        if call.name not in parameters:
            hint = did_you_mean(call.name, parameters, "name its file with --tools, or below tools in the case file")
            raise UsageError(f"{case.label} expects a call of {call.name}, which is not among the tools", hint)
        known = parameters[call.name].get("properties") or {}
        assert isinstance(known, Mapping)
        unknown = [name for name in (*call.arguments, *call.schemas) if name not in known]
        if unknown and not parameters[call.name].get("additionalProperties", False):
            hint = did_you_mean(unknown[0], known, f"see its arguments: hermes tools show {call.name}")
            raise UsageError(f"{case.label} expects the argument {unknown[0]}, which {call.name} does not have", hint)
