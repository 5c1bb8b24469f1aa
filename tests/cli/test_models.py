"""`hermes models`: lists for people and programs, facts about one model, and removal of downloads only."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.models.download.part_file import part_file
from hermes_cli.models.records import Record, write_record
from tests.cli.conftest import HOSTILE, OnTerminal, assert_failed, exit_code
from tests.conftest import Hermes
from tests.gguf_copy import changed_copy
from tests.hub_server import Hub, running

EIGHT = "Hermes-3-Llama-3.1-8B.Q4_K_M"


@pytest.fixture
def folder(demo_path: Path) -> Iterator[Path]:
    """A models folder with one downloaded model and one of the user's own."""
    root = paths.models_folder()
    assert not root.exists()
    pulled = root / "nous" / "Tiny-GGUF" / "Tiny.Q8_0.gguf"
    pulled.parent.mkdir(parents=True)
    shutil.copy(demo_path, pulled)
    write_record(pulled, Record("hf:nous/Tiny-GGUF:Q8_0", "https://x/y", 8299744, "0" * 64, True))
    (root / f"{EIGHT}.gguf").write_bytes(b"GGUF" + bytes(96))
    yield root
    shutil.rmtree(root)


def test_the_list_for_programs(folder: Path, hermes: Hermes, demo_path: Path) -> None:
    (folder / "two  spaces\t.gguf").write_bytes(b"GGUF")
    lines = [line.split("\t") for line in hermes("models").out.decode().splitlines()]
    assert lines == [
        [EIGHT, "100", "own", str(folder / f"{EIGHT}.gguf")],
        ["two  spaces ", "4", "own", str(folder / "two  spaces .gguf")],
        ["Tiny.Q8_0", str(demo_path.stat().st_size), "pulled", str(folder / "nous/Tiny-GGUF/Tiny.Q8_0.gguf")],
        ["demo", str(demo_path.stat().st_size), "bundled", str(demo_path)],
    ]


def test_the_list_as_json_and_with_what_could_be(folder: Path, hermes: Hermes) -> None:
    listed = json.loads(hermes("models", "list", "--all", "--json").out)
    names = [entry["name"] for entry in listed]
    assert [entry["name"] for entry in listed if entry["default"]] == [EIGHT]
    assert "hermes-3-8b:Q4_K_M" not in names and "hermes-3-8b:Q8_0" in names and "hermes-3-405b:Q4_K_M" in names
    assert all(entry["path"] is None for entry in listed if entry["name"].startswith("hermes-"))
    assert hermes("models", "--all").out == hermes("models", "list", "--all").out
    assert json.loads(hermes("models", "--all", "--json").out) == listed
    assert_failed(hermes("models", "--json", "path"), 2, "--json must come after path")
    assert_failed(hermes("models", "--endpoint", "work", "list"), 2, "--endpoint must come after list")


def test_the_list_on_a_terminal(folder: Path, on_terminal: OnTerminal) -> None:
    (folder / "nous/Tiny-GGUF/Other.Q4_0.gguf.part").write_bytes(bytes(2000))
    child = on_terminal("models", "list", "--all")
    assert exit_code(child) == 0
    shown = re.sub(r"\r\n {30,}", "", child.before or "")  # a path too long for its column continues below
    for row in (
        rf"\* {EIGHT} +100 B +own +{folder}/{EIGHT}.gguf\r\n",
        r"  demo +8\.3 MB +bundled",
        r"hermes-3-8b:Q6_K +~6\.6 GB +hermes pull hermes-3-8b:Q6_K",
        r"unfinished: Other\.Q4_0\.gguf, 2\.0 kB so far",
    ):
        assert re.search(row, shown), row


def test_names_from_files_are_harmless_on_a_terminal(folder: Path, on_terminal: OnTerminal) -> None:
    (folder / f"evil{HOSTILE}.gguf").write_bytes(b"GGUF")
    child = on_terminal("models")
    child.expect("evil")
    child.expect("demo")
    assert not any(code in str(child.before) for code in ("\x1b[31m", "\x1b[2J"))
    assert exit_code(child) == 0


