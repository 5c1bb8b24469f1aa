"""Commands that change how the model answers: system prompt, preset, sampling, model."""

import re
import shlex

from hermes_cli.chat.key import Key, Value
from hermes_cli.chat.sampling import SAMPLING_KEYS
from hermes_cli.errors import UsageError
from hermes_cli.session.choices import Choices, Layers
from hermes_cli.session.sources import from_preset
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.turn_view import plan_line
from hermes_cli.terminal.attachments.text_file import text_or_file
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.chat.commands.arguments import (
    NOTHING,
    file_name,
    setting_name,
    setting_value,
    words,
)
from hermes_cli.terminal.chat.commands.choose import choose
from hermes_cli.terminal.units import size_text


def system(chat: Chat, argument: str) -> None:
    """Show or change the system prompt.

    /system @FILE reads it from a file, /system - removes it. For several lines: /system \"\"\", the lines, and
    \"\"\" again.
    """
    if not argument:
        current = chat.session.conversation.system_prompt
        console.lines("no system prompt" if current is None else current)
        return
    text = text_or_file(argument.removeprefix('"""').removesuffix('"""').strip("\n"))
    layers = chat.layers
    chat.choose(layers.without("system_prompt") if argument == NOTHING else layers.with_flag(system_prompt=text))
    console.notice("system prompt removed" if argument == NOTHING else "system prompt changed")


def preset(chat: Chat, argument: str) -> None:
    """Choose or change the preset; /preset - removes it.

    /preset translate language="simple Greek" sets a variable. The conversation and the model stay.
    """
    from hermes_cli.store.presets.presets import all_presets, variable_values
    from hermes_cli.store.presets.server_prompts import chosen_preset

    if argument == NOTHING:
        had = chat.session.settings.preset
        if had:
            chat.choose(chat.layers.with_preset(Choices()))
        console.notice(f"preset {had} removed; the conversation and the model are unchanged" if had else "no preset")
        return
    if not (argument or chat.interactive):
        console.lines(chat.session.settings.preset or "no preset")
        return
    if not argument:
        known = all_presets()[0]
        rows = [(one.name, one.description) for one in known]
        current = [place for place, one in enumerate(known) if one.name == chat.session.settings.preset]
        place = choose(chat, rows, "preset", elastic=1, name=0, current=current)
        if place is None:
            return
        argument = shlex.quote(known[place].name)
    name, *pairs = words(argument)
    preset, values = chosen_preset(name, variable_values(pairs), chat.servers)
    chat.choose(chat.layers.then_preset(from_preset(preset, values)))
    console.notice(*preset.notices)
    console.notice(f"preset {name}: applies from the next message on; the conversation and the model are unchanged")


def set_value(chat: Chat, argument: str) -> None:
    """Change the sampling, max_tokens or overflow.

    For the rest of this session: /set temperature 0.3, /set max_tokens 500, /set seed default, /set overflow drop.
    /set KEY shows a value, /set all of them.
    """
    if not argument:
        console.table(list(_values(chat).items()), order=(0,), elastic=1)
        return
    argument = re.sub(r"^parameter\s+", "", argument)  # as in ollama
    name, *values = re.split(r"\s*=\s*|\s+", argument, maxsplit=1)
    if not values:
        key = setting_name(name, keys())
        console.notice(f"{key} is {_values(chat)[key]}")
        return
    value = values[0]
    if not (name and value):
        raise UsageError("/set needs a key and a value", "for example: /set temperature 0.3; /set lists all keys")
    key = setting_name(name, keys())
    chat.choose(_with_value(chat.layers, key, value))
    console.notice(f"{key} is {value} from the next message on")


def _with_value(layers: Layers, key: str, value: str) -> Layers:
    if value == "default":
        return layers.without(key)
    if key in ("max_tokens", "overflow"):
        return layers.with_flag(**{key: setting_value(key, value)})
    return layers.with_sampling(key, setting_value(key, value))


def keys() -> tuple[str, ...]:
    """The keys of /set."""
    return (*SAMPLING_KEYS, "max_tokens", "overflow")


def _values(chat: Chat) -> dict[str, str]:
    """The current values of the keys of /set."""
    session = chat.session
    values = {name: _value(key, getattr(session.settings.sampling, name)) for name, key in SAMPLING_KEYS.items()}
    others = {"max_tokens": session.max_tokens, "overflow": chat.layers.now.overflow}
    standard = {"max_tokens": "until the context is full", "overflow": "ask"}
    return values | {
        name: f"{standard[name]} (default)" if value is None else str(value) for name, value in others.items()
    }


def _value(key: Key, value: Value | None) -> str:
    return f"{key.standard} (default)" if value is None else key.to_text(value)


def show(chat: Chat, argument: str) -> None:
    """Show model, preset, system prompt and sampling.

    Less common sampling values are listed only if they are set; /set lists all.
    """
    session = chat.session
    facts = {"model": chat.backend.name, "preset": session.settings.preset or "none"}
    if chat.backend.ready:
        info = chat.backend.info
        facts["model"] += f" ({info.model_name}, {info.description}, {plan_line(info)})"
    if session.transcript:
        facts["session"] = session.transcript.id
    given = session.settings.sampling
    folded = {name for name, key in SAMPLING_KEYS.items() if key.group and getattr(given, name) is None}
    facts |= {name: value for name, value in _values(chat).items() if name not in folded}
    if session.settings.prefill:
        facts["prefill"] = session.settings.prefill
    system_prompt = session.conversation.system_prompt
    facts["system"] = "none" if system_prompt is None else system_prompt
    console.table(list(facts.items()), order=(0,), elastic=1)


def model(chat: Chat, argument: str) -> None:
    """Choose or change the model.

    /model takes a name or the path of a GGUF file. The conversation stays.
    """
    if not (argument or chat.interactive):
        console.lines(chat.backend.name)
        return
    name = file_name(argument) if argument else _chosen_model(chat)
    if name is None:
        return
    chat.change_model(name)
    console.notice(f"model changed to {name}")


def _chosen_model(chat: Chat) -> str | None:
    """The name of a model on this machine that the user chooses."""
    from hermes_cli.models.aliases import aliases
    from hermes_cli.models.library import found_models
    from hermes_cli.models.model import DEMO_NAME, demo_model

    sizes = {model.name: model.size_bytes for model in reversed(found_models()) if not model.missing}
    sizes.setdefault(DEMO_NAME, demo_model().path.stat().st_size)
    found = list(reversed(sizes.items()))
    rows = [*aliases().items(), *((name, size_text(size)) for name, size in found)]
    current = [place for place, (name, _) in enumerate(rows) if name == chat.backend.name]
    place = choose(chat, rows, "model", elastic=0, current=current)
    return None if place is None else rows[place][0]
