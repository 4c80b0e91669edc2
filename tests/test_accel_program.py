"""The Program: its input, what it proves about accumulators, what it holds, and its file."""

import json
import struct
from dataclasses import fields, is_dataclass, replace
from enum import IntEnum
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.programs import PIXEL, every_kind, index_of, mac_layer, programs, signal
from support.small_programs import CONV, FLAT, POOL, SIGNED, small, sparse_scores

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.layers import Flatten, Linear
from accel.network import INPUT, Network
from accel.program import Program
from accel.program_layers import FlattenLayer, MacLayer
from accel.pruned import PrunedNetwork
from accel.signal import Requantize, Signal, integer_format, proven_accumulator_bits, signed_bits, sum_bits

few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def content(thing: Any) -> Any:
    """Return all that a Program says, as plain values that compare: types, names, and arrays with their dtypes."""
    if isinstance(thing, np.ndarray):
        return str(thing.dtype), thing.shape, thing.tolist()
    if isinstance(thing, IntEnum):
        return type(thing).__name__, thing.name
    if is_dataclass(thing):
        return type(thing).__name__, [(field.name, content(getattr(thing, field.name))) for field in fields(thing)]
    if isinstance(thing, tuple):
        return [content(item) for item in thing]
    return type(thing).__name__, thing


def header(path: Path) -> dict[str, Any]:
    """Return the header of a file, from its layout: magic, version, the header's length, the header."""
    data = path.read_bytes()
    (length,) = struct.unpack("<I", data[10:14])
    return json.loads(data[14 : 14 + length])


class TestInput:
    def test_codes_are_checked(self) -> None:
        """The input's range ends at its lowest and highest code, and its shape is the Program's."""
        of = small(FLAT, reads=signal(4))
        ends = np.array([-8, 7, 0] * 3).reshape(1, 1, 3, 3)
        assert of.check_codes(ends.astype(np.int8)).dtype == np.int64
        assert np.array_equal(of.check_codes(ends.tolist()), ends)
        for batch, problem in (
            (np.full((1, 1, 3, 3), 8), r"code 8 is outside ap_fixed<4,4>: -8..7"),
            (np.full((1, 1, 3, 3), -9), r"code -9 is outside ap_fixed<4,4>: -8..7"),
            (ends[0], r"test: expects images of shape \(1, 3, 3\), got \(3, 3\)"),
            (ends[:, :, :, :2], r"test: expects images of shape \(1, 3, 3\), got \(1, 3, 2\)"),
            (ends * 0.5, "expected integers, got an array of float64"),
        ):
            with pytest.raises(EspalierError, match=problem):
                of.check_codes(batch)

    def test_a_signal_encodes_and_decodes(self) -> None:
        """A real value is code * step: rounding and overflow are the format's, and decoding is exact."""
        pixel = Signal(integer_format(8, signed=False), 0.25)
        # 1.1 / 0.25 = 4.4 -> 4; 1.125 / 0.25 = 4.5 -> 5; 100 / 0.25 = 400 -> 255; -1 -> 0
        assert pixel.encode([[1.1, 1.125], [100, -1]]).tolist() == [[4, 5], [255, 0]]
        assert pixel.decode([[4, 5], [255, 0]]).tolist() == [[1.0, 1.25], [63.75, 0.0]]
        assert pixel.encode(pixel.decode(np.arange(256))).tolist() == list(range(256))
        assert pixel.bits == 8

    def test_modes_of_a_signal(self) -> None:
        """A signal of another rounding and overflow encodes by them: 2.5 -> 2 towards zero, 9 wraps to -7."""
        form = FixedFormat(4, 4, True, Rounding.RND_ZERO, Overflow.WRAP)
        assert Signal(form, 2.0).encode([5.0, -5.0, 18.0]).tolist() == [2, -2, -7]


