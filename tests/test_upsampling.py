"""Larger maps: a float layer that a Program has as pools of rows of one pixel, of maps of one row, with padding."""

from typing import Any

import numpy as np
import pytest
from support.rtl_programs import check, difference

from accel.array import MacArray
from accel.demand import array_for
from accel.errors import EspalierError
from accel.layers import Conv2d, Upsample
from accel.network import INPUT, Network
from accel.program import Program
from accel.program_layers import AvgPoolLayer, FlattenLayer, MaxPoolLayer
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.window import Window
from sim import golden
from sim.engine import compile_program

Array = np.ndarray[Any, np.dtype[Any]]
SHAPE = (2, 2, 3)
FACTORS = ((2, 2), (1, 3), (3, 1), (2, 3))
SAME = Window.square(3, 1, 1)
WAYS = pytest.mark.parametrize(("factor", "repeats"), [(x, way) for x in FACTORS for way in (False, True)])


def network(factor: tuple[int, int], repeats: bool, last: bool = False) -> Network:
    """Return a convolution whose maps become larger, and unless that comes `last` a convolution of those."""
    rng = np.random.default_rng(3)

    def conv(name: str, source: str, outputs: int, maps: int) -> Conv2d:
        weight, bias = rng.normal(0, 1, (outputs, maps, 3, 3)), rng.normal(0, 0.1, outputs)
        return Conv2d(name, (source,), weight=weight, bias=bias, window=SAME)

    layers = [conv("first", INPUT, 2, 2), Upsample("large", ("first",), factor, repeats)]
    return Network("larger", SHAPE, (*layers, *([] if last else [conv("second", "large", 3, 2)])))


def images(count: int = 2) -> Array:
    """Return images of signed numbers."""
    return np.random.default_rng(4).normal(0, 1, (count, *SHAPE)).astype(np.float32)


def made(factor: tuple[int, int], repeats: bool, last: bool = False) -> tuple[Program, Array]:
    """Return a network's Program of 5 bits, and codes of images."""
    pruned = PrunedNetwork(network(factor, repeats, last))
    program = lower(pruned, Widths(5, 5), images(8))
    return program, program.input_signal.encode(images())


def larger(maps: Array, factor: tuple[int, int], repeats: bool) -> Array:
    """Return every pixel as a cell of `factor` pixels: of it alone, or of it and zeros."""
    cell = np.ones(factor, maps.dtype)
    if not repeats:
        cell = np.zeros(factor, maps.dtype)
        cell[0, 0] = 1
    return np.kron(maps, cell)


@WAYS
def test_the_float_layer_is_a_product_of_cells(factor: tuple[int, int], repeats: bool) -> None:
    """Each pixel becomes a cell of pixels."""
    maps = images()
    layer = Upsample("x", (INPUT,), factor, repeats)
    assert np.array_equal(layer.forward(maps), larger(maps, factor, repeats))
    assert layer.output_shape(SHAPE) == (2, 2 * factor[0], 3 * factor[1])


@WAYS
def test_codes_do_not_change(factor: tuple[int, int], repeats: bool) -> None:
    """Golden and engine give the very codes that were there, and mean the same by them."""
    program, codes = made(factor, repeats)
    tensors = golden.run(program, codes)
    assert np.array_equal(tensors["large"], larger(tensors["first"], factor, repeats))
    assert program.signals["large"] == program.signals["first"]
    found = compile_program(program).run(codes, keep_tensors=True).tensors
    assert [name for name in tensors if not np.array_equal(found[name], tensors[name])] == []


@pytest.mark.parametrize("repeats", [False, True])
def test_it_is_made_of_pools(repeats: bool) -> None:
    """Two pools give it, and three views of maps, which take no words; a factor of one takes none."""
    program, _ = made((2, 3), repeats)
    kind = MaxPoolLayer if repeats else AvgPoolLayer
    assert [type(x) for x in program.layers[1:-1]] == [FlattenLayer, kind, FlattenLayer, kind, FlattenLayer]
    assert [type(x) for x in made((1, 2), repeats)[0].layers[1:-1]] == [FlattenLayer, kind, FlattenLayer]
    assert program.roots["large"] == "large.high"


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [False, True])
def test_the_array_gives_the_codes(repeats: bool) -> None:
    """Bits and cycles of the hardware are golden's and the cost model's, where repeated pixels leave it too.

    Negative control: they are not those of a Program with the other way.
    """
    program, codes = made((2, 2), repeats, last=repeats)
    array = array_for(program, 2, 2)
    runs = check(program, codes[:1], array)
    other, _ = made((2, 2), not repeats, last=repeats)
    assert difference(other, codes[:1], runs, array) is not None


def test_refusals() -> None:
    """What is no factor and no map is refused, as is a view of another number of words."""
    with pytest.raises(EspalierError, match=r"^x: its factor must be two numbers of 1\.\.16384, got \(0, 2\)$"):
        Upsample("x", (INPUT,), (0, 2), True).output_shape(SHAPE)
    with pytest.raises(EspalierError, match=r"^x: expects \(maps, height, width\), gets \(5,\)$"):
        Upsample("x", (INPUT,), (2, 2), True).output_shape((5,))
    with pytest.raises(EspalierError, match=r"^x: 12 words of \(2, 2, 3\) are no maps of \(2, 4, 4\)$"):
        FlattenLayer("x", (INPUT,), (2, 4, 4)).output_shape(SHAPE)


def test_streams_read_views_whole() -> None:
    """A line buffer holds the whole map that is seen as other rows: 2 maps of 2 x 3 words of 5 bits at least."""
    from accel.cost.signals import LINE_BUFFER, signal_plans

    program, _ = made((2, 2), True)
    plan = next(plan for plan in signal_plans(program) if plan.name == LINE_BUFFER)
    assert plan.bits >= 12 * 5


def test_arrays_of_any_lanes() -> None:
    """Any lanes hold it."""
    program, _ = made((2, 2), True)
    for lanes in ((1, 1), (4, 2), (8, 8)):
        assert isinstance(array_for(program, *lanes), MacArray)
