"""Downloads from a faulty server: byte-exact in the end, and never a wrong file under the final name."""

import hashlib
import random
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hermes_cli.errors import DownloadError
from hermes_cli.models.download import web
from hermes_cli.models.download.hub import RemoteFile
from hermes_cli.models.download.part_file import check_room, part_file
from hermes_cli.models.download.transfer import fetch
from hermes_cli.models.download.web import Retries
from tests.hub_server import COMMIT, Fault, Hub, running

DATA = b"GGUF" + random.Random(1).randbytes(200_000)
OTHER = b"GGUF" + random.Random(2).randbytes(200_000)
AT_ONCE = Retries(tries=4, first_wait_s=0)


class Heard:
    """Records what a download reports."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.places: list[tuple[str, int, int | None]] = []

    def update(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        self.places.append((what, done_bytes, total_bytes))

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub()) as server:
        server.put("nous/model", "a.gguf", DATA)
        server.plain["a.gguf"] = DATA
        yield server


def hashed(hub: Hub, data: bytes = DATA) -> RemoteFile:
    """The file with the size and checksum that the hub publishes."""
    url = f"{hub.url}/nous/model/resolve/{COMMIT}/a.gguf"
    return RemoteFile("a.gguf", url, len(data), hashlib.sha256(data).hexdigest())


def plain(hub: Hub) -> RemoteFile:
    """A file without a published size or checksum."""
    return RemoteFile("a.gguf", f"{hub.url}/plain/a.gguf", None, None)


def get(remote: RemoteFile, target: Path, heard: Heard | None = None, retries: Retries = AT_ONCE) -> str | None:
    """Download without a token."""
    return fetch(remote, target, None, retries, heard or Heard())


def refused(remote: RemoteFile, target: Path, retries: Retries = AT_ONCE) -> DownloadError:
    """The error of a download that fails, after which nothing has the good name."""
    with pytest.raises(DownloadError) as caught:
        get(remote, target, retries=retries)
    assert not target.exists()
    return caught.value


def give_up(hub: Hub, remote: RemoteFile, target: Path) -> DownloadError:
    """The error of a download that stops for good after 120,000 bytes, which stay."""
    hub.faults[:] = [Fault("cut", at=120_000), *[Fault("status")] * 4]
    error = refused(remote, target)
    hub.faults.clear()
    return error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_complete_download_leaves_no_other_files(hub: Hub, tmp_path: Path) -> None:
    heard = Heard()
    target = tmp_path / "deep" / "a.gguf"
    assert get(hashed(hub), target, heard) == hashlib.sha256(DATA).hexdigest()
    assert target.read_bytes() == DATA
    assert names(target.parent) == ["a.gguf"]
    assert heard.places[-1] == ("a.gguf", len(DATA), len(DATA))
    assert heard.said == []


@pytest.mark.parametrize("seed", range(6))
def test_downloads_cut_anywhere_any_number_of_times_end_exact(hub: Hub, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(5):
        kinds = chance.choices(["cut", "reset", "whole", "range", "length", "status", "login"], k=chance.randint(1, 6))
        hub.faults[:] = [
            Fault(kind, at=chance.randrange(1, len(DATA)), status=chance.choice([429, 500, 502, 503]))  # type: ignore[arg-type]
            for kind in kinds
        ]
        target = tmp_path / f"{number}.gguf"
        get(hashed(hub), target, retries=Retries(tries=8, first_wait_s=0))
        assert target.read_bytes() == DATA
    assert len(names(tmp_path)) == 5


def test_received_bytes_are_not_requested_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults[:] = [Fault("cut", at=150_000), Fault("cut", at=20_000)]
    get(hashed(hub), tmp_path / "a.gguf")
    assert [headers.get("range") for _, headers in hub.bodies()] == [None, "bytes=150000-", "bytes=170000-"]


def test_a_download_that_was_given_up_resumes_in_the_next_run(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    error = give_up(hub, hashed(hub), target)
    assert "after" in error.message and "resumes" in error.hint
    assert names(tmp_path) == ["a.gguf.part", "a.gguf.part.json"]
    heard = Heard()
    get(hashed(hub), target, heard)
    assert target.read_bytes() == DATA
    assert heard.places[0] == ("checking a.gguf", 120_000, 120_000)
    assert hub.bodies()[-1][1]["range"] == "bytes=120000-"


def test_complete_part_is_finished_without_a_request(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    give_up(hub, hashed(hub), target)
    (tmp_path / "a.gguf.part").write_bytes(DATA)
    hub.requests.clear()
    get(hashed(hub), target)
    assert target.read_bytes() == DATA
    assert hub.requests == []


def test_a_damaged_part_is_detected_and_downloaded_again(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    give_up(hub, hashed(hub), target)
    (tmp_path / "a.gguf.part").write_bytes(b"GGUF" + bytes(99_996))
    heard = Heard()
    get(hashed(hub), target, heard)
    assert target.read_bytes() == DATA
    assert heard.said == ["the part of a.gguf that was here was damaged; starting again"]


def test_a_part_of_another_version_is_not_resumed(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    give_up(hub, hashed(hub), target)
    hub.put("nous/model", "a.gguf", OTHER)
    get(hashed(hub, OTHER), target)
    assert target.read_bytes() == OTHER
    assert "range" not in hub.bodies()[-1][1]


def test_file_with_a_wrong_byte_never_gets_the_final_name(hub: Hub, tmp_path: Path) -> None:
    hub.faults[:] = [Fault("flip", at=77_777)]
    error = refused(hashed(hub), tmp_path / "a.gguf")
    assert "checksum" in error.message and "was deleted" in error.message
    assert names(tmp_path) == []


def test_file_changed_on_the_server_is_not_used(hub: Hub, tmp_path: Path) -> None:
    wanted = hashed(hub)
    hub.put("nous/model", "a.gguf", OTHER)
    assert "was changed on the server" in refused(wanted, tmp_path / "a.gguf").message


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("length", at=5), "bytes of a.gguf, not"),
        (Fault("login"), "bytes of a.gguf, not"),
        (Fault("status", status=500), "reports a server error (500)"),
        (Fault("status", status=429), "is busy (429)"),
        (Fault("cut", at=0), "ended 200,004 bytes early"),
    ],
    ids=["wrong length", "login page", "500", "429", "nothing comes"],
)
def test_a_repeated_fault_is_reported_after_some_tries(hub: Hub, tmp_path: Path, fault: Fault, words: str) -> None:
    hub.faults[:] = [fault] * 20
    error = refused(hashed(hub), tmp_path / "a.gguf")
    assert words in error.message and "after 4 tries" in error.message
    assert len(hub.faults) == 16


def test_login_page_does_not_delete_the_part(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    give_up(hub, hashed(hub), target)
    hub.faults[:] = [Fault("login")] * 4
    assert "bytes of a.gguf, not" in refused(hashed(hub), target).message
    assert (tmp_path / "a.gguf.part").read_bytes() == DATA[:120_000]


def test_no_progress_counts_even_where_the_server_starts_over_each_time(hub: Hub, tmp_path: Path) -> None:
    hub.faults[:] = [Fault("whole", at=90_000)] * 20
    assert "ended 110,004 bytes early, after 4 tries" in refused(hashed(hub), tmp_path / "a.gguf").message


@pytest.mark.parametrize(("code", "words"), [(404, "there is nothing at"), (403, "refuses access"), (400, "refuses")])
def test_permanent_errors_are_not_retried(hub: Hub, tmp_path: Path, code: int, words: str) -> None:
    hub.faults[:] = [Fault("status", status=code)] * 2
    assert words in refused(hashed(hub), tmp_path / "a.gguf").message
    assert len(hub.faults) == 1


def test_the_server_says_how_long_to_wait(hub: Hub, tmp_path: Path) -> None:
    hub.faults[:] = [Fault("status", status=429, headers={"Retry-After": "0"})]
    heard = Heard()
    get(hashed(hub), tmp_path / "a.gguf", heard, Retries(tries=2, first_wait_s=1000))
    assert heard.said[0].endswith("is busy (429); trying again in 0 s")


def test_too_long_retry_after_is_an_error(hub: Hub, tmp_path: Path) -> None:
    hub.faults[:] = [Fault("status", status=429, headers={"Retry-After": "3600"})]
    assert "asks to wait 3,600 s" in refused(hashed(hub), tmp_path / "a.gguf").message


def test_the_token_is_for_the_hub_alone(hub: Hub, tmp_path: Path) -> None:
    hub.token = "hf_secret"
    fetch(hashed(hub), tmp_path / "a.gguf", web.Credentials(web.origin(hub.url), "hf_secret"), AT_ONCE, Heard())
    (_, asked), (_, sent) = hub.requests
    assert asked["authorization"] == "Bearer hf_secret"
    assert "authorization" not in sent


def test_file_without_a_checksum_resumes_only_with_the_same_etag(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "a.gguf"
    give_up(hub, plain(hub), target)
    hub.plain["a.gguf"] = OTHER
    get(plain(hub), target)
    assert target.read_bytes() == OTHER
    hub.faults[:] = [Fault("cut", at=120_000), Fault("cut", at=50_000)]
    get(plain(hub), tmp_path / "b.gguf")
    assert (tmp_path / "b.gguf").read_bytes() == OTHER
    assert hub.bodies()[-1][1]["if-range"].startswith('"')


@pytest.mark.parametrize("etag", ["7", '["x"]', '"a\\nb: c"', '"\\u20ac"', "null"])
def test_invalid_record_next_to_a_part_is_ignored(hub: Hub, tmp_path: Path, etag: str) -> None:
    target = tmp_path / "a.gguf"
    give_up(hub, plain(hub), target)
    (tmp_path / "a.gguf.part.json").write_text(f'{{"url": "{plain(hub).url}", "sha256": null, "etag": {etag}}}')
    get(plain(hub), target)
    assert target.read_bytes() == DATA
    assert "range" not in hub.bodies()[-1][1]


def test_body_without_a_length_is_read_to_its_end(hub: Hub, tmp_path: Path) -> None:
    hub.faults[:] = [Fault("chunked", at=70_000)]
    get(plain(hub), tmp_path / "a.gguf")
    assert (tmp_path / "a.gguf").read_bytes() == DATA


def test_without_a_known_length_the_disk_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `Content-Range: bytes 120000-200003/*`: nothing is known of what is to come."""
    little = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: little)
    check_room(tmp_path / "a.gguf", 0 - 120_000)


