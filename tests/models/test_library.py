"""Models of other programs: found by name, used in place, and never removed."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from hermes_cli import paths
from hermes_cli.errors import ModelNotFound
from hermes_cli.models.by_name import already_here, best_hermes, use_of_others
from hermes_cli.models.choose import find_model
from hermes_cli.models.library import found_models
from hermes_cli.models.model import FoundModel
from hermes_cli.models.names import reference

GGUF = b"GGUF" + bytes(60)
NOUS_8B = "NousResearch/Hermes-3-Llama-3.1-8B-GGUF"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, in which the other programs look where they do by default."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HF_HOME", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    assert not paths.models_folder().exists()
    yield tmp_path


def file(path: Path, data: bytes = GGUF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def in_hf_cache(home: Path, repository: str, name: str, data: bytes = GGUF) -> Path:
    """A file as huggingface_hub keeps it: a link to a blob."""
    folder = home / ".cache/huggingface/hub" / f"models--{repository.replace('/', '--')}"
    blob = file(folder / "blobs" / hashlib.sha256(data).hexdigest(), data)
    link = folder / "snapshots" / "0123abc" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(blob)
    return link


def in_ollama(home: Path, *name: str, data: bytes = GGUF) -> Path:
    """A blob as Ollama keeps it, named by a manifest."""
    digest = hashlib.sha256(data).hexdigest()
    root = home / ".ollama/models"
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": f"sha256:{'0' * 64}"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
    ]
    file(root.joinpath("manifests", *name), json.dumps({"layers": layers}).encode())
    return file(root / "blobs" / f"sha256-{digest}", data)


def only() -> FoundModel:
    """The only local model."""
    (model,) = found_models()
    return model


def test_a_file_in_the_hugging_face_cache(home: Path) -> None:
    path = in_hf_cache(home, NOUS_8B, "Hermes-3-Llama-3.1-8B.Q5_K_M.gguf")
    assert (only().path, only().origin, only().repository) == (path, "Hugging Face", NOUS_8B)
    assert find_model("hermes-3-8b").path == find_model("8b:q5_k_m").path == find_model(None).path == path
    assert already_here(reference(f"hf:{NOUS_8B}:Q5_K_M")) == only()
    assert already_here(reference(f"hf:{NOUS_8B}:Q4_K_M")) is None
    with pytest.raises(ModelNotFound) as caught:
        find_model("8b:Q4_K_M")
    assert caught.value.hint == "download it: hermes pull 8b:q4_k_m"


def test_the_hugging_face_cache_may_be_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_hf_cache(home / "x", NOUS_8B, "a.gguf")
    monkeypatch.setenv("HF_HOME", str(home / "x/.cache/huggingface"))
    assert only().name == "a"
    monkeypatch.delenv("HF_HOME")
    assert found_models() == []
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "x/.cache/huggingface/hub"))
    assert only().name == "a"


def test_the_same_blob_in_two_snapshots_is_one_model(home: Path) -> None:
    link = in_hf_cache(home, NOUS_8B, "a.gguf")
    other = link.parents[1] / "4567def" / "a.gguf"
    other.parent.mkdir()
    other.symlink_to(link.resolve())
    assert only().path == link


def test_a_file_of_lm_studio(home: Path) -> None:
    path = file(home / ".lmstudio/models" / NOUS_8B / "Hermes-3-Llama-3.1-8B.Q4_K_M.gguf")
    assert (only().origin, only().repository) == ("LM Studio", NOUS_8B)
    assert already_here(reference("hermes-3-8b")) == only()
    assert find_model("Hermes-3-Llama-3.1-8B.Q4_K_M").path == path
    path.rename(home / ".lmstudio/models/alone.gguf")
    assert (only().name, only().repository) == ("alone", None)


def test_a_model_of_ollama(home: Path) -> None:
    path = in_ollama(home, "registry.ollama.ai", "library", "hermes3", "8b")
    assert (only().name, only().path, only().origin) == ("hermes3:8b", path, "Ollama")
    assert find_model("hermes3:8b").path == find_model("hermes-3-8b").path == find_model(None).path == path


def test_a_model_that_ollama_took_from_the_hub(home: Path) -> None:
    in_ollama(home, "hf.co", "NousResearch", "Hermes-3-Llama-3.1-8B-GGUF", "Q4_K_M")
    assert only().name == f"hf.co/{NOUS_8B}:Q4_K_M"
    assert already_here(reference("8b")) == only()


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"null", b"{", b'{"layers": 5}', b'{"layers": [{}]}', b"\xff" * 40, b"[" * 100_000]
)
def test_broken_manifests_are_passed_over(home: Path, manifest: bytes) -> None:
    file(home / ".ollama/models/manifests/registry.ollama.ai/library/x/y", manifest)
    assert found_models() == []


def test_manifest_cannot_point_outside_the_store(home: Path) -> None:
    file(home / "secret.gguf")
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../secret.gguf"}
    file(home / ".ollama/models/manifests/a/b/c/d", json.dumps({"layers": [layer]}).encode())
    assert found_models() == []


def test_a_model_in_parts_is_one_and_complete_only_with_all(home: Path) -> None:
    folder = home / ".lmstudio/models/o/Hermes-3-70B-GGUF"
    for number in (1, 2, 3):
        file(folder / f"Hermes-3-70B-Q8_0-{number:05}-of-00003.gguf")
    assert (only().name, only().size_bytes, only().quant, only().missing) == ("Hermes-3-70B-Q8_0", 192, "Q8_0", ())
    (folder / "Hermes-3-70B-Q8_0-00002-of-00003.gguf").unlink()
    assert only().missing == ("Hermes-3-70B-Q8_0-00002-of-00003.gguf",)
    assert best_hermes() is None
    with pytest.raises(ModelNotFound, match="lacks 1 of its 3 files"):
        find_model("Hermes-3-70B")


def test_projectors_and_matrices_are_no_models(home: Path) -> None:
    for name in ("mmproj-model-f16.gguf", "model.imatrix.gguf", ".hidden.gguf"):
        file(home / ".lmstudio/models/o/r" / name)
    assert found_models() == []


def test_folders_that_cannot_be_read_or_lead_in_circles_do_no_harm(home: Path) -> None:
    root = home / ".lmstudio/models"
    path = file(root / "o/r/a.gguf")
    (root / "o/loop").symlink_to(root, target_is_directory=True)
    (home / ".cache").write_text("a file in the place of a folder")
    (root / "o/r/gone.gguf").symlink_to(home / "nowhere")
    assert only().path == path


def test_own_models_take_precedence_over_those_of_other_programs(home: Path) -> None:
    in_hf_cache(home, NOUS_8B, "Hermes-3-Llama-3.1-8B.Q4_K_M.gguf", GGUF + b"1")
    own = file(paths.models_folder() / "Hermes-3-Llama-3.1-8B.Q4_K_M.gguf", GGUF + b"2")
    try:
        assert [model.origin for model in found_models()] == ["own", "Hugging Face"]
        assert find_model("8b").path == own
    finally:
        own.unlink()
        own.parent.rmdir()


def written(path: Path, **values: str | int | bool) -> Path:
    """A GGUF of these values, keys with dots written as two underscores, and one tensor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, str(values.pop("architecture", "llama")))
    for key, value in values.items():
        name = key.replace("__", ".")
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        else:
            writer.add_string(name, value)
    writer.add_string("tokenizer.ggml.model", "gpt2")
    writer.add_tensor("token_embd.weight", np.zeros(8, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


NOT_CHAT: dict[str, dict[str, str | int | bool]] = {
    "a vision projector": {"architecture": "clip", "general__type": "mmproj", "clip__has_vision_encoder": True},
    "an audio projector": {"architecture": "clip", "clip__has_audio_encoder": True},
    "a LoRA adapter": {"general__type": "adapter", "adapter__type": "lora"},
    "an importance matrix": {"general__type": "imatrix", "imatrix__chunk_count": 3},
    "an embedding model": {"architecture": "qwen3", "qwen3__pooling_type": 3},
    "a reranker": {"architecture": "bert", "bert__pooling_type": 4},
    "an image or video model": {"architecture": "flux"},
    "a control vector": {"architecture": "controlvector"},
    "an encoder-decoder model": {"architecture": "t5"},
}


@pytest.mark.parametrize("kind", NOT_CHAT)
def test_the_header_decides_what_is_a_chat_model(home: Path, kind: str) -> None:
    path = written(home / ".lmstudio/models/o/r/model-Q8_0.gguf", **NOT_CHAT[kind])
    assert found_models() == []
    for name in ("model-Q8_0", "model-Q8_0.gguf", str(path)):
        with pytest.raises(ModelNotFound, match=f"is {kind}: it cannot chat"):
            find_model(name)


@pytest.mark.parametrize(
    "name", ["granite-4.0-h-tiny-imatrix-Q4_K_M.gguf", "imatrix-tuned.gguf", "mmproj-lover-7B.Q8_0.gguf"]
)
def test_a_chat_model_may_have_any_name(home: Path, name: str) -> None:
    path = written(home / ".lmstudio/models/o/r" / name, llama__context_length=8192)
    assert find_model(path.stem).path == only().path == path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
            "a Git LFS pointer, not the file itself",
        ),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page, not the file itself"),
        (b"\n<html lang=en>", "a web page, not the file itself"),
        (b"", "empty"),
        (bytes(4096), "full of zeros: an unfinished download"),
        (b"PK\x03\x04" + bytes(60), "a zip archive or a PyTorch file"),
        (b"tjgg" + bytes(60), "in the old GGML format"),
        ((80).to_bytes(8, "little") + b'{"__metadata__":{}}', "a safetensors file"),
        (b'{"error": "Not found"}', "JSON"),
        (b"hello", "not a GGUF file"),
        (b"Invalid credentials in Authorization header", 'text, not a GGUF file: "Invalid credentials in'),
        (b"# xet version 0\nfilesize = 4\n", "a Xet pointer, not the file itself"),
        (b"/annex/objects/SHA256E-s5--0.gguf\n", "a git-annex pointer, not the file itself"),
    ],
)
def test_what_is_not_a_gguf_is_named(home: Path, content: bytes, words: str) -> None:
    path = file(home / ".lmstudio/models/o/r/Hermes-3-8B.gguf", content)
    for name in ("Hermes-3-8B", str(path)):
        with pytest.raises(ModelNotFound, match=f"is {re.escape(words)}") as caught:
            find_model(name)
        assert ("git lfs pull" in caught.value.hint) == ("pointer" in words and "annex" not in words)
    assert best_hermes() is None


