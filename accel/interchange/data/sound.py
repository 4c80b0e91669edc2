"""Recordings and what networks hear of them: wav files, MFCC and log-mel energies.

Both kinds of features are those of MLPerf Tiny's reference networks, of 16,000 samples a second: `mfcc` as TensorFlow's
`tf.signal` computes it (`get_dataset.py` of keyword spotting), `log_mel` as librosa does (`common.py` of anomaly
detection; Slaney's mel scale and areas).
"""

import io
import wave
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from accel.errors import EspalierError, reading
from accel.files import read_whole

RATE = 16_000  # samples a second
MOST_BYTES = 1 << 26  # of a file: half an hour
BINS = 513  # of a Fourier transform of 1,024 samples
WORD_SAMPLES, WORD_WINDOW, WORD_STRIDE = RATE, 640, 320  # 1 s, 40 ms, 20 ms
FRAMES, COEFFICIENTS = 49, 10
WORD_MELS, WORD_LOW, WORD_HIGH, WORD_FLOOR = 40, 20.0, 4000.0, 1e-6
MACHINE_WINDOW, MACHINE_STRIDE, MACHINE_MELS = 1024, 512, 128

Samples = NDArray[np.float32]


def read_wav(path: Path) -> NDArray[np.int16]:
    """Return the samples of a wav file of one channel, 16 bits and 16,000 samples a second.

    Raises
    ------
    EspalierError
        The file is no such wav file, was cut, or has another rate, width or number of channels.
    OSError
        It cannot be read.
    """
    data = read_whole(path, MOST_BYTES)
    with reading(path, "is no wav file of plain samples, or was cut", (wave.Error, EOFError)):
        with wave.open(io.BytesIO(data)) as sound:
            form = sound.getframerate(), 8 * sound.getsampwidth(), sound.getnchannels()
            frames = sound.getnframes()
            samples = sound.readframes(frames)
        if form != (RATE, 16, 1):
            raise EspalierError(
                f"has {form[0]:,} samples a second, {form[1]} bits and {form[2]} channels; expected {RATE:,}, 16 and 1"
            )
        if len(samples) != 2 * frames:
            raise EOFError
        return np.frombuffer(samples, "<i2")


def mfcc(samples: Samples) -> Samples:
    """Return the first 10 mel-frequency cepstral coefficients of 49 frames, (49, 10), of a second of sound.

    Parameters
    ----------
    samples : float32 (16000,)
    """
    frames = sliding_window_view(samples, WORD_WINDOW)[::WORD_STRIDE]
    spectrum = np.abs(np.fft.rfft(frames * _hann(WORD_WINDOW), 2 * (BINS - 1)))
    energies = np.log(spectrum @ _htk_mels() + WORD_FLOOR)
    return np.asarray(energies @ _cosines(), np.float32)


def log_mel(samples: NDArray[Any]) -> Samples:
    """Return the energies in 128 mel bands, in dB, of the frames that begin every 512 samples, (frames, 128).

    Parameters
    ----------
    samples : array (n,)
        -1..1; frames stand around the 1st sample, the 513th and so on, zeros beyond both ends.
    """
    padded = np.pad(samples.astype(np.float64), MACHINE_WINDOW // 2)
    frames = sliding_window_view(padded, MACHINE_WINDOW)[::MACHINE_STRIDE]
    power = np.abs(np.fft.rfft(frames * _hann(MACHINE_WINDOW))) ** 2
    return np.asarray(10 * np.log10(power @ _slaney_mels() + np.finfo(np.float64).eps), np.float32)


@lru_cache
def _hann(size: int) -> NDArray[np.float64]:
    """Return Hann's window of a period of `size` samples."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


@lru_cache
def _htk_mels() -> NDArray[np.float64]:
    """Return the triangles (bins, bands) on HTK's mel scale, linear in mel; the constant part has none."""

    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1127 * np.log1p(hertz / 700))

    bins = mel(np.linspace(0, RATE / 2, BINS))
    low, high = mel(np.array([WORD_LOW, WORD_HIGH]))
    triangles = _triangles(bins, np.linspace(low, high, WORD_MELS + 2))
    triangles[0] = 0
    return triangles


@lru_cache
def _slaney_mels() -> NDArray[np.float64]:
    """Return the triangles (bins, bands) on Slaney's mel scale, linear in hertz, each of the same area."""
    linear, step = 200 / 3, np.log(6.4) / 27  # hertz a mel below 1,000 Hz, and what the logarithm grows by above
    mels = np.linspace(0, 15 + np.log(RATE / 2 / 1000) / step, MACHINE_MELS + 2)
    edges = np.where(mels < 15, mels * linear, 1000 * np.exp(step * (mels - 15)))
    return _triangles(np.linspace(0, RATE / 2, BINS), edges) * 2 / (edges[2:] - edges[:-2])


def _triangles(bins: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each bin the height of each triangle, which rises from an edge to the next and falls to the third."""
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    return np.maximum(0, np.minimum(rising, falling))


@lru_cache
def _cosines() -> NDArray[np.float64]:
    """Return the discrete cosine transform (bands, coefficients), orthonormal but for the constant's factor."""
    places = np.arange(WORD_MELS) + 0.5
    return np.sqrt(2 / WORD_MELS) * np.cos(np.pi / WORD_MELS * np.outer(places, np.arange(COEFFICIENTS)))
