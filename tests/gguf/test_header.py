"""The header reader: correct for real files, and robust against truncated, invalid and hostile ones."""

import struct
from pathlib import Path

import pytest
from gguf import GGUFReader
from hypothesis import given
from hypothesis import strategies as st

from hermes_cli import paths
from hermes_cli.errors import DownloadError, ModelNotFound
from hermes_cli.gguf.file import check_complete, header_of
from hermes_cli.gguf.header import read_header
from hermes_cli.gguf.values import BadHeader
from hermes_cli.models.download.hub import RemoteFile
from hermes_cli.models.download.remote_header import remote_header
from hermes_cli.models.download.web import Retries
from tests.gguf_copy import changed_copy
from tests.hub_server import Fault, Hub, running
from tests.models.download.test_transfer import Heard

DEMO = paths.DEMO_MODEL.read_bytes()
HEADER_BYTES = header_of(paths.DEMO_MODEL).file_bytes - header_of(paths.DEMO_MODEL).weights_bytes


class Bytes:
    """A file in memory, with a count of what was read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes: int | None = len(data)
        self.read_bytes = 0

    def read(self, offset: int, count: int) -> bytes:
        self.read_bytes += count
        return self._data[offset : offset + count]


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def header(*values: bytes, tensors: int = 0, version: int = 3, count: int | None = None) -> bytes:
    start = struct.pack("<4sIQQ", b"GGUF", version, tensors, len(values) if count is None else count)
    return start + b"".join(values)


def test_the_demo_model_is_read_as_the_gguf_package_reads_it() -> None:
    found, reader = header_of(paths.DEMO_MODEL), GGUFReader(paths.DEMO_MODEL)
    assert found.tensor_count == len(reader.tensors)
    assert found.parameters == sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert found.weights_bytes == sum(int(tensor.n_bytes) for tensor in reader.tensors)
    assert found.file_bytes == paths.DEMO_MODEL.stat().st_size
    for key in ("general.name", "tokenizer.ggml.model", "tokenizer.ggml.pre"):
        assert found.text(key) == reader.fields[key].contents()
    for key in ("context_length", "block_count", "attention.head_count_kv", "embedding_length"):
        assert found.own(key) == reader.fields[f"llama.{key}"].contents()
    assert found.count("tokenizer.ggml.tokens") == len(reader.fields["tokenizer.ggml.tokens"].contents())
    assert (found.architecture, found.quantisation) == ("llama", "Q8_0")
    assert sorted(found.templates) == ["default", "tool_use"]


def test_the_weights_are_not_read() -> None:
    source = Bytes(DEMO)
    read_header(source)
    assert source.read_bytes < len(DEMO) / 3


@given(st.integers(0, HEADER_BYTES - 40))
def test_truncated_header_is_reported_wherever_it_is_cut(length: int) -> None:
    with pytest.raises(BadHeader):
        read_header(Bytes(DEMO[:length]))


@given(st.integers(4, HEADER_BYTES - 1), st.binary(min_size=1, max_size=12))
def test_damaged_anywhere_it_is_read_or_refused(place: int, damage: bytes) -> None:
    data = bytearray(DEMO[: HEADER_BYTES + 64])
    data[place : place + len(damage)] = damage
    try:
        found = read_header(Bytes(bytes(data)))
    except BadHeader:
        return
    assert found.parameters >= 0 and found.quantisation and found.part_count >= 1
    assert all(isinstance(name, str) for name in found.templates)


@given(st.binary(max_size=400))
def test_nonsense_after_the_magic_is_refused_or_empty(rest: bytes) -> None:
    try:
        found = read_header(Bytes(b"GGUF\x03\x00\x00\x00" + rest))
    except BadHeader:
        return
    assert found.tensor_count <= len(rest)


HUGE = 2**62
HOSTILE = {
    "no file at all": b"",
    "other magic": b"MZ" + bytes(100),
    "version 1": header(version=1),
    "a claim of countless values": header(count=HUGE),
    "a claim of countless tensors": header(tensors=HUGE),
    "a million values and no more": header(count=65_000),
    "a text longer than the file": header(text("a") + struct.pack("<IQ", 8, HUGE)),
    "a key longer than allowed": header(struct.pack("<Q", 1 << 20) + bytes(1 << 20)),
    "an array of countless numbers": header(text("a") + struct.pack("<IIQ", 9, 4, HUGE)),
    "an array of countless texts": header(text("a") + struct.pack("<IIQ", 9, 8, HUGE)),
    "an array of countless arrays": header(text("a") + struct.pack("<IIQ", 9, 9, HUGE)),
    "arrays in arrays in arrays": header(text("a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 50),
    "an unknown type": header(text("a") + struct.pack("<I", 77)),
    "an unknown type in an array": header(text("a") + struct.pack("<IIQ", 9, 77, 1)),
    "a value twice": header(*[text("a") + struct.pack("<IB", 0, 1)] * 2),
    "an alignment of nothing": header(text("general.alignment") + struct.pack("<II", 4, 0)),
    "a tensor of countless dimensions": header(text("t") + struct.pack("<I", 2**32 - 1), tensors=1, count=0),
    "a tensor of countless weights": header(
        text("t") + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0), tensors=1, count=0
    ),
    "a tensor of unknown type": header(text("t") + struct.pack("<IQIQ", 1, 8, 99, 0), tensors=1, count=0),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_headers_are_refused_without_much_reading(data: bytes) -> None:
    source = Bytes(data)
    with pytest.raises(BadHeader):
        read_header(source)
    assert source.read_bytes < 10 << 20


def test_a_header_that_never_ends_is_given_up() -> None:
    class Endless:
        size_bytes: int | None = None

        def read(self, offset: int, count: int) -> bytes:
            start = header(text("a") + struct.pack("<IIQ", 9, 8, HUGE))
            return (start + bytes(count))[offset:][:count] if offset < len(start) else bytes(count)

    with pytest.raises(BadHeader, match="more than 256 MiB"):
        read_header(Endless())


def test_high_byte_first_is_read_too() -> None:
    data = struct.pack(">4sIQQ", b"GGUF", 3, 0, 1) + struct.pack(">Q1sII", 1, b"a", 4, 7)
    assert read_header(Bytes(data)).number("a") == 7


def test_invalid_file_is_reported(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(DEMO[:500])
    with pytest.raises(ModelNotFound) as caught:
        header_of(bad)
    assert caught.value.message == f"{bad} is cut short: it ends in the middle of its header"


def test_a_download_without_checksum_is_compared_with_its_own_header(tmp_path: Path) -> None:
    file = tmp_path / "a.part"
    file.write_bytes(DEMO)
    check_complete(file, "a.gguf")
    file.write_bytes(DEMO[:-1])
    with pytest.raises(DownloadError, match="its header says"):
        check_complete(file, "a.gguf")


def test_a_remote_header_is_read_by_ranges(tmp_path: Path, demo_path: Path) -> None:
    large = changed_copy(demo_path, tmp_path / "a.gguf", metadata={"filler": "x" * 3_000_000}).read_bytes()
    with running(Hub(plain={"a.gguf": large})) as hub:
        hub.faults[:] = [Fault("cut", at=1000), Fault("status", status=503)]
        remote = RemoteFile("a.gguf", f"{hub.url}/plain/a.gguf", None, None)
        found = remote_header(remote, None, Retries(first_wait_s=0), Heard())
        assert found.file_bytes == len(large)
        assert found.text("general.name") == header_of(demo_path).text("general.name")
        assert all(headers["range"] for _, headers in hub.bodies())
        hub.faults[:] = [Fault("whole")] * 9
        with pytest.raises(DownloadError, match="cannot send parts"):
            remote_header(remote, None, Retries(first_wait_s=0), Heard())
