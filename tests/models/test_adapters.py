"""LoRA adapters: what `--lora` names, what fits the model, and what they change in memory and in saved caches."""

import shutil
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.engine.load_options import Adapter, LoadOptions, LoadSettings
from hermes_cli.engine.local import open_backend
from hermes_cli.errors import HermesError, ModelNotFound, UsageError
from hermes_cli.gguf.file import header_of
from hermes_cli.machine.load_plan import Machine, plan_file
from hermes_cli.models.adapters import find_adapter, fitting_adapters, saved_adapters
from hermes_cli.models.model import demo_model
from tests.engine.answers import answer, user
from tests.lora import write_adapter

QUESTION = "What is 2 plus 3?"


@pytest.fixture(scope="module")
def adapter(demo_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter so strong that the answer is another."""
    return write_adapter(demo_path, tmp_path_factory.mktemp("lora") / "strong.gguf")


def test_a_scale_follows_the_file(adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_adapter(str(adapter)) == Adapter(adapter, 1.0)
    assert find_adapter(f"{adapter}:0.25") == Adapter(adapter, 0.25)
    assert find_adapter(f"{adapter}:-1e-1") == Adapter(adapter, -0.1)
    colon = tmp_path / "a:2"
    colon.write_bytes(adapter.read_bytes())
    assert find_adapter(str(colon)) == Adapter(colon, 1.0)
    assert find_adapter(f"{colon}:3") == Adapter(colon, 3.0)
    monkeypatch.chdir(adapter.parent)
    assert saved_adapters(("strong.gguf:0.5", "none")) == (f"{adapter}:0.5", "none")


def test_an_adapter_in_the_models_folder_has_a_name(adapter: Path) -> None:
    place = paths.models_folder() / "pirate.gguf"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(adapter.read_bytes())
    try:
        assert find_adapter("pirate:2") == Adapter(place.resolve(), 2.0)
        assert find_adapter("Pirate.gguf").path == place.resolve()
        with pytest.raises(ModelNotFound, match=r"there is no adapter pirat$") as problem:
            find_adapter("pirat")
        assert problem.value.hint == "did you mean pirate?"
    finally:
        shutil.rmtree(place.parent)


@pytest.mark.parametrize("text", ["", " ", "{0}:", "{0}:x", "{0}:nan", "{0}:1e9", "no.gguf", "no.gguf:1"])
def test_what_is_not_an_adapter_is_one_clear_error(adapter: Path, text: str) -> None:
    with pytest.raises(HermesError) as problem:
        find_adapter(text.format(adapter))
    assert isinstance(problem.value, ModelNotFound if text.startswith("no") else UsageError)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"architecture": "qwen2"}, "it is for qwen2, the model is llama"),
        ({"width": 128}, "it changes blk.0.attn_output.weight of 128 x 256, the model has 256 x 256"),
        ({"missing": "lora_a"}, "it lacks one of blk.0.attn_output.weight.lora_a and blk.0.attn_output.weight.lora_b"),
        ({"tensors": ()}, "it has no weights"),
        ({"kind": "control"}, "it is an adapter, not a LoRA adapter"),
    ],
)
def test_another_base_model_is_refused_by_the_headers(
    demo_path: Path, tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    path = write_adapter(demo_path, tmp_path / "wrong.gguf", **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as problem:
        fitting_adapters((str(path),), demo_model())
    assert problem.value.message == f"the adapter {path} cannot be used with demo: {why}"
    assert problem.value.hint.startswith("answer without it: --lora none")


def test_a_layer_that_the_model_lacks_and_a_model_are_refused(demo_path: Path, adapter: Path, tmp_path: Path) -> None:
    data = adapter.read_bytes().replace(b"blk.7.ffn_down", b"blk.9.ffn_down")
    other = tmp_path / "more.gguf"
    other.write_bytes(data)
    with pytest.raises(UsageError, match=r"it changes blk\.9\.ffn_down\.weight, which the model does not have"):
        fitting_adapters((str(other),), demo_model())
    with pytest.raises(UsageError, match="it is a model, not a LoRA adapter"):
        fitting_adapters((str(demo_path),), demo_model())


def test_none_is_no_adapter() -> None:
    assert fitting_adapters(("none",), demo_model()) == ()


def test_adapter_weights_are_in_the_memory_plan(demo_path: Path, adapter: Path) -> None:
    here = Machine(8_000_000_000)
    plain = plan_file(demo_path, LoadOptions(), here).attempts[0]
    adapted = plan_file(demo_path, LoadOptions(adapters=(Adapter(adapter),)), here).attempts[0]
    assert plain.memory_bytes and adapted.memory_bytes
    assert adapted.memory_bytes - plain.memory_bytes == header_of(adapter).weights_bytes > 0
    assert adapted.adapters == (Adapter(adapter),)


def test_the_scale_decides_how_strongly_it_answers(demo_path: Path, adapter: Path) -> None:
    def text(*adapters: Adapter) -> str:
        with open_backend(demo_path, LoadSettings(kv_store_bytes=0, adapters=adapters)) as backend:
            assert backend.info.adapters == tuple((str(one.path), one.scale) for one in adapters)
            return answer(backend, [user(QUESTION)], max_tokens=16).text

    plain = text()
    assert text(Adapter(adapter, 0.0)) == plain
    assert text(Adapter(adapter)) != plain
    assert text(Adapter(adapter), Adapter(adapter, -1.0)) == plain


def test_a_saved_cache_is_used_only_with_the_same_adapters(
    demo_path: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERMES_CLI_CACHE_DIR", str(tmp_path))

    def cached(*adapters: Adapter) -> int:
        settings = LoadSettings(adapters=adapters, least_saved_s=0.0, stop_s=60.0)
        with open_backend(demo_path, settings) as backend:
            return answer(
                backend, [user("one two three four five six " * 20)], max_tokens=1
            ).finished.usage.cached_tokens

    assert cached(Adapter(adapter)) == 0
    assert cached(Adapter(adapter)) > 64
    assert cached() == cached(Adapter(adapter, 0.5)) == 0
    assert cached() > 64
