import copy
import hashlib
import json
import tracemalloc
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel import archive
from accel.errors import EspalierError
from accel.network import (
    Add,
    AvgPool,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Network,
    ReLU,
    Window,
)
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask

PREFIX, DIGEST = 14, 32  # 8 bytes of magic, 2 of version, 4 of the header's length; SHA-256


class Color(IntEnum):
    """Something that a field names."""

    RED = 1
    GREEN = 2


@dataclass(frozen=True, eq=False)
class Words:
    """Words of `bits` bits each."""

    bits: int
    words: np.ndarray[Any, Any] = field(metadata={"packed": "bits"})


@dataclass(frozen=True, eq=False)
class Thing:
    """One field of each kind that an archive holds."""

    text: str
    count: int
    step: float
    yes: bool
    color: Color
    pair: tuple[int, int]
    names: tuple[str, ...]
    parts: tuple[Words, ...]
    sizes: Mapping[str, int]
    array: np.ndarray[Any, Any]
    maybe: Words | None


CLASSES = (Thing, Words, Color)
THING = Thing("é\n", 3, 0.1, True, Color.GREEN, (1, 2), ("a", "b"), (), {"x": 1}, np.zeros((2, 0), "f4"), None)


def header_and_payload(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Take a file apart, from the layout in the module's docstring."""
    end = PREFIX + int.from_bytes(data[10:PREFIX], "little")
    return json.loads(data[PREFIX:end]), data[end:-DIGEST]


def rebuild(header: Any, payload: bytes = b"", version: int = 1) -> bytes:
    """Put a file together with a right digest, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = b"ESPALIER" + version.to_bytes(2, "little") + len(text).to_bytes(4, "little") + text + payload
    return body + hashlib.sha256(body).digest()


def refusal(path: Path, data: bytes, classes: tuple[type, ...] = CLASSES, kind: str = "thing") -> str:
    """Return the message that refuses `data`: one line that begins with the file's path."""
    path.write_bytes(data)
    with pytest.raises(EspalierError) as caught:
        archive.load(path, kind, classes)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


def reload(tmp_path: Path, thing: Any) -> Any:
    """Return `thing` as it comes back from a file."""
    archive.save(tmp_path / "thing", "thing", thing)
    return archive.load(tmp_path / "thing", "thing", (type(thing), *CLASSES))


class TestPacking:
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("bits", range(1, 64))
    def test_round_trip_at_every_width(self, bits: int, signed: bool) -> None:
        """Both ends of the range, the codes around zero and random ones come back; a changed one is seen."""
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        random = np.random.default_rng(bits).integers(low, high, 50, np.int64, endpoint=True)
        codes = np.concatenate([[low, high, 0, low, high], random])
        data = archive.pack(codes, bits)
        assert archive.unpack(data, codes.size, bits, signed).tolist() == codes.tolist()
        other = archive.pack(np.where(np.arange(codes.size) == 30, codes ^ 1, codes), bits)
        assert archive.unpack(other, codes.size, bits, signed).tolist() != codes.tolist()

    @given(st.integers(0, 63), st.integers(0, 40))
    def test_the_size_is_whole_bytes_of_the_whole_stream(self, bits: int, count: int) -> None:
        """Words are not filled up one by one: `count` words of `bits` bits take ceil(count * bits / 8) bytes."""
        assert len(archive.pack(np.zeros(count, np.int64), bits)) == -(-count * bits // 8)

    def test_bits_lie_lowest_first(self) -> None:
        """Three words of three bits, 1 3 -2: 001, 011 and 110 fill 110 011 001 from the right, two bytes."""
        assert archive.pack(np.array([1, 3, -2]), 3) == bytes([0b10011001, 0b1])
        assert archive.pack(np.array([1, 3, 2]), 3) != bytes([0b10011001, 0b1])

    def test_words_of_no_bits(self) -> None:
        """What says nothing takes no room, and comes back as zeros."""
        assert archive.pack(np.zeros(5, np.int64), 0) == b""
        assert archive.unpack(b"", 5, 0, signed=True).tolist() == [0] * 5

    @pytest.mark.parametrize(("bits", "count"), [(1, 9), (3, 7), (5, 100), (8, 3), (13, 11), (63, 5), (0, 4)])
    @pytest.mark.parametrize("dtype", [np.int64, np.uint64])
    def test_a_file_stores_exactly_these_bytes(self, tmp_path: Path, bits: int, count: int, dtype: type) -> None:
        """A packed field takes ceil(count * bits / 8) bytes of the payload, and nothing else does."""
        words = np.arange(count).astype(dtype) & ((1 << max(bits - 1, 0)) - 1)
        _, payload = header_and_payload(archive.dump("thing", Words(bits, words)))
        assert len(payload) == -(-count * bits // 8)
        if bits:
            again = reload(tmp_path, Words(bits, words))
            assert (again.words.dtype, again.words.tolist()) == (dtype, words.tolist())


class TestRoundTrip:
    def test_every_kind_of_field(self, tmp_path: Path) -> None:
        """Text, numbers, names, tuples, maps, arrays and nothing come back with their types."""
        parts = (Words(4, np.array([-8, 7])), Words(1, np.array([True, False])))
        again = reload(tmp_path, Thing(**{**vars(THING), "parts": parts, "maybe": parts[0]}))
        simple = ("text", "count", "step", "yes", "color", "pair", "names", "sizes")
        assert [getattr(again, name) for name in simple] == [getattr(THING, name) for name in simple]
        assert type(again.color) is Color
        assert [x.words.tolist() for x in (*again.parts, again.maybe)] == [[-8, 7], [1, 0], [-8, 7]]
        assert again.array.shape == (2, 0)
        assert reload(tmp_path, THING).maybe is None

    @pytest.mark.parametrize("dtype", ["?", "i1", "u1", "<i2", ">i2", "<i4", "<i8", "<u8", ">u4", "<f4", ">f4", "<f8"])
    @pytest.mark.parametrize("size", [0, 3, 5000])
    def test_every_array_type(self, tmp_path: Path, dtype: str, size: int) -> None:
        """Arrays of every type, compressed or not, in every memory order, come back value for value."""
        values = np.random.default_rng(size).integers(0, 2 if dtype == "?" else 100, (size, 2)).astype(dtype)
        for array in (values, np.asfortranarray(values), values[::2, ::-1], np.zeros_like(values)):
            again = reload(tmp_path, Thing(**{**vars(THING), "array": array})).array
            assert np.array_equal(again, array)
            assert again.dtype == array.dtype.newbyteorder("<")
            if again.size:
                again.flat[0] = not again.flat[0]
                assert not np.array_equal(again, array)

    def test_repetitive_arrays_are_compressed(self) -> None:
        """A mask of a million equal bytes does not make a file of a megabyte."""
        assert len(archive.dump("thing", Thing(**{**vars(THING), "array": np.ones(1_000_000, bool)}))) < 10_000

    def test_the_same_thing_gives_the_same_bytes(self) -> None:
        """A file holds no time and no name of a machine; another thing gives other bytes."""
        assert archive.dump("thing", THING) == archive.dump("thing", copy.copy(THING))
        assert archive.dump("thing", THING) != archive.dump("thing", Thing(**{**vars(THING), "count": 4}))

    def test_numpy_scalars_become_numbers(self, tmp_path: Path) -> None:
        """A step or count that numpy computed is stored like any other."""
        again = reload(tmp_path, Thing(**{**vars(THING), "count": np.int64(7), "step": np.float32(0.5)}))
        assert (again.count, again.step) == (7, 0.5)

    def test_anything_else_is_the_programmer_s_mistake(self) -> None:
        """What an archive cannot hold is a TypeError when it is written, not a surprise when it is read."""
        with pytest.raises(TypeError, match="cannot store a complex"):
            archive.dump("thing", Thing(**{**vars(THING), "step": 1j}))

    def test_kind_of(self, tmp_path: Path) -> None:
        """A file says what it holds without being loaded."""
        archive.save(tmp_path / "a", "thing", THING)
        assert archive.kind_of(tmp_path / "a") == "thing"
        with pytest.raises(EspalierError, match="is not an Espalier file"):
            archive.kind_of(Path(__file__))


@pytest.fixture(scope="module")
def network() -> PrunedNetwork:
    """A small network with a layer of every kind and two masks."""
    generator = np.random.default_rng(1)

    def draw(*shape: int) -> Any:
        return generator.normal(size=shape).astype(np.float32)

    window = Window((2, 2), (1, 1), (1, 0, 0, 1))
    ones = np.ones(2, np.float32)
    layers = (
        Conv2d("conv", ("input",), weight=draw(2, 1, 2, 2), bias=draw(2), window=window),
        BatchNorm("norm", ("conv",), ones, ones, ones, ones),
        ReLU("relu", ("norm",)),
        Add("add", ("relu", "conv")),
        MaxPool("pool", ("add",), Window.square(2, 2)),
        AvgPool("mean", ("pool",), Window.square(1)),
        GlobalAvgPool("all", ("mean",)),
        Flatten("flat", ("all",)),
        Linear("scores", ("flat",), weight=draw(3, 2), bias=draw(3)),
    )
    masks = {
        "conv": LayerMask("kernel", np.array([[[1] * 4], [[0] * 4]], bool)),
        "scores": LayerMask("block-2", np.array([[[1], [1]], [[1], [1]], [[0], [0]]], bool)),
    }
    return PrunedNetwork(Network("small", (1, 4, 4), layers), masks, "kernel", "digits")


@pytest.fixture(scope="module")
def file(network: PrunedNetwork) -> bytes:
    """The bytes of the network's file."""
    return archive.dump("network", network)


def refuse_network(path: Path, data: bytes) -> str:
    """Return the line with which `PrunedNetwork.load` refuses `data`."""
    path.write_bytes(data)
    with pytest.raises(EspalierError) as caught:
        PrunedNetwork.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


class TestDamage:
    def test_the_whole_file_is_read(self, tmp_path: Path, file: bytes) -> None:
        """Negative control of this class: what it damages is right before."""
        (tmp_path / "file").write_bytes(file)
        assert archive.dump("network", PrunedNetwork.load(tmp_path / "file")) == file

    def test_a_file_cut_anywhere_is_refused(self, tmp_path: Path, file: bytes) -> None:
        """However many bytes are missing at the end, one line says so."""
        for length in range(len(file)):
            reason = "is not an Espalier file" if length < 8 else "was cut or changed"
            assert reason in refuse_network(tmp_path / "file", file[:length])

    def test_a_byte_changed_anywhere_is_refused(self, tmp_path: Path, file: bytes) -> None:
        """Whichever byte differs, one line says so."""
        for position in range(len(file)):
            changed = bytearray(file)
            changed[position] ^= 1 << position % 8
            reason = "is not an Espalier file" if position < 8 else "was cut or changed"
            assert reason in refuse_network(tmp_path / "file", bytes(changed))

    def test_bytes_after_the_end_are_refused(self, tmp_path: Path, file: bytes) -> None:
        """A file that something was appended to is not the one that was written."""
        assert "was cut or changed" in refuse_network(tmp_path / "file", file + b"\0")

    @pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"ESPALIEr" + bytes(100), b"{}\n"])
    def test_a_foreign_file_is_refused(self, tmp_path: Path, data: bytes) -> None:
        """A file of something else is told from one of ours that was damaged."""
        assert "is not an Espalier file" in refuse_network(tmp_path / "file", data)

    def test_another_kind_is_refused(self, tmp_path: Path, file: bytes) -> None:
        """The message says what the file holds and what was asked for."""
        assert refusal(tmp_path / "file", file, kind="program") == "holds a network, expected a program"

    def test_a_newer_version_is_refused(self, tmp_path: Path, file: bytes) -> None:
        """A file that a later release wrote is whole, and the message says which version it has."""
        newer = rebuild(*header_and_payload(file), version=2)
        assert refuse_network(tmp_path / "file", newer) == "has format version 2, this release reads version 1"
        assert rebuild(*header_and_payload(file)) == file  # so that nothing but the version was at fault

    def test_no_file_is_an_os_error(self, tmp_path: Path) -> None:
        """A file that is not there is the system's to say."""
        with pytest.raises(FileNotFoundError):
            PrunedNetwork.load(tmp_path / "file")


def a_file(record: Any, arrays: Any = (), payload: bytes = b"") -> bytes:
    """Return a whole file of a thing with this record."""
    return rebuild({"kind": "thing", "record": record, "arrays": arrays}, payload)


def a_words_file(entry: Any, payload: bytes = b"") -> bytes:
    """Return a whole file of `Words` whose array this entry describes."""
    return a_file({"class": "Words", "fields": {"bits": 8, "words": {"array": 0}}}, [entry], payload)


class TestNonsense:
    """Files with a right digest that `dump` never wrote."""

    def test_an_unknown_class_is_not_made(self, tmp_path: Path) -> None:
        """A record can only name the classes that the caller listed."""
        assert "KeyError" in refusal(tmp_path / "file", a_file({"class": "Path", "fields": {}}))
        assert "KeyError" in refusal(tmp_path / "file", a_file({"enum": "Path", "name": "RED"}))

    @pytest.mark.parametrize("header", [b"{", b"\xff", b"[" * 100_000, 5, [], {}, {"kind": "thing", "record": 5}, None])
    def test_the_header_must_be_one_of_ours(self, tmp_path: Path, header: Any) -> None:
        """A header that is no JSON, or not of our form, is damage."""
        assert "is damaged: its header" in refusal(tmp_path / "file", rebuild(header))

    @pytest.mark.parametrize("record", [5, None, "text", [], {"map": {}}, {"enum": "Color", "name": "RED"}])
    def test_the_record_must_be_what_was_asked_for(self, tmp_path: Path, record: Any) -> None:
        """A file of the right kind that holds something else is refused, though that something is well formed."""
        assert "its record is of type" in refusal(tmp_path / "file", a_file(record))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("text", 5),
            ("count", "5"),
            ("count", 5.0),
            ("count", True),
            ("step", "0.1"),
            ("step", None),
            ("yes", 1),
            ("color", 1),
            ("pair", [1, 2, 3]),
            ("pair", [1, "2"]),
            ("pair", "12"),
            ("names", "ab"),
            ("names", ["a", 1]),
            ("parts", [None]),
            ("sizes", {"map": {"x": "y"}}),
            ("sizes", [["x", 1]]),
            ("array", [1.0]),
            ("maybe", 0),
        ],
    )
    def test_a_field_must_have_its_type(self, tmp_path: Path, name: str, value: Any) -> None:
        """A value that is not of the type its field is annotated with is named, before any class sees it."""
        header, payload = header_and_payload(archive.dump("thing", THING))
        header["record"]["fields"][name] = value
        assert f"is damaged: Thing.{name} is of type" in refusal(tmp_path / "file", rebuild(header, payload))

    @pytest.mark.parametrize("change", ["more", "less"])
    def test_the_fields_must_be_those_of_the_class(self, tmp_path: Path, change: str) -> None:
        """A record with a field too many or too few is refused."""
        header, payload = header_and_payload(archive.dump("thing", THING))
        if change == "more":
            header["record"]["fields"]["extra"] = 1
        else:
            del header["record"]["fields"]["text"]
        assert "is damaged" in refusal(tmp_path / "file", rebuild(header, payload))

    @pytest.mark.parametrize("size", [10**12, 10**9, 10**30])
    @pytest.mark.parametrize("extra", [{}, {"bits": 8}, {"bits": 1}, {"bits": 0}, {"zlib": True}, {"bits": 10**12}])
    def test_a_claim_of_size_takes_no_memory(self, tmp_path: Path, size: int, extra: dict[str, Any]) -> None:
        """A small file that claims a huge array is refused before room is made for it."""
        payload = zlib.compress(bytes(10_000))
        entry = {"shape": [size], "dtype": "<i8", "offset": 0, "bytes": len(payload), **extra}
        tracemalloc.start()
        message = refusal(tmp_path / "file", a_words_file(entry, payload))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()
        assert "is damaged" in message

    def test_a_small_file_does_not_swell(self, tmp_path: Path) -> None:
        """Ten megabytes of zeros, compressed to ten kilobytes, are not unpacked for an array that claims none."""
        payload = zlib.compress(bytes(10_000_000), 9)
        tracemalloc.start()
        for shape in ([0], [3]):
            entry = {"shape": shape, "dtype": "<i8", "offset": 0, "bytes": len(payload), "zlib": True}
            assert "is damaged" in refusal(tmp_path / "file", a_words_file(entry, payload))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()

    @pytest.mark.parametrize(
        "entry",
        [
            {"shape": [2], "dtype": "|O"},
            {"shape": [2], "dtype": "<c8"},
            {"shape": [2], "dtype": ["<i8"]},
            {"shape": [-1], "dtype": "|i1"},
            {"shape": ["2"], "dtype": "|i1"},
            {"shape": 2, "dtype": "|i1"},
            {"shape": [3], "dtype": "|i1"},
            {"shape": [2], "dtype": "|i1", "bits": 9},
            {"shape": [2], "dtype": "|i1", "bits": 7.5},
            {"shape": [2], "dtype": "|i1", "bits": -8},
            {"shape": [2], "dtype": "|i1", "bits": "8"},
            {"shape": [2], "dtype": "|i1", "zlib": True},
            {"shape": [2], "dtype": "|i1", "offset": 1},
            {"shape": [2], "dtype": "|i1", "offset": "0"},
            {"dtype": "|i1"},
            "text",
        ],
    )
    def test_an_array_must_be_where_it_says(self, tmp_path: Path, entry: Any) -> None:
        """An entry that does not describe the bytes it points to is refused; the right one is read."""
        right = {"shape": [2], "dtype": "|i1", "offset": 0, "bytes": 2}
        whole = {"offset": 0, "bytes": 2, **entry} if isinstance(entry, dict) else entry
        assert "is damaged" in refusal(tmp_path / "file", a_words_file(whole, b"\5\6"), (Words,))
        (tmp_path / "file").write_bytes(a_words_file(right, b"\5\6"))
        assert archive.load(tmp_path / "file", "thing", (Words,)).words.tolist() == [5, 6]

    def test_a_boolean_is_true_or_false(self, tmp_path: Path) -> None:
        """A byte of a boolean array that is neither 0 nor 1 counts as true, as everywhere in C."""
        entry = {"shape": [3], "dtype": "|b1", "offset": 0, "bytes": 3}
        (tmp_path / "file").write_bytes(a_words_file(entry, b"\0\1\2"))
        words = archive.load(tmp_path / "file", "thing", (Words,)).words
        assert words.view(np.uint8).tolist() == [0, 1, 1]


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


