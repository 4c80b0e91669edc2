import pytest
from support.networks import Sketch, chain, residual

from accel.errors import EspalierError
from accel.network import Network
from accel.pruned import PrunedNetwork
from accel.quantize import Operand, Widths, bits_of, operands_of, widths_with


def names(network: Network) -> str:
    """Return the operands as ``layer.w`` and ``layer.s``."""
    return " ".join(f"{operand.layer}.{operand.kind[0]}" for operand in operands_of(PrunedNetwork(network)))


def test_groups_of_a_network() -> None:
    """Weights and the signals they give, additions and average pools too; not the scores, the image or max pools."""
    assert names(chain()) == "conv1.w conv1.s conv2.w conv2.s fc3.w fc3.s fc4.w"
    expected = "conv1.w conv1.s conv2.w conv2.s conv3.w conv3.s add.s pool3.s conv4.w conv4.s mean.s fc5.w"
    assert names(residual()) == expected


def test_a_network_that_ends_in_a_relu() -> None:
    """Then the last accumulators are requantised, and are an operand."""
    sketch = Sketch(1, 2, 2)
    sketch.flatten()
    sketch.linear("fc1", 2)
    assert names(sketch.network()) == "fc1.w"
    sketch.relu("relu1")
    assert names(sketch.network()) == "fc1.w fc1.s"


def test_widths() -> None:
    """Named operands have their bits, all others the rest's; what is put in comes out."""
    bits = {Operand("weights", "conv1"): 3, Operand("signals", "conv1"): 5, Operand("signals", "fc3"): 6}
    widths = widths_with(bits, 8, input_bits=7)
    assert widths == Widths(8, 8, 7, {"conv1": 3}, {"conv1": 5, "fc3": 6})
    assert {operand: bits_of(widths, operand) for operand in bits} == bits
    assert bits_of(widths, Operand("weights", "fc3")) == 8


def test_a_group_of_something_else() -> None:
    """There are weights and signals."""
    with pytest.raises(EspalierError, match=r"^an operand is of weights or signals, got 'biases'$"):
        Operand("biases", "conv1")  # type: ignore[arg-type]
