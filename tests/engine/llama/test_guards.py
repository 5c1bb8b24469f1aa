"""Calls on which llama.cpp would abort raise an exception instead; remaining aborts print a clear error."""

import re
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.library import missing_names
from tests.conftest import Hermes, Script

OPENED = """
import sys
from pathlib import Path
from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.sampler import Sampler
from hermes_cli.engine.llama.model import Model
from hermes_cli.errors import EngineError
model = Model(Path(sys.argv[1]))
context = Context(model, context_length=256, batch_size=8, threads=1)
greedy = Sampler([("greedy", ())])
"""
ATTEMPTS = {
    "a batch too large": ("context.decode([1] * 9)", "ValueError", "1 to 8 tokens, not 9"),
    "an empty batch": ("context.decode([])", "ValueError", "not 0"),
    "a token that does not exist": ("context.decode([10**6])", "EngineError", "failed to decode"),
    "a negative token": ("context.decode([-5])", "EngineError", "failed to decode"),
    "sampling before decoding": ("context.sample(greedy)", "ValueError", "nothing was decoded"),
    "sampling after the cache was cut": (
        "context.decode([1, 2]); context.keep(1); context.sample(greedy)",
        "ValueError",
        "nothing was decoded",
    ),
    "sampling after a decode that failed": (
        "context.decode([1])\ntry:\n context.decode([10**6])\nexcept EngineError: context.sample(greedy)",
        "ValueError",
        "nothing was decoded",
    ),
    "more tokens than the context": (
        "for _ in range(33): context.decode([1] * 8)",
        "EngineError",
        "the context is full",
    ),
    "an aborted decode": ("context.abort(); context.decode([1, 2])", "DecodeAborted", ""),
    "a sampler that llama.cpp refuses": (
        "Sampler([('grammar', (model._vocab, b'root ::= (', b'root'))])",
        "EngineError",
        "refused the sampler grammar",
    ),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_calls_that_would_crash_raise_a_clear_exception(script: Script, demo_path: Path, attempt: str) -> None:
    code, error, message = ATTEMPTS[attempt]
    indented = code.replace("\n", "\n    ")
    caught = f"try:\n    {indented}\nexcept Exception as error: print(type(error).__name__, error)"
    result = script(f"{OPENED}\n{caught}\nprint('alive')", demo_path)
    assert result.code == 0, result
    said = result.out.decode()
    assert said.startswith(f"{error} ") and message in said
    assert said.endswith("alive\n")


def test_after_a_refused_batch_the_context_goes_on(script: Script, demo_path: Path) -> None:
    code = """
    try: context.decode([1] * 9)
    except ValueError: pass
    context.decode([1] * 8)
    print(context.position(), 0 <= context.sample(greedy) < model.vocab_size)
    """
    result = script(OPENED + code.replace("\n    ", "\n"), demo_path)
    assert (result.code, result.out, result.err) == (0, b"8 True\n", "")


def test_a_stop_is_not_the_reason_of_a_later_failure(script: Script, demo_path: Path) -> None:
    code = """
    from hermes_cli.engine.llama.context import DecodeAborted
    context.abort()
    try: context.decode([1])
    except DecodeAborted: context.allow()
    try: context.decode([10**6])
    except EngineError as error: print(error)
    """
    result = script(OPENED + code.replace("\n    ", "\n"), demo_path)
    assert (result.code, result.err) == (0, "")
    assert "invalid token" in result.out.decode()


def test_an_abort_that_happens_all_the_same_ends_with_one_plain_error(script: Script, demo_path: Path) -> None:
    result = script(f"{OPENED}\nlibrary.bindings().llama_sampler_sample(greedy.handle, context._ctx, -1)", demo_path)
    assert result.code == 1
    error, hint = result.err.splitlines()
    assert error.startswith("error: llama.cpp stopped: ")
    assert hint.startswith("hint: ")


def test_llama_cpp_messages_are_recorded_and_stay_off_the_terminal(script: Script, demo_path: Path) -> None:
    result = script(f"{OPENED}\nprint(len(library.log_lines()))", demo_path)
    assert result.code == 0
    assert int(result.out) > 20
    assert result.err == ""


def test_the_reason_of_a_failure_is_llama_cpps_own_word(script: Script, tmp_path: Path) -> None:
    file = tmp_path / "wrong.gguf"
    file.write_bytes(b"GGUF" + b"\xff" * 100)
    code = """
    import sys
    from pathlib import Path
    from hermes_cli.engine.llama.model import Model
    try: Model(Path(sys.argv[1]))
    except Exception as error: print(error)
    """
    result = script(code, file)
    assert result.out.decode().startswith(f"cannot load {file}: ")
    assert not result.out.decode().endswith("no reason given\n")


@pytest.fixture
def bindings() -> Iterator[types.SimpleNamespace]:
    """The names of the installed bindings, free to be changed."""
    yield types.SimpleNamespace(**vars(library.bindings()))


def test_the_installed_bindings_have_all_that_is_needed(bindings: types.SimpleNamespace) -> None:
    assert missing_names(bindings) == []


def test_missing_library_function_is_named(bindings: types.SimpleNamespace) -> None:
    del bindings.llama_decode
    assert missing_names(bindings) == ["llama_decode/2"]


def test_a_function_with_other_parameters_is_named(bindings: types.SimpleNamespace) -> None:
    bindings.llama_tokenize = types.SimpleNamespace(argtypes=[None] * 6)
    assert missing_names(bindings) == ["llama_tokenize/7"]


def test_a_struct_without_a_field_is_named(bindings: types.SimpleNamespace) -> None:
    fields = [field for field in bindings.llama_model_params._fields_ if field[0] != "use_extra_bufts"]
    bindings.llama_model_params = types.SimpleNamespace(_fields_=fields)
    assert missing_names(bindings) == ["llama_model_params.use_extra_bufts"]


def test_empty_bindings_lack_everything() -> None:
    assert len(missing_names(types.SimpleNamespace())) > 20


def _package(folder: Path, code: str) -> dict[str, str | None]:
    """An environment in which another llama_cpp comes first."""
    (folder / "llama_cpp" / "lib").mkdir(parents=True)
    (folder / "llama_cpp" / "__init__.py").write_text("")
    (folder / "llama_cpp" / "llama_cpp.py").write_text(code)
    return {"PYTHONPATH": f"{folder}:{Path(library.__file__).parents[3]}"}


def test_an_old_binding_is_one_error_with_the_command_that_helps(hermes: Hermes, tmp_path: Path) -> None:
    result = hermes("ask", "-m", "demo", "hi", env=_package(tmp_path, "def llama_decode(): ..."))
    assert result.code == 1
    error, hint = result.err.splitlines()
    assert error.startswith("error: the installed llama-cpp-python lacks llama_")
    assert hint.startswith("hint: ") and "pip install" in hint


def test_a_library_that_is_not_there_is_one_error_with_the_command_that_helps(hermes: Hermes, tmp_path: Path) -> None:
    result = hermes("ask", "-m", "demo", "hi", env={"LLAMA_CPP_LIB_PATH": str(tmp_path)})
    assert result.code == 1
    error, hint = result.err.splitlines()
    assert error.startswith("error: ") and "llama.cpp" in error
    assert hint.startswith("hint: ") and "unset LLAMA_CPP_LIB_PATH" in hint


def test_every_llama_cpp_function_in_use_is_checked_at_the_start() -> None:
    modules = Path(library.__file__).parent.glob("*.py")
    text = "\n".join(module.read_text() for module in modules)
    used = set(re.findall(r"(?:llama|bindings\(\))\.(llama_[a-z_]+)", text))
    used -= {
        "llama_log_callback",
        "llama_progress_callback",
        "llama_sampler_i_apply",
        "llama_adapter_lora_p_ctypes",
        *library.FIELDS,
    }
    samplers = {"top_k", "penalties", "greedy", "top_p", "min_p", "temp", "dist", "logit_bias", "dry", "xtc"}
    samplers |= {"typical", "top_n_sigma", "temp_ext", "mirostat", "mirostat_v2"}
    used |= {f"llama_sampler_init_{name}" for name in samplers}
    checked = {name for names in library.FUNCTIONS.values() for name in names.split()}
    assert checked == used