def test_one_models_facts(folder: Path, hermes: Hermes) -> None:
    shown = hermes("models", "show", "tiny").out.decode()
    assert "source      hf:nous/Tiny-GGUF:Q8_0\n" in shown and "verified    yes\n" in shown
    facts = json.loads(hermes("models", "show", EIGHT, "--json").out)
    assert (facts["kept_by"], facts["size_bytes"], facts["sha256"]) == ("own", 100, None)
    assert "hermes pull 3b" in hermes("models", "show", "3b").out.decode()
    assert_failed(hermes("models", "show", "nonsense"), 3, "there is no local model nonsense")


def test_the_path_of_one_and_of_all(folder: Path, hermes: Hermes) -> None:
    assert hermes("models", "path").out.decode() == f"{folder}\n"
    assert hermes("models", "path", "8b").out.decode() == f"{folder / EIGHT}.gguf\n"


def test_only_what_was_downloaded_is_removed(folder: Path, hermes: Hermes, demo_path: Path) -> None:
    assert_failed(hermes("models", "rm", "tiny"), 2, "cannot ask for confirmation: stdin is not a terminal")
    assert_failed(hermes("models", "rm", "--yes", EIGHT), 2, "is your own file", "is not removed")
    assert_failed(hermes("models", "rm", "--yes", demo_path), 2, "is not removed")
    first, second = (folder / "nous/Tiny-GGUF" / f"Two-0000{number}-of-00002.gguf" for number in (1, 2))
    for part in (first, second):
        part.write_bytes(b"GGUF")
    write_record(first, Record("hf:nous/Tiny-GGUF", "https://x/y", 4, "0" * 64, True))
    assert hermes("models", "rm", "--yes", "two").code == 0
    assert second.exists() and not first.exists()
    second.unlink()
    assert hermes("models", "rm", "--yes", "tiny").code == 0
    assert [path.name for path in folder.iterdir()] == [f"{EIGHT}.gguf"]
    assert demo_path.exists()


def test_what_was_downloaded_is_known_by_its_source_and_its_path_too(folder: Path, hermes: Hermes) -> None:
    file = folder / "nous/Tiny-GGUF/Tiny.Q8_0.gguf"
    for name in ("hf:nous/Tiny-GGUF:Q8_0", file):
        assert json.loads(hermes("models", "show", name, "--json").out)["kept_by"] == "pulled"
    assert hermes("models", "rm", "--yes", "nous/Tiny-GGUF/Tiny.Q8_0.gguf", cwd=folder).code == 0
    assert not file.exists()


def test_a_download_in_progress_is_not_removed_as_a_stopped_one(folder: Path, hermes: Hermes) -> None:
    part = folder / "nous/Tiny-GGUF/Other.Q4_0.gguf.part"
    with part_file(part.with_suffix(""), lambda: None):
        result = hermes("models", "rm", "--unfinished", "--yes")
        assert (result.code, result.err) == (0, "there are no stopped downloads\n")
    assert part.exists()
    assert hermes("models", "rm", "--unfinished", "--yes").code == 0
    assert not part.exists()


def test_a_download_that_resumes_during_the_question_stays(folder: Path, on_terminal: OnTerminal) -> None:
    parts = [folder / f"nous/Tiny-GGUF/{name}.gguf.part" for name in ("One", "Two")]
    for part in parts:
        part.write_bytes(b"GGUF")
    child = on_terminal("models", "rm", "--unfinished")
    child.expect("Remove these files")
    with part_file(parts[0].with_suffix(""), lambda: None):
        child.sendline("y")
        child.expect("One.gguf stays: its download has resumed")
        assert exit_code(child) == 1
    assert [part.exists() for part in parts] == [True, False]


def test_removal_asks(folder: Path, on_terminal: OnTerminal) -> None:
    child = on_terminal("models", "rm", "tiny")
    child.expect(r"Tiny\.Q8_0\.gguf 8\.3 MB")
    child.expect("Remove these files")
    child.sendline("n")
    assert exit_code(child) == 1
    assert (folder / "nous/Tiny-GGUF/Tiny.Q8_0.gguf").exists()


def test_a_header_is_shown_without_loading(hermes: Hermes, demo_path: Path) -> None:
    shown = hermes("models", "inspect", demo_path).out.decode()
    assert "size                 8.3 MB\n" in shown and "weights              8.2 MB\n" in shown
    assert "architecture         llama\n" in shown and "quantisation         Q8_0\n" in shown
    facts = json.loads(hermes("models", "inspect", "demo", "--json").out)
    assert facts["parameters"] > 7e6 and facts["chat_templates"] == ["tool_use", "default"]
    small, large = (plan["total_bytes"] for plan in sorted(facts["memory"], key=lambda plan: -len(plan["kv_type"])))
    assert small < large