class TestAccumulators:
    @pytest.mark.parametrize(("value", "bits"), [(0, 1), (-1, 1), (1, 2), (-2, 2), (7, 4), (8, 5), (-8, 4), (-9, 5)])
    def test_signed_bits(self, value: int, bits: int) -> None:
        """Two's complement: n bits hold -2**(n-1) .. 2**(n-1)-1."""
        assert signed_bits(value) == bits
        assert signed_bits(np.int64(value)) == bits

    @given(st.integers(-(2**80), 2**80))
    def test_signed_bits_are_the_fewest(self, value: int) -> None:
        """They hold the value, and one bit fewer does not."""
        bits = signed_bits(value)
        assert -(1 << (bits - 1)) <= value < 1 << (bits - 1)
        assert bits == 1 or not -(1 << (bits - 2)) <= value < 1 << (bits - 2)

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_proven_bits_are_the_fewest_over_all_inputs(self, data: st.DataObject) -> None:
        """By brute force: every partial sum of every input fits, and one bit fewer would not hold some whole sum."""
        columns = data.draw(st.integers(1, 3))
        rows = st.lists(st.integers(-9, 9), min_size=columns, max_size=columns)
        matrix = np.array(data.draw(st.lists(rows, min_size=1, max_size=2)))
        bias = np.array([data.draw(st.integers(-40, 40)) for _ in matrix])
        form = integer_format(data.draw(st.integers(1, 3)), data.draw(st.booleans()))
        bits = proven_accumulator_bits(matrix, bias, form)
        inputs = np.array(list(product(range(form.min_code, form.max_code + 1), repeat=columns)))
        partial = bias[:, None, None] + np.cumsum(inputs[None] * matrix[:, None, :], axis=2)
        reached = {int(partial.min()), int(partial.max()), int(bias.min()), int(bias.max())}
        assert max(map(signed_bits, reached)) <= bits
        whole = partial[:, :, -1]
        assert max(signed_bits(whole.min()), signed_bits(whole.max())) == bits

    @few
    @given(programs())
    def test_the_fewest_bits_are_accepted_and_one_fewer_refused(self, of: Program) -> None:
        """In any Program, the accumulator of each layer may have its proven bits and no fewer."""
        for layer in of.mac_layers:
            form = of.signals[layer.inputs[0]].format
            bits = proven_accumulator_bits(layer.matrix, layer.bias, form)
            handed_out = {"output": signal(bits)} if layer.requantize is None else {}
            assert replace(layer, accumulator_bits=bits, **handed_out).output_signal(of.signals[layer.inputs[0]])
            narrow = replace(layer, accumulator_bits=bits - 1)
            with pytest.raises(EspalierError, match=f"accumulator_bits must be at least {bits}, got {bits - 1}"):
                narrow.output_signal(of.signals[layer.inputs[0]])

    def test_wide_signals_do_not_wrap(self) -> None:
        """Bits are proven in integers of any size: 4 x 2**15 x (2**60 - 1) is more than int64 holds."""
        assert proven_accumulator_bits(np.array([[2**15] * 4]), np.array([0]), FixedFormat(60, 60, False)) == 78

    @pytest.mark.parametrize(
        ("weights", "forms", "bits"),
        [
            ([4], [(8, False)], 11),  # 4 x 255 = 1020
            ([4], [(8, True)], 10),  # 4 x -128 = -512
            ([3], [(1, True)], 3),  # codes -1 and 0: -3
            ([2, 3], [(8, True), (4, False)], 10),  # 2 x 127 + 3 x 15 = 299
            ([1, 1], [(1, False), (1, False)], 3),  # 2
        ],
    )
    def test_sum_bits(self, weights: list[int], forms: list[tuple[int, bool]], bits: int) -> None:
        """The fewest bits that hold the largest and the smallest weighted sum."""
        assert sum_bits(weights, [integer_format(*form) for form in forms]) == bits


class TestReading:
    def test_what_a_layer_holds(self) -> None:
        """Mask, nest and matrix follow from index and stored words; nothing else is stored."""
        layer = sparse_scores()
        assert layer.kept[:, :, 0].tolist() == [[True, False, True, True], [True, True, False, True]]
        assert layer.matrix.tolist() == [[1, 0, 1, 1], [1, 1, 0, 1]]
        assert layer.index_bits == 2 * 4 + 6 * 2  # two ends of 0..8, six columns of 0..3

    def test_the_filling_of_edge_blocks_is_stored_and_charged(self) -> None:
        """A 2 x 4 matrix has two blocks of 3 x 3: 18 words of 8 bits are stored, 8 of them are multiplied."""
        layer = mac_layer("scores", "flat", np.ones((2, 4)), PIXEL, pattern="block-3", encoding="bsr")
        counts = cost_of(small(FLAT, layer, shape=(1, 2, 2))).total
        assert (counts.weight_memory_bits, layer.weights.size) == (18 * 8, 18)
        assert (counts.weights, counts.macs) == (8, 8)

    def test_what_a_program_holds(self) -> None:
        """Shapes and signals of every tensor by name, the output's name, and the layers with weights."""
        of = small(CONV, POOL, FlattenLayer("flat", ("avg",)), mac_layer("scores", "flat", [[1, 1]], SIGNED))
        assert of.shapes == {INPUT: (1, 3, 3), "conv": (2, 2, 2), "avg": (2, 1, 1), "flat": (2,), "scores": (1,)}
        assert [of.signals[name].bits for name in of.shapes] == [8, 8, 8, 8, 9]
        assert of.output == "scores"
        assert [layer.name for layer in of.mac_layers] == ["conv", "scores"]

    @pytest.mark.parametrize(
        ("multipliers", "bits"),
        [([1], 7), ([1, 1, 1], 9), ([2], 8), ([3, 1], 10), ([65535], 22), ([65535, 1, 1], 54)],
    )
    def test_bits_of_requantization(self, multipliers: list[int], bits: int) -> None:
        """A shift of 0..60 takes 6 bits; each multiplier takes the bits of the largest."""
        assert Requantize(multipliers, 0).bits == bits


