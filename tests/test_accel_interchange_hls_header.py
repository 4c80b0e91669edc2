"""The HLS header: compiled with plain integers that follow ap_fixed's rules, it gives the engine's codes."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hls_cpp import CPP, Codes, compiled, main, needs_gpp, tensors
from support.offsets import with_offsets
from support.onnx_referees import expected, exportable, shifted
from support.programs import every_kind, mac_layer, program, signal

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.interchange import zoo
from accel.interchange.hls.header import header, identifier
from accel.interchange.hls.types import Types
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import FlattenLayer, ReluLayer
from accel.quantize import Steps, Widths, lower, narrow_accumulators
from accel.signal import Requantize, Signal
from accel.window import Window
from sim import golden

IMAGES = 20
TIES = np.arange(-128, 128)[:, None, None, None]  # every code of 8 bits, an image each


def judged(made: Program, codes: Codes, folder: Path, text: str = "", *options: str) -> list[str]:
    """Return the layers of which the compiled header gives other codes than the golden model."""
    binary = compiled(text or header(made), made, folder, *options)
    expected_codes = golden.run(made, codes)
    found = tensors(binary, made, codes)
    return [name for name in found if not np.array_equal(found[name], expected_codes[name])]


@needs_gpp
class TestReferee:
    @pytest.mark.slow
    def test_lenet5(self, tmp_path: Path) -> None:
        """LeNet-5 of power-of-two steps, its types real values; then with one weight code lowered: it is seen."""
        made = exportable("lenet5", 4, 5, "kernel")
        codes = expected(made, IMAGES)
        text = header(made)
        assert Types(made).real
        found = tensors(compiled(text, made, tmp_path), made, codes[INPUT])
        assert [name for name in found if not np.array_equal(found[name], codes[name])] == []
        wrong = with_one_code_lowered(text, "conv2", made.mac_layers[1].weight_steps[0])
        found = tensors(compiled(wrong, made, tmp_path), made, codes[INPUT])
        differing = [name for name in found if not np.array_equal(found[name], codes[name])]
        assert differing[0] == "conv2"
        assert differing[-1] == "fc5"

    @pytest.mark.parametrize("option", ["-DESPALIER_AP_FIXED", "-DESPALIER_AC_FIXED"])
    def test_codes_and_multipliers(self, option: str, tmp_path: Path) -> None:
        """Steps that are no powers of two, one for each output: types hold codes, multipliers requantise."""
        pruned, shape = zoo.load("digits", "kernel+ikss"), (1, 8, 8)
        images = np.random.default_rng(0).random((IMAGES, *shape), np.float32)
        made = lower(pruned, Widths(4, 5), images, Steps(per_output=True))
        assert not Types(made).real
        assert made.mac_layers[0].requantize.multipliers.size == 16  # type: ignore[union-attr]
        assert judged(made, made.input_signal.encode(images), tmp_path, "", option) == []

    @pytest.mark.parametrize("real", [False, True])
    def test_every_kind_of_layer(self, real: bool, tmp_path: Path) -> None:
        """Additions, both pools, a ReLU, and masks of scalars, kernels with strides, and blocks past the edge."""
        rng = np.random.default_rng(0)
        made = every_kind(rng)
        made = shifted(made) if real else made  # its only mean is that of 2 x 2 codes
        assert Types(made).real == real
        assert judged(made, rng.integers(0, 256, (IMAGES, *made.input_shape)), tmp_path) == []

    def test_offsets(self, tmp_path: Path) -> None:
        """A fraction of a step is added to products, not to what a ReLU made zero. Negative control: one is 0."""
        rng = np.random.default_rng(0)
        made = with_offsets(every_kind(rng), rng)
        codes, text = rng.integers(0, 256, (IMAGES, *made.input_shape)), header(made)
        assert judged(made, codes, tmp_path) == []
        wrong, count = re.subn(r"(add_offset_t offsets\[1\] = {\s*)\S+", r"\g<1>0", text)
        assert count == 1
        assert judged(made, codes, tmp_path, wrong)[0] == "add"

    @pytest.mark.parametrize("overflow", [Overflow.WRAP, Overflow.SAT])
    def test_narrow_accumulators(self, overflow: Overflow, tmp_path: Path) -> None:
        """An accumulator that is too narrow wraps or saturates at every assignment, in issue order."""
        rng = np.random.default_rng(0)
        wide, codes = every_kind(rng), rng.integers(0, 256, (IMAGES, 2, 9, 8))
        made = narrow_accumulators(wide, 9, overflow)
        assert not np.array_equal(golden.run(made, codes)["scores"], golden.run(wide, codes)["scores"])
        assert judged(made, codes, tmp_path) == []

    @pytest.mark.slow
    def test_every_mode(self, tmp_path: Path) -> None:
        """Each rounding with each overflow, on every code of 8 bits; WRAP_SM reads its deleted bit before the carry."""
        layers = []
        for rounding in Rounding:
            for overflow in Overflow:
                form = FixedFormat(4, 4, rounding=rounding, overflow=overflow)
                layer = mac_layer(
                    f"{rounding.name}_{overflow.name}",
                    INPUT,
                    [[[1]]],
                    signal(8),
                    window=Window((1, 1)),
                    requantize=Requantize([1], 2),
                    output=Signal(form, 4.0),
                )
                layers.append(layer)
        made = program(layers, (1, 1, 1), signal(8))
        codes = golden.run(made, TIES)
        assert len({codes[layer.name].tobytes() for layer in layers}) > 20  # the modes differ on these codes
        assert judged(made, TIES, tmp_path) == []
        wrong = header(made).replace("ap_fixed<4,6,AP_RND_CONV,AP_SAT>", "ap_fixed<4,6,AP_RND,AP_SAT>")
        assert judged(made, TIES, tmp_path, wrong) == ["RND_CONV_SAT"]
        wrong = header(made).replace("ap_fixed<4,6,AP_RND_CONV,AP_WRAP_SM>", "ap_fixed<4,6,AP_RND,AP_WRAP_SM>")
        assert judged(made, TIES, tmp_path, wrong) == ["RND_CONV_WRAP_SM"]

    def test_algorithmic_c(self, tmp_path: Path) -> None:
        """The same of ac_fixed; what it does not have stops the compiler with the layer's type."""
        made = program([every_kind(np.random.default_rng(0)).layers[0]], (2, 9, 8))
        codes = np.random.default_rng(0).integers(0, 256, (IMAGES, 2, 9, 8))
        assert judged(made, codes, tmp_path, "", "-DESPALIER_AC_FIXED") == []
        layer = made.layers[0]
        form = replace(layer.output.format, overflow=Overflow.WRAP_SM)  # type: ignore[attr-defined]
        odd = replace(made, layers=(replace(layer, output=Signal(form, 1.0)),))
        (tmp_path / "network.h").write_text(header(odd))
        words = ["g++", "-std=c++17", f"-I{CPP}", "-DESPALIER_AC_FIXED", "-fsyntax-only", "network.h"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "#error conv1_t: ac_fixed has no such overflow" in done.stderr


def with_one_code_lowered(text: str, layer: str, step: float) -> str:
    """Return a header in which the largest weight of a layer is lower by a step."""
    match = re.search(rf"{layer}_weight_t weights\[\d+\] = {{([^}}]*)}}", text)
    assert match is not None
    words = match[1].split(",")
    largest = max(range(len(words)), key=lambda place: float(words[place]))
    words[largest] = f" {float(words[largest]) - step}"
    return text[: match.start(1)] + ",".join(words) + text[match.end(1) :]


class TestHeader:
    def test_types(self) -> None:
        """Binary points say the steps: a weight step of 1/8 is 3 bits after the point."""
        made = exportable("lenet5", 4, 5)
        text = header(made)
        (layer,) = (x for x in made.mac_layers if x.name == "conv2")
        fraction = -int(np.log2(layer.weight_steps[0]))
        assert f"typedef ap_fixed<4,{4 - fraction}> conv2_weight_t;" in text
        point = layer.accumulator_bits + int(np.log2(layer.weight_steps[0] * made.signals["pool1"].step))
        assert f"typedef ap_fixed<{layer.accumulator_bits},{point}> conv2_accumulator_t;" in text
        point = 5 + int(np.log2(layer.output.step))
        assert f"typedef ap_ufixed<5,{point},AP_RND_CONV,AP_SAT> conv2_t;" in text
        assert "multiplier" not in text.split("#define")[1]

    def test_bounds_and_lists(self) -> None:
        """Bounds and lists are those of the nest; what visits everything has no list."""
        made = exportable("lenet5", 4, 5, "kernel")
        (layer,) = (x for x in made.mac_layers if x.name == "conv2")
        part = header(made).split("namespace conv2 {")[1].split("}  // namespace conv2")[0]
        numbers = {name: array(part, name) for name in ("unit_ends", "units_kept")}
        starts = [0, *numbers["unit_ends"][:-1]]
        lists = [numbers["units_kept"][start:end] for start, end in zip(starts, numbers["unit_ends"], strict=True)]
        assert lists == [units.tolist() for units in layer.nest.outer]
        assert "taps_kept" not in part
        assert "const int outputs = 16, maps = 6, taps = 25;" in part
        assert "unit_ends[" not in header(exportable("lenet5", 4, 5)).split("#define")[1]

    def test_weights_are_exact(self) -> None:
        """The decimals of a header are the weights, every bit."""
        made = exportable("lenet5", 8, 8)
        for layer in made.mac_layers:
            part = header(made).split(f"namespace {layer.name} {{")[1]
            assert array(part, "weights", float) == (layer.weights * layer.weight_steps[0]).tolist()

    @pytest.mark.parametrize(("name", "word"), [("cifar-quick", "cifar_quick"), ("1st", "n1st"), ("int", "nint")])
    def test_names(self, name: str, word: str) -> None:
        """Names become such as C++ has."""
        assert identifier(name) == word

    @pytest.mark.parametrize(("first", "second", "word"), [("a.b", "a-b", "a_b"), ("a", "a_weight_t", "a_weight_t")])
    def test_names_that_meet(self, first: str, second: str, word: str) -> None:
        """Two layers that C++ would call the same, or one like another's type, are refused."""
        flat = FlattenLayer(first, (INPUT,))
        layer = mac_layer("fc", first, [[1]], signal(8))
        made = program([flat, layer, ReluLayer(second, ("fc",))], (1, 1, 1), signal(8))
        with pytest.raises(EspalierError, match=f"{second}: C\\+\\+ would call it '{word}', a name of {first}; rename"):
            header(made)

    def test_nothing_of_a_name_escapes(self) -> None:
        """A Program's names come from files: none ends a comment or begins a line of its own."""
        made = replace(exportable("lenet5", 4, 5), name="x\n#include <y>", pattern="dense\n#error */")
        assert not re.search(r"^#(include <y>|error)", header(made), re.MULTILINE)
        assert main(header(made), made)


def array(text: str, name: str, kind: Any = int) -> list[Any]:
    """Return the numbers of an array in a header."""
    match = re.search(rf" {name}\[(\d+)\] = {{([^}}]*)}}", text)
    assert match is not None
    words = [kind(word) for word in match[2].split(",")]
    assert len(words) == int(match[1])
    return words