def test_a_quant_that_only_a_file_here_has_is_found(home: Path) -> None:
    for quant in ("UD-Q4_K_XL", "i1-IQ3_M"):
        path = file(home / f".lmstudio/models/u/Hermes-3-GGUF/Hermes-3-Llama-3.2-3B-{quant}.gguf")
        assert find_model(f"3b:{quant.lower()}").path == find_model(f"Hermes-3-3B:{quant}").path == path
    with pytest.raises(ModelNotFound, match="the catalog does not have hermes-3-3b as Q2_K"):
        find_model("3b:Q2_K")


def test_two_names_of_ollama_for_one_blob_both_load(home: Path) -> None:
    for name in ("aaa", "hermes3", "vick"):
        path = in_ollama(home, "registry.ollama.ai", "library", name, "latest")
    in_ollama(home, "registry.ollama.ai", "me", "vick", "v2")
    in_ollama(home, "example.org", "me", "vick", "v2")
    names = [model.name for model in found_models()]
    assert names == ["example.org/me/vick:v2", "aaa:latest", "hermes3:latest", "vick:latest", "me/vick:v2"]
    for name in (*names, "vick", "hermes3", "VICK:latest", "me/vick", "example.org/me/vick"):
        assert find_model(name).path == path
    assert find_model(None).name == "hermes3:latest"


