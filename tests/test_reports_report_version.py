"""One version at every width: what a report says of each Program is what that Program alone takes."""

import numpy as np
import pytest

from accel.cost import estimate
from accel.demand import array_for
from accel.interchange.data.datasets import load
from accel.layers import Activation, Conv2d, Flatten, Layer, Linear
from accel.network import INPUT, Network
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Widths, in_order, lane_orders
from accel.window import Window
from reports.report.designing import Hardware
from reports.report.version import Splits, measured
from reports.workflow.lowering import lowered

BITS = 3, 6


def network(*between: Layer) -> PrunedNetwork:
    """Return 4C3-10 for the digits, with layers between that read `conv`, one after the other."""
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.3, (4, 1, 3, 3)).astype(np.float32)
    conv = Conv2d("conv", (INPUT,), weight=weight, bias=np.zeros(4, np.float32), window=Window.square(3, 2))
    last = between[-1].name if between else "conv"
    matrix = rng.normal(0, 0.3, (10, 36)).astype(np.float32)
    scores = Linear("scores", ("flat",), weight=matrix, bias=np.zeros(10, np.float32))
    return PrunedNetwork(Network("made", (1, 8, 8), (conv, *between, Flatten("flat", (last,)), scores)))


@pytest.mark.parametrize("between", [(), (Activation("act", ("conv",), function="sigmoid"),)], ids=["plain", "table"])
def test_a_design_is_its_programs_own(between: tuple[Layer, ...]) -> None:
    """Blocks and cycles are those of the Program costed alone, at every width; a table grows with its signal."""
    pruned, images = network(*between), load("digits", "train").take(40)
    found = measured(pruned.to_bytes(), BITS, Splits(images, images, images), hardware := Hardware(4, 4))
    calibration, orders = Calibration(pruned, images.pixels()), None
    designs = {x.key[1:]: x for x in found.designs if x.weights == "resident"}
    for signal_bits in BITS:
        for weight_bits in BITS:
            program = lowered(calibration, Widths(weight_bits, signal_bits))
            orders = orders or lane_orders(program, 4, split=True)
            own = in_order(program, orders)
            alone = estimate(own, array_for(own, 4, 4), hardware.technology, dram_bytes_per_s=1e9)
            design = designs[weight_bits, signal_bits]
            assert (design.memory_bits, design.cycles) == (alone.memory_bits, alone.cycles)
            assert [x.words for x in design.memories] == [x.words for x in alone.memories]
    words = [sum(x.words for x in designs[6, bits].memories if x.name == "tables") for bits in BITS]
    assert (words[0] < words[1]) == bool(between)