NASTY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.sampled_from([10**6, 10**9, 10**12, 2**63, 2**64, 10**30, -(10**12)]),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from(
        ["input", "conv", "irregular", "2:4", "block-1000000000", "block-1024", "4:1", "ikss", "<f8", "\n"]
    ),
    st.sampled_from([[], {}, [[]], {"array": 0}, {"array": -1}, {"map": {}}, {"class": "Window", "fields": {}}]),
    st.lists(st.integers(-1, 5), max_size=4),
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_mutated_record_is_refused_or_legal(
    tmp_path_factory: pytest.TempPathFactory, file: bytes, data: st.DataObject
) -> None:
    """Whatever a header with a right digest says: an `EspalierError` of one line, or a network that works.

    Nothing else is raised, and no more memory is taken than such a network needs.
    """
    path = tmp_path_factory.getbasetemp() / "mutated"
    header, payload = header_and_payload(file)
    for _ in range(data.draw(st.integers(1, 2))):
        *parents, key = data.draw(st.sampled_from(sorted(places(header), key=repr)))
        tree = header
        for parent in parents:
            tree = tree[parent]
        if data.draw(st.integers(0, 4)):
            tree[key] = copy.deepcopy(data.draw(NASTY))
        else:
            del tree[key]
    path.write_bytes(rebuild(header, payload))
    try:
        network, message = PrunedNetwork.load(path), ""
    except EspalierError as error:
        network, message = None, str(error)
    if network is None:
        assert message.startswith(f"{path}: ")
        assert len(message.splitlines()) == 1
        return
    assert isinstance(network, PrunedNetwork)
    assert 0 <= network.sparsity <= 1
    again = archive.dump("network", network)
    path.write_bytes(again)
    assert archive.dump("network", PrunedNetwork.load(path)) == again
