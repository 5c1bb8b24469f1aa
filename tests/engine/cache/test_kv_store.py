"""Entries on disk: found by their first tokens, complete, and within the size limit."""

import os
import random
import signal
import subprocess
import sys
import time
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli.engine.cache import kv_store
from hermes_cli.engine.cache.kv_cache import batches
from hermes_cli.engine.cache.kv_store import Entry, Kind, KvStore, common_prefix
from tests.conftest import Script, child_environment

MARK = bytes(range(32))
TOKENS = list(range(1000, 1100))
CONTEXT = 4096


def always() -> bool:
    return True


def state_of(size: int = 5000, seed: int = 1) -> bytearray:
    return bytearray(random.Random(seed).randbytes(size))


@pytest.fixture
def store(tmp_path: Path) -> KvStore:
    return KvStore(tmp_path / "kv", 1_000_000, lambda: MARK)


def save(store: KvStore, tokens: list[int] = TOKENS, kind: Kind = "conversation", size: int = 5000) -> Path:
    """Keep a state and return its file."""
    before = set(files(store))
    assert store.save(kind, tokens, state_of(size, len(tokens)), 500.0, always)
    (new,) = set(files(store)) - before
    return new


def files(store: KvStore) -> list[Path]:
    return sorted(store.folder.iterdir()) if store.folder.is_dir() else []


def found(store: KvStore, tokens: list[int] = TOKENS) -> tuple[Entry, bytearray] | None:
    """The best entry with its state, as far as one can be had."""
    best = store.find(tokens, CONTEXT)
    state = store.load(best[0], always) if best else None
    return (best[0], state) if best and state is not None else None


def test_what_was_saved_comes_back(store: KvStore) -> None:
    path = save(store)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    best = found(store)
    assert best and best[1] == state_of(5000, len(TOKENS))
    assert (best[0].tokens, best[0].kind, best[0].tokens_per_s) == (TOKENS, "conversation", 500.0)


def test_the_entry_that_shares_most_is_found_and_of_equals_the_smaller(store: KvStore) -> None:
    save(store, [*TOKENS[:80], 1, 2, 3], size=9000)
    save(store, [*TOKENS[:80], 1, 2, 4], size=3000)
    save(store, TOKENS[:70] + [5] * 20)
    best = store.find(TOKENS, CONTEXT)
    assert best and best[1] == 80 and best[0].state_bytes == 3000


@pytest.mark.parametrize("count", [0, 1, kv_store.START_TOKENS - 1])
def test_a_prompt_that_shares_too_little_finds_nothing(store: KvStore, count: int) -> None:
    save(store)
    assert store.find(TOKENS[:count] + [7] * 500, CONTEXT) is None
    assert store.find(TOKENS[:count], CONTEXT) is None


def test_entry_longer_than_the_context_is_not_used(store: KvStore) -> None:
    save(store)
    assert store.find(TOKENS, len(TOKENS) - 1) is None
    assert store.find(TOKENS, len(TOKENS)) is not None


def test_no_flipped_bit_goes_unseen(store: KvStore) -> None:
    path = save(store, size=64)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        assert found(store) is None, place
        assert not path.exists(), place
    path.write_bytes(whole)
    assert found(store) is not None


def test_no_lost_and_no_added_byte_goes_unseen(store: KvStore) -> None:
    path = save(store, size=64)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert found(store) is None, length
    path.write_bytes(whole + b"\0")
    assert found(store) is None


def test_an_entry_that_changes_between_finding_and_loading_is_refused(store: KvStore) -> None:
    path = save(store)
    best = store.find(TOKENS, CONTEXT)
    assert best
    path.write_bytes(path.read_bytes()[:-10])
    assert store.load(best[0], always) is None
    save(store)
    path.unlink()
    assert store.load(best[0], always) is None


def test_entries_of_another_fingerprint_are_not_seen_even_under_the_right_name(store: KvStore) -> None:
    path = save(store)
    other = KvStore(store.folder, 1_000_000, lambda: bytes(32))
    assert other.find(TOKENS, CONTEXT) is None
    assert path.exists()
    path.rename(path.with_name(path.name.replace(MARK.hex()[:16], bytes(32).hex()[:16])))
    assert other.find(TOKENS, CONTEXT) is None


def test_pipes_devices_and_folders_do_not_hang_or_count_as_models(store: KvStore, tmp_path: Path) -> None:
    path = save(store)
    elsewhere = path.rename(tmp_path / "elsewhere")
    os.mkfifo(path)
    assert found(store) is None
    path.unlink(missing_ok=True)
    path.symlink_to(elsewhere)
    assert found(store) is None
    path.unlink(missing_ok=True)
    path.mkdir()
    assert found(store) is None


def test_longer_conversation_replaces_the_entry_of_its_beginning(store: KvStore) -> None:
    save(store, TOKENS[:70], "opening")
    save(store, TOKENS[:80])
    save(store, TOKENS[:90])
    save(store, TOKENS[:80] + [5] * 5)
    kept = [len(store.read_entry(path).tokens) for path in files(store)]
    assert sorted(kept) == [70, 85, 90]
    assert store.has_opening(TOKENS[:70]) and not store.has_opening(TOKENS[:80])


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    store = KvStore(tmp_path, 3 * 6000, lambda: MARK)
    paths = [save(store, TOKENS[:64] + [number] * 20) for number in range(3)]
    for age, path in enumerate(reversed(paths)):
        os.utime(path, (time.time() - 100 * age - 100,) * 2)
    assert found(store, TOKENS[:64] + [0] * 20)  # the oldest is used
    newest = save(store, TOKENS[:64] + [9] * 20)
    assert set(files(store)) == {paths[0], paths[2], newest}
    assert kv_store.size(tmp_path)[1] <= 3 * 6000