def test_a_header_on_the_hub_is_shown_without_downloading(
    hermes: Hermes, demo_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = changed_copy(demo_path, tmp_path / "a.gguf", metadata={"general.name": f"evil{HOSTILE}"}).read_bytes()
    with running(Hub()) as hub:
        hub.put("nous/Tiny-GGUF", "Tiny.Q8_0.gguf", data + bytes(20_000_000))
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        facts = json.loads(hermes("models", "inspect", "hf:nous/Tiny-GGUF", "--json").out)
        (_, headers), *more = hub.bodies()
    assert facts["layers"] == 8 and facts["size_bytes"] == len(data) + 20_000_000
    assert headers["range"] == "bytes=0-1048575" and not more
    assert not paths.models_folder().exists()


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 64, b"x" * 100])
def test_what_is_not_a_model_is_reported(hermes: Hermes, tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(content)
    assert_failed(hermes("models", "inspect", bad), 3, str(bad))


def test_a_truncated_file_is_reported(hermes: Hermes, demo_path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(demo_path.read_bytes()[:4_000_000])
    words = f"{cut} is cut short: it needs 8,299,744 bytes and has 4,000,000"
    assert_failed(hermes("models", "inspect", cut), 3, words)
    assert_failed(hermes("models", "inspect", "--json", cut), 3, words)


def test_an_empty_name_is_not_the_beginning_of_all_names(folder: Path, hermes: Hermes) -> None:
    (folder / f"{EIGHT}.gguf").unlink()
    assert_failed(hermes("models", "rm", "--yes", ""), 2, "the argument NAME is empty")
    assert (folder / "nous/Tiny-GGUF/Tiny.Q8_0.gguf").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"general.architecture": "clip", "general.type": "mmproj"}, "this is a vision projector: it cannot chat"),
        ({"general.type": "adapter", "adapter.type": "lora"}, "this is a LoRA adapter: it cannot chat"),
        ({"llama.pooling_type": 1}, "this is an embedding model: it cannot chat"),
        ({"general.architecture": "llama9"}, "the installed llama.cpp does not know the architecture llama9"),
    ],
)
def test_inspect_names_what_cannot_chat(
    hermes: Hermes, demo_path: Path, tmp_path: Path, values: dict[str, str], words: str
) -> None:
    file = changed_copy(demo_path, tmp_path / "file.gguf", metadata=values)
    shown = hermes("models", "inspect", file).out.decode()
    assert shown.endswith(f"\n{words}\n") and "on this machine" not in shown and "memory" not in shown
    facts = json.loads(hermes("models", "inspect", file, "--json").out)
    assert (facts["problem"], facts["memory"], facts["here"]) == (words, [], None)


def test_list_marks_the_default_model(folder: Path, hermes: Hermes, demo_path: Path, tmp_path: Path) -> None:
    def marked(model: str) -> list[str]:
        listed = json.loads(hermes("models", "--json", env={"HERMES_CLI_MODEL": model}).out)
        return [entry["name"] for entry in listed if entry["default"]]

    assert marked("tiny") == marked("Tiny.Q8_0.gguf") == ["Tiny.Q8_0"]
    assert marked("demo") == ["demo"]
    own = shutil.copy(demo_path, tmp_path / "elsewhere.gguf")
    assert marked(str(own)) == ["elsewhere"]
    wrong = hermes("models", env={"HERMES_CLI_MODEL": "gone"})
    assert (wrong.code, wrong.err) == (0, "there is no local model gone (in HERMES_CLI_MODEL)\n")


def test_what_is_not_a_model_is_listed_with_what_it_is(folder: Path, hermes: Hermes) -> None:
    (folder / "Pointer.gguf").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    listed = {entry["name"]: entry for entry in json.loads(hermes("models", "--json").out)}
    assert listed["Pointer"]["problem"] == "a Git LFS pointer, not the file itself"
    assert_failed(hermes("ask", "-m", "Pointer.gguf", "Hi"), 3, "Pointer is a Git LFS pointer, not the file itself")
