"""The files of a pull, and failures of the hub and the disk, and refusals by the user."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hermes_cli import paths
from hermes_cli.errors import DownloadError, UsageError
from hermes_cli.models.by_name import already_here
from hermes_cli.models.choose import find_model
from hermes_cli.models.download import pull
from hermes_cli.models.download.web import Retries
from hermes_cli.models.names import reference
from hermes_cli.models.records import record_of
from tests.hub_server import COMMIT, Fault, Hub, running
from tests.models.download.test_transfer import DATA, Heard

REPOSITORY = "nous/Tiny-GGUF"
FILE = "Tiny.Q4_K_M.gguf"
WANTED = f"hf:{REPOSITORY}:Q4_K_M"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one small model, and an empty models folder before and after."""
    assert not paths.models_folder().exists()
    with running(Hub()) as server:
        server.put(REPOSITORY, FILE, DATA)
        server.put(REPOSITORY, "mmproj-Tiny.Q4_K_M.gguf", DATA)
        server.put(REPOSITORY, "README.md", b"read me")
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    shutil.rmtree(paths.models_folder(), ignore_errors=True)


def get(wanted: str, heard: Heard | None = None) -> Path:
    """Prepare and run, without waits."""
    heard = heard or Heard()
    return pull.run(pull.prepare(reference(wanted), heard, Retries(tries=3, first_wait_s=0)), heard).path


def refused(wanted: str) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        get(wanted)
    assert not list(paths.models_folder().rglob("*.gguf"))
    return caught.value


@pytest.mark.parametrize("wanted", [WANTED, f"hf:{REPOSITORY}", f"hf:{REPOSITORY}/{FILE}", WANTED.lower()])
def test_one_file_of_a_repository(hub: Hub, wanted: str) -> None:
    if wanted == WANTED.lower():
        hub.put(REPOSITORY.lower(), FILE, DATA)
    path = get(wanted)
    assert path.read_bytes() == DATA
    record = record_of(path)
    assert record and record.verified and f"/resolve/{COMMIT}/" in record.url
    found = already_here(reference(wanted))
    assert found and found.origin == "pulled" and find_model(wanted).path == path


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        (("Five.Q5_K_M.gguf", "Five.Q8_0.gguf"), "Five.Q5_K_M.gguf"),
        (("Five.IQ1_S.gguf", "Five.Q8_0.gguf"), "Five.Q8_0.gguf"),
        (("model.gguf",), "model.gguf"),
    ],
)
def test_a_repository_without_the_usual_quant_is_found_again_without_network(
    hub: Hub, files: tuple[str, ...], taken: str
) -> None:
    for name in files:
        hub.put("nous/Five-GGUF", name, DATA)
    path = get("hf:nous/Five-GGUF")
    assert path.name == taken
    hub.requests.clear()
    assert find_model("hf:nous/Five-GGUF").path == path
    assert hub.requests == []


def test_a_file_of_another_revision_is_another_file(hub: Hub) -> None:
    get(WANTED)
    assert already_here(reference(f"https://huggingface.co/{REPOSITORY}/blob/main/{FILE}"))
    page = f"https://huggingface.co/{REPOSITORY}/blob/v1/{FILE}"
    assert already_here(reference(page)) is None
    hub.requests.clear()
    path = get(page)
    assert hub.bodies() == [] and find_model(page).path == path, "what is the same is found as both"
    assert already_here(reference(WANTED))
    shutil.rmtree(paths.models_folder())
    get(page)
    assert already_here(reference(page))


@pytest.mark.parametrize(
    "name",
    [
        *("../../../../out.Q4_K_M.gguf", "/tmp/out.Q4_K_M.gguf", "a/../../out.gguf", "a//b.gguf"),
        *("\x1b[2J\n.gguf", "\0.gguf", "\ud800.gguf", f"{'a' * 300}.gguf"),
    ],
)
def test_file_names_of_the_hub_stay_inside_the_models_folder(hub: Hub, name: str) -> None:
    hub.put("evil/Out-GGUF", name, DATA)
    assert "has no GGUF files" in refused("hf:evil/Out-GGUF").message
    assert hub.bodies() == []