def test_a_state_above_the_limit_is_not_kept_and_costs_the_others_nothing(store: KvStore) -> None:
    path = save(store)
    assert not store.save("conversation", [*TOKENS, 1], bytearray(1_000_001), 500.0, always)
    assert files(store) == [path]


@pytest.mark.parametrize("place", ["file", "missing"])
def test_unwritable_cache_folder_is_ignored(tmp_path: Path, place: str) -> None:
    tmp_path.joinpath("file").write_text("")
    folder = tmp_path / "file" / "kv" if place == "file" else Path("/proc/no-folder-here")
    store = KvStore(folder, 1_000_000, lambda: MARK)
    assert not store.save("conversation", TOKENS, state_of(), 500.0, always)
    assert store.find(TOKENS, CONTEXT) is None


def test_stop_leaves_no_partial_entry_and_keeps_complete_ones(store: KvStore) -> None:
    assert not store.save("conversation", TOKENS, state_of(), 500.0, lambda: False)
    assert files(store) == []
    path = save(store)
    best = store.find(TOKENS, CONTEXT)
    assert best and store.load(best[0], lambda: False) is None
    assert files(store) == [path]


WRITER = """
import random, resource, sys
from pathlib import Path
from hermes_cli.engine.cache.kv_store import KvStore
folder, how, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
tokens = list(range(1000, 1100))
store = KvStore(folder, 40_000_000, lambda: bytes(range(32)))
if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    print(store.save("conversation", tokens, bytearray(1_000_000), 500.0, lambda: True))
    sys.exit()
print("ready", flush=True)
chance = random.Random(seed)
for round in range(10**9 if how == "endless" else 60):
    number = chance.randrange(12)
    mine = tokens + [number] * 30
    store.save("conversation", mine, bytearray([number]) * 8_000_000, 500.0, lambda: True)
    best = store.find(tokens + [chance.randrange(12)] * 30, 4096)
    state = store.load(best[0], lambda: True) if best else None
    assert state is None or set(state[::4999]) == {best[0].tokens[-1]} and len(state) == 8_000_000
"""


def writer(folder: Path, how: str, seed: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", WRITER, str(folder), how, str(seed)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, env=child_environment())


def test_full_disk_saves_no_cache_and_prints_nothing(script: Script, tmp_path: Path) -> None:
    result = script(WRITER, tmp_path / "kv", "full", "0")
    assert (result.out, result.err, result.code) == (b"False\n", "", 0)
    assert list(tmp_path.joinpath("kv").iterdir()) == []


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    children = [writer(tmp_path, "both", seed) for seed in (1, 2)]
    assert [child.communicate(timeout=60)[1] for child in children] == [b"", b""]
    assert [child.returncode for child in children] == [0, 0]
    assert not list(tmp_path.glob("*.part"))


def test_killed_writer_leaves_complete_entries_and_temporary_files_that_are_removed_later(tmp_path: Path) -> None:
    store = KvStore(tmp_path, 40_000_000, lambda: MARK)
    chance = random.Random(3)
    for seed in range(8):
        with writer(tmp_path, "endless", seed) as child:
            assert child.stdout and child.stdout.readline() == b"ready\n"
            time.sleep(chance.random() * 0.1)
            child.send_signal(signal.SIGKILL)
        for path in tmp_path.glob("*.kv"):
            assert len(store.read_entry(path).tokens) == len(TOKENS) + 30
    left = tmp_path / "1-0.part"
    left.write_bytes(b"half")
    kv_store.trim(tmp_path, 40_000_000)
    assert left.exists()
    os.utime(left, (time.time() - 7200,) * 2)
    kv_store.trim(tmp_path, 40_000_000)
    assert not left.exists()


def test_identity_of_a_model_changes_with_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(bytes(200_000))
    first, found = kv_store.identity(path), path.stat()
    assert kv_store.identity(path) == first
    with path.open("r+b") as file:
        file.seek(150_000)
        file.write(b"x")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert kv_store.identity(path) != first


def test_a_model_in_parts_is_all_of_them(tmp_path: Path) -> None:
    parts = [tmp_path / f"big[1]-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(b"weights")
    tmp_path.joinpath("big[1]-00001-of-00003.gguf").write_bytes(b"another")
    before = kv_store.identity(parts[0])
    assert len(before) == 2 * len(kv_store.identity(tmp_path / "big[1]-00001-of-00003.gguf"))
    parts[1].write_bytes(b"WEIGHTS!")
    assert kv_store.identity(parts[0]) != before


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_the_common_prefix_is_the_longest(first: list[int], second: list[int]) -> None:
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    assert common_prefix(first, second) == len(list(same))


@given(st.integers(0, 2000), st.integers(1, 512))
def test_batches_cover_all_tokens_in_order(count: int, size: int) -> None:
    cuts = list(batches(range(count), size))
    assert [token for cut in cuts for token in cut] == list(range(count))
    assert all(0 < len(cut) <= size for cut in cuts)
