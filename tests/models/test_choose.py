"""Which file the name of a model refers to, and the errors for other names."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.engine.llama.devices import Gpu
from hermes_cli.errors import ModelNotFound
from hermes_cli.models.choose import find_model
from hermes_cli.models.recommend import Processor, recommended

Install = Callable[..., None]


@pytest.fixture
def install() -> Iterator[Install]:
    """Puts small GGUF files into the models folder, which is empty before and after."""
    folder = paths.models_folder()
    assert not folder.exists()

    def put(*names: str, size_bytes: int = 4) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / f"{name}.gguf").write_bytes(b"GGUF".ljust(size_bytes))

    yield put
    shutil.rmtree(folder, ignore_errors=True)


def refused(name: str) -> ModelNotFound:
    """The error for `name`."""
    with pytest.raises(ModelNotFound) as caught:
        find_model(name)
    return caught.value


def test_without_any_model_the_demo_answers(install: Install) -> None:
    assert find_model(None).path == paths.DEMO_MODEL


@pytest.mark.parametrize("name", ["demo", "Demo", "DEMO"])
def test_the_demo_is_found_by_its_name(install: Install, name: str) -> None:
    install("demo-of-something", "Hermes-3-Llama-3.1-8B.Q4_K_M")
    assert find_model(name).path == paths.DEMO_MODEL


def test_without_a_name_an_installed_hermes_answers_before_other_models(install: Install) -> None:
    install("Apple-7B", "Hermes-3-Llama-3.1-8B.Q4_K_M")
    assert find_model(None).name == "Hermes-3-Llama-3.1-8B.Q4_K_M"


def test_most_precise_quant_of_the_default_size_is_the_default(install: Install) -> None:
    install("Hermes-3-Llama-3.1-405B.Q4_K_M", size_bytes=400)
    install("Hermes-3-Llama-3.1-8B.Q4_K_M", size_bytes=80)
    install("Hermes-3-Llama-3.1-8B.Q8_0", size_bytes=90)
    install("Hermes-3-Llama-3.2-3B.Q8_0", size_bytes=95)
    install("Apple-1B", size_bytes=10)
    assert find_model(None).name == "Hermes-3-Llama-3.1-8B.Q8_0"


def test_models_that_fit_into_memory_come_first(install: Install) -> None:
    install("Hermes-3-Llama-3.2-3B.Q4_K_M", "Hermes-3-Llama-3.1-8B.Q4_K_M", "Hermes-3-Llama-3.1-8B.Q8_0")
    for name, size in (("8B.Q4_K_M", 1 << 42), ("8B.Q8_0", 1 << 43)):
        os.truncate(paths.models_folder() / f"Hermes-3-Llama-3.1-{name}.gguf", size)
    assert find_model(None).name == "Hermes-3-Llama-3.2-3B.Q4_K_M"
    assert find_model("hermes-3-8b").name == "Hermes-3-Llama-3.1-8B.Q4_K_M"


def test_the_parts_of_a_model_are_one_model(install: Install) -> None:
    install("Hermes-3-70B-00001-of-00002", "Hermes-3-70B-00002-of-00002", size_bytes=8)
    first = paths.models_folder() / "Hermes-3-70B-00001-of-00002.gguf"
    for name in (None, "hermes", "hermes-3-70b", "Hermes-3-70B-00001-of-00002"):
        found = find_model(name)
        assert (found.name, found.path) == ("Hermes-3-70B", first)
    install("Hermes-3-8B", size_bytes=80)
    assert find_model(None).name == "Hermes-3-8B"


def test_without_a_hermes_other_models_answer_only_when_named(install: Install) -> None:
    install("Apple-7B")
    assert find_model(None).path == paths.DEMO_MODEL
    assert find_model("Apple-7B").name == "Apple-7B"


@pytest.mark.parametrize("name", ["Hermes-3-Llama-3.1-8B.Q4_K_M", "hermes-3-llama-3.1-8b.q4_k_m", "herm", "HERMES-3"])
def test_a_name_is_found_in_any_case_and_by_its_beginning(install: Install, name: str) -> None:
    install("Hermes-3-Llama-3.1-8B.Q4_K_M", "Apple-7B")
    assert find_model(name).path == paths.models_folder() / "Hermes-3-Llama-3.1-8B.Q4_K_M.gguf"


def test_the_whole_name_wins_over_longer_names(install: Install) -> None:
    install("Apple", "Apple-7B")
    assert find_model("apple").name == "Apple"


def test_ambiguous_prefix_lists_the_matching_names(install: Install) -> None:
    install("Hermes-3-3B", "Hermes-3-8B")
    error = refused("hermes")
    assert error.message == "hermes is ambiguous: Hermes-3-3B, Hermes-3-8B"


def test_a_command_to_copy_is_one_for_the_shell(install: Install) -> None:
    assert refused("hf:a/b:Q4_K_M").hint == "download it: hermes pull hf:a/b:Q4_K_M"
    assert refused("https://x/a.gguf?b=1&c=2").hint == "download it: hermes pull 'https://x/a.gguf?b=1&c=2'"


def test_a_misspelt_name_gets_the_nearest_one(install: Install) -> None:
    install("Hermes-3-8B")
    assert refused("Hermse-3-8B").hint == "did you mean Hermes-3-8B?"
    assert refused("dmeo").hint == "did you mean demo?"


def test_unknown_name_without_suggestion_hints_at_the_models_folder(install: Install) -> None:
    error = refused("qwertz")
    assert error.message == "there is no local model qwertz"
    assert str(paths.models_folder()) in error.hint


def test_a_path_is_taken_as_it_is(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my.gguf"
    file.write_bytes(b"GGUF")
    assert find_model(str(file)).path == file
    monkeypatch.chdir(tmp_path)
    assert find_model("my.gguf").name == "my"
    assert find_model("./my.gguf").name == "my"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_model("~/my.gguf").path == file


def test_gguf_file_name_needs_no_suffix(install: Install, tmp_path: Path) -> None:
    file = tmp_path / "blob"
    file.write_bytes(b"GGUF")
    assert find_model(str(file)).path == file


def test_folder_as_model_suggests_the_file_in_it(install: Install, tmp_path: Path) -> None:
    assert refused(str(tmp_path)).hint == "name a GGUF file with --model"
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert refused(str(tmp_path)).hint == f"name a file in it: --model {tmp_path / 'a.gguf'}"


def test_a_folder_with_a_models_name_does_not_take_its_place(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("Hermes-3-8B")
    (tmp_path / "hermes-3-8b").mkdir()
    (tmp_path / "apple").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model("hermes-3-8b").name == "Hermes-3-8B"
    assert refused("apple").message == "there is no local model apple"


@pytest.mark.parametrize(
    ("free", "quant"),
    [((80,), "Q8_0"), ((9.5,), "Q6_K"), ((7,), "Q4_K_M"), ((4, 4), "Q5_K_M"), ((2,), None), ((), None)],
)
def test_on_a_gpu_the_finest_quant_it_holds_is_recommended(free: tuple[float, ...], quant: str | None) -> None:
    found = recommended([Gpu("CUDA", "a GPU", int(each * 1e9), int(each * 1e9)) for each in free])
    assert found.on_gpu == (quant is not None)
    if quant:
        assert (found.model.name, found.quant) == ("hermes-3-8b", quant) and "GPU" in found.expected_speed()
    else:
        assert re.search(r"roughly \d+ tok/s|less", found.expected_speed())


@pytest.mark.parametrize(
    ("cores", "bytes_per_s", "name"),
    [
        (4, 5e9, "hermes-3-3b"),
        (4, 25e9, "hermes-3-3b"),
        (4, 35e9, "hermes-3-8b"),
        (16, 25e9, "hermes-3-3b"),
        (16, 35e9, "hermes-3-8b"),
        (16, 60e9, "hermes-3-8b:Q8_0"),
    ],
)
def test_on_a_slow_processor_the_smaller_model_is_recommended_with_both_speeds(
    cores: int, bytes_per_s: float, name: str
) -> None:
    found = recommended((), Processor(64 * 10**9, cores, bytes_per_s))
    assert found.name == name
    assert (found.slower is not None) == (name == "hermes-3-3b")
    if found.slower:
        assert found.slower.name == "hermes-3-8b" and found.slower.expected_speed() in found.why
