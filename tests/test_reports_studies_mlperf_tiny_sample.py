"""The one recording of MLPerf Tiny's repository: weights of Keras, windows, and what is missed of them."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.interchange.zoo import DENSE
from accel.layers import BatchNorm
from reports.shared.schema import saved
from reports.studies.mlperf_tiny import __main__ as command
from reports.studies.mlperf_tiny import sample
from reports.studies.mlperf_tiny.definition import BITS, PATTERNS
from reports.studies.mlperf_tiny.results import Results
from reports.studies.mlperf_tiny.sample import trained, windows

PUBLISHED = 9.491290419806504  # of this recording in MLPerf Tiny's anomaly_score_ToyCar_id_01.csv
SIZES = (640, *(128,) * 4, 8, *(128,) * 4, 640)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a file of 12 frames: the energy e of frame f is -f - e / 1000."""
    energies = -np.arange(12)[:, None] - np.arange(128) / 1000
    path = tmp_path / "sample.bin"
    path.write_bytes(energies.astype("<f4").tobytes())
    return path


@pytest.fixture
def keras(tmp_path: Path) -> Path:
    """Return a file of weights as Keras lays them out."""
    h5py = pytest.importorskip("h5py", reason="weights of Keras are read by h5py (extra referees)")
    rng, path = np.random.default_rng(0), tmp_path / "ad01.h5"
    with h5py.File(path, "w") as file:
        for number, (inputs, outputs) in enumerate(pairwise(SIZES)):
            suffix = f"_{number}" * (number > 0)
            group = file.create_group(f"model_weights/dense{suffix}/dense{suffix}")
            group["kernel:0"] = rng.normal(0, inputs**-0.5, (inputs, outputs)).astype(np.float32)
            group["bias:0"] = rng.normal(size=outputs).astype(np.float32)
            norm = file.create_group(f"model_weights/batch_normalization{suffix}/batch_normalization{suffix}")
            for name in ("gamma", "beta", "moving_mean", "moving_variance"):
                norm[f"{name}:0"] = rng.uniform(0.5, 1.5, outputs).astype(np.float32)
    return path


def as_keras(path: Path, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what Keras would give: dense, normalised with its epsilon, above zero; the last layer dense alone."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        weights = file["model_weights"]
        for number in range(10):
            suffix = f"_{number}" * (number > 0)
            dense = weights[f"dense{suffix}/dense{suffix}"]
            rows = rows @ dense["kernel:0"][:] + dense["bias:0"][:]
            if number < 9:
                norm = weights[f"batch_normalization{suffix}/batch_normalization{suffix}"]
                gain = norm["gamma:0"][:] / np.sqrt(norm["moving_variance:0"][:] + 1e-3)
                rows = np.maximum((rows - norm["moving_mean:0"][:]) * gain + norm["beta:0"][:], 0)
    return rows


def test_windows_are_frames_one_after_the_other(recording: Path) -> None:
    """The window w begins with the frame w, each frame in a row of its own; part of a frame is refused."""
    found = windows(recording)
    assert found.shape == (8, 1, 5, 128)
    assert found[3, 0, 2, 10] == np.float32(-5.01)
    recording.write_bytes(recording.read_bytes()[:-4])
    with pytest.raises(EspalierError, match="128 for each of at least 5 frames, got 6,140 bytes"):
        windows(recording)


def test_weights_are_those_of_keras(keras: Path, recording: Path) -> None:
    """The float network gives what Keras gives; with the batch norms' epsilon of PyTorch it would not."""
    network, images = trained(keras), windows(recording)
    wanted = as_keras(keras, images.reshape(len(images), -1))
    np.testing.assert_allclose(network.scores(images), wanted, rtol=1e-4, atol=1e-4)
    layers = tuple(replace(x, epsilon=1e-5) if isinstance(x, BatchNorm) else x for x in network.layers)
    assert not np.allclose(replace(network, layers=layers).scores(images), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("what", ["none", "other"])
def test_a_file_of_other_weights_is_refused(what: str, keras: Path) -> None:
    """One that is no HDF5, and one without the layers."""
    h5py = pytest.importorskip("h5py")
    if what == "none":
        keras.write_bytes(b"no weights")
    else:
        with h5py.File(keras, "a") as file:
            del file["model_weights/dense_4"]
    with pytest.raises(EspalierError, match=r"ad01\.h5: .*; expected the Keras weights of MLPerf Tiny's autoencoder"):
        trained(keras)


def test_the_command_writes_what_is_missed(
    keras: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Floats miss what the outputs say; in 8 bits nearly as much; results and page have both."""
    monkeypatch.setattr(sample, "PATTERNS", (DENSE,))
    monkeypatch.setattr(sample, "BITS", (3, 8))
    out = tmp_path / "study"
    arguments = ["sample", "--weights", str(keras), "--sample", str(recording), "--out", str(out)]
    done = CliRunner().invoke(command.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    floats, coarse, fine = saved(out / "results.json", Results.from_json).losses
    rows = windows(recording).reshape(8, -1)
    assert floats.loss == pytest.approx(((as_keras(keras, rows) - rows) ** 2).mean(), rel=1e-4)
    assert (floats.bits, coarse.bits, fine.bits) == (0, 3, 8)
    assert abs(fine.loss - floats.loss) < min(abs(coarse.loss - floats.loss), 0.05 * floats.loss)


def test_what_is_committed_is_what_mlperf_tiny_tells() -> None:
    """In floats; every pattern is there but the one that no layer can have, at each word length."""
    found = saved(Path(command.__file__).parent / "results.json", Results.from_json).losses
    assert {(x.pattern, x.bits) for x in found} == {(x, y) for x in PATTERNS if x != "ikss" for y in (0, *BITS)}
    dense = {x.bits: x.loss for x in found if x.pattern == DENSE}
    assert dense[0] == pytest.approx(PUBLISHED, abs=5e-4)
    assert dense[8] != pytest.approx(PUBLISHED, abs=5e-4)