def test_downloaded_file_that_is_not_a_gguf_is_deleted(hub: Hub, tmp_path: Path) -> None:
    hub.faults[:] = [Fault("login")] * 4
    assert "is a web page, not the file itself" in refused(plain(hub), tmp_path / "a.gguf").message
    assert names(tmp_path) == []
    assert len(hub.faults) == 3


def test_file_on_the_hub_that_is_not_a_gguf_is_requested_once(hub: Hub, tmp_path: Path) -> None:
    text = b"a text with the right checksum"
    hub.put("nous/model", "a.gguf", text)
    error = refused(hashed(hub, text), tmp_path / "a.gguf")
    assert (
        error.message.startswith("a.gguf on the server is text, not a GGUF file:") and "name another file" in error.hint
    )
    assert len(hub.bodies()) == 1 and names(tmp_path) == []


def test_waiting_download_starts_if_the_first_one_fails(hub: Hub, tmp_path: Path) -> None:
    """The first leaves neither its part nor the folder, while the second waits for the lock of that part."""
    target, waits = tmp_path / "folder" / "a.gguf", threading.Event()
    with ThreadPoolExecutor() as pool:
        with part_file(target, lambda: None) as part:
            second = pool.submit(fetch, hashed(hub), target, None, AT_ONCE, _Waiting(waits))
            assert waits.wait(20)
            assert part
            part.discard()
            target.parent.rmdir()
        assert second.result(20) == hashed(hub).sha256
    assert target.read_bytes() == DATA and names(target.parent) == ["a.gguf"]


