"""Arguments of commands: parsed and checked."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hermes_cli import paths
from hermes_cli.chat.conversation import Turn
from hermes_cli.chat.sampling import SAMPLING_KEYS, Sampling
from hermes_cli.errors import UsageError, did_you_mean
from hermes_cli.store.settings.settings import KEYS
from hermes_cli.terminal.chat.chat import Chat

_OTHER_NAMES = {"temp": "temperature", "num_ctx": "ctx", "context_length": "ctx", "num_predict": "max_tokens"}
_COMMANDS = {
    "model": "/model NAME",
    "preset": "/preset NAME",
    "system": "/system TEXT",
    "prefill": "/prefill --keep TEXT",
    "tools": "/tools NAME",
    "schema": "/schema SCHEMA",
    "format": "/schema SCHEMA",
}
_AT_START = ("endpoint", "ctx", "gpu_layers", "kv_type", "threads", "speculate", "template", "save", "color")
NOTHING = "-"  # removes what a command sets


def count(argument: str, *, otherwise: int) -> int:
    """A whole number above 0, `otherwise` without an argument. Raises UsageError."""
    if not argument:
        return otherwise
    if not _is_number(argument) or int(argument) == 0:
        raise UsageError(f"{argument} is not a number of turns", "type a number such as 1 or 2")
    return int(argument)


def words(argument: str) -> list[str]:
    """Split the words as a shell does, so that quoted ones may contain spaces. Raises UsageError."""
    try:
        return shlex.split(argument)
    except ValueError as error:
        raise UsageError(f"a quote in {argument} is not closed", "close it, as in reader='a friend'") from error


def file_name(argument: str) -> str:
    """The name as typed, or unquoted as by a shell, because terminals quote a file that is dropped on them."""
    if not set(argument) & set("'\"\\") or os.path.lexists(paths.expanded(argument)):
        return argument
    try:
        named = shlex.split(argument)
    except ValueError:
        return argument
    return named[0] if len(named) == 1 else argument


def names(argument: str) -> list[str]:
    """The names of files, patterns or URLs in an argument, split as by a shell unless all of it is one file's name."""
    if os.path.lexists(paths.expanded(argument)):
        return [argument]
    return words(argument)


def turns(chat: Chat, argument: str) -> list[Turn]:
    """The turns by their numbers in /context, such as `3`, `2-5` or several; by default the last. Raises UsageError."""
    said = chat.session.conversation.turns
    if not said:
        raise UsageError("there are no turns yet", "send a message first")
    if not argument:
        return [said[-1]]
    chosen: set[int] = set()
    for word in argument.replace(",", " ").split():
        first, _, last = word.partition("-")
        numbers = (first, last or first)
        if not all(map(_is_number, numbers)):
            raise UsageError(f"{word} is not a turn", "type a number from /context, or a range such as 2-5")
        chosen.update(range(int(numbers[0]), min(int(numbers[1]), len(said) + 1) + 1))
    if not chosen or not chosen <= set(range(1, len(said) + 1)):
        raise UsageError(f"there is no turn {argument}", f"/context lists turns 1 to {len(said)}")
    return [said[number - 1] for number in sorted(chosen)]


def sampling_changes(sampling: Sampling, pairs: list[str]) -> Sampling:
    """`sampling` with every `key=value` of `pairs` applied. Raises UsageError."""
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{pair} is not KEY=VALUE", "write it like temperature=0.5")
        sampling = with_sampling_value(sampling, key, value)
    return sampling


def with_sampling_value(sampling: Sampling, key: str, value: str) -> Sampling:
    """`sampling` with one value changed; `default` is the value of the model card. Raises UsageError."""
    name = setting_name(key, tuple(SAMPLING_KEYS))
    if value == "default":
        return replace(sampling, **{name: None})
    return replace(sampling, **{name: setting_value(name, value)})


def setting_name(key: str, known: Sequence[str]) -> str:
    """The setting that `key` names, one of `known`. Raises UsageError."""
    name = key.replace("-", "_")
    name = _OTHER_NAMES.get(name, name)
    if name in _COMMANDS:
        raise UsageError(f"{key} cannot be changed with /set", f"use {_COMMANDS[name]}")
    if name in _AT_START:
        option = f"--{name.replace('_', '-')}"
        raise UsageError(
            f"{key} can only be set when a chat starts", f"leave with /exit, then: hermes -c {option} VALUE"
        )
    if name not in known and name in KEYS:
        raise UsageError(f"{key} applies to all chats", f"change it with: hermes config set {name} VALUE")
    if name not in known:
        raise UsageError(f"there is no setting {key}", did_you_mean(name, known, "/set lists all keys"))
    return name


def setting_value(name: str, value: str) -> Any:
    """Parse and check `value` like the setting of that name. Raises UsageError."""
    key = SAMPLING_KEYS[name] if name in SAMPLING_KEYS else KEYS[name]
    return key.from_text(value, f"/set {name}")


def _is_number(word: str) -> bool:
    """Whether `word` can be the number of a turn; Python refuses to parse very long ones."""
    return word.isascii() and word.isdigit() and len(word) < 7
