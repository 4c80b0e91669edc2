"""Given formats: weights, signals and steps are what HLS would make of them, and what no layer has is refused."""

from typing import Any

import numpy as np
import pytest
from support.networks import chain, images_for, residual

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.network import INPUT
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Formats, Widths, lower_calibrated
from sim import golden

WEIGHT, OUTPUT = "ap_fixed<6,1,AP_RND,AP_SAT>", "ap_ufixed<7,3,AP_RND_CONV,AP_SAT>"


def formats(weights: dict[str, str], outputs: dict[str, str]) -> Formats:
    """Return formats from their texts."""
    parsed = ({name: FixedFormat.parse(text) for name, text in given.items()} for given in (weights, outputs))
    return Formats(*parsed)


def lowered(given: Formats, network: Any = None) -> Program:
    """Return the Program of a small network at 8 bits, but for the formats."""
    network = network or chain()
    calibration = Calibration(PrunedNetwork(network, data=""), images_for(network))
    return lower_calibrated(calibration, Widths(8, 8), formats=given)


class TestMeaning:
    @pytest.mark.parametrize("text", [WEIGHT, "ap_fixed<6,1>", "ap_fixed<4,0,AP_TRN_ZERO,AP_SAT_SYM>", "ap_fixed<9,3>"])
    def test_weights(self, text: str) -> None:
        """A weight's code is that of an assignment to its format: rounding, then overflow; its step the point's."""
        form = FixedFormat.parse(text)
        network = chain().folded()
        made = lowered(formats({"conv2": text}, {}))
        (layer,) = (x for x in made.mac_layers if x.name == "conv2")
        (weighted,) = (x for x in network.weighted if x.name == "conv2")
        assert layer.weight_bits == form.width
        assert layer.weight_steps.tolist() == [2.0**-form.fraction_bits]
        assert np.array_equal(layer.matrix, form.encode(weighted.weight.reshape(5, -1)))

    def test_outputs_and_input(self) -> None:
        """An output has the format's width, sign, modes, and its step; so does the image."""
        made = lowered(formats({}, {"conv1": OUTPUT, INPUT: "ap_fixed<9,2,AP_RND,AP_SAT>"}))
        signal = made.signals["conv1"]
        assert str(signal.format) == "ap_ufixed<7,7,AP_RND_CONV,AP_SAT>"
        assert signal.step == 1 / 16
        assert str(made.input_signal.format) == "ap_fixed<9,9,AP_RND,AP_SAT>"
        assert made.input_signal.step == 1 / 128

    def test_whole_network_in_ap_fixed(self) -> None:
        """With all formats given, codes are those of ap_fixed arithmetic on real values, layer after layer."""
        network = chain().folded()
        outputs = dict.fromkeys(("conv1", "conv2", "fc3"), OUTPUT) | {INPUT: "ap_ufixed<8,0,AP_RND,AP_SAT>"}
        made = lowered(formats({layer.name: WEIGHT for layer in network.weighted}, outputs))
        codes = made.input_signal.encode(images_for(network))
        tensors = golden.run(made, codes)
        weight, output = FixedFormat.parse(WEIGHT), FixedFormat.parse(OUTPUT)
        layer = network.weighted[0]
        values = weight.decode(weight.encode(layer.weight))
        patches = layer.window.patches(layer.window.pad(codes / 256))  # type: ignore[attr-defined]
        sums = np.einsum("nchwij,mcij->nmhw", patches, values)
        step = made.mac_layers[0].weight_steps[0] / 256
        sums += (np.floor(layer.bias / step + 0.5) * step)[:, None, None]
        assert np.array_equal(tensors["conv1"], output.encode(np.maximum(sums, 0)))
        assert not np.array_equal(
            tensors["conv1"], FixedFormat.parse(OUTPUT.replace("_CONV", "")).encode(sums + 1 / 32)
        )

    def test_others_stay(self) -> None:
        """Layers of which nothing is given are as they are without."""
        plain, made = lowered(Formats()), lowered(formats({"fc4": WEIGHT}, {}))
        assert made.layers[0].weights.tobytes() == plain.layers[0].weights.tobytes()  # type: ignore[attr-defined]
        assert made.mac_layers[-1].weights.tobytes() != plain.mac_layers[-1].weights.tobytes()

    def test_sums_have_outputs_too(self) -> None:
        """Additions and means are requantised to their format."""
        made = lowered(formats({}, {"add": OUTPUT, "mean": OUTPUT}), residual())
        assert {made.signals[name].step for name in ("add", "mean")} == {1 / 16}


REFUSED = {
    "an unknown layer": (
        {"conv9": WEIGHT},
        {},
        "conv9: chain has no weight format of that name; those of conv1, conv2, fc3, fc4",
    ),
    "a layer without weights": ({"pool1": WEIGHT}, {}, "pool1: chain has no weight format of that name"),
    "the last layer": (
        {},
        {"fc4": OUTPUT},
        "fc4: chain has no output format of that name; those of conv1, conv2, fc3, input",
    ),
    "weights without a sign": (
        {"conv1": "ap_ufixed<4,0>"},
        {},
        "conv1: weights have a sign, got ap_ufixed<4,0>; expected ap_fixed<W,I,...>",
    ),
    "one bit": ({"conv1": "ap_fixed<1,1>"}, {}, r"conv1: weight ap_fixed<1,1> must have 2\.\.16 bits"),
    "seventeen bits": ({}, {"conv1": "ap_fixed<17,1>"}, r"conv1: output ap_fixed<17,1> must have 1\.\.16 bits"),
    "a point far away": ({}, {"conv1": "ap_fixed<8,900>"}, "conv1: output ap_fixed<8,900> has its binary point more"),
    "an output far too fine": (
        {},
        {"conv1": "ap_fixed<8,-60>"},
        "conv1: no 16-bit multiplier and shift give the ratio",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """A format of no layer, or that no layer can have, is refused with its name."""
    weights, outputs, words = REFUSED[case]
    with pytest.raises(EspalierError, match=words):
        lowered(formats(weights, outputs))