class _Waiting(Heard):
    """Signals when a download waits for another program."""

    def __init__(self, waits: threading.Event) -> None:
        super().__init__()
        self._waits = waits

    def note(self, text: str) -> None:
        super().note(text)
        self._waits.set()


def test_a_refused_connection_is_reported(tmp_path: Path) -> None:
    with running(Hub()) as gone:
        remote = hashed(gone)
    assert "cannot reach 127.0.0.1" in refused(remote, tmp_path / "a.gguf").message


def test_a_silent_connection_is_closed_and_retried(hub: Hub, tmp_path: Path) -> None:
    hub.faults[:] = [Fault("stall", at=90_000, seconds=1)]
    heard = Heard()
    get(hashed(hub), tmp_path / "a.gguf", heard, Retries(first_wait_s=0, silence_s=0.5))
    assert (tmp_path / "a.gguf").read_bytes() == DATA
    assert heard.said[0].startswith(hub.cdn_url.removeprefix("http://")[:9])
    assert "does not answer" in heard.said[0]


def test_a_redirect_away_from_the_web_is_not_followed(hub: Hub, tmp_path: Path) -> None:
    hub.cdn_url = "file:///etc"
    assert "not safe to follow" in refused(hashed(hub), tmp_path / "a.gguf").message


@pytest.mark.parametrize("place", ["http://[::1", "http://127.0.0.1:abc", "http://127.0.0.1:99999"])
def test_a_redirect_to_no_address_is_not_followed(hub: Hub, tmp_path: Path, place: str) -> None:
    hub.cdn_url = place
    assert "not safe to follow" in refused(hashed(hub), tmp_path / "a.gguf").message


@pytest.mark.parametrize("host", [f"{'a' * 70}.invalid", "a..invalid", "x\u200b.invalid"])
def test_an_invalid_host_is_reported_at_once(tmp_path: Path, host: str) -> None:
    heard = Heard()
    with pytest.raises(DownloadError, match="is not a valid"):
        get(RemoteFile("a.gguf", f"http://{host}/a.gguf", None, None), tmp_path / "a.gguf", heard)
    assert heard.said == []


def test_addresses_may_hold_any_letters(hub: Hub, tmp_path: Path) -> None:
    hub.plain["modèle é.gguf"] = DATA
    get(RemoteFile("a.gguf", f"{hub.url}/plain/modèle%20é.gguf?größe=1", None, None), tmp_path / "a.gguf")
    hub.cdn_url = f"{hub.url}/plain/modèle é.gguf?".encode().decode("latin-1")
    get(hashed(hub), tmp_path / "b.gguf")
    assert [path for path, _ in hub.bodies()] == [
        "/plain/mod%C3%A8le%20%C3%A9.gguf?gr%C3%B6%C3%9Fe=1",
        f"/plain/mod%C3%A8le%20%C3%A9.gguf?/cdn/{hub.key(DATA)}/file?signature=abc",
    ]


def test_redirects_without_end_end(hub: Hub, tmp_path: Path) -> None:
    hub.cdn_url = f"{hub.url}/nous/model/resolve/main/a.gguf?"
    assert "redirects too often" in refused(hashed(hub), tmp_path / "a.gguf").message
