"""Sounds of machines as DCASE 2020's task 2 has them (ToyADMOS, MIMII): some work, others are broken.

``train/`` holds recordings of machines that work, ``normal_id_01_00000000.wav``; ``test/`` those of others beside them,
``anomaly_id_01_00000000.wav``. Source: Koizumi et al. (arXiv 2006.05822). What a network gives again is what MLPerf
Tiny's autoencoder does: 5 frames of 128 log-mel energies, in dB, each of the 196 such windows in the middle of a
recording (frames 50 to 249). A recording's score is the mean squared error of its windows; how well scores tell
anomalies apart is the area under the receiver operating characteristic, machine by machine.

Of the recordings in ``test/`` one of four, machine by machine and kind by kind, drawn with a fixed seed, is for
validation.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from accel.errors import EspalierError, reading
from accel.interchange.data.datasets import SPLITS, Clips, Dataset
from accel.interchange.data.sound import MACHINE_MELS, log_mel, read_wav

TRAIN, VALIDATION, TEST = SPLITS
WINDOW = 5  # frames
FIRST, LAST = 50, 250
SHAPE = (1, WINDOW, MACHINE_MELS)
VALIDATION_SHARE = 0.25
SEED = 0
_NAME = re.compile(r"(normal|anomaly)_(id_\d\d)_.*\.wav", re.IGNORECASE)


@dataclass(frozen=True)
class Recording:
    """A wav file, its machine, and whether that is broken."""

    path: Path
    machine: str
    anomalous: bool


@dataclass(frozen=True, eq=False)
class Machines:
    """The recordings of a folder, as a network takes them.

    Parameters
    ----------
    path : Path
    name : str
        What networks and reports call them.
    splits : dict of str to tuple of Recording
    """

    path: Path
    name: str
    splits: dict[str, tuple[Recording, ...]]

    def load(self, split: str, labelled: bool = True) -> Dataset:
        """Return the windows of a split, the first of every recording first; `labelled` says that classes are needed.

        Raises
        ------
        EspalierError
            Classes are needed, or a recording cannot be used.
        """
        if labelled:
            raise EspalierError(f"{self.path}: sounds of machines have no classes; judge with --metric auc or mse")
        recordings = self.splits[split]
        images = _windows(recordings)
        clips = Clips(
            np.tile(np.arange(len(recordings)), len(images) // len(recordings)),
            np.array([x.anomalous for x in recordings]),
            tuple(x.machine for x in recordings),
        )
        return Dataset(self.name, split, images, np.zeros(0, np.int64), classes=0, full_scale=1, clips=clips)

    @property
    def note(self) -> str:
        """What was done with the recordings, in one line."""
        counts = ", ".join(f"{len(recordings):,} {split}" for split, recordings in self.splits.items())
        return (
            f"{self.path}: {counts} recordings of {len({x.machine for x in self.splits[TRAIN]})} machines, windows of "
            f"{WINDOW} frames of {MACHINE_MELS} log-mel energies in dB; {VALIDATION_SHARE:.0%} of test/ is for "
            f"validation (seed {SEED})"
        )


def is_machines(path: Path) -> bool:
    """Return whether a folder has the layout: wav files in ``train`` or ``test`` themselves."""
    return any(next(path.glob(f"{folder}/*.wav"), None) for folder in (TRAIN, TEST))


def open_machines(path: Path, name: str, taker: str, shape: tuple[int, ...]) -> Machines:
    """Return the recordings in a folder for a network, `taker`, of images of `shape`.

    Raises
    ------
    EspalierError
        The network takes other images, a folder has no recordings, a file has another name, or a machine of ``test``
        has no recording of either kind, or only one.
    OSError
        Something cannot be read.
    """
    if shape != SHAPE:
        raise EspalierError(f"{taker}: takes images of shape {shape}; windows of machines' sounds have {SHAPE}")
    train = _recordings(path, TRAIN)
    if broken := [x for x in train if x.anomalous]:
        raise EspalierError(f"{broken[0].path}: is an anomaly; {TRAIN}/ holds machines that work")
    rng = np.random.default_rng(SEED)
    parts: dict[str, list[Recording]] = {VALIDATION: [], TEST: []}
    tested = _recordings(path, TEST)
    for machine in sorted({x.machine for x in tested}):
        for anomalous in (False, True):
            found = [x for x in tested if (x.machine, x.anomalous) == (machine, anomalous)]
            kind = "anomaly" if anomalous else "normal"
            if len(found) < 2:
                raise EspalierError(
                    f"{path / TEST}: has {len(found)} {kind}_{machine}_*.wav; expected at least 2, one for validation"
                )
            drawn, held = rng.permutation(len(found)), max(round(VALIDATION_SHARE * len(found)), 1)
            parts[VALIDATION] += [found[place] for place in drawn[:held]]
            parts[TEST] += [found[place] for place in drawn[held:]]
    return Machines(path, name, {TRAIN: tuple(train), **{split: tuple(part) for split, part in parts.items()}})


def _recordings(path: Path, folder: str) -> list[Recording]:
    found = []
    for file in sorted((path / folder).glob("*.wav")):
        match = _NAME.fullmatch(file.name)
        if not match:
            raise EspalierError(f"{file}: expected a name such as normal_id_01_00000000.wav or anomaly_id_01_...")
        found.append(Recording(file, match[2].lower(), match[1].lower() == "anomaly"))
    if not found:
        raise EspalierError(f"{path / folder}: holds no wav files")
    return found


def windows_of(frames: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return all windows (n - 4, 5, 128) of frames (n, 128) of log-mel energies, one beginning with each frame."""
    return np.moveaxis(sliding_window_view(frames, WINDOW, axis=0), -1, 1)


@lru_cache(maxsize=2)  # a command loads a split again and again
def _windows(recordings: Sequence[Recording]) -> NDArray[np.float32]:
    """Return the windows (windows x recordings, 1, 5, 128): the first of every recording, then the second."""
    count = LAST - FIRST - WINDOW + 1
    found = np.empty((count, len(recordings), *SHAPE), np.float32)
    for place, recording in enumerate(recordings):
        frames = log_mel(read_wav(recording.path) / (1 << 15))
        with reading(recording.path):
            if len(frames) < LAST:
                raise EspalierError(f"has {len(frames)} frames of 32 ms, expected at least {LAST} (8 s)")
        found[:, place, 0] = windows_of(frames[FIRST:LAST])
    images = found.reshape(-1, *SHAPE)
    images.setflags(write=False)
    return images
