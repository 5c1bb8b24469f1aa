"""How commands take their command line: help in groups of options, and no empty values."""

from collections.abc import Iterable, Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from hermes_cli.errors import UsageError

# Only texts for the model or the user can be empty. Everything else names something, and an empty name is a mistake,
# usually an unset shell variable; it must not silently select the default.
_MAY_BE_EMPTY = ("prompt", "message", "system", "prefill", "text", "title", "value", "arguments")
_MAY_BE_BLANK = ("stop",)


class _FilledValues:
    """Refuses options and arguments whose value is empty."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer does. Raises UsageError for an empty value."""
        if not ctx.resilient_parsing:
            given, _, order = self.make_parser(ctx).parse_args(args=list(args))  # type: ignore[attr-defined]
            for param in order:
                texts = () if param.name in _MAY_BE_EMPTY else _texts(given.get(param.name))
                if not all(text if param.name in _MAY_BE_BLANK else text.strip() for text in texts):
                    raise _empty(param, ctx.command_path)
        parsed: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return parsed


class Command(_FilledValues, TyperCommand):
    """A command."""


class Group(_FilledValues, TyperGroup):
    """A group of commands."""


class GroupedCommand(Command):
    """A command whose help lists its options by their `rich_help_panel`, in the order of its parameters."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each group of options, with --help last."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        folded = set()  # groups with options that only a page of their own lists
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                other = "Arguments" if param.param_type_name == "argument" else "Other"
                groups.setdefault(getattr(param, "rich_help_panel", None) or other, []).append(record)
            elif panel := getattr(param, "rich_help_panel", None):
                folded.add(panel)
        for title, records in groups.items():
            if not records:
                continue
            with formatter.section(title):
                formatter.write_dl(records)
                if title in folded:
                    formatter.write_text(f"More {title.lower()} options: hermes help {title.lower()}")


def refuse_empty_values(app: typer.Typer) -> None:
    """Let every command and group of `app` refuse empty values."""
    app.info.cls = Group
    for command in app.registered_commands:
        if not issubclass(command.cls or TyperCommand, Command):
            command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance:
            refuse_empty_values(group.typer_instance)


def _texts(value: Any) -> Iterator[str]:
    """The texts in the value of an option or argument that may be repeated."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Iterable):
        yield from (text for text in value if isinstance(text, str))


def _empty(param: Any, command: str) -> UsageError:
    what = f"the argument {param.name.upper()}" if param.param_type_name == "argument" else param.opts[0]
    return UsageError(
        f"{what} is empty", f"a shell variable that is not set gives an empty value; see: {command} --help"
    )
