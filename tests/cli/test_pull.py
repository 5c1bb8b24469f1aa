"""`hermes pull` as a user runs it: complete, interrupted, twice at once, without disk space, offline, refused."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from hermes_cli import paths
from tests.certificate import server_certificate
from tests.cli.conftest import OnTerminal, Start, assert_failed, exit_code
from tests.conftest import Hermes, Result, child_environment
from tests.hub_server import COMMIT, Hub, running
from tests.proxy_server import Proxy, running_proxy

REPOSITORY = "nous/Tiny-GGUF"
WANTED = f"hf:{REPOSITORY}:Q4_K_M"
FILE = "Tiny.Q4_K_M.gguf"
DATA = b"GGUF" + random.Random(3).randbytes(600_000)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub for the children, and an empty models folder before and after."""
    assert not paths.models_folder().exists()
    with running(Hub()) as server:
        server.put(REPOSITORY, FILE, DATA)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    shutil.rmtree(paths.models_folder(), ignore_errors=True)


def target(name: str = FILE) -> Path:
    return paths.models_folder() / REPOSITORY / name


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def part_size() -> int:
    part = target(f"{FILE}.part")
    return part.stat().st_size if part.exists() else 0


def files() -> list[str]:
    return sorted(path.name for path in target().parent.iterdir())


def test_a_model_is_downloaded_found_and_used_without_network(hub: Hub, hermes: Hermes, demo_path: Path) -> None:
    hub.put(REPOSITORY, FILE, demo_path.read_bytes())
    first = hermes("pull", WANTED)
    assert (first.code, first.out.decode()) == (0, f"{target()}\n")
    assert "8.3 MB from 127.0.0.1" in first.err and "checksum verified" in first.err
    assert target().read_bytes() == demo_path.read_bytes()
    assert files() == [".Tiny.Q4_K_M.json", FILE]
    hub.requests.clear()
    for offline in (None, "1"):
        again = hermes("pull", WANTED, env={"HF_HUB_OFFLINE": offline})
        assert (again.code, again.out, again.err) == (0, first.out, f"{WANTED} is already on this machine\n")
    assert hermes("ask", "-m", "tiny", "-t", "0", "Hello, who are you?").code == 0
    assert hermes("models", "path", WANTED).out == first.out
    assert hub.requests == []


def test_a_url_without_a_checksum(hub: Hub, hermes: Hermes, demo_path: Path) -> None:
    hub.plain["tiny.gguf"] = demo_path.read_bytes()
    url = f"{hub.url}/plain/tiny.gguf"
    result = hermes("pull", url)
    assert result.code == 0
    assert f"SHA-256 {hashlib.sha256(demo_path.read_bytes()).hexdigest()}" in result.err
    assert "is already on this machine" in hermes("pull", url).err
    hub.plain["short.gguf"] = demo_path.read_bytes()[:-1000]
    short = hermes("pull", f"{hub.url}/plain/short.gguf")
    assert (short.code, short.out) == (3, b"")
    assert "its header says" in short.err
    assert [path.name for path in paths.models_folder().rglob("*short*")] == []


def test_a_killed_download_resumes(hub: Hub, hermes: Hermes, start: Start) -> None:
    hub.bytes_a_second = 100_000
    for at_least in (50_000, 120_000):
        child = start("pull", WANTED)
        wait_for(lambda least=at_least: part_size() > least)  # type: ignore[misc]
        child.kill()
        child.wait()
        assert not target().exists()
    hub.bytes_a_second = None
    assert hermes("pull", WANTED).err.count("checksum verified") == 1
    assert target().read_bytes() == DATA
    assert files() == [".Tiny.Q4_K_M.json", FILE]
    asked = [int(headers.get("range", "bytes=0-")[6:-1]) for _, headers in hub.bodies()]
    assert asked[0] == 0 < 50_000 < asked[1] < asked[2] < len(DATA)


def test_ctrl_c_keeps_the_part_and_says_so(hub: Hub, hermes: Hermes, start: Start) -> None:
    hub.bytes_a_second = 60_000
    child = start("pull", WANTED)
    wait_for(lambda: part_size() > 5_000)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, out) == (130, b"")
    assert f"stopped; to resume: hermes pull {WANTED}" in err.decode()
    assert "error" not in err.decode()
    listed = hermes("models", "rm", "--unfinished", "--yes")
    assert listed.code == 0
    assert not paths.models_folder().joinpath("nous").exists()


def begin_two(hub: Hub, start: Start) -> tuple["subprocess.Popen[bytes]", "subprocess.Popen[bytes]"]:
    """One program that downloads slowly, and one that waits for it."""
    hub.bytes_a_second = 30_000
    first = start("pull", WANTED)
    wait_for(lambda: part_size() > 5_000)
    second = start("pull", WANTED)
    assert second.stderr
    line = next(line for line in second.stderr if b"downloading Tiny.Q4_K_M.gguf" in line)
    assert line == b"another program is downloading Tiny.Q4_K_M.gguf; waiting for it\n"
    return first, second


