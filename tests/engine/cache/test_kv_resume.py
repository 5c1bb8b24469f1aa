"""Resuming in a new backend: a prompt processed before is restored from disk, and only the rest is processed."""

import random
import shutil
import time
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.chat.events import PromptProgress
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.engine.cache.kv_store import START_TOKENS, KvStore
from hermes_cli.engine.llama import library
from hermes_cli.engine.load_options import KV_STORE_BYTES
from hermes_cli.engine.local import LoadSettings, LocalBackend, open_backend
from hermes_cli.errors import UsageError
from hermes_cli.kv_types import KvType
from tests.conftest import Script
from tests.engine.answers import GREEDY, Answer, answer, assistant, user
from tests.gguf_copy import changed_copy, written_mamba

NAMES = ("Ana", "Boris", "Chloe", "Dimitri")
FILLER = "The quick brown fox jumps over the lazy dog by the old mill. "
LONG = Message("system", "You are Brinda, a cheerful baker who lives in Oslo. " + FILLER * 8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the test's own; the probe's verdict is the shared one."""
    cache = tmp_path / "cache"
    cache.mkdir()
    if paths.probe_file().exists():
        shutil.copy2(paths.probe_file(), cache)
    monkeypatch.setenv("HERMES_CLI_CACHE_DIR", str(cache))
    return cache / "kv"


def opened(
    path: Path,
    *,
    store_bytes: int = KV_STORE_BYTES,
    kv_type: KvType = "f16",
    context_length: int = 2048,
    least_saved_s: float = 0.0,
    stop_s: float = 60.0,
) -> LocalBackend:
    """A backend that saves everything, however fast it was processed."""
    return open_backend(
        path,
        LoadSettings(
            context_length=context_length,
            kv_store_bytes=store_bytes,
            kv_type=kv_type,
            flash_attention=None if kv_type == "q8_0" else False,
            least_saved_s=least_saved_s,
            stop_s=stop_s,
        ),
    )


def talk(backend: LocalBackend, messages: list[Message], *questions: str) -> list[Message]:
    """The conversation with these questions and the model's own answers appended."""
    for question in questions:
        messages = [*messages, user(question)]
        messages.append(assistant(answer(backend, messages, max_tokens=24).text))
    return messages


def resume(path: Path, messages: list[Message], *, store_bytes: int = KV_STORE_BYTES) -> Answer:
    """The answer of a new backend."""
    with opened(path, store_bytes=store_bytes) as backend:
        given = answer(backend, messages, max_tokens=32)
        assert len(backend.cache.ledger) == backend.cache.context.position()
        return given


def test_a_resumed_conversation_processes_only_the_new_question(demo_path: Path, folder: Path) -> None:
    with opened(demo_path) as backend:
        said = talk(backend, [LONG], "My name is Ana.", "What is 4 plus 5?")
        known = backend.count_tokens(tuple(said))
    assert [file.stat().st_mode & 0o777 for file in (folder, *folder.iterdir())] == [0o700] + [0o600] * 2
    given = resume(demo_path, [*said, user("What is my name?")])
    assert given.finished.usage.cached_tokens > known - 10
    assert "Ana" in given.text


def test_a_restored_prompt_is_answered_like_a_processed_one(demo_path: Path) -> None:
    """Only prompts, no generated tokens: those may differ in a last bit."""
    chance = random.Random(5)
    for name in NAMES:
        asked = [Message("system", f"You help {name}. " + FILLER * chance.randrange(4, 10)), user("What is 2 plus 3?")]
        with opened(demo_path) as backend:
            first = answer(backend, asked, max_tokens=1)
        restored, processed = resume(demo_path, asked), resume(demo_path, asked, store_bytes=0)
        assert restored.finished.usage.cached_tokens == first.finished.usage.prompt_tokens - 1
        assert processed.finished.usage.cached_tokens == 0
        assert restored.text == processed.text != ""


def test_a_long_system_prompt_is_processed_once_for_all_questions(demo_path: Path, folder: Path) -> None:
    resume(demo_path, [LONG, user("What is 2 plus 3?")])
    for question in ("Who are you?", "Where do you live?"):
        result = resume(demo_path, [LONG, user(question)])
        unread = result.finished.usage.prompt_tokens - result.finished.usage.cached_tokens
        assert unread <= 20
    _, *conversations = sorted(folder.iterdir(), key=lambda file: file.stat().st_size)
    for file in conversations:
        file.unlink()
    assert resume(demo_path, [LONG, user("Tell me a joke.")]).finished.usage.cached_tokens > START_TOKENS


def test_a_growing_conversation_is_saved_once(demo_path: Path, folder: Path) -> None:
    said = [user(FILLER * 10)]
    for number in range(3):
        with opened(demo_path) as backend:
            said = talk(backend, said, f"What is {number} plus 3? " + FILLER * 8)
    assert len(list(folder.iterdir())) == 1


def test_with_the_store_off_nothing_is_saved_or_used(demo_path: Path, folder: Path) -> None:
    resume(demo_path, [LONG, user("Hi!")], store_bytes=0)
    assert not folder.exists()
    resume(demo_path, [LONG, user("Hi!")])
    assert resume(demo_path, [LONG, user("Hi!")], store_bytes=0).finished.usage.cached_tokens == 0


def test_what_was_processed_quickly_is_not_saved(demo_path: Path, folder: Path) -> None:
    with opened(demo_path, least_saved_s=60.0) as backend:
        answer(backend, [LONG, user("Hi!")])
    assert not folder.exists()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_entry_is_ignored_silently(demo_path: Path, folder: Path, damage: str) -> None:
    asked = [LONG, user("Who are you?")]
    right = resume(demo_path, asked).text
    for file in folder.iterdir():
        data = bytearray(file.read_bytes())
        data[-1000] ^= 4
        file.write_bytes({"cut": bytes(data[:-5]), "flip": bytes(data), "empty": b""}[damage])
    result = resume(demo_path, asked)
    assert (result.text, result.finished.usage.cached_tokens) == (right, 0)


def test_a_state_that_llama_cpp_refuses_is_processed_again_silently(demo_path: Path, folder: Path) -> None:
    asked = [LONG, user("Who are you?")]
    right = resume(demo_path, asked).text
    for file in folder.iterdir():
        fingerprint = file.read_bytes()[12:44]
        file.unlink()
    with opened(demo_path, kv_type="q8_0") as other:
        answer(other, asked)
        state, tokens = other.cache.context.state(), list(other.cache.ledger)
    store = KvStore(folder, KV_STORE_BYTES, lambda: fingerprint)
    assert state and store.save("conversation", tokens, state, 1.0, lambda: True)
    given = resume(demo_path, [*asked, assistant("I am Brinda."), user("Who are you?")])
    assert given.finished.usage.cached_tokens == 0
    assert resume(demo_path, asked).text == right


def test_entries_are_separate_for_each_kv_type(demo_path: Path) -> None:
    asked = [LONG, user("Who are you?")]
    for cached in (False, True):
        for kv_type in ("f16", "q8_0"):
            with opened(demo_path, kv_type=kv_type) as backend:
                assert (answer(backend, asked).finished.usage.cached_tokens > 0) is cached


def test_entries_are_separate_where_the_context_length_changes_the_rope_factors(
    demo_path: Path, tmp_path: Path
) -> None:
    """As with Phi-3, the factors depend on the context length."""
    path = changed_copy(
        demo_path,
        tmp_path / "longrope.gguf",
        metadata={"llama.rope.scaling.type": "longrope", "llama.rope.scaling.original_context_length": 512},
        more_weights={"rope_factors_long.weight": [4.0] * 16, "rope_factors_short.weight": [1.0] * 16},
    )
    given = []
    for window in (512, 384, 600, 2048):
        with opened(path, context_length=window) as backend:
            given.append(answer(backend, [LONG, user("Who are you?")], max_tokens=8))
    assert [one.finished.usage.cached_tokens > 0 for one in given] == [False, True, False, True]
    assert given[0].text == given[1].text != given[2].text == given[3].text


def test_entries_are_separate_for_each_model_file(demo_path: Path, endless_path: Path, tmp_path: Path) -> None:
    resume(demo_path, [LONG, user("Hi!")])
    copy = Path(shutil.copy(demo_path, tmp_path / "copy.gguf"))
    for path in (endless_path, copy):
        assert resume(path, [LONG, user("Hi!")]).finished.usage.cached_tokens == 0


OTHER_LIBRARY = """
import sys
from pathlib import Path
from tests.engine.answers import answer
from tests.engine.cache.test_kv_resume import LONG, opened, user
with opened(Path(sys.argv[1])) as backend:
    print(answer(backend, [LONG, user("Hi!")], max_tokens=8).finished.usage.cached_tokens > 0)
"""


def test_entries_are_separate_for_each_library_build(script: Script, demo_path: Path, tmp_path: Path) -> None:
    libraries = shutil.copytree(library.folder(), tmp_path / "lib", symlinks=True)
    environment = {"LLAMA_CPP_LIB_PATH": str(libraries)}
    results = [script(OTHER_LIBRARY, demo_path, env=env) for env in ({}, {}, environment, environment)]
    assert [(result.out, result.err) for result in results] == [
        (b"False\n", ""),
        (b"True\n", ""),
        (b"False\n", ""),
        (b"True\n", ""),
    ]


@pytest.mark.parametrize("after", [0, 1])
def test_a_stop_at_a_restore_or_right_after_leaves_a_cache_that_works(demo_path: Path, after: int) -> None:
    asked = [LONG, user("Who are you? " + FILLER * 8)]
    resume(demo_path, [LONG, user("Hi!")])
    right = resume(demo_path, asked, store_bytes=0).text
    with opened(demo_path) as backend:
        cancel = CancelToken()
        if after == 0:
            cancel.cancel("interrupt")
        for event in backend.generate(GenerationRequest(tuple(asked), GREEDY, 32), cancel):
            if isinstance(event, PromptProgress):
                cancel.cancel("interrupt")
        assert len(backend.cache.ledger) == backend.cache.context.position()
        result = answer(backend, asked, max_tokens=32)
    assert result.text == right
    assert result.finished.usage.cached_tokens > 64


@pytest.mark.parametrize("stop_s", [0.0, 60.0])
def test_a_prompt_stopped_right_before_closing_is_not_saved(demo_path: Path, folder: Path, stop_s: float) -> None:
    with opened(demo_path, stop_s=stop_s) as backend:
        cancel = CancelToken()
        for event in backend.generate(GenerationRequest((LONG, user("Hi!")), GREEDY, 500), cancel):
            if not isinstance(event, PromptProgress):
                cancel.cancel("interrupt")
    assert folder.exists() is (stop_s == 0)


def test_a_request_that_was_refused_does_not_prevent_saving(demo_path: Path, folder: Path) -> None:
    with opened(demo_path) as backend:
        begun = (LONG, user("Who are you?"), assistant("Not JSON"))
        with pytest.raises(UsageError, match="does not match"):
            list(backend.generate(GenerationRequest(begun, schema={"type": "object"}), CancelToken()))
        talk(backend, [LONG], "Who are you?")
    assert folder.exists()


def test_an_idle_backend_uses_no_cpu_time(demo_path: Path) -> None:
    with opened(demo_path) as backend:
        answer(backend, [LONG, user("Hi!")], max_tokens=200)
        before = time.process_time()
        time.sleep(1.0)
        assert time.process_time() - before < 0.1


def test_a_recurrent_model_saves_nothing(demo_path: Path, tmp_path: Path, folder: Path) -> None:
    with opened(written_mamba(demo_path, tmp_path / "mamba.gguf")) as backend:
        answer(backend, [LONG, user("Hi!")], max_tokens=8)
        assert len(backend.cache.ledger) == backend.cache.context.position()
    assert not folder.exists()
