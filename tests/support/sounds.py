"""Folders of sounds as Speech Commands and DCASE 2020's task 2 have them, with wav files as `wave` writes them."""

import wave
from pathlib import Path
from typing import Any

import numpy as np

from accel.interchange.data.speech import NOISE, WORDS

RATE = 16_000
Sound = np.ndarray[Any, np.dtype[np.int16]]


def wav(path: Path, samples: Sound, rate: int = RATE, channels: int = 1) -> Path:
    """Write samples of 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())
    return path


def noise(rng: np.random.Generator, seconds: float, loud: int = 3000) -> Sound:
    """Return noise."""
    return rng.integers(-loud, loud, round(RATE * seconds)).astype(np.int16)


def tone(hertz: float, seconds: float, loud: int = 8000) -> Sound:
    """Return a sine."""
    return np.round(loud * np.sin(2 * np.pi * hertz / RATE * np.arange(round(RATE * seconds)))).astype(np.int16)


def speech_commands(folder: Path, seconds: float = 0.5) -> Path:
    """Write three recordings of each of eleven words, one for each split, two of noise, and the lists."""
    rng = np.random.default_rng(0)
    for number, word in enumerate([*WORDS, "bed"]):
        for name in ("a_nohash_0", "b_nohash_0", "c_nohash_0"):
            wav(folder / word / f"{name}.wav", tone(200 + 150 * number, seconds) + noise(rng, seconds, 200))
    for name in ("running_tap", "white_noise"):
        wav(folder / NOISE / f"{name}.wav", noise(rng, 1.5))
    (folder / NOISE / "README.md").write_text("noise\n")
    for name, file in (("validation", "b"), ("testing", "c")):
        lines = [f"{word}/{file}_nohash_0.wav" for word in (*WORDS, "bed")]
        (folder / f"{name}_list.txt").write_text("\n".join(lines) + "\n")
    return folder


def toy_car(folder: Path, machines: tuple[str, ...] = ("id_01", "id_02"), seconds: float = 8.2) -> Path:
    """Write two recordings of each machine for training, and for tests three that work and three that whistle."""
    rng = np.random.default_rng(1)
    for machine in machines:
        for number in range(2):
            wav(folder / "train" / f"normal_{machine}_{number:08}.wav", noise(rng, seconds))
        for number in range(3):
            wav(folder / "test" / f"normal_{machine}_{number:08}.wav", noise(rng, seconds))
            whistle = noise(rng, seconds) + tone(3000, seconds)
            wav(folder / "test" / f"anomaly_{machine}_{number:08}.wav", whistle)
    return folder
