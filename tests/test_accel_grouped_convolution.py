"""Grouped convolutions in a Program: weights of groups alone, and no index."""

import numpy as np
import pytest
from support.mobile import ds_cnn, quantized

from accel.cost import cost_of
from accel.encoding import cheapest, decode
from accel.errors import EspalierError
from accel.grouped_convolution import across_groups, group_weights
from accel.sparsity import LayerMask, parse_pattern

SHAPE = (6, 2, 4)  # of three groups: six maps in all


def test_dense_groups_are_stored_as_what_they_are(rng: np.random.Generator) -> None:
    """48 weights of 288, no bits beside them: the pattern's name says which."""
    kept, codes = np.ones(SHAPE, bool), rng.integers(-8, 8, (6, 8))
    mask, matrix = across_groups(LayerMask("dense", kept), codes, 3)
    pattern = parse_pattern(mask.pattern)
    assert str(pattern) == "groups-3"
    assert mask.kept.sum() == pattern.nest(mask.kept).stored_words == 48
    name, index = cheapest(pattern, mask.kept)
    assert (name, index) == ("by groups", ())
    assert (decode(pattern, name, index, mask.kept.shape) == mask.kept).all()
    assert (group_weights(matrix, (6, 6, 4), 3).reshape(6, 8) == codes).all()


def test_pruned_groups_have_an_index(rng: np.random.Generator) -> None:
    """Where kernels of a group are gone, a list says which, as of any layer."""
    kept = np.ones(SHAPE, bool)
    kept[1, 0] = False
    mask, _ = across_groups(LayerMask("kernel", kept), rng.integers(-8, 8, (6, 8)), 3)
    assert mask.pattern == "kernel"
    assert cheapest(parse_pattern(mask.pattern), mask.kept)[1]


@pytest.mark.parametrize(
    ("text", "shape", "line"),
    [
        ("groups-1", (2, 2, 1), "a grouped convolution must have 2..262144 groups, got 1"),
        ("groups-4", (6, 4, 1), "6 output maps and 4 input maps do not fall into 4 groups"),
        ("groups-2", (2, 2, 1), "kernel (output 0, input 1) is not as its group says"),
    ],
)
def test_refused(text: str, shape: tuple[int, int, int], line: str) -> None:
    """Numbers of groups that there cannot be, maps that do not fall into them, kernels between them."""
    with pytest.raises(EspalierError) as refused:
        LayerMask(text, np.ones(shape, bool))
    assert line in str(refused.value)


def test_a_network(rng: np.random.Generator) -> None:
    """Depthwise layers cost 9 weights a map and no index, and nothing else keeps one."""
    of = quantized(ds_cnn(rng, maps=8, blocks=1), rng)
    (layer,) = (x for x in of.mac_layers if x.name == "depthwise0")
    assert (layer.pattern, layer.weights.size, layer.index_bits) == ("groups-8", 8 * 9, 0)
    costs = {cost.name: cost.counts for cost in cost_of(of).layers}
    assert (costs["depthwise0"].weights, costs["depthwise0"].index_memory_bits) == (72, 0)
