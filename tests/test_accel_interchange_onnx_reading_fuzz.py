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
from support.onnx_graphs import Drawing, depthwise_separable, images, keras_like, mobilenet_v2, session
from support.onnx_models import MODELS

from accel.interchange.onnx.reading.model import ImportedNetwork, ImportedProgram, import_model
from reports import shell
from sim import golden

ROOT = Path(__file__).parents[1]
SEED = 20


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
    """Return what came of each file."""
    return imported(folder)


def imported(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what came of each file of a folder, in a process of at most 1 GiB, its libraries included."""
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


def newer() -> Drawing:
    """Return a network of what files of today have beside convolutions: functions, parts, joints, sizes."""
    g = Drawing("batch", 2, 8, 8)
    for op in ("HardSwish", "Gelu", "Elu", "Tanh", "Softplus", "HardSigmoid"):
        g.conv(4, 2 if op == "HardSwish" else 4, 1)
        source = g.node(op)
    g.node("PRelu", "", g.constant(np.array([0.1, 0.5, -0.3, 0.2], np.float32).reshape(4, 1, 1)))
    g.node("Sum", source, "", source)
    g.node("Sub", source, "")
    g.node("Split", outputs=["left", "right"], axis=1, num_outputs=2)
    g.node("Concat", "right", "left", axis=1)
    g.node("Slice", "", *(g.constant(np.array([x])) for x in (1, 7, 2)))
    g.node("SpaceToDepth", blocksize=2)
    pooled = g.node("GlobalMaxPool")
    g.node("Squeeze", pooled, g.constant(np.array([2, 3])))
    g.gemm(3, 16)
    return g


@pytest.mark.slow
def test_thousands(tmp_path: Path) -> None:
    """Other damage than below, of other networks too, 2,700 files in all: no traceback, no hang, all stay in 1 GiB."""
    more = {
        "newer": newer,
        "mobilenet": lambda: mobilenet_v2(32, 10, 8),
        "keras": keras_like,
        "dscnn": depthwise_separable,
    }
    models = {name: draw().model() for name, draw in (MODELS | more).items()}
    for name, model in models.items():
        onnx.save(model, tmp_path / f"{name}-whole.onnx")
    for name, data in onnx_damage.damaged(models, np.random.default_rng(SEED + 1)):
        (tmp_path / name).write_bytes(data)
    rows = imported(tmp_path)
    assert len(rows) == len([*tmp_path.glob("*.onnx")])
    bad = [row for row in rows.values() if row["end"] == "traceback"]
    assert not bad, f"{len(bad)}: {bad[0]['file']}\n{bad[0]['text']}"
    assert all(row["seconds"] < onnx_damage.SECONDS for row in rows.values())
    assert all(rows[f"{name}-whole.onnx"]["end"] == "import" for name in models)  # negative control
    assert len(rows) >= 1_700


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
            if row["end"] != "import" or name.startswith(("qonnx", "int8")):  # its pools and sums break ties otherwise
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
                status = shell.run(command)
                lines = capsys.readouterr().err.splitlines()
                if status:
                    assert (status, len(lines)) == (2, 1)
                    assert not (tmp_path / "out").exists()
                    refused += 1
                (tmp_path / "out").unlink(missing_ok=True)
        assert refused > 40
