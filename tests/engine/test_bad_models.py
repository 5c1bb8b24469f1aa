"""Files that are not usable models: one error line, one hint line and the right exit code, never a crash."""

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGUFReader

from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.load_options import DRAFT_ROWS, LoadSettings
from hermes_cli.engine.loading import load
from hermes_cli.engine.local import open_backend
from hermes_cli.errors import EngineError, ModelNotFound, UsageError
from tests.conftest import Hermes, Script
from tests.gguf_copy import changed_copy

BROKEN, NOT_FOUND, WRONG_USE = EngineError.exit_code, ModelNotFound.exit_code, UsageError.exit_code


def refusal(hermes: Hermes, *args: str | Path) -> tuple[int, str]:
    """The exit code and the error of `hermes ask` where nothing else may be said."""
    result = hermes("ask", *args, "hi")
    assert result.out == b""
    lines = result.err.splitlines()
    assert len(lines) == 2, result
    assert lines[0].startswith("error: ") and lines[1].startswith("hint: ") and len(lines[1]) > len("hint: ")
    return result.code, lines[0].removeprefix("error: ")


def _folder(path: Path, _: Path) -> None:
    path.mkdir()


def _dangling_link(path: Path, _: Path) -> None:
    path.symlink_to(path.parent / "nowhere.gguf")


def _link_to_itself(path: Path, _: Path) -> None:
    path.symlink_to(path)


def _empty(path: Path, _: Path) -> None:
    path.touch()


def _text(path: Path, _: Path) -> None:
    path.write_text("<html>404 Not Found</html>")


def _three_bytes(path: Path, _: Path) -> None:
    path.write_bytes(b"GGU")


def _only_the_magic(path: Path, _: Path) -> None:
    path.write_bytes(b"GGUF")


def _random_after_the_magic(path: Path, _: Path) -> None:
    path.write_bytes(b"GGUF" + bytes(range(256)) * 64)


def _other_byte_order(path: Path, demo: Path) -> None:
    data = demo.read_bytes()
    path.write_bytes(data[:4] + data[4:8][::-1] + data[8:])


def _bert(path: Path, demo: Path) -> None:
    changed_copy(demo, path, metadata={"general.architecture": "bert"})


def _made_up_architecture(path: Path, demo: Path) -> None:
    changed_copy(demo, path, metadata={"general.architecture": "tralala"})


def _no_tokenizer(path: Path, demo: Path) -> None:
    changed_copy(demo, path, without=("tokenizer.",))


def _empty_tokenizer(path: Path, demo: Path) -> None:
    changed_copy(demo, path, without=("tokenizer.",), metadata={"tokenizer.ggml.model": "no_vocab"})


def _vocabulary_only(path: Path, demo: Path) -> None:
    changed_copy(demo, path, weights=False)


def _no_context(path: Path, demo: Path) -> None:
    changed_copy(demo, path, metadata={"llama.context_length": 0})


def _context_past_all_numbers(path: Path, demo: Path) -> None:
    changed_copy(demo, path, metadata={"llama.context_length": 2**32 - 1})


def _layers_past_all_numbers(path: Path, demo: Path) -> None:
    changed_copy(demo, path, metadata={"llama.block_count": 2**31})


def _all_tokens_alike(path: Path, demo: Path) -> None:
    tokens: list[str] = GGUFReader(demo).fields["tokenizer.ggml.tokens"].contents()
    changed_copy(demo, path, renamed_tokens=dict.fromkeys(tokens, "x"))


