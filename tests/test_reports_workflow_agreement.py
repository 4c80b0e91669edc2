"""How near a Program is to the quantised file that it comes from is counted, code for code, on images."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import complaint, espalier
from support.onnx_graphs import images
from support.onnx_quantized import Quantized

from accel.interchange.data.datasets import Dataset
from accel.interchange.onnx.reading.model import ImportedProgram, import_model
from accel.network import INPUT
from accel.program import Program
from reports.workflow.agreement import UnmeasuredError, agreement_of, agreement_of_layers

pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install espalier-hw[peers]")


def classifier(batch: int | str = "batch", step: float = 0.0371) -> Quantized:
    """Return a small network for 8 x 8 images and ten classes, with a zero point, a residual addition and a Softmax."""
    g = Quantized(batch, 1, 8, 8)
    source = g.quantize(1 / 16, signed=False)
    g.qconv(1, 1, step=0.013, bias=False, pads=[1, 1, 1, 1])
    branch = g.quantize(step, zero=7)
    g.node("Add", source, branch)
    g.node("Relu")
    g.quantize(0.0431, signed=False)
    g.node("Flatten")
    g.node("Gemm", "", g.coded(g.rng.integers(-100, 100, (10, 64)), 0.0125, 8), transB=1)
    g.quantize(0.11, zero=-9)
    g.node("Softmax", axis=-1)
    g.quantize(1 / 256, signed=False)
    return g


def data_of(count: int, labels: bool = True) -> Dataset:
    """Return random images, with labels or without."""
    pixels = np.abs(images((1, 8, 8), count)).astype(np.float32)
    given = np.arange(count) % 10 if labels else np.empty(0, np.int64)
    return Dataset("random", "test", pixels, given, 10 if labels else 0, 1)


def imported(path: Path, **settings: Any) -> ImportedProgram:
    """Return the Program of a file."""
    found = import_model(path, **settings)
    assert isinstance(found, ImportedProgram)
    return found


class TestAgreement:
    @pytest.mark.parametrize("batch", ["batch", 1])
    def test_an_exact_program(self, tmp_path: Path, batch: int | str) -> None:
        """With multipliers of 32 bits every code is the file's, whatever its batch; classes and errors follow."""
        path = classifier(batch).save(tmp_path / "model.onnx")
        found = agreement_of(path, imported(path, multiplier_bits=32), data_of(12))
        assert found.tensors[0].name == INPUT
        assert len(found.tensors) >= 4
        assert all(row.equal >= 0.99 * row.words and row.largest <= 1 for row in found.tensors)
        assert (found.images, found.agreeing) == (12, 12)
        assert found.labelled
        assert abs(found.errors - found.file_errors) <= 2  # a Softmax of 8 bits has ties

    def test_another_program(self, tmp_path: Path) -> None:
        """Negative control: a Program of other biases has other codes where they count, and the same before."""
        path = classifier().save(tmp_path / "model.onnx")
        found = imported(path, multiplier_bits=32)
        last = found.result.mac_layers[-1]
        moved = replace(last, bias=last.bias + 10_000 * np.arange(10), bias_bits=30, accumulator_bits=31)
        layers = tuple(moved if layer is last else layer for layer in found.result.layers)
        other = agreement_of(path, replace(found, result=replace(found.result, layers=layers)), data_of(12, False))
        rows = {row.name: row for row in other.tensors}
        assert rows[INPUT].equal == rows[INPUT].words == 12 * 64
        output = [*rows.values()][-1]
        assert output.equal < output.words
        assert output.largest > 10
        assert other.agreeing < 12
        assert not other.labelled

    def test_layers_alone(self, tmp_path: Path) -> None:
        """Each is given the file's codes: what one makes otherwise, here the first, is no difference of the others."""
        path = classifier().save(tmp_path / "model.onnx")
        found = imported(path, multiplier_bits=32)
        assert all(row.largest <= 1 for row in agreement_of_layers(path, found, data_of(12)))
        first = found.result.mac_layers[0]
        assert first.requantize is not None
        halved = replace(first, requantize=replace(first.requantize, shift=first.requantize.shift + 1))
        layers = tuple(halved if layer is first else layer for layer in found.result.layers)
        wrong = replace(found, result=replace(found.result, layers=layers))
        alone = {row.name: row.largest for row in agreement_of_layers(path, wrong, data_of(12))}
        assert [name for name, largest in alone.items() if largest > 1] == [next(iter(alone))]
        whole = [row.largest for row in agreement_of(path, wrong, data_of(12)).tensors]
        assert sum(largest > 1 for largest in whole) > 1

    def test_what_cannot_be_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without onnxruntime, or with a file that it does not run, the line says so."""
        path = classifier().save(tmp_path / "model.onnx")
        found = imported(path, nearest=True)
        first = found.result.layers[0].name
        lost = replace(found, seen=found.seen | {first: replace(found.seen[INPUT], name="nowhere")})  # type: ignore[operator]
        with pytest.raises(UnmeasuredError, match="onnxruntime does not run the file: "):
            agreement_of(path, lost, data_of(1))

        def missing(name: str) -> Any:
            raise ImportError(name)

        monkeypatch.setattr(importlib, "import_module", missing)
        with pytest.raises(UnmeasuredError, match=r"onnxruntime is not there: pip install"):
            agreement_of(path, found, data_of(1))


class TestCommand:
    def test_nearest(self, tmp_path: Path) -> None:
        """What changed is a line, how much that matters a table; classes and error rates follow."""
        path, data = classifier().save(tmp_path / "model.onnx"), tmp_path / "test.npz"
        assert "no 16-bit multiplier" in complaint("import", path, "-o", tmp_path / "x")
        assert not (tmp_path / "x").exists()
        done = espalier("import", path, "--nearest", "-o", tmp_path / "x")
        assert (done.status, Program.load(tmp_path / "x").name) == (0, "drawn")
        assert "layers are not the file's to the last code: " in done.out
        assert "note: how much that matters is measured on images: --data" in done.out
        set_of = data_of(60)
        np.savez(data, images=set_of.images, labels=set_of.labels)
        done = espalier("import", path, "--nearest", "--data", data, "--images", 2, "-o", tmp_path / "x")
        assert done.status == 0
        assert "codes that are the file's" in done.out
        assert "of 2 images" in done.out
        assert "of the file in onnxruntime" in done.out

    def test_exact(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """With wider multipliers nothing changed; where nothing can be measured a line says why."""
        path, data = classifier().save(tmp_path / "model.onnx"), tmp_path / "test.npz"
        np.savez(data, images=data_of(4).images)

        def unmeasured(*_: Any) -> Any:
            raise UnmeasuredError("there is no such thing")

        monkeypatch.setattr("reports.commands.import_.agreement_of", unmeasured)
        done = espalier("import", path, "--multiplier-bits", 32, "--data", data, "-o", tmp_path / "x")
        assert done.status == 0
        assert "nearest" not in done.out
        assert "note: not compared with the file: there is no such thing" in done.out
        assert "33 is not in the range 16<=x<=32" in complaint(
            "import", path, "--multiplier-bits", 33, "-o", tmp_path / "y"
        )
