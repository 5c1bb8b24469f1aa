"""Completions of arguments, each with a note; the caller filters them by the last word typed."""

import os
from collections.abc import Iterable

from hermes_cli.chat.sampling import SAMPLING_KEYS
from hermes_cli.errors import HermesError
from hermes_cli.store.settings.settings import KEYS
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.settings import keys

Words = Iterable[tuple[str, str]]


def sampling_keys(chat: Chat, typed: str) -> Words:
    """For /retry."""
    return ((f"{key}=", "") for key in SAMPLING_KEYS)


def setting_keys(chat: Chat, typed: str) -> Words:
    """For /set."""
    key, space, _ = typed.partition(" ")
    if space:
        return ((choice, "") for choice in (*KEYS[key].choices, "default")) if key in KEYS else ()
    return ((key, "") for key in keys())


def mcp_servers(chat: Chat, typed: str) -> Words:
    """For /mcp: the configured servers, then on and off."""
    if " " in typed:
        return (("on", ""), ("off", ""))
    return ((server.name, server.shown_address) for server in chat.layers.mcp_servers.values())


def presets(chat: Chat, typed: str) -> Words:
    """For /preset: the names, then the variables of the preset that is typed."""
    from hermes_cli.store.presets.presets import all_presets, find_preset

    name, space, _ = typed.partition(" ")
    if not space:
        return ((preset.name, preset.description) for preset in all_presets()[0])
    try:
        return ((f"{variable}=", "") for variable in find_preset(name).variables)
    except HermesError:
        return ()


def models(chat: Chat, typed: str) -> Words:
    """For /model: names, or files after a slash."""
    from hermes_cli.models.aliases import aliases
    from hermes_cli.models.library import found_models
    from hermes_cli.models.model import DEMO_NAME

    if os.sep in typed:
        return files(chat, typed)
    return (
        *aliases().items(),
        *((spec.name, str(spec.path)) for spec in found_models() if not spec.missing),
        (DEMO_NAME, "bundled"),
    )


def tools(chat: Chat, typed: str) -> Words:
    """For /tools: built-in names and files."""
    from hermes_cli.tools.toolbox import built_in_names

    return (*((name, "built in") for name in built_in_names()), *files(chat, typed))


def edit_forms(chat: Chat, typed: str) -> Words:
    """For /edit."""
    return (("answer", "edit what the model said"),)


def copy_forms(chat: Chat, typed: str) -> Words:
    """For /copy."""
    return (("code", "the last code block"),)


def sessions(chat: Chat, typed: str) -> Words:
    """For /load: sessions, the most recently used first."""
    from hermes_cli.store.sessions.index import all_sessions

    return ((session.id, session.title) for session in all_sessions())


def files(chat: Chat, typed: str) -> Words:
    """The files and folders that complete a path; names with a space only up to the space."""
    word = typed.rpartition(" ")[2]
    folder, _, beginning = word.rpartition(os.sep)
    shown = f"{folder}{os.sep}" if os.sep in word else ""
    try:
        with os.scandir(os.path.expanduser(shown) or ".") as entries:  # noqa: PTH111 - as typed, with ~ kept
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError:
        return
    for name, is_folder in found:
        if name.startswith(beginning) and (beginning or not name.startswith(".")):
            yield f"{shown}{name}{os.sep if is_folder else ''}", ""
