from pathlib import Path

import pytest

from accel.cost.cycles import RAW_CYCLES
from reports.maintain.published import ARRAY, STUDY, make, our_cycles, programmed
from reports.maintain.published_numbers import ALEXNET_CONVOLUTIONS

CONV1, CONV2, CONV3, *_ = ALEXNET_CONVOLUTIONS


def test_the_tables_are_those_that_the_command_makes(tmp_path: Path) -> None:
    """What is committed is what the command writes today, byte for byte."""
    make(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text == (STUDY / "README.md").read_text()
    assert "| conv3 | 598.1 | 17.8 | 21.8 | 82% |" in text
    assert text != (STUDY / "README.md").read_text().replace("21.8", "21.9")  # negative control


@pytest.mark.parametrize("shape", ALEXNET_CONVOLUTIONS, ids=lambda shape: shape.name)
def test_layers_as_programs(shape: object) -> None:
    """The Program of a layer has the output, the weights and the multiply-accumulates of the published shape."""
    of = programmed(shape)  # type: ignore[arg-type]
    (layer,) = of.mac_layers
    assert of.shapes[of.output] == (shape.outputs, *shape.size)  # type: ignore[attr-defined]
    assert layer.nest.macs_per_pixel == shape.weights  # type: ignore[attr-defined]


def test_our_cycles_by_hand() -> None:
    """168 lanes are 21 maps x 8 pixels; every tile takes a step for each kept column, which hides the drain."""
    assert (ARRAY.output_lanes, ARRAY.pixel_lanes, ARRAY.macs_per_cycle) == (21, 8, 168)
    # conv1, stride 4: 5 words of maps, 55 rows of 55 tiles of a pixel, 3 x 121 columns; the last word has 96 - 84 maps
    assert our_cycles(CONV1) == 5 * 55 * 55 * 363 + 12 + RAW_CYCLES
    # conv2: 13 words, 92 tiles of 27 x 27 pixels, 48 x 25 columns of a group; one word has maps of both
    assert our_cycles(CONV2) == (12 + 2) * 92 * 1200 + 4 + RAW_CYCLES
    # conv3: 19 words, 22 tiles of 13 x 13 pixels, 256 x 9 columns
    assert our_cycles(CONV3) == 19 * 22 * 2304 + 6 + RAW_CYCLES
