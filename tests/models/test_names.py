"""References to models to download, and the catalog."""

import re

import pytest

from hermes_cli.errors import ModelNotFound, UsageError
from hermes_cli.gguf.parts import all_parts
from hermes_cli.gguf.quant import quant_of
from hermes_cli.models import catalog
from hermes_cli.models.names import CatalogReference, HubReference, UrlReference, reference
from hermes_cli.models.recommend import needed_bytes

NOUS = "NousResearch/Hermes-3-Llama-3.1-8B-GGUF"


@pytest.mark.parametrize(
    ("text", "name", "quant"),
    [
        ("hermes-3-8b", "hermes-3-8b", "Q4_K_M"),
        ("HERMES-3-8B:q5_k_m", "hermes-3-8b", "Q5_K_M"),
        ("8b:Q8_0", "hermes-3-8b", "Q8_0"),
        ("3b", "hermes-3-3b", "Q4_K_M"),
        ("hermes3:8b", "hermes-3-8b", "Q4_K_M"),
        ("hermes3:70b", "hermes-3-70b", "Q4_K_M"),
        ("Hermes-3-Llama-3.1-405B:Q6_K", "hermes-3-405b", "Q6_K"),
        ("hermes-4-14b", "hermes-4-14b", "Q4_K_M"),
    ],
)
def test_names_of_the_catalog(text: str, name: str, quant: str) -> None:
    found = reference(text)
    assert isinstance(found, CatalogReference)
    assert (found.model.name, found.quant) == (name, quant)
    assert reference(str(found)) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"hf:{NOUS}", HubReference(NOUS)),
        (f"hf:{NOUS}:q6_k", HubReference(NOUS, "Q6_K")),
        (f"hf.co/{NOUS}:Q6_K", HubReference(NOUS, "Q6_K")),
        (f"HF:{NOUS}/a/b.gguf", HubReference(NOUS, None, "a/b.gguf")),
        (f"https://huggingface.co/{NOUS}/resolve/main/a%20b.gguf", HubReference(NOUS, None, "a b.gguf", "main")),
        (f"https://hf.co/{NOUS}/blob/v1/a.gguf?download=true", HubReference(NOUS, None, "a.gguf", "v1")),
        (f"https://huggingface.co/{NOUS}", HubReference(NOUS)),
        (f"https://huggingface.co/{NOUS}/", HubReference(NOUS)),
        (f"https://huggingface.co/{NOUS}/tree/main", HubReference(NOUS)),
        (f"https://www.huggingface.co/{NOUS}/tree/v1", HubReference(NOUS, revision="v1")),
        (f"https://huggingface.co/{NOUS}/tree/main/UD-Q4_K_XL", HubReference(NOUS, None, None, "main", "UD-Q4_K_XL")),
        (f"https://huggingface.co/{NOUS}?show_file_info=a.gguf", HubReference(NOUS, None, "a.gguf", "main")),
        (f"https://hf.co/{NOUS}:Q4_K_M", HubReference(NOUS, "Q4_K_M")),
        (f"hf:{NOUS}:i1-q4_k_m", HubReference(NOUS, "Q4_K_M")),
        ("https://example.org/x/a.gguf?sig=1", UrlReference("https://example.org/x/a.gguf?sig=1")),
    ],
)
def test_files_on_the_hub_and_elsewhere(text: str, expected: object) -> None:
    assert reference(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("hf:", "hf:a", "hf:a/b/c", "hf:a/b:", "hf:../b", "hf:a/b/../../c.gguf", "hf:a/b//c.gguf", "hf:a/b/c\n.gguf"),
        *("https://", "https://x/", "https://x/a.txt", "https://x/%2e%2e%2fa/..gguf/..", "http://[::1/a.gguf"),
        *("https://x:99999999/a.gguf", "https://x/a b.gguf", f"https://x/{'a' * 300}.gguf", "https://x/a%2f.gguf"),
        *("https://huggingface.co/datasets/a/b", "https://huggingface.co/a", "https://huggingface.co/docs/hub"),
        *("https://user:secret@x/a.gguf", "https://../a.gguf"),
        *("owner/repository", "owner/repository:Q4_K_M", "https://huggingface.co/a/b/blob/main/README.md"),
    ],
)
def test_an_invalid_reference_is_reported(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        reference(text)
    assert caught.value.hint and "secret" not in caught.value.message


@pytest.mark.parametrize("text", ["hermes", "", "hermes-3-9b", "nothing", "\x1b[2J"])
def test_an_unknown_name_is_not_found(text: str) -> None:
    with pytest.raises(ModelNotFound, match="there is no model called") as caught:
        reference(text)
    assert caught.value.hint


@pytest.mark.parametrize("file", ["a.gguf", "b c/ä.gguf"])
@pytest.mark.parametrize("revision", ["v1", "refs/pr/1"])
def test_a_file_of_one_revision_is_called_by_its_page(file: str, revision: str) -> None:
    pinned = HubReference(NOUS, None, file, revision)
    assert reference(str(pinned)) == pinned
    assert str(HubReference(NOUS, None, file, "main")) == f"hf:{NOUS}/{file}"


@pytest.mark.parametrize("text", [f"hf://{NOUS}", f"hf:{NOUS}:latest", f"hf.co/{NOUS}:latest", f"https://hf.co/{NOUS}"])
def test_other_ways_to_write_a_repository(text: str) -> None:
    assert reference(text) == HubReference(NOUS)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(ModelNotFound) as caught:
        reference("hermes-3-9b")
    assert re.fullmatch(r"did you mean hermes-3-\d+b\?", caught.value.hint)


def test_unknown_quant_hints_at_the_repository() -> None:
    with pytest.raises(ModelNotFound) as caught:
        reference("8b:IQ2_XS")
    assert f"hf:{NOUS}:IQ2_XS" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Hermes-3-Llama-3.1-8B.Q4_K_M.gguf", "Q4_K_M"),
        ("Hermes-3-Llama-3.1-8B-Q8_0.gguf", "Q8_0"),
        ("hermes.i1-IQ2_XXS.gguf", "IQ2_XXS"),
        ("a-q6_k-00001-of-00003.gguf", "Q6_K"),
        ("a-BF16", "BF16"),
        ("Qwen3-30B-A3B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-00001-of-00004.gguf", "UD-IQ1_S"),
        ("BitNet-b1.58-TQ1_0.gguf", "TQ1_0"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4"),
        ("gpt-oss-20b-mxfp4_moe.gguf", "MXFP4_MOE"),
        ("smollm2_q8_0.gguf", "Q8_0"),
        ("hermes-Q4_K_M-imat.gguf", "Q4_K_M"),
        ("hermes-imatrix-IQ4_XS.gguf", "IQ4_XS"),
        ("hermes.i1-Q4_K_S.gguf", "Q4_K_S"),
        ("Qwen2.5-7B-Instruct-Q6_K_L.gguf", "Q6_K_L"),
        ("gemma-Q4_0_4_4.gguf", "Q4_0_4_4"),
        ("model-fp16.gguf", "F16"),
        ("model.f32.gguf", "F32"),
        ("Hermes-3-8B-Q4_K_M-v2.gguf", "Q4_K_M"),
        ("hermes3:8b-llama3.1-q4_K_M", "Q4_K_M"),
        ("Nemotron-NVFP4.gguf", "NVFP4"),
        ("Hermes-3-Llama-3.1-8B", None),
        ("hermes3:8b", None),
        ("Q4_K_M", None),
        ("model.gguf", None),
    ],
)
def test_the_quant_in_a_files_name(name: str, quant: str | None) -> None:
    assert quant_of(name) == quant


def test_the_parts_of_a_model() -> None:
    assert all_parts("a-00002-of-00003.gguf") == [f"a-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert all_parts("a.gguf") == ["a.gguf"]
    assert all_parts("a-00001-of-99999.gguf") == ["a-00001-of-99999.gguf"]


def test_catalog_is_complete() -> None:
    models = catalog.catalog()
    assert models[0].name == "hermes-3-8b"
    names = catalog.names()
    assert len(names) == len(set(names)) and all(name == name.lower() for name in names)
    for model in models:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repository)
        assert [file.quant for file in model.files] == list(catalog.QUANTS)
        for file in model.files:
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.path is None or file.path.endswith(".gguf")
            assert quant_of(file.path or "") in (None, file.quant)
            # Known sizes agree with the estimate that is used where no size is known.
            estimated = catalog.size_estimate(model.parameters, file.quant)
            assert file.bytes is None or 0.9 < file.bytes / estimated < 1.1
    sizes = [model.size_bytes(quant) for model in models[:1] for quant in catalog.QUANTS]
    assert sizes == sorted(sizes)
    assert 5.5e9 < needed_bytes(models[0], "Q4_K_M") < 7e9