def test_files_of_one_name_at_two_addresses_are_not_taken_for_each_other(hub: Hub, demo_path: Path) -> None:
    hub.plain |= {"a": demo_path.read_bytes(), "b": demo_path.read_bytes() + b"more"}
    one, other = f"{hub.url}/plain/a/x.gguf", f"{hub.url}/plain/b/x.gguf"
    path = get(f"{one}?signature=1")
    assert get(f"{one}?signature=2") == find_model(one).path == path
    assert already_here(reference(other)) is None
    with pytest.raises(DownloadError, match="exists and is a different file"):
        get(other)
    assert path.read_bytes() == demo_path.read_bytes()


@pytest.mark.parametrize("place", ["hub.local", "ftp://hub.local", "http://127.0.0.1:abc", "http://[::1", "https://"])
def test_an_invalid_hub_address_is_reported_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", place)
    heard = Heard()
    with pytest.raises(DownloadError, match="HF_ENDPOINT is not a web address"):
        get(WANTED, heard)
    assert heard.said == []


def test_a_name_of_the_catalog_gets_all_parts(hub: Hub) -> None:
    repository = "bartowski/Hermes-3-Llama-3.1-405B-GGUF"
    hub.put(repository, "big/Hermes-405B-Q5_K_M-00001-of-00002.gguf", DATA)
    hub.put(repository, "big/Hermes-405B-Q5_K_M-00002-of-00002.gguf", DATA + b"2")
    hub.put(repository, "Hermes-405B-Q4_K_M.gguf", DATA)
    path = get("405B:q5_k_m")
    assert [file.stat().st_size for file in sorted(path.parent.glob("*.gguf"))] == [len(DATA), len(DATA) + 1]
    assert find_model("405b:Q5_K_M").path == find_model(None).path == path


def test_parts_that_are_not_all_there_are_not_begun(hub: Hub) -> None:
    hub.put("nous/Cut-GGUF", "a-Q4_K_M-00001-of-00002.gguf", DATA)
    assert "lacks a-Q4_K_M-00002-of-00002.gguf" in refused("hf:nous/Cut-GGUF").message
    assert hub.bodies() == []


def test_a_file_that_is_not_the_one_the_catalog_knows_is_refused(hub: Hub) -> None:
    hub.put("NousResearch/Hermes-3-Llama-3.1-8B-GGUF", "Hermes-3-Llama-3.1-8B.Q4_K_M.gguf", DATA)
    error = refused("8b")
    assert "now has another Hermes-3-Llama-3.1-8B.Q4_K_M.gguf" in error.message
    assert "hf:NousResearch/Hermes-3-Llama-3.1-8B-GGUF/Hermes-3-Llama-3.1-8B.Q4_K_M.gguf" in error.hint
    assert hub.bodies() == []


def test_checksums_of_the_catalog_are_used_if_the_hub_has_none(hub: Hub, demo_path: Path) -> None:
    hub.publishes_hashes = False
    hub.put("NousResearch/Hermes-3-Llama-3.1-8B-GGUF", "Hermes-3-Llama-3.1-8B.Q4_K_M.gguf", demo_path.read_bytes())
    assert "not d4403ce5a6e9…: it was deleted" in refused("8b").message
    hub.put(REPOSITORY, FILE, demo_path.read_bytes())
    record = record_of(get(WANTED))
    assert record and not record.verified


def test_another_file_of_that_name_is_not_overwritten(hub: Hub) -> None:
    path = get(WANTED)
    hub.put(REPOSITORY, FILE, DATA + b"new")
    with pytest.raises(DownloadError, match="exists and is a different file"):
        get(WANTED)
    assert path.read_bytes() == DATA


def test_a_full_disk_is_reported_before_the_first_byte(hub: Hub) -> None:
    hub.claimed_sizes[FILE] = 10**15
    error = refused(WANTED)
    assert "needs 1000000.00 GB more" in error.message and "HERMES_CLI_DATA_DIR" in error.hint
    assert hub.bodies() == []
    hub.plain["a.gguf"] = DATA
    hub.faults[:] = [Fault("length", at=10**15)]
    error = refused(f"{hub.url}/plain/a.gguf")
    assert "needs 1000000.00 GB more" in error.message
    assert list(paths.models_folder().iterdir()) == []


