"""Asking a model the cases: one model, one set of tools for each case, a new conversation for each answer."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hermes_cli.chat.conversation import Conversation
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.chat.tool_call import BrokenCall, ToolCall
from hermes_cli.cli import options
from hermes_cli.cli.answer_form import final_text
from hermes_cli.cli.opening import open_session
from hermes_cli.cli.trials.cases import Case
from hermes_cli.errors import ContextOverflow, UsageError, did_you_mean
from hermes_cli.session.choices import ChatSettings, ToolSettings, with_defaults, with_preset
from hermes_cli.session.session import Session, as_read
from hermes_cli.store.settings.settings import load_settings
from hermes_cli.terminal.answer.output import Collected
from hermes_cli.terminal.answer.turn_view import show_answer
from hermes_cli.terminal.consent import tool_use

if TYPE_CHECKING:
    from hermes_cli.backend import Backend
    from hermes_cli.session.turn_loop import ToolUse
    from hermes_cli.tools.approval import Policy

SEED = 1
_MAX_TOKENS = 1024  # where neither preset nor settings set a limit: a model may never stop by itself


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a case, and what is wrong with it."""

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


def base_settings(model: str | None, policy: "Policy", *, constrained: bool) -> ChatSettings:
    """What all cases share: the model, how it is loaded, and who is asked before a tool runs."""
    defaults = load_settings()
    return ChatSettings(
        model=model or defaults.model,
        load=replace(options.load_options(defaults), kv_store_bytes=0),
        save=False,
        defaults=defaults,
        tools=ToolSettings(policy=policy),
        constrained=constrained,
    )


class Runner:
    """Prepares cases, so that a mistake in one is found before the model loads, and asks them."""

    def __init__(
        self, cases: Sequence[Case], base: ChatSettings, variables: Sequence[str], cancel: CancelToken
    ) -> None:
        """Load the tools, with these environment `variables`. Raises UsageError, LoadCancelled."""
        self._base, self._cancel = base, cancel
        self._stack = ExitStack()
        self._tools: dict[tuple[str, ...], ToolUse | None] = {(): None}
        try:
            self._prepared = [(case, self._settings(case)) for case in cases]
            for case, settings in self._prepared:
                sources = settings.tools.sources
                if sources not in self._tools:
                    self._tools[sources] = tool_use(sources, variables, policy=base.tools.policy, cancel=cancel)
                    self._stack.callback(self._tools[sources].toolbox.close)  # type: ignore[union-attr]
                _check_calls(case, self._parameters(settings))
        except BaseException:
            self._stack.close()
            raise

    def outcomes(self, backend: "Backend") -> Iterator[Outcome]:
        """The outcome of each case in order; a cancel ends them early."""
        for case, settings in self._prepared:
            answers: list[Answer] = []
            for seed in range(SEED, SEED + case.repeats):
                answers.append(self._answer(backend, case, settings, seed))
                if self._cancel.cancelled:
                    return
            yield Outcome(case, tuple(answers))

    def open(self) -> Session:
        """A session on the model, for its backend; closing it is up to the caller. Raises LoadCancelled."""
        return open_session(with_defaults(self._base), self._cancel)

    def close(self) -> None:
        """Stop the tools."""
        self._stack.close()

    def _settings(self, case: Case) -> ChatSettings:
        """The settings of a case: its own, else its preset's, else the user's. Raises UsageError."""
        base = self._base
        own = replace(
            base, system_prompt=case.system, tools=replace(base.tools, sources=case.tools), schema=case.schema
        )
        try:
            settings = with_defaults(with_preset(own, case.preset, case.variables))
        except UsageError as problem:
            problem.message += f" (in {case.label})"
            raise
        return replace(settings, max_tokens=settings.max_tokens or _MAX_TOKENS)

    def _parameters(self, settings: ChatSettings) -> Mapping[str, Mapping[str, object]]:
        """By name, the JSON Schema of the arguments of each tool offered."""
        tools = self._tools[settings.tools.sources]
        return {name: tool.parameters for name, tool in tools.toolbox.tools.items()} if tools else {}

    def _answer(self, backend: "Backend", case: Case, settings: ChatSettings, seed: int) -> Answer:
        settings = replace(settings, sampling=replace(settings.sampling, seed=seed))
        ask = self._first_generation if case.expected.only_calls else self._whole_turn
        try:
            text, calls, broken = ask(backend, case, settings)
        except ContextOverflow as problem:
            return Answer(seed, "", (), (f"not asked: {problem.message}",))
        wrong = case.expected.faults(text, calls, self._parameters(settings))
        return Answer(seed, text, tuple(calls), (*broken, *wrong))

    def _whole_turn(
        self, backend: "Backend", case: Case, settings: ChatSettings
    ) -> tuple[str, list[ToolCall], list[str]]:
        """The final answer, with tools that run, and the calls on the way to it."""
        session = Session(
            backend,
            Conversation(settings.system_prompt),
            settings=SessionSettings(sampling=settings.sampling, max_tokens=settings.max_tokens),
            tools=self._tools[settings.tools.sources],
            schema=settings.schema,
            most_repairs=settings.most_repairs,
            constrained=settings.constrained,
        )
        shown = show_answer(session.send(case.prompt, self._cancel), Collected())
        return final_text(shown, session), [result.call for result in shown.tool_results], []

    def _first_generation(
        self, backend: "Backend", case: Case, settings: ChatSettings
    ) -> tuple[str, list[ToolCall], list[str]]:
        """The calls of the first generation and its text outside of them; no tool runs."""
        from hermes_cli.formats.tool_call_parser import ToolCallParser

        tools = self._tools[settings.tools.sources]
        schemas = tools.toolbox.schemas if tools else ()
        read = as_read(Conversation(settings.system_prompt), schemas, settings.schema)
        request = GenerationRequest(
            (*read.messages, Message("user", case.prompt)),
            settings.sampling,
            settings.max_tokens,
            tools=schemas,
            schema=settings.schema,
            constrained=settings.constrained,
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