class TestFile:
    @few
    @given(programs())
    def test_load_gives_back_what_was_saved(self, tmp_path_factory: pytest.TempPathFactory, of: Program) -> None:
        """Every field of every layer, to the dtype of each array; the file of the copy is the same, byte by byte."""
        first, second = (tmp_path_factory.getbasetemp() / name for name in ("first", "second"))
        of.save(first)
        loaded = Program.load(first)
        assert content(loaded) == content(of)
        loaded.save(second)
        assert second.read_bytes() == first.read_bytes()

    def test_two_programs_are_told_apart(self, tmp_path: Path) -> None:
        """The comparison of the round trip sees one weight, one index word and one name."""
        of = every_kind(np.random.default_rng(0))
        conv = of.layers[0]
        weights = np.where(np.arange(conv.weights.size) == 3, conv.weights ^ 1, conv.weights)
        moved = conv.kept.copy()
        place = np.flatnonzero(~moved.ravel())[0]
        moved.ravel()[[place, np.flatnonzero(moved.ravel())[-1]]] = True, False
        for changes in ({"weights": weights}, {"index": index_of("irregular", "csr", moved)}, {"dense_macs": 1}):
            assert content(replace(of, layers=(replace(conv, **changes), *of.layers[1:]))) != content(of)

    def test_cut_anywhere(self, tmp_path: Path) -> None:
        """A file that ends early, at any byte, is refused in one line that begins with its path."""
        path, data = tmp_path / "cut.espalier", self.bytes_of_a_small_program(tmp_path)
        for length in range(len(data)):
            path.write_bytes(data[:length])
            self.assert_refused(path)

    def test_changed_anywhere(self, tmp_path: Path) -> None:
        """A file of which any one byte is another is refused in one line that begins with its path."""
        path, data = tmp_path / "changed.espalier", self.bytes_of_a_small_program(tmp_path)
        for position in range(len(data)):
            path.write_bytes(data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :])
            self.assert_refused(path)

    def bytes_of_a_small_program(self, folder: Path) -> bytes:
        """Return the file of a Program with an index, which loads."""
        path = folder / "whole.espalier"
        small(FLAT, sparse_scores(), shape=(1, 2, 2)).save(path)
        assert Program.load(path).output == "scores"
        return path.read_bytes()

    def assert_refused(self, path: Path) -> None:
        """Raise AssertionError unless the file at `path` is refused in one line."""
        with pytest.raises(EspalierError) as caught:
            Program.load(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value).splitlines()) == 1

    def test_a_network_is_no_program(self, tmp_path: Path) -> None:
        """A file of another kind says what it holds."""
        layers = Flatten("flat", (INPUT,)), Linear("fc", ("flat",), weight=np.ones((2, 4)), bias=np.zeros(2))
        PrunedNetwork(Network("net", (1, 2, 2), layers)).save(tmp_path / "net.espalier")
        with pytest.raises(EspalierError, match=r"net.espalier: holds a network, expected a program"):
            Program.load(tmp_path / "net.espalier")

    def test_a_file_that_no_reader_could_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file whose digest is right and whose accumulator is too narrow is refused like the Program itself."""
        with monkeypatch.context() as patched:
            patched.setattr(Program, "__post_init__", lambda self: None)
            small(replace(CONV, accumulator_bits=10)).save(tmp_path / "narrow.espalier")
        with pytest.raises(EspalierError, match=r"narrow.espalier: conv: accumulator_bits must be at least 11, got 10"):
            Program.load(tmp_path / "narrow.espalier")

    @few
    @given(programs() | programs(case=("block-3", "bsr")))
    def test_the_file_holds_the_bits_that_are_charged(
        self, tmp_path_factory: pytest.TempPathFactory, of: Program
    ) -> None:
        """Weights, index words, biases and multipliers take exactly the bits in the file that the cost model counts."""
        path = tmp_path_factory.getbasetemp() / "bits"
        of.save(path)
        head = header(path)

        def bits(place: dict[str, int]) -> int:
            entry = head["arrays"][place["array"]]
            stored = entry["shape"][0] * entry["bits"]
            assert entry["bytes"] == (stored + 7) // 8
            return stored

        saved = {layer["fields"]["name"]: layer["fields"] for layer in head["record"]["fields"]["layers"]}
        for layer, cost in zip(of.layers, cost_of(of).layers, strict=True):
            if isinstance(layer, MacLayer):
                fields_ = saved[layer.name]
                index = [bits(words_["fields"]["words"]) for words_ in fields_["index"]]
                assert bits(fields_["weights"]) == cost.counts.weight_memory_bits
                assert sum(index) == cost.counts.index_memory_bits
                assert bits(fields_["bias"]) == cost.counts.bias_memory_bits
                if layer.requantize:
                    multipliers = bits(fields_["requantize"]["fields"]["multipliers"])
                    assert multipliers + 6 == cost.counts.requantize_memory_bits  # and a shift of 0..60
