import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commandline import complaint, espalier
from support.sounds import noise, toy_car, wav

from accel.errors import EspalierError
from accel.interchange.data.datasets import AUC, Clips, Dataset
from accel.interchange.data.machines import Machines
from accel.interchange.data.own_data import Taker, open_own
from accel.interchange.data.sound import log_mel, read_wav
from accel.layers import Flatten, Linear, ReLU
from accel.network import Network
from accel.pruned import PrunedNetwork
from reports.workflow.evaluate import areas_of, rate_of

TAKER = Taker("autoencoder", (1, 5, 128), 640)
Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return recordings of two machines."""
    return toy_car(tmp_path_factory.mktemp("machines") / "ToyCar")


def opened(path: Path, taker: Taker = TAKER) -> Machines:
    """Return the recordings in a folder."""
    found = open_own(path, taker)
    assert isinstance(found, Machines)
    return found


class TestWindows:
    def test_five_frames_in_the_middle(self, folder: Path) -> None:
        """196 windows of each recording, of frames 50 to 249; the first of every recording come first."""
        data = opened(folder)
        images = data.load("train", labelled=False)
        paths = [recording.path for recording in data.splits["train"]]
        assert (images.name, images.images.shape) == ("ToyCar/", (196 * len(paths), 1, 5, 128))
        for place, path in enumerate(paths):
            frames = log_mel(read_wav(path) / (1 << 15))
            for window in (0, 195):
                at = images.images[window * len(paths) + place, 0]
                np.testing.assert_array_equal(at, frames[50 + window : 55 + window])
        assert images.clips is not None
        assert images.clips.of[:5].tolist() == [0, 1, 2, 3, 0]

    def test_splits(self, folder: Path) -> None:
        """Of three recordings of a kind and a machine one is for validation; none is in two splits."""
        splits = opened(folder).splits
        counts = {split: len(recordings) for split, recordings in splits.items()}
        assert counts == {"train": 4, "validation": 4, "test": 8}
        assert len({x.path for recordings in splits.values() for x in recordings}) == 16
        for split in ("validation", "test"):
            kinds = {(x.machine, x.anomalous) for x in splits[split]}
            assert len(kinds) == 4

    def test_a_part_is_of_all(self, folder: Path) -> None:
        """The first images are the first windows of every recording."""
        part = opened(folder).load("test", labelled=False).take(8)
        assert part.clips is not None
        assert sorted(part.clips.of.tolist()) == list(range(8))


def judged(scores: Array, anomalous: Array, machines: list[str]) -> dict[str, float]:
    """Return the AUC of each machine where outputs miss images by these scores."""
    count = len(scores)
    clips = Clips(np.arange(count), anomalous, tuple(machines))
    images = np.zeros((count, 1, 1, 1), np.float32)
    data = Dataset("x", "test", images, np.zeros(0, np.int64), 0, 1, AUC, clips)
    return areas_of(np.sqrt(scores).reshape(count, 1), data, "x")


class TestAuc:
    @given(st.integers(0, 10**6), st.integers(1, 4))
    def test_it_is_a_share_of_pairs(self, seed: int, values: int) -> None:
        """Counted pair by pair: an anomaly that is missed by more than a normal one is right, by as much half."""
        rng = np.random.default_rng(seed)
        anomalous = np.array([False, True, *(rng.random(rng.integers(0, 9)) < 0.5)])
        scores = rng.integers(0, values + 1, len(anomalous)).astype(float)
        pairs = [(a, n) for a in scores[anomalous] for n in scores[~anomalous]]
        expected = sum(1.0 if a > n else 0.5 if a == n else 0.0 for a, n in pairs) / len(pairs)
        assert judged(scores, anomalous, ["m"] * len(scores)) == pytest.approx({"m": expected})

    def test_machine_by_machine(self) -> None:
        """Scores of two machines are not compared: each is told apart without an error, and the rate is 0."""
        scores, anomalous = np.array([1.0, 2.0, 11.0, 12.0]), np.array([False, True, False, True])
        assert judged(scores, anomalous, ["a", "a", "b", "b"]) == {"a": 1.0, "b": 1.0}
        assert judged(scores, anomalous, ["a"] * 4) == {"a": 0.75}

    def test_a_recording_is_the_mean_of_its_windows(self) -> None:
        """Windows of 9 and 1 are 5, more than 4 and 4: an AUC of 1, where single windows would give a half."""
        clips = Clips(np.array([0, 0, 1, 1]), np.array([True, False]), ("m", "m"))
        images = np.zeros((4, 1, 1, 1), np.float32)
        data = Dataset("x", "test", images, np.zeros(0, np.int64), 0, 1, AUC, clips)
        outputs = np.sqrt(np.array([[9.0], [1.0], [4.0], [4.0]]))
        assert areas_of(outputs, data, "x") == {"m": 1.0}
        assert rate_of(outputs, data, "x") == 0
        assert rate_of(-outputs[::-1], replace(data, clips=Clips(clips.of, ~clips.anomalous, clips.machines)), "x") == 0

    def test_one_kind_only(self) -> None:
        """Without an anomaly there is no pair."""
        with pytest.raises(EspalierError, match=r"^x \(test\): m has recordings of one kind only; AUC needs both"):
            judged(np.ones(2), np.array([False, False]), ["m", "m"])


@pytest.mark.parametrize(
    ("name", "samples", "message"),
    [
        ("train/anomaly_id_01_00000009.wav", 8.2, "is an anomaly; train/ holds machines that work"),
        ("test/broken.wav", 8.2, "broken.wav: expected a name such as normal_id_01_00000000.wav"),
        ("test/anomaly_id_09_00000000.wav", 8.2, "test: has 0 normal_id_09_*.wav; expected at least 2"),
        (
            "train/normal_id_01_00000009.wav",
            3.0,
            "normal_id_01_00000009.wav: has 94 frames of 32 ms, expected at least",
        ),
    ],
)
def test_what_cannot_be(tmp_path: Path, name: str, samples: float, message: str) -> None:
    """A name, a machine of one kind, or a recording that is too short: one line says which."""
    folder = toy_car(tmp_path / "ToyCar", ("id_01",))
    wav(folder / name, noise(np.random.default_rng(0), samples))
    with pytest.raises(EspalierError, match=re.escape(message)):
        opened(folder).load("train", labelled=False)


def test_no_recordings(folder: Path, tmp_path: Path) -> None:
    """A folder for training alone is refused, and a network of other images."""
    wav(tmp_path / "train" / "normal_id_01_00000000.wav", noise(np.random.default_rng(0), 0.1))
    with pytest.raises(EspalierError, match=r"test: holds no wav files"):
        opened(tmp_path)
    with pytest.raises(EspalierError, match=r"^lenet5: takes images of shape \(1, 28, 28\); windows of machines"):
        opened(folder, Taker("lenet5", (1, 28, 28), 10))


def autoencoder(folder: Path) -> Network:
    """Return a network that gives the mean window of the training recordings, and a little of what it sees."""
    mean = opened(folder).load("train", labelled=False).images.mean(axis=0).ravel()
    weight = np.full((4, 640), 1e-4, np.float32)
    layers = (
        Flatten("flatten", ("input",)),
        Linear("fc1", ("flatten",), weight=weight, bias=np.ones(4, np.float32)),
        ReLU("relu1", ("fc1",)),
        Linear("fc2", ("relu1",), weight=np.full((640, 4), 1e-3, np.float32), bias=mean),
    )
    return Network("auto", (1, 5, 128), layers)


@pytest.mark.slow
def test_commands(folder: Path, tmp_path: Path) -> None:
    """`quantize` and `run` judge by AUC, machine by machine: a whistle is told from noise; images have none."""
    net, program = tmp_path / "net.espalier", tmp_path / "p.espalier"
    PrunedNetwork(autoencoder(folder)).save(net)
    given = "--data", folder, "--metric", "auc"
    done = espalier("quantize", net, *given, "-o", program)
    assert done.status == 0, done.err
    assert "4 train, 4 validation, 8 test recordings of 2 machines" in done.err
    done = espalier("run", program, *given)
    assert done.status == 0
    assert "AUC 1.0000: id_01 1.0000, id_02 1.0000" in done.out
    assert "0.00% error on 1,568 images" in done.out
    assert "no classes; judge with --metric auc or mse" in complaint("run", program, "--data", folder)
