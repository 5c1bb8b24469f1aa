"""The table of sampling values: everything derived from it accepts every value."""

import pytest

from hermes_cli.chat.sampling import MODEL_CARD, SAMPLING_KEYS, Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.remote import families
from hermes_cli.server.protocol.fields import ChatRequest
from hermes_cli.server.protocol.requests import parse_chat, read_body
from hermes_cli.store.presets.presets import create, find_preset
from hermes_cli.store.sessions.fields import checked_settings, settings_fields
from tests.conftest import Hermes

EVERY: Sampling = Sampling(**{name: key.example for name, key in SAMPLING_KEYS.items()})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SAMPLING_KEYS)
def test_a_value_reads_back_from_its_text(name: str) -> None:
    key = SAMPLING_KEYS[name]
    assert key.example is not None and key.accepts(key.example)
    assert key.from_text(key.to_text(key.example)) == key.example
    assert key.metavar and key.standard


def test_the_model_card_leaves_only_seed_and_bias_open() -> None:
    assert {name for name in SAMPLING_KEYS if getattr(MODEL_CARD, name) is None} == {"seed", "logit_bias"}


def test_a_session_saves_every_value_but_the_seed() -> None:
    saved = settings_fields(SessionSettings(sampling=EVERY), None)
    assert saved["sampling"].keys() == SAMPLING_KEYS.keys() - {"seed"}
    found = checked_settings(saved)["sampling"]
    assert settings_fields(SessionSettings(sampling=found), None) == saved


def test_a_preset_takes_every_value_but_the_seed() -> None:
    keys = [key for key in SAMPLING_KEYS.values() if key.name != "seed"]
    lines = [f"  {key.name}: {key.to_text(key.example)}" for key in keys if key.example is not None]
    create("every", "---\ndescription: every value\nsampling:\n" + "\n".join(lines) + "\n---\nHi.\n")
    sampling = find_preset("every").sampling
    assert all(getattr(sampling, key.name) == key.example for key in keys)


def test_a_request_takes_every_value() -> None:
    fields = {name: key.example for name, key in SAMPLING_KEYS.items() if name != "logit_bias"}
    body = read_body(ChatRequest, {"messages": [{"role": "user", "content": "Hi"}], **fields})
    (request,) = parse_chat(body).generations
    assert {name: getattr(request.sampling, name) for name in fields} == fields


def test_hermes_serve_gets_every_value_and_llama_server_all_it_supports() -> None:
    assert families.HERMES.sampling.keys() == SAMPLING_KEYS.keys()
    assert families.LLAMA_SERVER.sampling.keys() == SAMPLING_KEYS.keys() - {"repeat_scope"}


def test_sampling_options_listed_on_their_own_page_are_not_in_the_help(hermes: Hermes) -> None:
    page, folded = hermes("help", "sampling").out.decode(), hermes("ask", "--help").out.decode()
    for name, key in SAMPLING_KEYS.items():
        flag = f"--{name.replace('_', '-')} {key.metavar}"
        assert flag in page and (flag in folded) is not bool(key.group)
    assert "More sampling options: hermes help sampling" in folded


def test_every_value_is_an_option(hermes: Hermes) -> None:
    options = [
        f"--{name.replace('_', '-')}={key.to_text(key.example)}"
        for name, key in SAMPLING_KEYS.items()
        if key.example is not None
    ]
    given = hermes("ask", "-m", "demo", "--no-save", "-n", "8", *options, "What is 2 plus 3?")
    assert given.code == 0 and given.out and not given.err
    wrong = hermes("ask", "-m", "demo", "--dry-run", "--mirostat", "3", "Hi")
    assert wrong.code == 2 and b"--mirostat cannot be 3" in wrong.err.encode()
