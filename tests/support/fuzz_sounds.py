"""Folders of Speech Commands with a damaged recording or list, and recordings that say that they are giant."""

import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from accel.interchange.data.own_data import Taker, open_own
from accel.interchange.data.sound import COEFFICIENTS, FRAMES, read_wav
from accel.interchange.data.speech import CLASSES, LISTS
from support.fuzz_cases import BINARY, TEXT, Rng, damaged
from support.fuzz_files import Run
from support.sounds import speech_commands

NUMBERS = (0, 1, 2, 7, 16_000, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
WAV = "yes/c_nohash_0.wav"


@cache
def files() -> dict[str, bytes]:
    """Return a right folder's files by their paths in it."""
    with TemporaryDirectory() as folder:
        root = speech_commands(Path(folder), 0.05)
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _bomb(rng: Rng) -> bytes:
    """Return a wav file, a number in whose head is another one."""
    data, at = bytearray(files()[WAV]), int(rng.choice((4, 16, 24, 28, 40)))
    data[at : at + 4] = struct.pack("<I", NUMBERS[rng.integers(len(NUMBERS))])
    return bytes(data)


def _wav(rng: Rng) -> Run:
    data = _bomb(rng) if rng.random() < 0.5 else damaged(files()[WAV], rng, BINARY)

    def run(folder: Path) -> None:
        (folder / "a.wav").write_bytes(data)
        assert read_wav(folder / "a.wav").size <= len(data), "more was read than there is"

    return run


def _words(rng: Rng) -> Run:
    name = (WAV, *LISTS.values(), "_background_noise_/white_noise.wav")[rng.integers(4)]
    made = _bomb(rng) if rng.random() < 0.2 else damaged(files()[name], rng, TEXT if name.endswith("txt") else BINARY)
    gone = rng.random() < 0.1

    def run(folder: Path) -> None:
        for path, data in (files() | {name: made}).items():
            if not (gone and path == name):
                (folder / "words" / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / "words" / path).write_bytes(data)
        found = open_own(folder / "words", Taker("network", (1, FRAMES, COEFFICIENTS), CLASSES))
        for split in ("validation", "test"):
            assert found.load(split).labels.max() < CLASSES

    return run


FORMATS_OF: dict[str, Callable[[Rng], Run]] = {"wav": _wav, "speech commands": _words}
