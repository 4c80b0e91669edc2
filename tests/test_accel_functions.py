"""Functions of one signal, as tables of codes: every code of every width, against double precision."""

import math
from pathlib import Path

import numpy as np
import pytest
from support.programs import program, signal

from accel.cost import cost_of
from accel.errors import EspalierError
from accel.layers import Activation, Conv2d
from accel.network import INPUT, Network
from accel.program import Program
from accel.program_layers import TableLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.signal import Signal, integer_format
from accel.window import Window
from sim import golden
from sim.engine import compile_program

SLOPE, MIDDLE = 1 / 6, 0.5


def probability(x: float) -> float:
    """Return how likely a normal variable is below `x`."""
    return (1 + math.erf(x / math.sqrt(2))) / 2


# by hand, in Python's own double precision
EXPECTED = {
    ("sigmoid", (), False): lambda x: 1 / (1 + math.exp(-x)),
    ("sigmoid", (), True): lambda x: x / (1 + math.exp(-x)),  # SiLU
    ("tanh", (), False): math.tanh,
    ("hard_sigmoid", (0.2, 0.5), False): lambda x: min(1, max(0, 0.2 * x + 0.5)),
    ("hard_sigmoid", (SLOPE, MIDDLE), True): lambda x: x * min(6, max(0, x + 3)) / 6,  # HardSwish
    ("leaky_relu", (0.01,), False): lambda x: x if x > 0 else 0.01 * x,
    ("leaky_relu", (-0.5,), False): lambda x: x if x > 0 else -0.5 * x,  # PRelu learns any slope
    ("elu", (0.7,), False): lambda x: x if x > 0 else 0.7 * (math.exp(x) - 1),
    ("softplus", (), False): lambda x: math.log(1 + math.exp(x)),
    ("normal_probability", (), True): lambda x: x * probability(x),  # GELU
    ("nearly_normal_probability", (), True): lambda x: (
        x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    ),
}


def lowered(function: str, parameters: tuple[float, ...], times_input: bool, bits: int) -> Program:
    """Return the Program of a convolution and a function, in words of `bits`."""
    conv = Conv2d("conv", (INPUT,), weight=np.full((1, 1, 1, 1), 4.0), bias=np.zeros(1), window=Window((1, 1)))
    layer = Activation("function", ("conv",), function, parameters, times_input)
    network = Network("net", (1, 4, 8), (conv, layer))
    images = np.linspace(-1, 1, 32, dtype=np.float32).reshape(1, 1, 4, 8)
    return lower(PrunedNetwork(network), Widths(8, bits), images)


class TestTables:
    @pytest.mark.parametrize("bits", range(2, 9))
    @pytest.mark.parametrize("case", EXPECTED, ids=lambda case: f"{case[0]}{'-x' * case[2]}{case[1] or ''}")
    def test_every_code(self, case: tuple[str, tuple[float, ...], bool], bits: int) -> None:
        """For every code of 2 to 8 bits the table has the nearest code of the function, to even in the middle."""
        made = lowered(*case, bits)
        table = made.layers[-1]
        assert isinstance(table, TableLayer)
        read, form = made.signals["conv"], table.output.format
        codes = range(read.format.min_code, read.format.max_code + 1)
        assert (len(table.table), table.lowest) == (len(codes), codes[0])
        for code, found in zip(codes, table.table.tolist(), strict=True):
            quotient = EXPECTED[case](code * read.step) / table.output.step
            nearest = min(max(quotient, form.min_code), form.max_code)
            assert abs(found - nearest) <= 0.5 + 1e-9

    @pytest.mark.parametrize("bits", range(2, 9))
    def test_golden_and_engine(self, bits: int) -> None:
        """Both look every code up, with a sign or without; with one entry changed golden gives another code there."""
        for signed in (True, False):
            reads = Signal(integer_format(bits, signed), 0.1)
            codes = np.arange(reads.format.min_code, reads.format.max_code + 1)
            entries = np.random.default_rng(bits).integers(-64, 64, len(codes))
            table = TableLayer("table", (INPUT,), entries, int(codes[0]), signal(8))
            made, image = program((table,), (1, 1, len(codes)), reads), codes.reshape(1, 1, 1, -1)
            expected = golden.run(made, image)["table"]
            np.testing.assert_array_equal(expected.ravel(), entries)
            found = compile_program(made).run(image, threads=1, keep_tensors=True).tensors["table"]
            np.testing.assert_array_equal(found, expected)
            wrong = entries.copy()
            wrong[1] += 1
            other = TableLayer("table", (INPUT,), wrong, int(codes[0]), signal(8))
            assert (golden.run(program((other,), (1, 1, len(codes)), reads), image)["table"] != expected).sum() == 1

    def test_its_bits(self) -> None:
        """A table costs a word of its output for each code of its input."""
        made = lowered("tanh", (), False, 5)
        assert cost_of(made).layers[-1].counts.requantize_memory_bits == 2**5 * 5

    def test_a_file_keeps_it(self, tmp_path: Path) -> None:
        """A Program with a table comes back from its file."""
        made = lowered("sigmoid", (), True, 4)
        made.save(tmp_path / "made")
        again = Program.load(tmp_path / "made")
        assert isinstance(again.layers[-1], TableLayer)
        np.testing.assert_array_equal(again.layers[-1].table, made.layers[-1].table)  # type: ignore[attr-defined]


class TestRefusals:
    def test_a_wide_signal(self) -> None:
        """A table of more than 8 bits is none."""
        with pytest.raises(EspalierError, match="function: a table of tanh reads at most 8 bits, got 9"):
            lowered("tanh", (), False, 9)

    @pytest.mark.parametrize(
        ("entries", "lowest", "words"),
        [
            (np.zeros(255), -128, "a table has 2..256 codes, a power of two"),
            (np.full(256, 128), -128, "a code of the table does not fit"),
            (np.zeros(256), 0, "256 codes from 0 on are no table of the codes of"),
            (np.zeros(128), -64, "128 codes from -64 on are no table of the codes of"),
        ],
    )
    def test_of_other_codes(self, entries: np.ndarray, lowest: int, words: str) -> None:
        """It has an entry for each code that it reads, and only codes of its output."""
        with pytest.raises(EspalierError, match=words):
            program((TableLayer("table", (INPUT,), entries, lowest, signal(8)),), (1, 1, 4), signal(8))

    @pytest.mark.parametrize(
        ("name", "parameters", "words"),
        [
            ("sine", (), "x: there is no function 'sine', those are sigmoid, tanh"),
            ("elu", (), "x: elu takes 1 finite numbers, got ()"),
            ("elu", (math.inf,), "x: elu takes 1 finite numbers, got (inf,)"),
        ],
    )
    def test_of_no_function(self, name: str, parameters: tuple[float, ...], words: str) -> None:
        """A function has a name that is known, and its own number of parameters."""
        with pytest.raises(EspalierError) as caught:
            Activation("x", (INPUT,), name, parameters)
        assert words in str(caught.value)
