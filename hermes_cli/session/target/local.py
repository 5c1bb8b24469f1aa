"""A model file on this machine, and how to open it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

from hermes_cli.backend import Backend
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken
from hermes_cli.chat.sampling import free_only
from hermes_cli.chat.tool_call import ToolSchema
from hermes_cli.engine.constraint.planner import Planner
from hermes_cli.engine.load_options import LoadOptions
from hermes_cli.formats.segment import joined
from hermes_cli.models.choose import find_model, saved_name
from hermes_cli.models.model import DEMO_NAME, FoundModel
from hermes_cli.session.choices import Choices, gpu_layer_count
from hermes_cli.session.target.target import WrittenPrompt
from hermes_cli.store.settings.model_tables import ModelTable
from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A model file, its load options, and the planner for constrained answers."""

    model: FoundModel
    load: LoadOptions
    planner: Planner = field(default_factory=Planner, compare=False)

    @property
    def name(self) -> str:
        """The model's name, as a session saves it."""
        return self.model.name

    @property
    def is_demo(self) -> bool:
        """Whether it is the demo model."""
        return self.model.name == DEMO_NAME

    @property
    def file(self) -> Path:
        """See `Target`."""
        return self.model.path

    def saved(self, choices: Choices) -> Choices:
        """See `Target`. The demo model is saved only if it was named: next time a real one may be there."""
        name = choices.model or (None if self.is_demo else self.name)
        if lora := choices.load.lora:
            from hermes_cli.models.adapters import saved_adapters

            choices = replace(choices, load=replace(choices.load, lora=saved_adapters(lora)))
        return replace(choices, model=name and saved_name(name))

    def constraint_notes(self, choices: Choices, tools: Sequence[ToolSchema]) -> tuple[str, ...]:
        """See `Target`."""
        notes = self.planner.notes(choices.schema, tools, choices.grammar)
        whole = choices.schema is not None or choices.grammar is not None
        unused = ", ".join(free_only(choices.sampling)) if whole else ""
        return (*notes, f"no effect on constrained text: {unused}") if unused else notes

    def written(self, messages: tuple[Message, ...]) -> WrittenPrompt:
        """See `Target`; the model is opened with its vocabulary only."""
        from hermes_cli.engine.llama.model import Model
        from hermes_cli.engine.prompt import PromptWriter
        from hermes_cli.gguf.file import refuse_cut
        from hermes_cli.machine import probe

        probe.verdict()
        refuse_cut(self.model.path)
        model = Model(self.model.path, vocab_only=True)
        try:
            writer = PromptWriter(model, self.load.template)
            prompt = writer.write(messages)
            count, spelled = len(prompt.tokens), writer.control_text(messages)
            return WrittenPrompt(
                joined(prompt.segments), count, spelled, prompt.tokens, prompt.segments, self.load.adapters
            )
        finally:
            model.close()

    def open(self, cancel: CancelToken, on_progress: Callable[[float], None]) -> Backend:
        """The model, opened as this machine allows. Raises LoadCancelled, HermesError."""
        # Here and not above: a chat imports the engine on the thread that loads, once its prompt is there.
        from hermes_cli.engine.local import open_backend
        from hermes_cli.machine.load_plan import plan_load

        plan = plan_load(self.model.path, self.load, lambda: not cancel.cancelled)
        return open_backend(
            self.model.path,
            *plan.attempts,
            cancel=cancel,
            on_progress=on_progress,
            notes=plan.notes,
            advice=plan.advice,
            planner=self.planner,
        )


def find_local(model: str | None, choices: Choices, known: Mapping[str, ModelTable]) -> LocalTarget:
    """The model here of that name, or the default one, and how the choices say to open it.

    `known` are the tables with the aliases. Raises ModelNotFound, UsageError.
    """
    found, options = find_model(model, known), load_options(choices)
    if lora := choices.load.lora:
        from hermes_cli.models.adapters import fitting_adapters

        options = replace(options, adapters=fitting_adapters(lora, found))
    return LocalTarget(found, options)


def load_options(choices: Choices) -> LoadOptions:
    """The load options of a local model; values of None or auto are left to the load plan. Raises UsageError."""
    load, standard = choices.load, LoadOptions()
    options = LoadOptions(
        load.context_length,
        gpu_layer_count(load.gpu_layers),
        load.kv_type,
        load.threads,
        standard.template if load.template is None else load.template,
        standard.kv_store_bytes if load.kv_store_mb is None else load.kv_store_mb << 20,
        load.context_origin,
        load.speculate == "auto",
    )
    # An unsaved chat keeps no prompt cache, which holds its text too.
    return replace(options, kv_store_bytes=0) if choices.save is False else options
