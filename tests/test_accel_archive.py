import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import THING, Color, Thing, Words, header_and_payload, reload

from accel import archive
from accel.errors import EspalierError


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
                other = again.copy()
                other.flat[0] = not other.flat[0]
                assert not np.array_equal(other, array)

    def test_repetitive_arrays_are_compressed(self) -> None:
        """A mask of a million equal bytes does not make a file of a megabyte."""
        assert len(archive.dump("thing", Thing(**{**vars(THING), "array": np.ones(1_000_000, bool)}))) < 10_000

    def test_large_arrays_are_compressed_where_it_pays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Random floats lie as they are, four bytes each, and zeros are compressed."""
        monkeypatch.setattr(archive, "LARGE", 4096)
        for weights, compressed in ((np.random.default_rng(0).random((64, 64)), False), (np.zeros((64, 64)), True)):
            arrays, array = archive._Arrays(), weights.astype(np.float32)
            arrays.add(array, None)
            assert ("zlib" in arrays.entries[0]) == compressed
            assert (arrays.bytes == array.nbytes) != compressed

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

    def test_kind_of_reads_the_beginning_alone(self, tmp_path: Path) -> None:
        """Of a file that was cut behind its header it is known, and `load` refuses it; one cut before is refused."""
        whole = archive.dump("thing", THING)
        path = tmp_path / "a"
        path.write_bytes(whole[:-1])
        assert archive.kind_of(path) == "thing"
        with pytest.raises(EspalierError, match="was cut or changed"):
            archive.load(path, "thing", (Thing,))
        for length, message in (
            (9, "was cut or changed after it was written: it ends after 9 bytes"),
            (40, "its SHA-256"),
        ):
            path.write_bytes(whole[:length])
            with pytest.raises(EspalierError, match=message):
                archive.kind_of(path)
