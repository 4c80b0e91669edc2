"""`espalier import` and `inspect`, and what the other commands do with a network from elsewhere."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import complaint, espalier, reported
from support.onnx_graphs import Drawing, images, resnet18
from support.onnx_models import mobilenet_v2, squeezenet
from support.onnx_quantized import Quantized

from accel.cost import cost_of
from accel.interchange.data.datasets import load
from accel.interchange.onnx.reading.model import import_model
from accel.program import Program
from accel.program_layers import ClipLayer, ConcatLayer
from accel.pruned import PrunedNetwork
from reports.report.results import Results
from reports.workflow.evaluate import float_error_rate
from reports.workflow.load import DEFAULT_PATTERNS
from sim.engine import compile_program


def for_digits(join: bool = False, bound: float = 0.0, group: int = 4) -> Drawing:
    """Return a network for the embedded digits, with a depthwise convolution; `join` and `bound` as they are named."""
    g = Drawing("batch", 1, 8, 8)
    source = g.conv(4, 1, 3, pads=[1, 1, 1, 1])
    if bound:
        g.node("Clip", "", g.constant(np.float32(0)), g.constant(np.float32(bound)))
    else:
        g.node("Relu")
    g.conv(4, 4, 3, pads=[1, 1, 1, 1], group=group)
    if join:
        g.node("Concat", "", source, axis=1)
    g.node("Relu")
    g.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g.node("Flatten")
    g.gemm(10, (8 if join else 4) * 16)
    return g


def brought(drawing: Drawing, folder: Path, *options: object, err: str = "") -> Path:
    """Return the file that `espalier import` writes of a drawing, whose standard error begins with `err`."""
    outcome = espalier("import", drawing.save(folder / "model.onnx"), "-o", folder / "net.espalier", *options)
    assert (outcome.status, outcome.err[: len(err) or None]) == (0, err)
    return folder / "net.espalier"


class TestImport:
    def test_a_network(self, tmp_path: Path) -> None:
        """A float file becomes a network file, of the data set that is named."""
        path = brought(for_digits(), tmp_path, "--dataset", "digits")
        assert PrunedNetwork.load(path).data == "digits"
        assert "digits" in complaint("import", tmp_path / "model.onnx", "--dataset", "digit", "-o", tmp_path / "x")
        assert not (tmp_path / "x").exists()

    def test_quantised_with_images(self, tmp_path: Path) -> None:
        """With images it becomes a Program at once."""
        np.savez(tmp_path / "images.npz", images=images((1, 8, 8), 8))
        options = "--data", tmp_path / "images.npz", "--weight-bits", 5, "--power-of-two"
        program = Program.load(
            brought(for_digits(), tmp_path, *options, err=f"note: {tmp_path / 'images.npz'}: 8 images")
        )
        assert program.data == "images.npz"
        assert [layer.weight_bits for layer in program.mac_layers] == [5, 5, 5]
        assert program.input_signal.format.signed  # for there are negative numbers among the images

    @pytest.mark.parametrize(
        ("arrays", "words"),
        [
            (
                {"a": np.zeros((2, 1, 8, 8), "f"), "b": np.zeros(1)},
                "holds a, b; expected 'images', perhaps with 'labels'",
            ),
            ({"images": np.zeros((2, 1, 8, 8), int)}, "holds int64 (2, 1, 8, 8), expected uint8 or floats"),
            ({"images": np.zeros((2, 1, 7, 8), "f")}, "takes images of shape (1, 8, 8), those of "),
            ({"images": np.full((2, 1, 8, 8), np.nan, "f")}, "'images' holds a value that is not finite"),
        ],
    )
    def test_images_that_do_not_fit(self, tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
        """Images of another kind are refused, and nothing is written."""
        np.savez(tmp_path / "images.npz", **arrays)
        model = for_digits().save(tmp_path / "model.onnx")
        line = complaint("import", model, "--data", tmp_path / "images.npz", "-o", tmp_path / "x")
        assert words in line
        assert not (tmp_path / "x").exists()

    def test_error_rates(self, tmp_path: Path) -> None:
        """With labelled images a float file is told with three error rates: in float, as a Program, in onnxruntime."""
        done = espalier("import", for_digits().save(tmp_path / "m.onnx"), "--data", "digits", "-o", tmp_path / "p")
        told = re.search(
            r"error rate on 350 test images: (\S+) % in float, (\S+) % as the Program, (\S+) % of the file", done.out
        )
        assert told
        rate = 100 * float_error_rate(import_model(tmp_path / "m.onnx").result, load("digits", "test"))
        assert told[1] == told[3] == f"{rate:.2f}"
        program = Program.load(tmp_path / "p")
        test = load("digits", "test")
        assert (
            told[2] == f"{100 * compile_program(program).error_rate(test.codes(program.input_signal), test.labels):.2f}"
        )

    def test_preprocessing(self, tmp_path: Path) -> None:
        """What a network was trained on is told once, and part of it then: the file errs as often as it does."""
        given = for_digits().save(tmp_path / "m.onnx"), "--full-scale", 16, "--mean", 4, "--std", "6"
        done = espalier("import", *given, "--data", "digits", "-o", tmp_path / "p")
        assert "note: pixels of 0..1 are taken times 16, less 4, over 6" in done.out
        told = re.search(r"(\S+) % in float, \S+ % as the Program, (\S+) % of the file", done.out)
        assert told
        assert told[1] == told[2]
        assert espalier("import", *given, "-o", tmp_path / "net").status == 0
        made = PrunedNetwork.load(tmp_path / "net")
        assert (made.network.layers[0].name, made.input_range) == ("preprocessing", (0.0, 1.0))
        line = complaint("import", tmp_path / "m.onnx", "--mean", "a,b", "-o", tmp_path / "x")
        assert line.startswith("--mean a,b: expected numbers with commas")

    def test_a_quantised_file(self, tmp_path: Path) -> None:
        """A quantised file becomes a Program, and wants no images: it is told which ones it is for, no more."""
        g = Quantized(1, 1, 8, 8)
        g.quantize(1 / 16, 5, signed=False)
        g.node("Flatten")
        g.node("Gemm", "", g.coded(g.rng.integers(-7, 8, (10, 64)), 0.125, 4), transB=1)
        path = brought(g, tmp_path, "--dataset", "digits")
        assert Program.load(path).input_signal.bits == 5
        assert espalier("run", path).status == 0
        np.savez(tmp_path / "images.npz", images=images((1, 8, 8), 8))
        done = espalier("import", tmp_path / "model.onnx", "--data", tmp_path / "images.npz", "-o", tmp_path / "x")
        assert (done.status, "is quantised already" in done.out) == (0, True)
        told = Program.load(tmp_path / "x")
        assert (told.data, told.input_signal) == ("images.npz", Program.load(path).input_signal)

    def test_no_file(self, tmp_path: Path) -> None:
        """A file that is not there is refused in the words of other commands."""
        assert complaint("import", tmp_path / "none.onnx", "-o", tmp_path / "x").endswith("No such file or directory")

    def test_what_is_imported_where(self, tmp_path: Path) -> None:
        """A file of ours is not imported again, an ONNX file is sized at most: lines say what to do."""
        net = brought(for_digits(), tmp_path)
        assert complaint("import", net, "-o", tmp_path / "x").endswith("is an Espalier file already, no ONNX file")
        assert espalier("size", tmp_path / "model.onnx").status == 0
        for command in ("quantize", "run"):
            out = ("-o", tmp_path / "x") if command == "quantize" else ()
            line = complaint(command, tmp_path / "model.onnx", *out)
            assert line.endswith("expected b'ESPALIER'; espalier import reads ONNX files")


class TestWhatFollows:
    def test_prune_quantize_and_run(self, tmp_path: Path) -> None:
        """A network from elsewhere is pruned, quantised and run like one of ours."""
        net = brought(for_digits(), tmp_path, "--dataset", "digits")
        for command in (
            ("prune", net, "--pattern", "kernel", "--ratio", 0.5, "-o", tmp_path / "pruned.espalier"),
            ("quantize", tmp_path / "pruned.espalier", "--weight-bits", 4, "-o", tmp_path / "p.espalier"),
            ("run", tmp_path / "p.espalier", "--images", 50),
            ("size", net, "--weight-bits", 4, "--array", "4x4"),
        ):
            outcome = espalier(*command)
            assert (outcome.status, outcome.err) == (0, ""), command
        program = Program.load(tmp_path / "p.espalier")
        assert [layer.weight_bits for layer in program.mac_layers] == [4, 4, 4]

    @pytest.mark.parametrize("steps", [(), ("--power-of-two",)])
    def test_retrain(self, tmp_path: Path, steps: tuple[str, ...]) -> None:
        """Clips, a concatenation and a depthwise convolution learn, in float and as the Program computes them.

        Of the quantised training is said on how many images it gives the engine's codes.
        """
        pytest.importorskip("torch", reason="training needs PyTorch (extra train)")
        net, test = brought(for_digits(join=True, bound=1.5), tmp_path, "--dataset", "digits"), load("digits", "test")
        pruned, program = tmp_path / "pruned.espalier", tmp_path / "p.espalier"
        options = "--retrain", 3, "--learning-rate", 0.02
        outcome = espalier("prune", net, "--pattern", "kernel", "--ratio", 0.3, *options, "-o", pruned)
        assert (outcome.status, outcome.err) == (0, "")
        before, after = (float_error_rate(PrunedNetwork.load(path), test) for path in (net, pruned))
        assert after < before - 0.2
        outcome = espalier("quantize", pruned, *steps, "--weight-bits", 4, *options, "-o", program)
        assert (outcome.status, outcome.err) == (0, "")
        assert "it has the engine's scores on all 350 test images" in " ".join(outcome.out.split())
        of = Program.load(program)
        assert {ClipLayer, ConcatLayer} <= {type(layer) for layer in of.layers}
        assert compile_program(of).error_rate(of.input_signal.encode(test.pixels()), test.labels, 1) < before - 0.2

    @pytest.mark.slow
    def test_report(self, tmp_path: Path) -> None:
        """The report shows it too, without the pattern that its grouped convolution does not allow, and says so."""
        net = brought(for_digits(group=2), tmp_path, "--dataset", "digits")
        outcome = reported(net, "--bits", 4, "--images", 40, "--out", tmp_path / "report")
        reason = "conv2: the maps around the grouped convolution conv2 cannot be pruned"
        note = f"feature-map ({reason})"
        assert "Left out, for the network cannot have them: " in " ".join(outcome.out.split())
        assert note in " ".join(outcome.out.split())
        assert note in (tmp_path / "report" / "report.html").read_text()
        results = Results.from_json((tmp_path / "report" / "results.json").read_text())
        assert results.left_out == (note,)
        assert results.patterns == [x for x in DEFAULT_PATTERNS if x != "feature-map"]

    @pytest.mark.slow
    def test_a_pattern_that_is_named_is_refused(self, tmp_path: Path) -> None:
        """What a user names himself is not left out; without it, nothing is said to be."""
        net = brought(for_digits(group=2), tmp_path, "--dataset", "digits")
        options = "--bits", 4, "--images", 40, "--out", tmp_path / "report"
        line = complaint("report", net, "--patterns", "kernel,feature-map", *options)
        assert line == "conv2: the maps around the grouped convolution conv2 cannot be pruned"
        assert not (tmp_path / "report").exists()
        outcome = reported(net, "--patterns", "dense,kernel", *options)
        assert "Left out" not in outcome.out + (tmp_path / "report" / "report.html").read_text()

    @pytest.mark.slow
    def test_hardware_runs_groups(self, tmp_path: Path) -> None:
        """A depthwise convolution is a layer of kernel lists, which the array runs bit for bit."""
        net = brought(for_digits(), tmp_path, "--dataset", "digits")
        assert espalier("quantize", net, "-o", tmp_path / "p.espalier").status == 0
        outcome = espalier("verify", tmp_path / "p.espalier", "--array", "4x4", "--images", 1)
        assert outcome.status == 0, outcome.out + outcome.err

    @pytest.mark.slow
    def test_hardware_runs_joins_and_bounds(self, tmp_path: Path) -> None:
        """Joins, and bounds at which no format saturates, bit for bit."""
        for drawing, kind in ((for_digits(join=True), ConcatLayer), (for_digits(bound=0.3), ClipLayer)):
            net = brought(drawing, tmp_path, "--dataset", "digits")
            options = ["--power-of-two"] if kind is ClipLayer else []
            assert espalier("quantize", net, *options, "-o", tmp_path / "p.espalier").status == 0
            assert kind in map(type, Program.load(tmp_path / "p.espalier").layers)
            outcome = espalier("verify", tmp_path / "p.espalier", "--array", "4x4", "--images", 1)
            assert outcome.status == 0, outcome.out + outcome.err

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator")
    @pytest.mark.parametrize(("drawn", "kind"), [(mobilenet_v2, ClipLayer), (squeezenet, ConcatLayer)])
    def test_networks_of_others(self, drawn: Callable[[], Drawing], kind: type, tmp_path: Path) -> None:
        """ReLU6 at power-of-two steps, inverted residuals, fire modules, skips: from a file to every bit in Verilog."""
        net, program = brought(drawn(), tmp_path, "--dataset", "digits"), tmp_path / "p.espalier"
        assert espalier("quantize", net, "--power-of-two", "-o", program).status == 0
        assert kind in map(type, Program.load(program).layers)
        options = "--array", "4x4", "--images", 2, "--simulator", "verilator", "--stall", 0.5
        outcome = espalier("verify", program, *options)
        assert outcome.status == 0, outcome.out + outcome.err

    def test_size_without_a_data_set(self, tmp_path: Path) -> None:
        """Bits and MACs need no images; that there are none is said, and they are those of the network."""
        net = brought(resnet18(64, 100, width=8), tmp_path)
        outcome = espalier("size", net, "--json", tmp_path / "size.json")
        assert outcome.status == 0
        assert outcome.err.startswith("note: ")
        found = json.loads((tmp_path / "size.json").read_text())
        dense = PrunedNetwork.load(net).network.dense_macs()
        assert found["macs"] == sum(dense.values())
        assert "does not say" in complaint("quantize", net, "-o", tmp_path / "x")


class TestInspect:
    def planted(self) -> tuple[Drawing, dict[str, tuple[str, float]]]:
        """Return a network with a pattern in each layer, and what these are, with their densities."""
        g = Drawing("batch", 1, 8, 8)
        rng = np.random.default_rng(5)
        strided = np.zeros((16, 1, 9), bool)
        strided[:, :, 1::2] = True
        kernels = np.repeat(rng.random((16, 16, 1)) < 0.3, 9, axis=2)
        blocks = np.kron(rng.random((4, 36)) < 0.25, np.ones((4, 4), bool)).reshape(16, 16, 9)
        two = np.array([rng.permutation([True, True, False, False]) for _ in range(16 * 36)]).reshape(16, 16, 9)
        single = rng.random((10, 16, 9)) < 0.1
        planted = {"ikss": strided, "kernel": kernels, "block-4": blocks, "2:4": two, "irregular": single}
        for number, (_, kept) in enumerate(planted.items()):
            size = int(np.sqrt(kept.shape[2]))
            weight = (rng.uniform(0.5, 1, kept.shape) * kept).reshape(*kept.shape[:2], size, size)
            g.node("Conv", "", g.constant(weight.astype(np.float32)), name=f"conv{number}", pads=[size // 2] * 4)
        g.node("GlobalAveragePool")
        g.node("Flatten")
        g.gemm(10, 10)
        names = {f"conv{number}": (name, float(kept.mean())) for number, (name, kept) in enumerate(planted.items())}
        return g, {**names, "gemm7": ("dense", 1.0)}

    def test_planted_patterns_are_found(self, tmp_path: Path) -> None:
        """The pattern with the fewest bits of each layer is the planted one, at its density; dense stands beside it."""
        drawing, planted = self.planted()
        outcome = espalier("inspect", drawing.save(tmp_path / "model.onnx"), "--json", tmp_path / "found.json")
        assert (outcome.status, outcome.err) == (0, "")
        rows = {row["layer"]: row for row in json.loads((tmp_path / "found.json").read_text())["layers"]}
        found = {name: rows[name]["patterns"] for name in planted}
        assert {name: (x[0]["pattern"], x[0]["density"]) for name, x in found.items()} == planted
        assert all("dense" in [pattern["pattern"] for pattern in patterns] for patterns in found.values())
        assert "kernel" in outcome.out

    def test_of_programs_and_networks(self, tmp_path: Path) -> None:
        """What was imported and quantised has the same patterns, and signals beside them."""
        drawing, planted = self.planted()
        net = brought(drawing, tmp_path, "--dataset", "digits")
        assert espalier("quantize", net, "-o", tmp_path / "p.espalier").status == 0
        for path in (net, tmp_path / "p.espalier"):
            assert espalier("inspect", path, "--json", tmp_path / "found.json").status == 0
            rows = {row["layer"]: row for row in json.loads((tmp_path / "found.json").read_text())["layers"]}
            patterns = {name: {x["pattern"]: x["density"] for x in rows[name]["patterns"]} for name in planted}
            assert all(name in patterns[layer] for layer, (name, _) in planted.items())
        assert rows["conv1"]["signal"] == "ap_fixed<8,8,AP_RND,AP_SAT>"
        assert cost_of(Program.load(tmp_path / "p.espalier")).total.macs > 0

    def test_another_pattern_is_not_found(self, tmp_path: Path) -> None:
        """Negative control: one weight more, and a kernel pattern is none."""
        drawing, _ = self.planted()
        kernels = drawing.constants[1]
        weight = np.frombuffer(kernels.raw_data, np.float32).copy().reshape(16, 16, 9)
        row, column = np.argwhere(~weight.any(axis=2))[0]
        weight[row, column, 4] = 1
        kernels.raw_data = weight.tobytes()
        espalier("inspect", drawing.save(tmp_path / "model.onnx"), "--json", tmp_path / "found.json")
        rows = {row["layer"]: row for row in json.loads((tmp_path / "found.json").read_text())["layers"]}
        assert "kernel" not in [x["pattern"] for x in rows["conv1"]["patterns"]]
