import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.sounds import noise, tone, wav

from accel.errors import EspalierError
from accel.interchange.data import sound
from accel.interchange.data.sound import log_mel, mfcc, read_wav

Array = np.ndarray[Any, np.dtype[Any]]
SECOND = np.zeros(16_000, np.float32)


class TestFiles:
    def test_samples(self, tmp_path: Path) -> None:
        """They are the integers that were written."""
        given = noise(np.random.default_rng(0), 0.3)
        assert np.array_equal(read_wav(wav(tmp_path / "a.wav", given)), given)

    @pytest.mark.parametrize(
        ("form", "message"),
        [
            ({"rate": 8000}, "a.wav: has 8,000 samples a second, 16 bits and 1 channels; expected 16,000, 16 and 1"),
            ({"channels": 2}, "a.wav: has 16,000 samples a second, 16 bits and 2 channels; expected 16,000, 16 and 1"),
        ],
    )
    def test_another_form(self, tmp_path: Path, form: dict[str, int], message: str) -> None:
        """Another rate, or a second channel, is said with what is expected."""
        path = wav(tmp_path / "a.wav", noise(np.random.default_rng(0), 0.1), **form)
        with pytest.raises(EspalierError, match=re.escape(message)):
            read_wav(path)

    @pytest.mark.parametrize("kept", [0, 20, 40, 44, 1000, 3243])
    def test_what_was_cut(self, tmp_path: Path, kept: int) -> None:
        """A file without its whole head, or all of the 1,600 samples that it promises, is refused."""
        path = wav(tmp_path / "a.wav", noise(np.random.default_rng(0), 0.1))
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(EspalierError, match=r"a\.wav: is no wav file of plain samples, or was cut"):
            read_wav(path)


class TestMfcc:
    def test_silence(self) -> None:
        """All 40 energies are log(1e-6): the first coefficient is sqrt(2 / 40) times their sum, the others are 0."""
        found = mfcc(SECOND)
        assert found.shape == (49, 10)
        assert found[:, 0] == pytest.approx(np.sqrt(80) * np.log(1e-6), rel=1e-6)
        assert np.abs(found[:, 1:]).max() < 1e-5

    def test_definition(self) -> None:
        """A frame, written out: Hann's window of 640 samples, 1,024 points, triangles, logarithm, cosines."""
        samples = (noise(np.random.default_rng(0), 1) / 3000).astype(np.float32)
        frame, places = 7, np.arange(640)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * places / 640)
        part = samples[320 * frame : 320 * frame + 640] * window
        bins = np.arange(513)
        spectrum = np.abs(np.exp(-2j * np.pi * np.outer(bins, places) / 1024) @ part)
        low, high = (1127 * np.log(1 + f / 700) for f in (20, 4000))
        step = (high - low) / 41
        mels = 1127 * np.log(1 + bins * 8000 / 512 / 700)
        energies = []
        for band in range(40):
            distance = np.abs(mels - (low + (band + 1) * step)) / step
            height = np.maximum(0, 1 - distance)
            height[0] = 0
            energies.append(np.log(spectrum @ height + 1e-6))
        for k in range(10):
            cosines = np.cos(np.pi * k * (2 * np.arange(40) + 1) / 80)
            assert mfcc(samples)[frame, k] == pytest.approx(np.sqrt(2 / 40) * np.dot(energies, cosines), abs=1e-3)

    def test_a_louder_sound(self) -> None:
        """Ten times as loud adds log(10) to every energy, so sqrt(80) log(10) to the first coefficient alone."""
        samples = (noise(np.random.default_rng(0), 1) / 30000).astype(np.float32)
        change = mfcc(10 * samples) - mfcc(samples)
        assert change[:, 0] == pytest.approx(np.sqrt(80) * np.log(10), abs=1e-2)
        assert np.abs(change[:, 1:]).max() < 1e-2


class TestLogMel:
    def test_silence(self) -> None:
        """Every energy is that of the smallest step of a double; a frame for each 512 samples, and one more."""
        found = log_mel(SECOND)
        assert found.shape == (1 + 16_000 // 512, 128)
        assert found == pytest.approx(10 * np.log10(2.0**-52))

    def test_a_tone(self) -> None:
        """It is strongest in the bands around it, and ten times as loud is 20 dB more there."""
        quiet, loud = (log_mel(tone(2000, 1, level) / (1 << 15)) for level in (1000, 10_000))
        # Slaney: 15 mels below 1,000 Hz, then a factor of 6.4 in 27; 130 edges up to 8,000 Hz
        edges = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 130)
        band = int(np.argmin(np.abs(edges[1:-1] - (15 + 27 * np.log(2) / np.log(6.4)))))
        middle = loud[10]
        assert abs(int(middle.argmax()) - band) <= 1
        assert middle.max() - quiet[10].max() == pytest.approx(20, abs=0.1)

    def test_triangles_have_one_area(self) -> None:
        """Slaney's are as wide as they are low: of those of many bins, 15.625 Hz apart, the area is 1."""
        areas = sound._slaney_mels().sum(axis=0) * 16_000 / 1024
        assert areas[100:] == pytest.approx(1, abs=0.02)
