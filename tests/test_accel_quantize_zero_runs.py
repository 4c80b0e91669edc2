"""Programs stored as runs of zeros: the same codes, a smaller index, a file that holds it."""

from pathlib import Path

import numpy as np
import pytest
from support.lowering import pruned_by
from support.masks import PATTERNS, Mask
from support.networks import chain, images_for

from accel.cost import cost_of, layer_storages
from accel.encoding import encoding_called, index_bits
from accel.program import Program
from accel.program_layers import MacLayer
from accel.prune import Space, select_by_magnitude
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower, with_zero_runs
from accel.sparsity import parse_pattern
from sim import golden


def lowered(pruned: PrunedNetwork) -> Program:
    """Return a network as a Program of 4 bits."""
    return lower(pruned, Widths(4, 4), images_for(pruned.network))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_fewest_bits_are_stored(pattern: str) -> None:
    """Of all encodings each layer has the one with the fewest bits, the simpler one of those that tie."""
    for layer in with_zero_runs(lowered(pruned_by(chain(), pattern))).mac_layers:
        bits = index_bits(parse_pattern(layer.pattern), layer.kept)
        assert layer.index_bits == bits[layer.encoding] == min(bits.values())
        assert layer.encoding == next(name for name, taken in bits.items() if taken == layer.index_bits)


def test_a_sparse_network(tmp_path: Path) -> None:
    """Nine tenths of single weights gone: runs take less than a bitmap, in the file too, and every code is the same."""
    network, single = chain(), parse_pattern("irregular")
    masks = select_by_magnitude(Space(network, {"conv2": single, "fc3": single}), 0.9)
    before = lowered(PrunedNetwork(network, masks, pattern="irregular"))
    after = with_zero_runs(before)
    changed = [layer for layer in after.mac_layers if layer.encoding == "zero runs"]
    assert [layer.name for layer in changed] == ["conv2", "fc3"]
    assert cost_of(after).total.index_memory_bits < cost_of(before).total.index_memory_bits
    after.save(tmp_path / "runs.espalier")
    loaded = Program.load(tmp_path / "runs.espalier")
    for mine, theirs in zip(loaded.mac_layers, before.mac_layers, strict=True):
        assert np.array_equal(mine.kept, theirs.kept)
        assert np.array_equal(mine.weights, theirs.weights)
        (way,) = (x for x in layer_storages(mine) if x.name == ("dense" if mine.encoding == "none" else mine.encoding))
        assert way.stored
        assert way.bits(mine.weight_bits) == mine.index_bits + mine.weights.size * mine.weight_bits
    codes = before.input_signal.encode(images_for(chain()))
    outputs = [golden.run(of, codes)[before.output] for of in (before, loaded)]
    assert np.array_equal(*outputs)
    other = _without_a_weight(changed[0])
    assert not np.array_equal(other, changed[0].kept)  # negative control: a run that is longer is another mask


def _without_a_weight(layer: MacLayer) -> Mask:
    """Return the mask that an index stands for whose last weight is gone."""
    kept = layer.kept.copy()
    kept.reshape(-1)[np.flatnonzero(kept)[-1]] = False
    encoding = encoding_called(parse_pattern(layer.pattern), layer.encoding)
    return encoding.decode(encoding.encode(kept), layer.shape)