def test_a_folder_that_cannot_be_written_to(hub: Hub) -> None:
    paths.models_folder().write_text("a file in its place")
    try:
        error = refused(WANTED)
        assert "cannot write" in error.message and f"{paths.models_folder()} is not a folder" in error.hint
    finally:
        paths.models_folder().unlink()


def test_damaged_byte_of_an_entry_makes_it_unused(hub: Hub) -> None:
    hub.faults[:] = [Fault("flip", at=1234)]
    assert "has the checksum" in refused(WANTED).message
    assert list(paths.models_folder().iterdir()) == []


def test_refused_access_hints_how_to_get_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_right"
    hub.gated.add(REPOSITORY)
    gated = refused(WANTED)
    assert gated.message == f"{hub.url}/{REPOSITORY} is gated"
    assert "accept its licence" in gated.hint and "HF_TOKEN" in gated.hint
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "refuses access" in refused(WANTED).message
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert get(WANTED).read_bytes() == DATA
    assert [headers.get("authorization") for _, headers in hub.bodies()] == [None]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("hf:nous/Nothing-GGUF", "there is no repository nous/Nothing-GGUF on the hub"),
        (f"hf:{REPOSITORY}:Q6_K", "has no quant Q6_K"),
        (f"hf:{REPOSITORY}/Tiny.Q4_K_S.gguf", "has no file Tiny.Q4_K_S.gguf"),
        ("hf:nous/Empty", "has no GGUF files"),
    ],
)
def test_what_is_not_there_is_reported(hub: Hub, wanted: str, words: str) -> None:
    hub.put("nous/Empty", "README.md", b"")
    error = refused(wanted)
    assert words in error.message and error.hint


@pytest.mark.parametrize("size", [-5, "1000", 1e3, float("nan"), float("inf"), 10**400, [1]])
def test_an_impossible_size_is_reported(hub: Hub, size: Any) -> None:
    hub.claimed_sizes[FILE] = size
    assert "impossible size" in refused(WANTED).message


def test_an_endlessly_nested_response_is_reported(hub: Hub) -> None:
    hub.plain["deep"] = b"[" * 200_000
    hub.api_faults[:] = [Fault("status", status=307, headers={"Location": f"{hub.url}/plain/deep"})]
    assert refused(WANTED).message == f"unexpected response from {hub.url}"