def test_two_at_once_share_the_work(hub: Hub, start: Start) -> None:
    first, second = begin_two(hub, start)
    hub.bytes_a_second = None
    said = [child.communicate(timeout=30) for child in (first, second)]
    assert [child.returncode for child in (first, second)] == [0, 0]
    assert [out for out, _ in said] == [f"{target()}\n".encode()] * 2
    assert target().read_bytes() == DATA
    assert len(hub.bodies()) == 1


def test_after_a_killed_one_the_waiting_one_resumes(hub: Hub, start: Start) -> None:
    first, second = begin_two(hub, start)
    first.kill()
    hub.bytes_a_second = None
    second.communicate(timeout=30)
    assert second.returncode == 0
    assert target().read_bytes() == DATA
    assert hub.bodies()[-1][1]["range"].startswith("bytes=")


def test_a_full_disk_keeps_the_part(hub: Hub, hermes: Hermes, shell: Callable[[str], Result]) -> None:
    full = shell(f"ulimit -f 300; hermes pull {WANTED}")
    assert_failed_download(full, "no room for Tiny.Q4_K_M.gguf", "File too large")
    assert part_size() == 300 * 1024
    assert hermes("pull", WANTED).err
    assert target().read_bytes() == DATA
    assert hub.bodies()[-1][1]["range"] == f"bytes={300 * 1024}-"


def assert_failed_download(result: Result, *parts: str) -> None:
    """Exit code 3, nothing on stdout, one error line with all parts and a hint as the last lines."""
    error, hint = result.err.splitlines()[-2:]
    assert (result.code, result.out) == (3, b""), result
    assert error.startswith("error: ") and hint.startswith("hint: ") and not error.endswith(".")
    assert all(part in error for part in parts), error


def test_a_proxy_is_used(hub: Hub, hermes: Hermes) -> None:
    proxy, hub.cdn_url = hub.url, "http://cdn.invalid"
    env = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": proxy, "http_proxy": proxy}
    result = hermes("pull", WANTED, env=env)
    assert "checksum verified" in result.err
    assert target().read_bytes() == DATA
    assert {headers["host"] for _, headers in hub.requests} == {"hub.invalid", "cdn.invalid"}


@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTP_PROXY"])
def test_a_socks_proxy_is_used_for_hub_and_urls(hub: Hub, hermes: Hermes, demo_path: Path, variable: str) -> None:
    hub.plain["tiny.gguf"] = demo_path.read_bytes()
    with running_proxy(Proxy(hub.url)) as proxy:
        hub.cdn_url = "http://cdn.invalid"
        env = {"HF_ENDPOINT": "http://hub.invalid", variable: f"socks5h://{proxy.address}"}
        assert "checksum verified" in hermes("pull", WANTED, env=env).err
        assert "SHA-256" in hermes("pull", "http://files.invalid/plain/tiny.gguf", env=env).err
    assert set(proxy.seen) == {"hub.invalid:80", "cdn.invalid:80", "files.invalid:80"}


def test_a_proxy_that_is_not_an_address_is_named(hub: Hub, hermes: Hermes) -> None:
    env = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": "http://127.0.0.1:abc"}
    words = "the proxy http://127.0.0.1:abc (HTTP_PROXY) is not a valid address"
    assert_failed(hermes("pull", WANTED, env=env), 3, words)


def test_a_proxy_that_does_not_answer_is_named(hub: Hub, hermes: Hermes) -> None:
    env = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": "socks5://127.0.0.1:1"}
    words = "cannot reach the proxy socks5://127.0.0.1:1 (HTTP_PROXY): Connection refused"
    assert_failed_download(hermes("pull", WANTED, env=env), words)


def test_a_missing_certificate_file_is_named(hub: Hub, hermes: Hermes) -> None:
    env = {"HF_ENDPOINT": hub.url.replace("http:", "https:"), "SSL_CERT_FILE": "/nowhere/ca.pem"}
    assert_failed(hermes("pull", WANTED, env=env), 3, "SSL_CERT_FILE names /nowhere/ca.pem, which does not exist")


def test_an_untrusted_certificate(hub: Hub, hermes: Hermes, tmp_path: Path) -> None:
    context, certificate = server_certificate(tmp_path, "IP:127.0.0.1")
    with running(Hub(), context) as secure:
        secure.put(REPOSITORY, FILE, DATA)
        secure.plain["a.gguf"] = DATA
        env = {"HF_ENDPOINT": secure.url}
        assert_failed(hermes("pull", WANTED, env=env), 3, "TLS certificate verification failed for 127.0.0.1")
        plain = hermes("pull", f"{secure.url}/plain/a.gguf")
        assert_failed(plain, 3, "TLS certificate verification failed")
        trusted = hermes("pull", WANTED, env={**env, "SSL_CERT_FILE": str(certificate)})
        assert "checksum verified" in trusted.err


