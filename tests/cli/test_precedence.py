"""The precedence table of docs/settings.md: options, preset, session, environment, a model's table, config.toml.

Every row runs the real `ask` and reads the settings from the session file.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.store.sessions.reader import read_session
from tests.conftest import Hermes
from tests.saved import begun, folders_in, turn

PRESETS = {
    "cool": "---\ndescription: d\nsampling: {temperature: 0.2, max_tokens: 20}\n---\nI am cool.\n",
    "warm": "---\ndescription: d\nsampling: {temperature: 0.6}\n---\nI am warm.\n",
    "bare": "---\ndescription: d\nsampling: {top_k: 7}\n---\n",
}
ALL = ("-t", "0.1", "-n", "10", "-s", "I am a flag.")


@dataclass(frozen=True)
class Said:
    """The settings of one row at each level; `session` are those of the saved session, if any."""

    flags: tuple[str, ...] = ()
    config: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    session: SessionSettings | None = None
    session_prompt: str | None = "I am saved."


def led(
    temperature: float | None = None,
    max_tokens: int | None = None,
    preset: str | None = None,
    top_k: int | None = None,
) -> SessionSettings:
    """The settings that a session's file holds; every row names the demo model."""
    return SessionSettings("demo", preset, Sampling(temperature=temperature, top_k=top_k), max_tokens)


CONFIG = "temperature = 0.4\nmax_tokens = 40\n"
TABLE_OF_DEMO = "[models.demo]\ntemperature = 0.45\ntop_k = 5\n"
ENVIRONMENT = (("HERMES_CLI_TEMPERATURE", "0.5"),)
COOL = led(0.9, 90, "cool", 9)  # saved with the preset `cool`, but with other values from options
PLAIN = led(0.9, 90, None, 9)

TABLE: dict[str, tuple[Said, SessionSettings, str | None]] = {
    "nothing": (Said(), led(), None),
    "config": (Said(config=CONFIG), led(0.4, 40), None),
    "environment over config": (Said(config=CONFIG, environment=ENVIRONMENT), led(0.5, 40), None),
    "the model's table over config": (Said(config=CONFIG + TABLE_OF_DEMO), led(0.45, 40, None, 5), None),
    "environment over the model's table": (
        Said(config=CONFIG + TABLE_OF_DEMO, environment=ENVIRONMENT),
        led(0.5, 40, None, 5),
        None,
    ),
    "preset over the model's table": (
        Said(("-p", "warm"), CONFIG + TABLE_OF_DEMO),
        led(0.6, 40, "warm", 5),
        "I am warm.",
    ),
    "the preset of the model's table over that of the config": (
        Said(config=f'preset = "cool"\n{TABLE_OF_DEMO}preset = "warm"\n'),
        led(0.6, None, "warm", 5),
        "I am warm.",
    ),
    "session over the model's table": (
        Said(("-c",), CONFIG + TABLE_OF_DEMO, (), led(0.9)),
        led(0.9, 40, None, 5),
        "I am saved.",
    ),
    "options over the model's table": (Said(("-t", "0.1"), CONFIG + TABLE_OF_DEMO), led(0.1, 40, None, 5), None),
    "another model's table": (Said(config=f"{CONFIG}[models.other]\ntemperature = 0.45\n"), led(0.4, 40), None),
    "preset over both": (
        Said(("-p", "warm"), CONFIG, ENVIRONMENT),
        led(0.6, 40, "warm"),
        "I am warm.",
    ),
    "options over all": (Said(("-p", "cool", *ALL), CONFIG, ENVIRONMENT), led(0.1, 10, "cool"), "I am a flag."),
    "an empty prompt is one": (Said(("-p", "cool", "-s", "")), led(0.2, 20, "cool"), ""),
    "a zero is a value": (Said(("-p", "cool", "-t", "0")), led(0, 20, "cool"), "I am cool."),
    "preset of the config": (Said(config=f'preset = "cool"\n{CONFIG}'), led(0.2, 20, "cool"), "I am cool."),
    "-p over the preset of the config": (
        Said(("-p", "warm"), f'preset = "cool"\n{CONFIG}'),
        led(0.6, 40, "warm"),
        "I am warm.",
    ),
    "-s over the preset of the config": (
        Said(("-s", "I am a flag."), f'preset = "cool"\n{CONFIG}'),
        led(0.4, 40),
        "I am a flag.",
    ),
    "session over config": (Said(("-c",), CONFIG, ENVIRONMENT, PLAIN), led(0.9, 90, None, 9), "I am saved."),
    "config where the session is open": (Said(("-c",), CONFIG, (), led(top_k=9)), led(0.4, 40, None, 9), "I am saved."),
    "session with its preset": (Said(("-c",), CONFIG, (), COOL), led(0.9, 90, "cool", 9), "I am saved."),
    "session over the preset of the config": (
        Said(("-c",), f'preset = "warm"\n{CONFIG}', (), PLAIN),
        led(0.9, 90, None, 9),
        "I am saved.",
    ),
    "options over the session": (Said(("-c", "-t", "0.1"), CONFIG, (), COOL), led(0.1, 90, "cool", 9), "I am saved."),
    "-c -s leaves the preset behind": (
        Said(("-c", "-s", "I am a flag."), CONFIG, (), COOL),
        led(0.9, 90, None, 9),
        "I am a flag.",
    ),
    "-c with another -p leaves the sampling behind": (
        Said(("-c", "-p", "warm"), CONFIG, (), COOL),
        led(0.6, 40, "warm"),
        "I am warm.",
    ),
    "-c with the same -p keeps the sampling": (
        Said(("-c", "-p", "cool"), CONFIG, (), COOL),
        led(0.2, 20, "cool", 9),
        "I am cool.",
    ),
    "-c -p for a session without a preset": (
        Said(("-c", "-p", "warm"), CONFIG, (), PLAIN),
        led(0.6, 90, "warm", 9),
        "I am warm.",
    ),
    "-c with a -p that has no prompt": (Said(("-c", "-p", "bare"), CONFIG, (), COOL), led(0.4, 40, "bare", 7), None),
    "-c -p -s": (
        Said(("-c", "-p", "warm", "-s", "I am a flag."), CONFIG, (), COOL),
        led(0.6, 40, "warm"),
        "I am a flag.",
    ),
}


@pytest.mark.parametrize(("said", "expected", "prompt"), TABLE.values(), ids=TABLE.keys())
def test_highest_layer_with_a_value_wins(
    hermes: Hermes, tmp_path: Path, said: Said, expected: SessionSettings, prompt: str | None
) -> None:
    cache = str(paths.cache_folder())  # contains the verdict of the probe, which takes a second
    config = tmp_path / "config"
    (config / "prompts").mkdir(parents=True)
    for name, text in PRESETS.items():
        (config / "prompts" / f"{name}.md").write_text(text)
    (config / "config.toml").write_text(f'model = "demo"\n{said.config}')
    with folders_in(tmp_path):
        if said.session:
            begun(turn(1, "Hi", "Hello!"), settings=said.session, system_prompt=said.session_prompt).close()
        env = {"HERMES_CLI_CONFIG_DIR": str(config), "HERMES_CLI_CACHE_DIR": cache, **dict(said.environment)}
        assert hermes("ask", *said.flags, "What is 2 plus 3?", env=env).code == 0
        (path,) = paths.sessions_folder().iterdir()
        saved = read_session(path)
    assert (saved.settings, saved.conversation.system_prompt) == (expected, prompt)