def test_an_invalid_token_is_reported(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_é")
    with pytest.raises(UsageError, match="holds invalid characters"):
        get(WANTED)
    assert hub.requests == []


def test_a_hub_that_is_busy_is_asked_again(hub: Hub) -> None:
    hub.api_faults[:] = [Fault("status", status=429, headers={"Retry-After": "0"}), Fault("reset")]
    heard = Heard()
    get(WANTED, heard)
    host = hub.url.removeprefix("http://")
    assert heard.said[0] == f"{host} is busy (429); trying again in 0 s"
    assert heard.said[1].startswith(f"the connection to {host} was lost")
    hub.api_faults[:] = [Fault("status", status=500)] * 9
    with pytest.raises(DownloadError, match=r"reports a server error \(500\), after 3 tries"):
        get(f"hf:{REPOSITORY}/other.gguf")


def test_a_hub_that_hangs_is_given_up_within_the_limit(hub: Hub) -> None:
    hub.api_faults[:] = [Fault("hang", seconds=6)] * 9
    limits = Retries(tries=99, first_wait_s=0.1, silence_s=1, limit_s=3)
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"does not answer \(waited \d s\), after \d+ tries in [23] s"):
        pull.prepare(reference(WANTED), Heard(), limits)
    assert time.monotonic() - started < 6


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_without_network_and_file_it_says_so_at_once(hub: Hub, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    assert f"{variable} is set" in refused(WANTED).message
    assert hub.requests == []


@pytest.mark.parametrize("way", ["another file", "another commit"])
def test_a_file_that_changes_during_a_pull_is_downloaded_in_its_new_form(hub: Hub, way: str) -> None:
    heard = Heard()
    prepared = pull.prepare(reference(WANTED), heard, Retries(tries=3, first_wait_s=0))
    hub.faults[:] = [Fault("cut", at=60_000), Fault("status", status=400)]
    with pytest.raises(DownloadError):
        pull.run(prepared, heard)
    new = DATA[:-5] + b"newer"
    hub.repositories[REPOSITORY] = {FILE if way == "another file" else f"new/{FILE}": new}
    assert pull.run(prepared, heard).path.read_bytes() == new
    assert "the hub has new files: starting again with those" in heard.said[-1]


def test_a_file_that_changes_at_a_url_is_downloaded_in_its_new_form(hub: Hub, demo_path: Path) -> None:
    data = demo_path.read_bytes()
    hub.plain["a.gguf"] = data + b"older"
    wanted = reference(f"{hub.url}/plain/a.gguf")
    heard = Heard()
    prepared = pull.prepare(wanted, heard, Retries(tries=3, first_wait_s=0))
    hub.faults[:] = [Fault("cut", at=60_000), Fault("status", status=400)]
    with pytest.raises(DownloadError):
        pull.run(prepared, heard)
    hub.plain["a.gguf"] = data
    assert pull.run(prepared, heard).path.read_bytes() == data


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer, not the file itself"),
        (b"<!doctype html><title>Sign in</title>", "is a web page, not the file itself"),
    ],
)
def test_a_pointer_or_a_page_in_place_of_a_file_is_named(hub: Hub, content: bytes, words: str) -> None:
    hub.put("nous/Pointer", "Hermes.Q4_K_M.gguf", content)
    assert words in refused("hf:nous/Pointer").message
    hub.plain["a.gguf"] = content
    assert words in refused(f"{hub.url}/plain/a.gguf").message


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ("hf:nous/Many:UD-Q4_K_XL", "Many-UD-Q4_K_XL.gguf"),
        ("hf:nous/Many:q4_k_xl", "Many-UD-Q4_K_XL.gguf"),
        ("hf:nous/Many:q8_0", "many_q8_0.gguf"),
        ("hf:nous/Many:tq1_0", "Many-TQ1_0.gguf"),
        ("hf:nous/Many:mxfp4", "Many-MXFP4.gguf"),
        ("hf:nous/Many:IQ2_XXS", "Many.i1-IQ2_XXS.gguf"),
        ("hf:nous/Many:i1-iq2_xxs", "Many.i1-IQ2_XXS.gguf"),
        ("hf:nous/Many:Q5_K_M", "Many-Q5_K_M-imat.gguf"),
        ("hf:nous/Many", "Many-imatrix-Q4_K_M.gguf"),
        ("https://huggingface.co/nous/Many/tree/main/BF16", "BF16/Many-BF16-00001-of-00002.gguf"),
    ],
)
def test_every_way_to_tag_a_quant(hub: Hub, wanted: str, taken: str) -> None:
    names = (
        *("Many-UD-Q4_K_XL.gguf", "many_q8_0.gguf", "Many-TQ1_0.gguf", "Many-MXFP4.gguf", "Many.i1-IQ2_XXS.gguf"),
        *("Many-Q5_K_M-imat.gguf", "Many-imatrix-Q4_K_M.gguf", "mmproj-F16.gguf", "Many.imatrix.gguf"),
        *("BF16/Many-BF16-00001-of-00002.gguf", "BF16/Many-BF16-00002-of-00002.gguf"),
    )
    for name in names:
        hub.put("nous/Many", name, DATA)
    found = pull.prepare(reference(wanted), Heard())
    assert found.files[0].name == taken
    error = refused("hf:nous/Many:Q3_K_S")
    assert "no quant Q3_K_S" in error.message
    assert error.hint == "the repository has: BF16, IQ2_XXS, MXFP4, Q4_K_M, Q5_K_M, Q8_0, TQ1_0, UD-Q4_K_XL"