def _encoder(path: Path, demo: Path) -> None:
    changed_copy(demo, path, metadata={"llama.attention.causal": False})


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (_folder, NOT_FOUND, "is a folder"),
        (_dangling_link, NOT_FOUND, "there is no file"),
        (_link_to_itself, NOT_FOUND, "model.gguf"),
        (_empty, NOT_FOUND, "is empty"),
        (_text, NOT_FOUND, "is a web page"),
        (_three_bytes, NOT_FOUND, "is not a GGUF file"),
        (_only_the_magic, NOT_FOUND, "is cut short"),
        (_random_after_the_magic, BROKEN, "cannot load"),
        (_other_byte_order, BROKEN, "cannot load"),
        (_bert, NOT_FOUND, "cannot chat"),
        (_made_up_architecture, BROKEN, "tralala"),
        (_no_tokenizer, BROKEN, "tokenizer"),
        (_empty_tokenizer, BROKEN, "has no tokenizer"),
        (_vocabulary_only, NOT_FOUND, "cannot chat"),
        (_no_context, BROKEN, "a context length of 0 tokens"),
        (_context_past_all_numbers, BROKEN, "a context length of 4,294,967,295 tokens"),
        (_layers_past_all_numbers, BROKEN, "llama.cpp stopped"),
        (_all_tokens_alike, BROKEN, "llama.cpp stopped"),
        (_encoder, BROKEN, "is not a chat model"),
    ],
)
def test_file_that_is_not_a_model_is_refused_with_a_clear_error(
    hermes: Hermes, demo_path: Path, tmp_path: Path, make: Callable[[Path, Path], None], code: int, says: str
) -> None:
    file = tmp_path / "model.gguf"
    make(file, demo_path)
    given, error = refusal(hermes, "-m", file)
    assert (given, says in error) == (code, True), error


def test_missing_file_is_refused_with_a_clear_error(hermes: Hermes, tmp_path: Path) -> None:
    code, error = refusal(hermes, "-m", tmp_path / "nowhere.gguf")
    assert (code, error) == (NOT_FOUND, f"there is no file {tmp_path / 'nowhere.gguf'}")


def test_unknown_name_is_refused_with_a_clear_error(hermes: Hermes) -> None:
    assert refusal(hermes, "-m", "gemini") == (NOT_FOUND, "there is no local model gemini")


@pytest.mark.parametrize("share", [0.0001, 0.005, 0.5, 0.9999])
def test_a_truncated_model_is_refused_in_plain_words(
    hermes: Hermes, demo_path: Path, tmp_path: Path, share: float
) -> None:
    data = demo_path.read_bytes()
    file = tmp_path / "cut.gguf"
    file.write_bytes(data[: int(len(data) * share)])
    code, error = refusal(hermes, "-m", file)
    assert code == NOT_FOUND
    assert error.startswith(f"{file} is cut short: it ")


@pytest.mark.parametrize("name", ["with space.gguf", "mödel.gguf", "line\nbreak.gguf", "\x1b[31mred.gguf"])
def test_an_odd_file_name_cannot_break_the_error_line(hermes: Hermes, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"GGUF")
    code, error = refusal(hermes, "-m", file)
    assert code == NOT_FOUND
    assert "\x1b" not in error


@pytest.mark.parametrize("length", ["0", "-1", "63", "many", "4097", "99999999999999999999"])
def test_an_impossible_window_is_wrong_use(hermes: Hermes, length: str) -> None:
    code, error = refusal(hermes, "-m", "demo", "--ctx", length)
    assert (code, "--ctx" in error) == (WRONG_USE, True)


def test_context_beyond_the_memory_is_refused_before_allocation(
    hermes: Hermes, demo_path: Path, tmp_path: Path
) -> None:
    file = changed_copy(demo_path, tmp_path / "wide.gguf", metadata={"llama.context_length": 2**31 - 1})
    code, error = refusal(hermes, "-m", file, "--ctx", str(2**31 - 1))
    assert code == BROKEN
    assert "GB in addition to the model, more than is free" in error


def test_a_long_context_is_not_the_default(hermes: Hermes, demo_path: Path, tmp_path: Path) -> None:
    file = changed_copy(demo_path, tmp_path / "wide.gguf", metadata={"llama.context_length": 2**31 - 1})
    result = hermes("ask", "-m", file, "-v", "-t0", "What is 2 plus 3?")
    assert (result.code, result.out) == (0, b"2 plus 3 is 5.\n")
    assert "ctx 8.2k" in result.err


FLIP_BYTES = """
import random, sys
from pathlib import Path
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.local import LoadSettings, open_backend
from hermes_cli.errors import HermesError

demo, file, header_bytes = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[3])
request = GenerationRequest((Message("user", "hi"),), Sampling(seed=1), max_tokens=4)
for variant in range(60):
    choose = random.Random(variant)
    data = bytearray(demo)
    low, high = ((4, 2000), (4, header_bytes), (header_bytes - 8000, header_bytes))[variant % 3]
    for _ in range(choose.choice((1, 3, 8))):
        data[choose.randrange(low, high)] = choose.randrange(256)
    file.write_bytes(data)
    print(variant, end=" ", flush=True)
    try:
        with open_backend(file, LoadSettings(context_length=256)) as backend:
            print("answered", list(backend.generate(request, CancelToken()))[-1].reason, flush=True)
    except HermesError as error:
        print("refused", error.message, flush=True)
"""


