"""Bits of single layers as text: what is written is read again, and what is no such text is refused in a line."""

import pytest

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.quantize import Widths, bits_of, operands_of, widths_with
from reports.workflow.layer_bits import layer_bits, with_layer_bits

OPERANDS = operands_of(zoo.load("digits"))


def test_there_and_back() -> None:
    """Every operand has its bits again, whatever the others had before; nothing else changes."""
    widths = widths_with({operand: 3 + place for place, operand in enumerate(OPERANDS)}, 16)
    text = layer_bits(widths, OPERANDS)
    assert text == "conv1=3/4,conv2=5/6,conv3=7/8,fc4=9"
    found = with_layer_bits(Widths(8, 8, 7), text, OPERANDS)
    assert [bits_of(found, operand) for operand in OPERANDS] == [bits_of(widths, operand) for operand in OPERANDS]
    assert (found.weight_bits, found.signal_bits, found.input_bits) == (8, 8, 7)
    assert layer_bits(Widths(8, 8), OPERANDS) != text  # negative control


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("conv1", "expected bits of weights/signals such as conv1=4/5,fc1=3/6,fc2=4"),
        ("conv1=", "expected bits of weights/signals such as conv1=4/5,fc1=3/6,fc2=4"),
        ("conv1=4/5,", "expected bits of weights/signals such as conv1=4/5,fc1=3/6,fc2=4"),
        ("conv9=4", "conv9 has no weights of its own; those of conv1, conv2, conv3, fc4 have"),
        ("fc4=4/5", "fc4 has no signals of its own; those of conv1, conv2, conv3 have"),
    ],
)
def test_what_is_refused(text: str, line: str) -> None:
    """The line names the option, the text and what would be right."""
    with pytest.raises(EspalierError) as raised:
        with_layer_bits(Widths(8, 8), text, OPERANDS)
    assert str(raised.value) == f"--layer-bits {text}: {line}"


def test_too_many_bits() -> None:
    """Bits that no layer can have are refused as those of all layers are."""
    with pytest.raises(EspalierError, match=r"weight_bits must be 2\.\.16, got 99"):
        with_layer_bits(Widths(8, 8), "conv1=99", OPERANDS)
