"""One array for several Programs: what it has, what `rtl` and `verify` say of each, and where images come from."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import complaint, contents, espalier
from support.programs import PIXEL, mac_layer, program, signal

from accel.array import DEPTHS, MacArray
from accel.cost import total_cycles
from accel.demand import Need, array_for, bare, demand_of, joined
from accel.errors import EspalierError
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, MaxPoolLayer
from accel.signal import Requantize
from accel.window import Window
from accel.words import Words
from reports.workflow import hardware
from rtl import simulators

LANES = ("--array", "2x2")


def small(name: str, outputs: int, weight_bits: int, width: int) -> Program:
    """Return a Program for digits, 1 x 8 x 8: a convolution of so many maps, a pool, ten scores of as many bits."""
    rng, signed, largest = np.random.default_rng(outputs), signal(width), (1 << weight_bits - 1) - 1
    words: dict[str, Any] = {"requantize": Requantize([1], weight_bits), "output": signed, "weight_bits": weight_bits}
    first = rng.integers(-largest, largest + 1, (outputs, 1, 9))
    last = rng.integers(-largest, largest + 1, (10, 4 * outputs))
    layers = [
        mac_layer("conv", INPUT, first, PIXEL, window=Window.square(3, 2, 1), **words),
        MaxPoolLayer("pool", ("conv",), Window.square(2, 2)),
        FlattenLayer("flat", ("pool",)),
        mac_layer("scores", "flat", last, signed, weight_bits=weight_bits),
    ]
    return replace(program(layers, (1, 8, 8)), data="digits", name=name, pattern="dense")


NARROW, WIDE = small("narrow", 6, 4, 5), small("wide", 3, 8, 7)  # more words; wider ones


class TestArray:
    def test_the_largest_of_everything(self) -> None:
        """Word lengths are the wider Program's, depths the deeper one's, and each runs on it as `check` demands."""
        both = array_for([NARROW, WIDE], 2, 2)
        on = bare(2, 2, both.weight_bits, both.signal_bits)
        demands = [demand_of(one, on) for one in (NARROW, WIDE)]
        assert both.weight_bits == Words.of(WIDE).weight_bits > Words.of(NARROW).weight_bits
        assert both.accumulator_bits == max(Words.of(one).accumulator_bits for one in (NARROW, WIDE))
        for name, depth in DEPTHS.items():
            needed = max(demand.words[name] for demand in demands)
            assert 0 <= getattr(both, depth) - needed < (both.banks if name == "signals" else 1)
        for demand in demands:
            demand.check(both)

    def test_not_a_word_less(self) -> None:
        """Negative control: an array that is fitted to one of them is too small for the other."""
        both = array_for([NARROW, WIDE], 2, 2)
        on = bare(2, 2, both.weight_bits, both.signal_bits)
        with pytest.raises(EspalierError, match=r"narrow: needs .* words of signals"):
            demand_of(NARROW, on).check(array_for(WIDE, 2, 2))

    def test_one_alone(self) -> None:
        """Of one Program, or of the same twice, it is the array that the Program has alone."""
        assert array_for([WIDE], 2, 2) == array_for([WIDE, WIDE], 2, 2) == array_for(WIDE, 2, 2)

    def test_streams(self) -> None:
        """Two buffers hold the largest group of any of them."""
        both = array_for([NARROW, WIDE], 2, 2, stream=True)
        units = [demand_of(one, bare(2, 2, 8, 8)).unit for one in (NARROW, WIDE)]
        assert both.stream_words == both.whole_rows(max(units))
        with pytest.raises(
            EspalierError, match=r"each of them: needs .* words of weights to stream them, weight_words"
        ):
            array_for([NARROW, WIDE], 2, 2, {"weight_words": 4}, stream=True)

    def test_joined(self) -> None:
        """What is needed is the largest of each number, and what any of them asks for."""
        need = Need.of(Words.of(WIDE), demand_of(WIDE, bare(2, 2, 8)))
        other = replace(need, taps=need.taps + 1, weights=1, ceiling=True)
        assert joined([need, other]) == replace(need, taps=need.taps + 1, ceiling=True)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the files of both Programs."""
    folder = tmp_path_factory.mktemp("several")
    paths = [folder / "narrow.espalier", folder / "wide.espalier"]
    for path, one in zip(paths, (NARROW, WIDE), strict=True):
        one.save(path)
    return paths


