"""Going on in a new process: what was read before is not read again, and nobody can tell by the answers."""

import random
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.chat.events import PromptProgress
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.engine import local as local_backend
from hermes_cli.engine.cache import kv_cache, kv_store
from hermes_cli.engine.llama import library as native
from hermes_cli.engine.llama.model import KvType
from hermes_cli.engine.load_options import KV_STORE_BYTES
from hermes_cli.engine.local import LoadOptions, LocalBackend, open_backend
from tests.conftest import Script
from tests.engine.answers import GREEDY, Answer, answer, assistant, pause, user
from tests.gguf_copy import changed_copy, written_mamba

NAMES = ("Ana", "Boris", "Chloe", "Dimitri")
FILLER = "The quick brown fox jumps over the lazy dog by the old mill. "
LONG = Message("system", "You are Brinda, a cheerful baker who lives in Oslo. " + FILLER * 8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of the test's own, in which everything is worth keeping; the probe's verdict is the common one."""
    cache = tmp_path / "cache"
    cache.mkdir()
    if paths.probe_file().exists():
        shutil.copy2(paths.probe_file(), cache)
    monkeypatch.setenv("HERMES_CLI_CACHE_DIR", str(cache))
    monkeypatch.setattr(kv_cache, "WORTH_S", 0.0)
    monkeypatch.setattr(local_backend, "PAUSE_S", 0.05)
    paths.cache_folder.cache_clear()
    yield cache / "kv"
    paths.cache_folder.cache_clear()


def opened(path: Path, *, store_bytes: int = KV_STORE_BYTES, kv_type: KvType = "f16") -> LocalBackend:
    return open_backend(path, LoadOptions(context_length=2048, kv_store_bytes=store_bytes, kv_type=kv_type))


def talk(backend: LocalBackend, messages: list[Message], *questions: str) -> list[Message]:
    """The conversation with these questions and the model's own answers at its end."""
    for question in questions:
        messages = [*messages, user(question)]
        messages.append(assistant(answer(backend, messages, max_tokens=24).text))
    return messages


def agree(backend: LocalBackend) -> bool:
    """Whether the ledger says what the cache holds."""
    pause(backend)
    return len(backend._ledger) == backend._context.position()


def go_on(path: Path, messages: list[Message], *, store_bytes: int = KV_STORE_BYTES) -> tuple[Answer, bytearray | None]:
    """The answer of a new backend, and what its cache holds of the prompt bit by bit."""
    with opened(path, store_bytes=store_bytes) as backend:
        told = answer(backend, messages, max_tokens=32)
        assert agree(backend)
        return told, state_of_prompt(backend, told)


def state_of_prompt(backend: LocalBackend, told: Answer) -> bytearray | None:
    """What the cache holds bit by bit, without the answer."""
    backend._cache._cut(backend._context.keep(told.finished.usage.prompt_tokens))
    return backend._context.state()


def test_a_conversation_goes_on_where_it_was_left(demo_path: Path, folder: Path) -> None:
    with opened(demo_path) as backend:
        said = talk(backend, [LONG], "My name is Ana.", "What is 4 plus 5?")
        known = backend.count_tokens(tuple(said))
    assert [file.stat().st_mode & 0o777 for file in (folder, *folder.iterdir())] == [0o700] + [0o600] * 2
    told, _ = go_on(demo_path, [*said, user("What is my name?")])
    assert told.finished.usage.cached_tokens > known - 10
    assert "Ana" in told.text


def test_answers_and_cache_are_the_same_bit_by_bit_with_the_store_and_without(demo_path: Path) -> None:
    chance = random.Random(5)
    for name in NAMES:
        opening = [Message("system", f"You help {name}. " + FILLER * chance.randrange(2, 10))]
        with opened(demo_path) as backend:
            questions = [f"My name is {name}.", "What is 2 plus 3?", "Who are you?", "Write a list of fruit."]
            said = talk(backend, opening, *questions[: chance.randrange(1, 5)])
        asked = [*said, user("What is my name?")]
        with_store, without = go_on(demo_path, asked), go_on(demo_path, asked, store_bytes=0)
        assert with_store[0].finished.usage.cached_tokens > 0 == without[0].finished.usage.cached_tokens
        assert with_store[0].text == without[0].text != ""
        assert with_store[1] == without[1] is not None


def test_after_pauses_a_cache_is_bit_by_bit_that_of_a_fresh_backend(demo_path: Path) -> None:
    said = [LONG]
    with opened(demo_path) as backend:
        for question in ("My name is Ana.", "Hi!", "What is 2 plus 3?"):
            said = talk(backend, said, question)
            pause(backend)
        told = answer(backend, [*said, user("What is my name?")], max_tokens=32)
        pause(backend)
        state = state_of_prompt(backend, told)
        assert told.finished.usage.cached_tokens > backend.count_tokens((LONG,))
    fresh = go_on(demo_path, [*said, user("What is my name?")], store_bytes=0)
    assert (told.text, state) == (fresh[0].text, fresh[1])


def test_a_long_system_prompt_is_read_once_for_all_questions(demo_path: Path, folder: Path) -> None:
    go_on(demo_path, [LONG, user("What is 2 plus 3?")])
    for question in ("Who are you?", "Where do you live?"):
        told, _ = go_on(demo_path, [LONG, user(question)])
        unread = told.finished.usage.prompt_tokens - told.finished.usage.cached_tokens
        assert unread <= kv_cache.LEAST_BATCH + 4
    _, *conversations = sorted(folder.iterdir(), key=lambda file: file.stat().st_size)
    for file in conversations:
        file.unlink()
    assert go_on(demo_path, [LONG, user("Tell me a joke.")])[0].finished.usage.cached_tokens > kv_store.START_TOKENS


def test_a_conversation_that_grows_is_kept_once(demo_path: Path, folder: Path) -> None:
    said = [user(FILLER * 10)]
    for number in range(3):
        with opened(demo_path) as backend:
            said = talk(backend, said, f"What is {number} plus 3? " + FILLER * 8)
    assert len(list(folder.iterdir())) == 1


def test_with_the_store_off_nothing_is_written_and_nothing_used(demo_path: Path, folder: Path) -> None:
    go_on(demo_path, [LONG, user("Hi!")], store_bytes=0)
    assert not folder.exists()
    go_on(demo_path, [LONG, user("Hi!")])
    assert go_on(demo_path, [LONG, user("Hi!")], store_bytes=0)[0].finished.usage.cached_tokens == 0


def test_what_took_no_time_is_not_kept(demo_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kv_cache, "WORTH_S", 60.0)
    go_on(demo_path, [LONG, user("Hi!")])
    assert not folder.exists()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_entry_is_read_again_in_silence(demo_path: Path, folder: Path, damage: str) -> None:
    asked = [LONG, user("Who are you?")]
    right = go_on(demo_path, asked)[0].text
    for file in folder.iterdir():
        data = bytearray(file.read_bytes())
        data[-1000] ^= 4
        file.write_bytes({"cut": bytes(data[:-5]), "flip": bytes(data), "empty": b""}[damage])
    told, _ = go_on(demo_path, asked)
    assert (told.text, told.finished.usage.cached_tokens) == (right, 0)


def test_a_state_that_llama_cpp_refuses_is_read_again_in_silence(demo_path: Path, folder: Path) -> None:
    asked = [LONG, user("Who are you?")]
    right = go_on(demo_path, asked)[0].text
    with opened(demo_path, kv_type="q8_0") as other, opened(demo_path) as backend:
        answer(other, asked)
        pause(other)
        state, tokens = other._context.state(), list(other._ledger)
        store = backend._cache._store
        assert store and state and store.save("conversation", tokens, state, 1.0, lambda: True)
        told = answer(backend, [*asked, assistant("I am Brinda."), user("Who are you?")], max_tokens=32)
        assert agree(backend)
        again = answer(backend, asked, max_tokens=32)
    assert told.finished.usage.cached_tokens == 0
    assert again.text == right


def test_each_kv_type_has_its_own(demo_path: Path) -> None:
    asked = [LONG, user("Who are you?")]
    for cached in (False, True):
        for kv_type in ("f16", "q8_0"):
            with opened(demo_path, kv_type=kv_type) as backend:
                assert (answer(backend, asked).finished.usage.cached_tokens > 0) is cached


def test_a_window_in_which_keys_are_turned_otherwise_has_its_own(demo_path: Path, tmp_path: Path) -> None:
    """As with Phi-3: the factors depend on the length of the window."""
    path = changed_copy(
        demo_path,
        tmp_path / "longrope.gguf",
        metadata={"llama.rope.scaling.type": "longrope", "llama.rope.scaling.original_context_length": 512},
        more_weights={"rope_factors_long.weight": [4.0] * 16, "rope_factors_short.weight": [1.0] * 16},
    )
    told = []
    for window in (512, 384, 600, 2048):
        options = LoadOptions(context_length=window, kv_store_bytes=KV_STORE_BYTES)
        with open_backend(path, options) as backend:
            told.append(answer(backend, [LONG, user("Who are you?")], max_tokens=8))
    assert [one.finished.usage.cached_tokens > 0 for one in told] == [False, True, False, True]
    assert told[0].text == told[1].text != told[2].text == told[3].text


def test_another_model_file_has_its_own(demo_path: Path, endless_path: Path, tmp_path: Path) -> None:
    go_on(demo_path, [LONG, user("Hi!")])
    copy = Path(shutil.copy(demo_path, tmp_path / "copy.gguf"))
    for path in (endless_path, copy):
        assert go_on(path, [LONG, user("Hi!")])[0].finished.usage.cached_tokens == 0


OTHER_LIBRARY = """
import sys
from pathlib import Path
from hermes_cli.engine.cache import kv_cache
from hermes_cli.engine.local import open_backend
from tests.engine.answers import answer
from tests.engine.cache.test_kv_resume import LONG, user
kv_cache.WORTH_S = 0.0
with open_backend(Path(sys.argv[1])) as backend:
    print(answer(backend, [LONG, user("Hi!")], max_tokens=8).finished.usage.cached_tokens > 0)
"""


def test_another_library_build_has_its_own(script: Script, demo_path: Path, tmp_path: Path) -> None:
    libraries = shutil.copytree(native.library_folder(), tmp_path / "lib", symlinks=True)
    environment = {"LLAMA_CPP_LIB_PATH": str(libraries)}
    told = [script(OTHER_LIBRARY, demo_path, env=env) for env in ({}, {}, environment, environment)]
    assert [(result.out, result.err) for result in told] == [
        (b"False\n", ""),
        (b"True\n", ""),
        (b"False\n", ""),
        (b"True\n", ""),
    ]


@pytest.mark.parametrize("after", [0, 1])
def test_a_stop_at_a_restore_or_right_after_leaves_a_cache_that_works(demo_path: Path, after: int) -> None:
    asked = [LONG, user("Who are you? " + FILLER * 8)]
    go_on(demo_path, [LONG, user("Hi!")])
    right = go_on(demo_path, asked, store_bytes=0)[0].text
    with opened(demo_path) as backend:
        cancel = CancelToken()
        if after == 0:
            cancel.cancel("interrupt")
        for event in backend.generate(GenerationRequest(tuple(asked), GREEDY, 32), cancel):
            if isinstance(event, PromptProgress):
                cancel.cancel("interrupt")
        assert agree(backend)
        told = answer(backend, asked, max_tokens=32)
    assert told.text == right
    assert told.finished.usage.cached_tokens > 64


def test_a_stopped_answer_is_not_kept_at_once_but_after_a_pause(demo_path: Path, folder: Path) -> None:
    for paused in (False, True):
        with opened(demo_path) as backend:
            cancel = CancelToken()
            for event in backend.generate(GenerationRequest((LONG, user("Hi!")), GREEDY, 500), cancel):
                if not isinstance(event, PromptProgress):
                    cancel.cancel("interrupt")
            if paused:
                pause(backend)
        assert folder.exists() is paused


def test_a_long_conversation_is_kept_in_a_pause_already(
    demo_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv_cache, "WORTH_IN_PAUSE_S", 0.0)
    with opened(demo_path) as backend:
        said = talk(backend, [LONG], "Who are you?")
        pause(backend)
        assert len(list(folder.iterdir())) == 1
        talk(backend, said, "Hi!")
        pause(backend)
        assert len(list(folder.iterdir())) == 1


def read_anew(path: Path, tokens: list[int], kv_type: KvType = "f16") -> bytearray | None:
    """What a fresh cache holds bit by bit when these tokens are read in batches."""
    with opened(path, store_bytes=0, kv_type=kv_type) as backend:
        list(backend._cache.read(tokens))
        return backend._context.state()


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_stop_while_an_answer_is_read_again_changes_nothing(
    endless_path: Path, monkeypatch: pytest.MonkeyPatch, kv_type: KvType
) -> None:
    monkeypatch.setattr(local_backend, "PAUSE_S", 60.0)
    with opened(endless_path, kv_type=kv_type) as backend:
        answer(backend, [LONG, user("Hi!")], max_tokens=200)
        backend._interrupt()
        pause(backend)
        cache, context = backend._cache, backend._context

        def stopped() -> bool:
            context.abort()
            return True

        for _ in range(len(cache.ledger)):
            settled, state = cache._settled, context.state()
            cache._settle(stopped)
            assert (cache._settled, context.state(), context.position()) == (settled, state, len(cache.ledger))
            cache._settle(partial(next, iter([True]), False))
            if cache._settled == len(cache.ledger):
                break
            assert settled < cache._settled
        assert context.state() == read_anew(endless_path, cache.ledger, kv_type)


def test_a_question_at_any_moment_of_a_pause_finds_all_that_was_said(
    demo_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    with opened(demo_path) as backend:
        cache = backend._cache
        monkeypatch.setattr(local_backend, "PAUSE_S", 60.0)
        said = talk(backend, [LONG], "My name is Ana.", *(f"Hi! {FILLER * 6}" for _ in range(4)))
        assert cache._settled < len(cache.ledger) / 2
        monkeypatch.setattr(local_backend, "PAUSE_S", 0.0)
        for number in range(10):
            ledger, asked = list(cache.ledger), (*said, user(f"What is {number} plus 3? {FILLER}"))
            shared = kv_store.common_prefix(ledger, backend._prompts.write(asked).tokens)
            moment = min(cache._settled + chance.randrange(100), shared) if number else 0
            while cache._settled < moment:
                time.sleep(0.0005)
            time.sleep(chance.random() / 50)
            if number % 2:
                backend._interrupt()
                assert agree(backend)
            usage = answer(backend, asked, max_tokens=1).finished.usage
            assert usage.cached_tokens == shared > backend.count_tokens(tuple(said)) - 10
            assert len(cache.ledger) == usage.prompt_tokens
            assert cache._settled >= moment
        assert agree(backend)
        assert cache._settled == len(cache.ledger)
        assert cache.context.state() == read_anew(demo_path, cache.ledger)


def test_nothing_is_read_again_where_nothing_is_kept(
    demo_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [LONG, user("Hi!")]
    for store_bytes, worth_s in ((0, 0.0), (KV_STORE_BYTES, 60.0)):
        monkeypatch.setattr(kv_cache, "WORTH_S", worth_s)
        with opened(demo_path, store_bytes=store_bytes) as backend:
            prompt_tokens = answer(backend, asked).finished.usage.prompt_tokens
            pause(backend)
            assert backend._cache._settled == prompt_tokens < len(backend._ledger)
    assert not folder.exists()


def test_a_model_whose_memory_cannot_be_cut_back_keeps_nothing(demo_path: Path, tmp_path: Path, folder: Path) -> None:
    with open_backend(written_mamba(demo_path, tmp_path / "mamba.gguf")) as backend:
        answer(backend, [LONG, user("Hi!")], max_tokens=8)
        assert agree(backend)
    assert not folder.exists()
