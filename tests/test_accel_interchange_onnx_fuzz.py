"""Hundreds of damaged ONNX files: each is an error line or a right import, soon, in little memory."""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_damage
import pytest
from onnx_graphs import Drawing, images, session
from onnx_quantized import Quantized

from accel.interchange.onnx_import import ImportedNetwork, ImportedProgram, import_model
from reports import cli
from sim import golden

ROOT = Path(__file__).parents[1]
SEED = 20


def float_model() -> Drawing:
    """Return a small network with most of the float operators."""
    g = Drawing("batch", 2, 8, 8)
    g.node("Pad", "", g.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    g.conv(4, 2, 3)
    g.norm(4)
    source = g.node("Clip", "", g.constant(np.float32(0)), g.constant(np.float32(6)))
    g.conv(4, 4, 3, pads=[1, 1, 1, 1], group=4)
    g.node("Add", "", source)
    g.node("Relu")
    g.node("Concat", "", source, axis=1)
    g.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    maps = g.node("Transpose", perm=[0, 2, 3, 1])
    size = g.node("Gather", g.node("Shape"), g.constant(np.int64(0)), axis=0)
    batch = g.node("Unsqueeze", size, g.constant(np.array([0])))
    g.node("Reshape", maps, g.node("Concat", batch, g.constant(np.array([-1])), axis=0))
    g.gemm(5, 32)
    g.node("Mul", "", g.constant(np.float32(2)))
    g.node("Softmax", axis=-1)
    return g


def quantized_model(qonnx: bool) -> Quantized:
    """Return a small quantised network."""
    g = Quantized(1, 2, 8, 8, qonnx=qonnx)
    g.quantize(0.25)
    g.qconv(4, 2, step=np.array([0.5, 0.125, 0.25, 0.0625]), pads=[1, 1, 1, 1])
    g.node("Relu")
    source = g.quantize(0.5, 6, signed=False)
    g.qconv(4, 4, reads=0.5, group=2, pads=[1, 1, 1, 1])
    branch = g.quantize(0.5, 6)
    g.node("Add", source, branch)
    g.quantize(1.0, 4, signed=False)
    g.node("GlobalAveragePool")
    g.quantize(0.25, 6, signed=False)
    g.node("Flatten")
    g.node("Gemm", "", g.coded(g.rng.integers(-7, 8, (3, 4)), 0.125, 4), transB=1)
    return g


def qlinear_model() -> Quantized:
    """Return a small network of integer operators."""
    g = Quantized(1, 2, 8, 8)
    step, zero = g.constant(np.float32(0.25)), g.constant(np.int8(0))
    g.node("QuantizeLinear", "", step, zero)
    weight = g.constant(g.rng.integers(-7, 8, (4, 2, 3, 3)).astype(np.int8))
    bias = g.constant(g.rng.integers(-50, 50, 4).astype(np.int32))
    g.node("QLinearConv", "", step, zero, weight, step, zero, step, zero, bias)
    g.node("Flatten")
    matrix = g.constant(g.rng.integers(-7, 8, (144, 5)).astype(np.int8))
    g.node("QLinearMatMul", "", step, zero, matrix, step, zero, step, zero)
    g.node("DequantizeLinear", "", step, zero)
    return g


MODELS = {
    "float": float_model,
    "qonnx": lambda: quantized_model(True),
    "qcdq": lambda: quantized_model(False),
    "qlinear": qlinear_model,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all files, and things around them that constants may not lie in."""
    base = tmp_path_factory.mktemp("fuzz")
    place = base / "models"
    (place / "folder").mkdir(parents=True)
    (base / "secret").write_bytes(bytes(4096))
    (place / "weights").write_bytes(bytes(4096))
    (place / "link").symlink_to(base / "secret")
    (place / "loop").symlink_to(place / "loop")
    models = {name: draw().model() for name, draw in MODELS.items()}
    for name, data in onnx_damage.damaged(models, np.random.default_rng(SEED)):
        (place / name).write_bytes(data)
    for name, model in models.items():
        onnx.save(model, place / f"{name}-whole.onnx")
    return place


@pytest.fixture(scope="module")
def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what came of each file, in a process of at most 1 GiB, its libraries included."""
    script = ROOT / "tests" / "onnx_damage.py"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    *found, peak = map(json.loads, done.stdout.splitlines())
    assert peak["peak_bytes"] < onnx_damage.MEMORY_BYTES
    return {row["file"]: row for row in found}


def scores(found: ImportedNetwork | ImportedProgram, batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the scores of what was imported, as real numbers."""
    if isinstance(found, ImportedNetwork):
        with np.errstate(all="ignore"):
            return found.result.network.scores(batch)
    program = found.result
    codes = golden.run(program, program.input_signal.encode(batch))[program.output]
    return program.signals[program.output].decode(codes)


class TestDamagedFiles:
    def test_each_ends_in_an_error_line_or_an_import(self, folder: Path, rows: dict[str, dict[str, Any]]) -> None:
        """No file ends in a traceback, takes five seconds or leaves the memory."""
        assert len(rows) == len([*folder.glob("*.onnx")]) >= 500
        bad = [row for row in rows.values() if row["end"] == "traceback"]
        assert not bad, f"{len(bad)}: {bad[0]['file']}\n{bad[0]['text']}"
        for row in rows.values():
            assert row["seconds"] < onnx_damage.SECONDS
            if row["end"] == "error":
                assert len(row["text"].splitlines()) == 1
                assert row["text"].startswith(f"{folder / row['file']}: ")

    def test_the_corpus_is_worth_it(self, rows: dict[str, dict[str, Any]]) -> None:
        """Negative control: whole files are imported, and damage of every kind but the cuts is often seen late."""
        ends = collections.Counter((name.split("-")[1].removesuffix(".onnx"), row["end"]) for name, row in rows.items())
        assert ends["whole", "import"] == len(MODELS)
        assert all(ends[kind, "error"] >= 5 for kind in onnx_damage.KINDS)
        lines = {row["text"].split(": ", 1)[1] for row in rows.values() if row["end"] == "error"}
        assert len(lines) > 100

    def test_no_constant_from_elsewhere(self, rows: dict[str, dict[str, Any]]) -> None:
        """Each constant that is said to lie outside is refused, or not read."""
        outside = [row for name, row in rows.items() if "-outside-" in name]
        assert any("expected a file in the model's folder" in row["text"] for row in outside)
        assert not any("secret" in row["text"] and row["end"] == "import" for row in outside)

    def test_what_is_imported_is_right(self, folder: Path, rows: dict[str, dict[str, Any]]) -> None:
        """A damaged file that is imported, and that onnxruntime takes too, has onnxruntime's scores."""
        compared: collections.Counter[str] = collections.Counter()
        for name, row in rows.items():
            if row["end"] != "import" or name.startswith("qonnx"):
                continue
            found = import_model(folder / name)
            of_floats = isinstance(found, ImportedNetwork)
            shape = found.result.network.input_shape if of_floats else found.result.input_shape
            batch = images(shape[1:] + shape[:1] if found.last else shape, 1)
            try:
                running = session(folder / name, plain=True)
                (expected, *_) = running.run(None, {running.get_inputs()[0].name: batch})
            except Exception:  # onnxruntime's many; that it refuses a file is no fault of ours
                continue
            ours = scores(found, np.moveaxis(batch, -1, 1) if found.last else batch).reshape(expected.shape)
            if any("Softmax" in note for note in found.notes):
                ours = np.exp(ours - ours.max(axis=1, keepdims=True))
                ours /= ours.sum(axis=1, keepdims=True)
            if np.isfinite(expected).all() and not any("float32" in note for note in found.notes):
                tolerance = 1e-4 * np.abs(expected).max() if of_floats else 0
                assert np.abs(ours - expected).max() <= tolerance, name
                compared[name.split("-")[0]] += 1
        assert all(compared[name] >= 3 for name in ("float", "qcdq", "qlinear")), compared
        assert compared.total() >= 30

    def test_the_command(self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The commands say the same in one line, end with status 2 and write nothing."""
        damaged = [*sorted(folder.glob("*-without-1*.onnx")), *sorted(folder.glob("*-huge-2*.onnx"))]
        refused = 0
        for path in damaged:
            for command in (["import", str(path), "-o", str(tmp_path / "out")], ["inspect", str(path)]):
                with pytest.raises(SystemExit) as caught:
                    cli.main(command)
                lines = capsys.readouterr().err.splitlines()
                if caught.value.code:
                    assert (caught.value.code, len(lines)) == (2, 1)
                    assert not (tmp_path / "out").exists()
                    refused += 1
                (tmp_path / "out").unlink(missing_ok=True)
        assert refused > 40
