"""`hermes config`: show and change settings."""

import json
import os
from typing import Annotated, Any

import typer

from hermes_cli import paths
from hermes_cli.chat.key import Key, written
from hermes_cli.cli import completion
from hermes_cli.cli.lists import stdout
from hermes_cli.errors import UsageError
from hermes_cli.store.settings import config_file
from hermes_cli.store.settings.settings import KEYS, Settings, known_key, load_settings, read_settings
from hermes_cli.terminal import console, editor

app = typer.Typer(
    help="Show and change settings.",
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
)
Name = Annotated[
    str,
    typer.Argument(
        metavar="KEY", autocompletion=completion.settings, help="Name of a setting; `hermes config show` lists them."
    ),
]

_WORDS = ("demo", "auto", "chatml", "embedded")  # never a file's name
_HEAD = """\
# Settings of hermes. Uncomment what you want to set.
# Variables such as HERMES_CLI_TEMPERATURE override this file; presets and options override both.
"""


@app.callback()
def _alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show()


@app.command("show")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object with values and origins.")] = False,
) -> None:
    """Show every setting with its value and origin."""
    settings, problems = read_settings()
    if as_json:
        stdout.write(json.dumps({name: _facts(key, settings) for name, key in KEYS.items()}) + "\n")
    else:
        piped = [(name, _value(name, settings), settings.origin(name)) for name in KEYS]
        rows = [(name, value or KEYS[name].standard, origin) for name, value, origin in piped]
        stdout.write_rows(("setting", "value", "from"), rows, piped, order=(0, 2), elastic=1)
    for problem in problems:
        console.notice(f"skipped: {problem.message}; {problem.hint}")


@app.command("get")
def get(name: Name) -> None:
    """Print the value of a setting; an empty line if it is not set."""
    known_key(name)
    stdout.write(f"{_value(name, load_settings())}\n")


@app.command("set", context_settings={"ignore_unknown_options": True})
def set_value(
    name: Name,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", autocompletion=completion.setting_values, help="true, false, a number or text."
        ),
    ],
) -> None:
    """Set a value in config.toml; the rest of the file is unchanged."""
    config_file.put(name, known_key(name).from_text(_existing(name, value)))
    _shrink_kv_store()
    _print_obstacles(name, value)


@app.command("unset")
def unset(name: Name) -> None:
    """Remove a setting from config.toml."""
    if not config_file.remove(name):
        known_key(name)
        raise UsageError(f"{name} is not set in {paths.config_file()}", "list the settings: hermes config show")
    _shrink_kv_store()
    if name in KEYS:
        _print_obstacles(name)


@app.command("edit")
def edit() -> None:
    """Open config.toml in $VISUAL or $EDITOR.

    A new file lists all settings, commented out.
    """
    path = paths.config_file()
    editor.find(path)
    template = _template()
    made = config_file.create(template)
    try:
        editor.edit(path)
    finally:
        if made and path.exists() and path.read_bytes() == template.encode():
            path.unlink()
            console.notice("not changed")
    load_settings()
    _shrink_kv_store()


@app.command("path")
def path() -> None:
    """Print the path of config.toml, even if the file does not exist."""
    stdout.write(f"{paths.config_file()}\n")


def _value(name: str, settings: Settings) -> str:
    return written(settings.value(name))


def _facts(key: Key, settings: Settings) -> dict[str, Any]:
    """One setting for programs; a value of null leaves the choice to the program, which `default` describes."""
    return {
        "value": settings.value(key.name),
        "origin": settings.origin(key.name),
        "default": key.standard,
        "allowed": key.allowed,
        "help": key.help,
    }


def _template() -> str:
    """A new config.toml: every setting with its help, commented out."""
    entries = (
        f"\n# {key.help} Allowed: {key.allowed}. Default: {key.standard}.\n# {name} = {json.dumps(key.sample)}\n"
        for name, key in KEYS.items()
    )
    return _HEAD + "".join(entries)


def _existing(name: str, value: str) -> str:
    """A file's path so that it holds in every folder. Raises HermesError for a preset or a model that is not there."""
    if name == "preset":
        from hermes_cli.store.presets.presets import find_preset
        from hermes_cli.store.presets.server_prompts import is_of_server

        _ = is_of_server(value) or find_preset(value)
    if name == "model" and value:
        from hermes_cli.session.choices import Choices
        from hermes_cli.session.target.find import find_target

        settings, _ = read_settings()
        find_target(Choices(model=value), settings.endpoints, settings.models)
    file = os.path.expanduser(value)  # noqa: PTH111 - pathlib raises for unknown users
    if name in ("model", "template") and value not in _WORDS and os.path.isfile(file):  # noqa: PTH113 - never raises
        return os.path.abspath(file)  # noqa: PTH100 - keeps links
    return value


def _shrink_kv_store() -> None:
    """Apply a lower `kv_store_mb` at once; the cache itself checks only when it writes."""
    from hermes_cli.engine.cache.kv_store import trim

    trim(paths.kv_folder(), read_settings()[0].kv_store_mb << 20)


def _print_obstacles(name: str, value: str = "") -> None:
    """Print notices if something prevents the change from taking effect."""
    variable = KEYS[name].variable
    if os.environ.get(variable):
        console.notice(f"{variable} is set and overrides config.toml")
    file = paths.expanded(value)
    if name == "template" and value not in ("", *_WORDS) and not os.path.isfile(file):  # noqa: PTH113 - never raises
        console.notice(f"saved, but there is no file {value}")
