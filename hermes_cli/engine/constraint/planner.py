"""Decides how answers are constrained, before a model is loaded and for every request."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hermes_cli.chat.request import GenerationRequest
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.errors import UsageError
from hermes_cli.formats.json.schema import Schema

if TYPE_CHECKING:
    from hermes_cli.engine.constraint.grammar import Plan
    from hermes_cli.engine.constraint.plans import Plans


class Planner:
    """Plans requests; grammars are imported with the first that has tools, a schema or a grammar.

    Give the planner that was asked for `notes` to the backend, so that no schema is examined twice.
    """

    def __init__(self) -> None:
        self._plans: Plans | None = None

    def notes(
        self, schema: Schema | None = None, tools: Sequence[ToolSchema] = (), grammar: str | None = None
    ) -> tuple[str, ...]:
        """The parts of `schema` and `tools` that are only checked after generation. Raises UsageError, EngineError.

        The error is the one that a request with them would raise.
        """
        plan = self.plan(GenerationRequest((), tools=tuple(tools), schema=schema, grammar=grammar))
        return plan.notes if plan else ()

    def plan(self, request: GenerationRequest) -> "Plan | None":
        """The constraint for `request`; None if any text is allowed. Raises UsageError, EngineError."""
        held = request.schema is not None or request.tools or request.grammar is not None
        if not (request.constrained and held):
            if request.must_call and not request.tools:
                raise UsageError(f"--tool-choice {request.tool_choice} needs tools", "name some with --tools")
            return None
        if self._plans is None:
            from hermes_cli.engine.constraint.plans import Plans

            self._plans = Plans()
        return self._plans.plan(request)
