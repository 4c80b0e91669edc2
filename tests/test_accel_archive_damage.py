"""Files that were cut, changed or made up: each is refused in one line."""

import copy
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.archives import THING, Words, header_and_payload, rebuild, refusal

from accel import archive
from accel.errors import EspalierError
from accel.layers import Add, AvgPool, BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, MaxPool, ReLU
from accel.network import Network
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask
from accel.window import Window


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
        line = refusal(tmp_path / "file", file, kind="program")
        assert line.startswith("holds a network, expected a program; `espalier quantize ")

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
        line = refusal(tmp_path / "file", rebuild(header))
        assert "is damaged: its header" in line or "is nested too deeply" in line

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


@pytest.mark.slow
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