def test_damaged_header_is_refused_or_harmless(script: Script, demo_path: Path, tmp_path: Path) -> None:
    result = script(FLIP_BYTES, demo_path, tmp_path / "damaged.gguf", str(GGUFReader(demo_path).data_offset))
    lines = result.out.decode().splitlines()
    assert (result.code, len(lines), result.err) == (0, 60, ""), result
    refused, answered = ([line for line in lines if f" {word} " in line] for word in ("refused", "answered"))
    assert len(refused) + len(answered) == 60
    assert len(refused) > 20
    assert not any(line.endswith("no reason given") for line in refused)


DAMAGED_WEIGHTS = """
import sys
from pathlib import Path
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.local import LoadSettings, open_backend
from hermes_cli.errors import EngineError

demo, file, header_bytes = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[3])
file.write_bytes(demo[:header_bytes] + bytes([int(sys.argv[4])]) * (len(demo) - header_bytes))
with open_backend(file, LoadSettings(context_length=256)) as backend:
    for sampling in (Sampling(temperature=0), Sampling(seed=1), Sampling(seed=1, top_k=0, top_p=0.5, min_p=0.1)):
        try:
            request = GenerationRequest((Message("user", "hi"),), sampling, max_tokens=8)
            print(list(backend.generate(request, CancelToken()))[-1].reason)
        except EngineError as error:
            print(error.message)
"""


@pytest.mark.parametrize(("filling", "problem"), [(0xFF, "damaged"), (0x7C, "damaged"), (0x00, "length")])
def test_weights_that_are_not_numbers_are_an_error(
    script: Script, demo_path: Path, tmp_path: Path, filling: int, problem: str
) -> None:
    data_offset = GGUFReader(demo_path).data_offset
    result = script(DAMAGED_WEIGHTS, demo_path, tmp_path / "nan.gguf", str(data_offset), str(filling))
    assert (result.code, result.err) == (0, "")
    assert [problem in line for line in result.out.decode().splitlines()] == [True] * 3


def not_numbers(demo_path: Path, target: Path) -> Path:
    """A model whose weights are all NaN."""
    data, header_bytes = demo_path.read_bytes(), GGUFReader(demo_path).data_offset
    target.write_bytes(data[:header_bytes] + b"\xff" * (len(data) - header_bytes))
    return target


def test_nothing_stays_open_if_the_first_tokens_of_a_gpu_fail(demo_path: Path, tmp_path: Path) -> None:
    settings = LoadSettings(gpu_layers=1, kv_store_bytes=0)
    before = {id(found) for found in gc.get_objects() if isinstance(found, Context)}
    with pytest.raises(EngineError, match="damaged") as caught:
        load(not_numbers(demo_path, tmp_path / "nan.gguf"), [settings], lambda _: True)
    opened = [found for found in gc.get_objects() if isinstance(found, Context) and id(found) not in before]
    assert [context._ctx for context in opened] == [None], caught


def test_nothing_stays_open_if_drafts_cannot_be_measured(demo_path: Path, tmp_path: Path) -> None:
    settings = LoadSettings(kv_store_bytes=0, scored_tokens=DRAFT_ROWS, speculates=True, device_sampling=True)
    before = set(threading.enumerate())
    with pytest.raises(EngineError, match="damaged"):
        open_backend(not_numbers(demo_path, tmp_path / "nan.gguf"), settings)
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(10)
    assert not any(thread.is_alive() for thread in left)


def test_an_error_that_llama_cpp_does_not_catch_is_one_clean_error(
    hermes: Hermes, demo_path: Path, tmp_path: Path
) -> None:
    file = changed_copy(demo_path, tmp_path / "spm.gguf", metadata={"tokenizer.ggml.model": "llama"})
    result = hermes("ask", "-m", file, "hi")
    error, hint = result.err.splitlines()
    assert (result.code, result.out) == (1, b"")
    assert error.startswith("error: llama.cpp stopped") and hint.startswith("hint: ")