def both_cycles() -> list[str]:
    """Return the cycles of both on their array, as they are printed."""
    return [f"{total_cycles(one, array_for([NARROW, WIDE], 2, 2)):,}" for one in (NARROW, WIDE)]


class TestVerify:
    def test_one_line_each(self, saved: list[Path]) -> None:
        """Exit status 0 and a verdict for each, in their order: no bit differs, cycles as predicted; images of each."""
        done = espalier("verify", *saved, *LANES, "--images", 1, "--data", "digits", "--data", "digits")
        assert (done.status, done.err) == (0, "")
        for line, name, cycles in zip(done.out.splitlines(), ("narrow", "wide"), both_cycles(), strict=True):
            assert line.startswith(f"{name}, dense: 1 images, ")
            assert f" 0 differences; {cycles} cycles an image predicted, {cycles} measured without 0 stalls" in line

    def test_another_code(self, saved: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
        """Negative control: exit status 1 if one of them differs; the other's line says that it does not."""
        right = hardware.golden.run

        def wrong(of: Program, *rest: Any) -> dict[str, Any]:
            tensors = right(of, *rest)
            tensors["scores"][0, 7] += of.name == "wide"
            return tensors

        monkeypatch.setattr(hardware.golden, "run", wrong)
        done = espalier("verify", *saved, *LANES, "--images", 1)
        complaint, located, first, second = done.out.splitlines()
        assert done.status == 1
        assert complaint.startswith("FAIL image 0 output 7: ")
        assert located.startswith("wide, image 0: first wrong tensor scores: layer scores, map 7, ")
        assert (" 0 differences" in first, " 1 differences" in second) == (True, True)

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Debian's package iverilog")
    def test_in_verilog(self, saved: list[Path], tmp_path: Path) -> None:
        """One build runs both, one after the other; a word of the second's that is expected to differ is its own."""
        done = espalier("verify", *saved, *LANES, "--images", 1, "--simulator", "iverilog", "--out", tmp_path / "build")
        assert (done.status, done.err) == (0, "")
        lines = done.out.splitlines()
        assert [f"{cycles} measured" in line for cycles, line in zip(both_cycles(), lines, strict=True)] == [True] * 2
        expected = tmp_path / "build" / "expected.hex"
        words = expected.read_text().split()
        words[-1] = f"{int(words[-1], 16) ^ 1:0{len(words[-1])}x}"
        expected.write_text("\n".join(words))
        outcome = simulators.run(tmp_path / "build", "iverilog")
        assert [job.errors for job in outcome.jobs] == [0, 1]
        assert outcome.complaints[0].startswith("FAIL job 1 image 0 row 9")

    def test_images(self, saved: list[Path], tmp_path: Path) -> None:
        """`--data` once is for all, once for each in their order; any other number is one line."""
        line = complaint("verify", *saved, *LANES, *["--data", "digits"] * 3)
        assert line.startswith(
            "--data: is given 3 times for 2 Programs; give it once for all of them, or once for each"
        )
        assert "mnist" in complaint(
            "verify", *saved, *LANES, "--data", "digits", "--data", "mnist", "--data-dir", tmp_path
        )


class TestRtl:
    def test_one_build(self, saved: list[Path], tmp_path: Path) -> None:
        """The build has both jobs, and the memories of the array that is just large enough for each of them."""
        done = espalier("rtl", *saved, *LANES, "--images", 1, "--out", tmp_path / "build")
        both = array_for([NARROW, WIDE], 2, 2)
        first, *lines = done.out.splitlines()
        assert (done.status, done.err) == (0, "")
        assert first == f"{tmp_path / 'build'}: 2x2 array for 2 Programs, {both.built_bits / 8192:.2f} KiB of memories"
        expected = zip(("narrow", "wide"), both_cycles(), strict=True)
        assert lines == [f"  {name}, dense; {cycles} cycles an image" for name, cycles in expected]
        manifest = json.loads(contents(tmp_path / "build")["manifest.json"] or b"")
        assert [job["program"] for job in manifest["jobs"]] == ["narrow", "wide"]
        assert MacArray(**manifest["array"]) == both
