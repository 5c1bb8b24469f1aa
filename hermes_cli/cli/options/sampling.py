"""The options of the sampling, made from its table: every command that answers has the same."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import typer

from hermes_cli.chat.sampling import SAMPLING_KEYS, SamplingKey
from hermes_cli.cli.options import options

SHORT = {"temperature": ("-t",)}
_Command = TypeVar("_Command", bound=Callable[..., int])


def with_sampling(command: _Command) -> _Command:
    """The command with an option for each value of the sampling; `given` reads them by their names."""
    own = inspect.signature(command)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(key))
        for name, key in SAMPLING_KEYS.items()
    ]

    @functools.wraps(command)
    def wrapped(**said: Any) -> int:
        return command(**{name: value for name, value in said.items() if name in own.parameters})

    kept = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own.parameters.values()]
    place = list(own.parameters).index("max_tokens")  # so that the help lists the group in one piece
    wrapped.__signature__ = own.replace(parameters=[*kept[:place], *added, *kept[place:]])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {**command.__annotations__, **{one.name: one.annotation for one in added}}
    return wrapped  # type: ignore[return-value]


def flag(name: str) -> str:
    """The option of a value."""
    return f"--{name.replace('_', '-')}"


def _option(key: SamplingKey) -> Any:
    """The annotation of a parameter: its type, and the option that it is on the command line."""
    kind: Any = Literal[key.choices] if key.kind is str and key.choices else key.kind
    read = check = None
    if key.meanings or key.pattern:
        read = functools.partial(_read, key)
    elif key.low is not None and key.high is not None:
        check = options.within(flag(key.name), key.low, key.high)
    option = typer.Option(
        flag(key.name),
        *SHORT.get(key.name, ()),
        metavar=key.metavar,
        parser=read,
        callback=check,
        help=options.help_of(key),
        hidden=bool(key.group),
        rich_help_panel=options.SAMPLING,
    )
    return Annotated[kind | None, option]


def _read(key: SamplingKey, text: str) -> Any:
    return key.from_text(text, flag(key.name))
