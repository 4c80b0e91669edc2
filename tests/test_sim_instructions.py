"""Which kernel runs, and why: `sim.instructions`; and when compiled code is stale: `sim.kernels.compiled`."""

from pathlib import Path
from typing import Any

import numba
import pytest

from accel.errors import EspalierError
from sim import instructions
from sim.instructions import KERNELS, available, choose
from sim.kernels import compiled, dots, packed

EVERYTHING = ("avx512f", "avx512bw", "avx512vnni", "avx2", "avxvnni")


def with_features(monkeypatch: pytest.MonkeyPatch, *features: str) -> None:
    """Make the processor one that has these features."""
    monkeypatch.setattr(numba.config, "CPU_NAME", None)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", None)
    monkeypatch.setattr(dots.binding, "get_host_cpu_features", lambda: dict.fromkeys(features, True))


class TestChoice:
    @pytest.mark.parametrize(
        ("features", "name", "reason"),
        [
            (EVERYTHING, "avx512-vnni", "the processor has avx512f, avx512bw, avx512vnni"),
            (("avx2", "avxvnni"), "avx-vnni", "the processor has avx2, avxvnni; no avx512f"),
            (("avx2", "avx512f", "avx512bw"), "avx2", "the processor has avx2; no avx512vnni; no avxvnni"),
            ((), "portable", "it runs anywhere; no avx512f; no avx2; no avx2"),
        ],
    )
    def test_the_fastest_and_why(
        self, features: tuple[str, ...], name: str, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first kernel whose instructions the processor has; the reason names what the faster ones lack."""
        with_features(monkeypatch, *features)
        choice = choose()
        assert (choice.name, choice.kernel, choice.reason) == (name, KERNELS[name], reason)
        assert available()[0] == name
        assert available()[-1] == "portable"

    def test_one_that_is_asked_for(self) -> None:
        """A kernel by name, if it can run here."""
        choice = choose("portable")
        assert (choice.name, choice.kernel, choice.reason) == ("portable", dots.Portable, "it was asked for")

    def test_unknown(self) -> None:
        """A name that is none is refused with those there are."""
        with pytest.raises(EspalierError, match=r"unknown kernel 'sse': expected one of avx512-vnni, avx-vnni, avx2"):
            choose("sse")

    def test_one_that_cannot_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the processor lacks is named; nothing that would fault is compiled."""
        with_features(monkeypatch, "avx2")
        with pytest.raises(EspalierError, match="avx-vnni needs avxvnni, which this processor has not"):
            choose("avx-vnni")

    def test_numbas_own_processor_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a user asks numba for other features, those are what kernels are compiled for."""
        monkeypatch.setattr(numba.config, "CPU_FEATURES", "+avx2,-avxvnni,-avx512f")
        assert choose().name == "avx2"

    def test_every_kernel_has_shapes_and_words(self) -> None:
        """Each instruction set can sum up lists of four outputs and of one, pixels paired or not."""
        assert {key[0] for key in dots.SHAPES} == set(KERNELS.values()) == set(dots.WORDS) == set(dots.NEEDS)
        for kernel in KERNELS.values():
            assert {key[1:] for key in dots.SHAPES if key[0] is kernel} == {
                (4, False),
                (4, True),
                (1, False),
                (1, True),
            }

    def test_names_are_in_the_module(self) -> None:
        """The table is read by `espalier info`, the fastest first."""
        assert list(instructions.KERNELS) == ["avx512-vnni", "avx-vnni", "avx2", "portable"]


class TestStamp:
    def test_any_file_changes_it(self, tmp_path: Path) -> None:
        """Compiled code holds what it calls in other files: a change of any one is a change."""
        files = [tmp_path / name for name in ("a.py", "b.py")]
        for file in files:
            file.write_text("x = 1\n")
        before = compiled.stamp(*files)
        assert compiled.stamp(*files) == before
        files[1].write_text("x = 2\n")
        assert compiled.stamp(*files) != before

    def test_text_does_not_move_between_files(self, tmp_path: Path) -> None:
        """The same bytes, divided otherwise, are other files."""
        files = [tmp_path / name for name in ("a.py", "b.py")]
        found = []
        for texts in (("xy", "z"), ("x", "yz")):
            for file, text in zip(files, texts, strict=True):
                file.write_text(text)
            found.append(compiled.stamp(*files))
        assert found[0] != found[1]

    def test_what_numba_finds_on_disk_is_of_these_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Numba compares the stamp that it stored: with another one, nothing is loaded."""
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

        def double(x: Any) -> Any:
            return 2 * x

        for stamp, hits in (("one", 0), ("one", 1), ("two", 0)):
            monkeypatch.setattr(compiled, "STAMP", stamp)
            function = compiled.compiled(double)
            assert function(4) == 8
            assert sum(function.stats.cache_hits.values()) == hits

    def test_every_kernel_is_stamped(self) -> None:
        """The decorator reached numba's cache: its private place is still where it was."""
        assert packed.mac._cache._kept._cache_file._source_stamp == compiled.STAMP