def test_an_unknown_name_is_not_found(hub: Hub, hermes: Hermes) -> None:
    for name in ("nothing", "./nothing.gguf"):
        assert_failed(hermes("pull", name), 3, f"there is no model called {name}")
    assert hub.requests == []


def test_what_needs_no_download_is_printed_with_its_file(
    hub: Hub, hermes: Hermes, demo_path: Path, tmp_path: Path
) -> None:
    demo = hermes("pull", "Demo")
    assert (demo.code, demo.out.decode()) == (0, f"{demo_path}\n")
    assert demo.err == "Demo is part of the program; use it with -m Demo\n"
    own = tmp_path / "my own.gguf"
    own.write_bytes(b"GGUF")
    found = hermes("pull", own)
    assert (found.code, found.out.decode()) == (0, f"{own}\n")
    assert found.err == f"{own} is already on this machine; use it with -m '{own}'\n"
    own.write_bytes(b"text")
    assert_failed(hermes("pull", own), 3, "is not a GGUF file")
    (tmp_path / "3b").write_bytes(b"GGUF")  # a name of the catalog, whatever is in this folder
    assert_failed(hermes("pull", "3b", cwd=tmp_path), 3, "there is no repository")


def test_download_that_failed_before_the_first_byte_leaves_no_files(hub: Hub, hermes: Hermes) -> None:
    hub.put(REPOSITORY, FILE, b"text of the right checksum")
    assert_failed(hermes("pull", f"{hub.url}/plain/gone.gguf"), 3, "there is nothing at")
    refused = hermes("pull", WANTED)
    assert (
        refused.code == 3
        and 'is text, not a GGUF file: "text of the right checksum"\nhint: name another file' in refused.err
    )
    assert list(paths.models_folder().iterdir()) == []


def test_without_a_name_it_recommends_and_asks(hub: Hub, hermes: Hermes, on_terminal: OnTerminal) -> None:
    without_terminal = hermes("pull")
    assert (without_terminal.code, without_terminal.out) == (2, b"")
    assert (
        "for this machine: Hermes 3" in without_terminal.err
        and "hint: download it without asking: hermes pull --yes" in without_terminal.err
    )
    assert_failed(hermes("pull", "--yes", ""), 2, "the argument MODEL is empty")
    child = on_terminal("pull")
    child.expect(r"for this machine: Hermes 3 .* to download, about .* of memory to run")
    child.expect("Download it")
    child.sendline("n")
    assert exit_code(child) == 1
    assert hub.requests == []


def test_on_a_terminal_a_bar_shows_the_progress(hub: Hub, on_terminal: OnTerminal) -> None:
    hub.bytes_a_second = 400_000
    child = on_terminal("pull", WANTED)
    child.expect(r"Tiny\.Q4_K_M\.gguf .*\d+% .*\d+\.\d/600\.0 kB.*\d+\.\d [kM]B/s.*0:0\d")
    child.expect("checksum verified")
    child.expect_exact(str(target()))
    assert exit_code(child) == 0


def test_the_question_of_the_first_chat(hub: Hub, tmp_path: Path) -> None:
    code = "from hermes_cli.cli.first_run import ask_to_download; ask_to_download(); print('the chat begins')"
    cache = tmp_path / "cache"

    def begin(**changes: str | None) -> "pexpect.spawn[str]":
        env = child_environment({"HERMES_CLI_CACHE_DIR": str(cache), "CI": None, "TERM": "xterm", **changes})
        return pexpect.spawn(sys.executable, ["-c", code], env=env, encoding="utf-8", timeout=20, dimensions=(24, 200))

    asked = begin()
    asked.expect(r"Download Hermes 3 .* \(.* GB, .*\)\? \[y/N\]: ")
    asked.sendeof()
    asked.expect("the chat begins")
    again = begin()
    again.expect("the chat begins")
    assert "Download" not in str(again.before)
    os.utime(cache / "offer-declined", (0, 0))
    taken = begin()
    taken.expect("Download Hermes 3")
    taken.sendline("y")
    taken.expect("there is no repository NousResearch/Hermes-3")
    taken.expect("the chat begins")
    assert f"resolve/{COMMIT}" not in str(hub.requests)
    for quiet in ({"CI": "true"}, {"HF_HUB_OFFLINE": "1"}):
        silent = begin(**quiet)
        silent.expect("the chat begins")
        assert "Download" not in str(silent.before)
    target_file = paths.models_folder() / "Hermes-3-8B.Q4_K_M.gguf"
    target_file.parent.mkdir(parents=True, exist_ok=True)
    target_file.write_bytes(b"GGUF")
    silent = begin()
    silent.expect("the chat begins")
    assert "Download" not in str(silent.before)
