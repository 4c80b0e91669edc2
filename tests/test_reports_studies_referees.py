"""SCALE-Sim and ZigZag on a handful of layers: cycles, reads, writes and ideal cycles equal to ours, all of them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

REASON = "the referees are SCALE-Sim and ZigZag (extra referees)"
pytest.importorskip("scalesim", reason=REASON)
pytest.importorskip("zigzag", reason=REASON)

from support.networks import Sketch  # noqa: E402
from support.programs import PIXEL, mac_layer, program  # noqa: E402

from accel.cost.shapes import LayerShape  # noqa: E402
from accel.cost.systolic import DATAFLOWS, DENSE, Dataflow, Gemm, Kept, SystolicArray  # noqa: E402
from accel.pruned import PrunedNetwork  # noqa: E402
from accel.quantize import Widths, lower_shapes  # noqa: E402
from accel.window import Window  # noqa: E402
from reports.studies.referees import __main__ as command  # noqa: E402
from reports.studies.referees.__main__ import page  # noqa: E402
from reports.studies.referees.compared import Product, Traffic, ideals, program_of, traffic  # noqa: E402
from reports.studies.referees.scale_sim import simulated  # noqa: E402


def lenet5() -> list[Gemm]:
    """Return the layers of lenet5 as products, the largest left out."""
    made = program_of("lenet5")
    found = [Gemm.of(LayerShape.of(made, layer)) for layer in made.mac_layers]
    return [gemm for gemm in found if gemm.n * gemm.k < 50_000]


def product(array: SystolicArray, gemm: Gemm, kept: Kept) -> Product:
    """Return what both say of a product."""
    ours = array.cycles(gemm, kept), array.accesses(gemm, kept)
    return Product("made", gemm, 1, array.stationary, kept, ours, simulated(array, gemm, kept))


class TestScaleSim:
    @pytest.mark.parametrize("flow", DATAFLOWS)
    def test_layers(self, flow: Dataflow) -> None:
        """Layers of lenet5 on 16 x 16, and a product that fits no fold of 8 x 6: cycles, reads and writes.

        Negative control: an array of another width is none of them.
        """
        cases = [(SystolicArray(16, 16, flow), gemm) for gemm in lenet5()]
        assert len(cases) >= 2
        for array, gemm in [*cases, (SystolicArray(8, 6, flow), Gemm(40, 30, 50))]:
            found = product(array, gemm, DENSE)
            assert found.equal, found
            other = SystolicArray(array.rows, array.columns - 1, flow)
            assert not replace(found, ours=(other.cycles(gemm), other.accesses(gemm))).equal

    @pytest.mark.parametrize("kept", [Kept(1, 4), Kept(2, 4), Kept(3, 4), Kept(2, 8)])
    @pytest.mark.parametrize("k", [64, 50, 10])
    def test_kept(self, kept: Kept, k: int) -> None:
        """With n of m weights K becomes K n / m, in whole blocks and in a last one of fewer."""
        array, gemm = SystolicArray(8, 6), Gemm(40, 30, k)
        found = product(array, gemm, kept)
        assert found.equal, found
        assert not replace(found, ours=(array.cycles(gemm), array.accesses(gemm))).equal  # negative control: dense


class TestZigZag:
    def test_ideal_cycles(self) -> None:
        """A convolution of 20 maps of 3, 5 x 5 at stride 2, on 16 x 8: our steps are its cycles, 2 x 75 x 2 x 12.

        Negative control: on 8 x 8 lanes they are not.
        """
        weights, window = [[[1] * 25] * 3] * 20, Window.square(5, stride=2)
        made = program([mac_layer("conv", "input", weights, PIXEL, window=window)], (3, 27, 27))
        assert list(ideals(made, (16, 8))) == [("conv", 2 * 75 * 2 * 12, 2 * 75 * 2 * 12)]
        assert list(ideals(made, (8, 8))) != [("conv", 2 * 75 * 2 * 12, 2 * 75 * 2 * 12)]

    @pytest.mark.parametrize("depthwise", [False, True])
    def test_traffic(self, depthwise: bool) -> None:
        """A convolution in three memories: our bytes, constants among them, are ZigZag's within a tenth.

        In the largest each operand moves once, in the smallest more. Negative control: without its input maps traffic
        would be another one.
        """
        sketch = Sketch(8, 18, 18)
        conv = sketch.depthwise("conv", padding=0) if depthwise else sketch.conv("conv", 32)
        sketch.global_pool("pool")
        sketch.flatten()
        sketch.linear("fc", 2)
        made = lower_shapes(PrunedNetwork(sketch.network()), Widths(8, 8))
        maps, taps = 8 * 18 * 18, sketch.network().weighted[0].weight.size
        found = list(traffic(made, "made", [kib << 13 for kib in (3, 6, 32)]))
        assert all(0.9 < x.ours / x.theirs < 1.1 for x in found), found
        outputs = made.shapes[conv][0]
        whole = maps + taps + outputs * 16 * 16 + (2 * outputs + outputs + 2)
        assert found[-1].theirs == whole
        assert (found[0].theirs > whole) == (not depthwise)  # which needs no more than a map
        assert not 0.9 < (whole - maps) / found[-1].theirs < 1.1


def test_what_is_committed() -> None:
    """DRAM traffic is that of ZigZag within a tenth, and in the smallest memory no more than that."""
    text = (Path(command.__file__).parent / "README.md").read_text()
    row = r"^\| (resnet18|mobilenet-v2) \| (256|128|64) \| [\d.]+ \| [\d.]+ \| ([\d.]+) \|$"
    found = re.findall(row, text, re.MULTILINE)
    assert [network for network, *_ in found] == ["resnet18"] * 3 + ["mobilenet-v2"] * 3
    assert all(float(ratio) < 1.1 for *_, ratio in found)
    assert all(float(ratio) > 0.9 for _, kib, ratio in found if kib != "64")


def test_the_page() -> None:
    """A row for each network, dataflow and sparsity, with what is equal; one that is not shows."""
    array, gemm = SystolicArray(8, 6), Gemm(5, 7, 9)
    found = product(array, gemm, DENSE)
    wrong = replace(found, theirs=(1, found.theirs[1]))
    text = page(
        [found, wrong, replace(found, kept=Kept(2, 4))],
        [("net", [("a", 2, 2), ("b", 3, 4)])],
        [Traffic("net", 8192, 3_300_000, 3_000_000)],
    )
    assert "**2 of 3 products are equal.**" in text
    assert f"| made | weight | dense | 2 | 1 | {2 * found.ours[0]} | {found.ours[0] + 1} |" in text
    assert f"| made | weight | 2:4 | 1 | 1 | {found.ours[0]} | {found.ours[0]} |" in text
    assert "| net | 2 | 1 | 5 | 6 |" in text
    assert "| net | 1 | 3.30 | 3.00 | 1.100 |" in text