def test_ollamas_name_for_a_file_of_the_hub_is_accepted_as_it_is_listed(home: Path) -> None:
    in_ollama(home, "hf.co", "NousResearch", "Hermes-3-Llama-3.1-8B-GGUF", "latest")
    assert find_model(only().name).name == f"hf.co/{NOUS_8B}:latest"


def test_renamed_hermes_is_recognised_by_its_header(home: Path) -> None:
    data = written(home / "x.gguf", general__name="Hermes 3 Llama 3.1 8B", llama__context_length=8192).read_bytes()
    path = in_ollama(home, "registry.ollama.ai", "library", "vick", "latest", data=data)
    assert find_model(None).path == path


def test_adapter_of_ollama_is_not_silently_ignored(home: Path) -> None:
    path = in_ollama(home, "registry.ollama.ai", "library", "tuned", "latest")
    manifest = home / ".ollama/models/manifests/registry.ollama.ai/library/tuned/latest"
    layers = json.loads(manifest.read_text())["layers"]
    layers.append({"mediaType": "application/vnd.ollama.image.adapter", "digest": f"sha256:{'1' * 64}"})
    manifest.write_text(json.dumps({"layers": layers}))
    with pytest.raises(ModelNotFound, match="tuned:latest is a model with a LoRA adapter of Ollama"):
        find_model("tuned")
    assert find_model(str(path)).path == path


def test_a_files_name_is_looked_up_among_the_models(home: Path) -> None:
    path = in_hf_cache(home, NOUS_8B, "Hermes-3-Llama-3.1-8B.Q4_K_M.gguf")
    for name in ("Hermes-3-Llama-3.1-8B.Q4_K_M.gguf", "hermes-3-llama-3.1-8b.q4_k_m.GGUF"):
        assert find_model(name).path == path
    with pytest.raises(ModelNotFound) as caught:
        find_model("Hermes-3-Llama-3.1-8B.Q4_K_S.gguf")
    assert caught.value.hint == "did you mean Hermes-3-Llama-3.1-8B.Q4_K_M.gguf?"


def test_other_models_are_named_where_there_is_no_hermes(home: Path) -> None:
    assert use_of_others() is None
    for number in range(5):
        in_ollama(home, "registry.ollama.ai", "library", f"qwen{number}", "latest", data=GGUF + bytes([number]))
    expected = "other local models: qwen0:latest, qwen1:latest, qwen2:latest and 2 more (hermes models)"
    assert use_of_others() == f"{expected}; to use one: -m qwen0:latest"
