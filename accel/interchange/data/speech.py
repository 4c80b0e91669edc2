"""Google's Speech Commands (version 2) as its archive unpacks: ten words to tell apart, silence, and other words.

A folder for each word holds its wav files; ``validation_list.txt`` and ``testing_list.txt`` say which of them, as
``WORD/FILE.wav``, a line each, are not for training. Source: Warden, "Speech Commands" (arXiv 1804.03209); twelve
classes in the order of MLPerf Tiny's keyword spotting, whose features are MFCC (`accel.interchange.data.sound`).

As in TensorFlow's tutorial, a tenth as many recordings as there are of the ten words are silence, seconds of
``_background_noise_``, and as many are drawn of all other words; four of five training recordings have some of the
noise mixed in. Every draw has a fixed seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.files import read_whole
from accel.interchange.data.datasets import SPLITS
from accel.interchange.data.pictures import folders
from accel.interchange.data.sound import COEFFICIENTS, FRAMES, WORD_SAMPLES, mfcc, read_wav

WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
SILENCE, UNKNOWN = len(WORDS), len(WORDS) + 1
CLASSES = len(WORDS) + 2
SHAPE = (1, FRAMES, COEFFICIENTS)
NOISE = "_background_noise_"
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
OTHER_SHARE = 0.1  # of silence, and of unknown words, for each recording of the ten words
NOISY_SHARE, LOUDEST = 0.8, 0.1  # of training recordings with noise, and how loud it is at most
SEED = 0


@dataclass(frozen=True)
class Clip:
    """A second of a recording, and of what is mixed into it.

    Parameters
    ----------
    path : Path
    first : int
        Its first sample.
    noise : Path, optional
    noise_first : int
    volume : float
        That the noise, -1..1, is multiplied by.
    """

    path: Path
    first: int = 0
    noise: Path | None = None
    noise_first: int = 0
    volume: float = 0.0


def is_speech(path: Path) -> bool:
    """Return whether a folder has the layout: one of the lists, the noise, or folders of wav files."""
    if any((path / name).exists() for name in (*LISTS.values(), NOISE)):
        return True
    return any(entry.suffix.lower() == ".wav" for name in folders(path)[:1] for entry in (path / name).iterdir())


def clips_of(path: Path) -> dict[str, tuple[list[Clip], list[int]]]:
    """Return the clips of each split with their classes.

    Raises
    ------
    EspalierError
        A list or the noise is missing, a list names what is not there, or a split has nothing of a class.
    OSError
        Something cannot be read.
    """
    listed = {split: _listed(path, name) for split, name in LISTS.items()}
    split_of = {file: split for split, files in listed.items() for file in files}
    noises = _wavs(path, NOISE)
    lengths = {noise: len(read_wav(noise)) for noise in noises}
    if not noises or min(lengths.values()) < WORD_SAMPLES:
        raise EspalierError(f"{path / NOISE}: has no wav files, or one of less than a second; silence is taken from it")
    words: dict[str, dict[str, list[Path]]] = {split: {} for split in SPLITS}
    for word in folders(path):
        for file in _wavs(path, word) if word != NOISE else ():
            words[split_of.pop(f"{word}/{file.name}", SPLITS[0])].setdefault(word, []).append(file)
    if split_of:
        raise EspalierError(f"{path}: has no {min(split_of)}, which {LISTS[split_of[min(split_of)]]} names")
    return {split: _split(path, split, words[split], lengths) for split in SPLITS}


def features_of(clips: Sequence[Clip]) -> NDArray[np.float32]:
    """Return the MFCC of clips, (N, 1, 49, 10).

    Raises
    ------
    EspalierError
        A file is no wav file, or of another rate.
    OSError
        A file cannot be read.
    """
    return _features(tuple(clips))


@lru_cache(maxsize=3)  # a command loads a split again and again
def _features(clips: tuple[Clip, ...]) -> NDArray[np.float32]:
    found = np.empty((len(clips), *SHAPE), np.float32)
    for place, clip in enumerate(clips):
        found[place, 0] = mfcc(_samples(clip))
    found.setflags(write=False)
    return found


def _samples(clip: Clip) -> NDArray[np.float32]:
    """Return a second of sound, its highest sample 1, zeros behind what is shorter, and its noise."""
    samples = _second(read_wav(clip.path), clip.first)
    highest = samples.max()
    samples = samples / highest if highest > 0 else samples
    if clip.noise is not None:
        noise = _second(_noise(clip.noise), clip.noise_first) / np.float32(1 << 15)
        samples = np.clip(samples + np.float32(clip.volume) * noise, -1, 1)
    return samples


_noise = lru_cache(maxsize=16)(read_wav)  # there are six


def _second(samples: NDArray[np.int16], first: int) -> NDArray[np.float32]:
    part = samples[first : first + WORD_SAMPLES].astype(np.float32)
    return np.pad(part, (0, WORD_SAMPLES - len(part)))


def _listed(path: Path, name: str) -> list[str]:
    file = path / name
    if not file.exists():
        raise EspalierError(f"{file}: no such file; Speech Commands lists there what is not for training")
    return [line.strip() for line in read_whole(file).decode(errors="replace").splitlines() if line.strip()]


def _wavs(path: Path, name: str) -> list[Path]:
    folder = path / name
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == ".wav") if folder.is_dir() else []


def _split(
    path: Path, split: str, words: dict[str, list[Path]], noises: dict[Path, int]
) -> tuple[list[Clip], list[int]]:
    rng = np.random.default_rng((SEED, SPLITS.index(split)))
    for word in WORDS:
        if not words.get(word):
            raise EspalierError(f"{path / word}: has no {split} recording; each of {', '.join(WORDS)} needs one")
    clips = [Clip(file) for word in WORDS for file in words[word]]
    labels = [label for label, word in enumerate(WORDS) for _ in words[word]]
    others = [file for word, files in words.items() if word not in WORDS for file in files]
    if not others:
        raise EspalierError(f"{path}: has no {split} recording of another word than {', '.join(WORDS)}")
    count = max(round(OTHER_SHARE * len(clips)), 1)
    silence = [_piece(noises, rng) for _ in range(count)]
    unknown = [Clip(others[place]) for place in rng.permutation(len(others))[:count]]
    if split == SPLITS[0]:
        clips, unknown = ([_noisy(clip, noises, rng) for clip in part] for part in (clips, unknown))
    labels += [SILENCE] * len(silence) + [UNKNOWN] * len(unknown)
    return [*clips, *silence, *unknown], labels


def _piece(noises: dict[Path, int], rng: np.random.Generator) -> Clip:
    noise = list(noises)[rng.integers(len(noises))]
    return Clip(noise, int(rng.integers(noises[noise] - WORD_SAMPLES + 1)))


def _noisy(clip: Clip, noises: dict[Path, int], rng: np.random.Generator) -> Clip:
    if rng.random() >= NOISY_SHARE:
        return clip
    piece = _piece(noises, rng)
    return replace(clip, noise=piece.path, noise_first=piece.first, volume=float(rng.uniform(0, LOUDEST)))
