"""The parts of a build's cocotb test that need no simulator: payloads by the manifest's fields, and the scoreboard."""

import importlib.util
import json
import logging
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.rtl_builds import write
from support.rtl_layers import ARRAY, SMALL, probe

from rtl.simulate import output_rows, signal_words

SOURCE = Path(__file__).parents[1] / "rtl" / "espalier_bench.cocotb"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """Return the file as a module."""
    spec = importlib.util.spec_from_loader("espalier_bench", SourceFileLoader("espalier_bench", str(SOURCE)))
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def build(module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a build of one Program, two images."""
    folder = tmp_path_factory.mktemp("build")
    write(folder, [probe()], SMALL, None)
    return module.Build(folder)


@pytest.fixture
def board(module: ModuleType, build: Any) -> Any:
    """Return a scoreboard that expects the first image's rows."""
    found = module.Scoreboard(build, logging.getLogger("test"))
    found.expect("image 0", rows(build, 0))
    return found


def rows(build: Any, image: int) -> list[int]:
    """Return what must leave for an image, from golden's codes."""
    job = probe()
    places = output_rows(job.program, SMALL)
    return [build.row(job.outputs[image].ravel()[x], last=x is places[-1]) for x in places]


def bits(build: Any, row: int) -> str:
    """Return a row as a simulator shows it."""
    return f"{row & ((1 << build.out_bits) - 1):0{build.out_bits}b}"


class TestBuild:
    def test_rows(self, build: Any) -> None:
        """Rows of golden's codes are those that the build expects, bit for bit, with the bits that count above them."""
        assert [*rows(build, 0), *rows(build, 1)] == build.words("expected.hex")

    def test_words_of_images(self, build: Any) -> None:
        """So are the loader's payloads."""
        places = build.manifest["jobs"][0]["places"]
        images = zip(probe().codes, places, strict=True)
        found = [build.load_word(*word) for codes, place in images for word in signal_words(codes, SMALL, place)]
        assert found == build.words("signals.hex")

    def test_jobs(self, build: Any) -> None:
        """A job's numbers, and the places for its images."""
        ((_, images, beats, count, cycles, _, streamed),) = build.jobs()
        assert (images, beats, count, cycles, streamed) == (2, 12, len(rows(build, 0)), probe().cycles, 0)
        assert build.places == len(json.loads((build.folder / "manifest.json").read_text())["jobs"][0]["places"])
        assert ARRAY.overlap == (build.places == 2)


class TestScoreboard:
    def test_right(self, build: Any, board: Any) -> None:
        """Rows that are all right."""
        for row in rows(build, 0):
            board.take(bits(build, row))
        board.check()
        assert (board.rows, board.errors, board.came) == (len(rows(build, 0)), 0, len(rows(build, 0)))

    @pytest.mark.parametrize("bit", ["0", "x", "Z"])
    def test_a_bit(self, bit: str, build: Any, board: Any) -> None:
        """Another bit differs, and so does an unknown one, where it counts; elsewhere it does not."""
        expected = rows(build, 0)
        counted = f"{expected[0] >> build.out_bits:0{build.out_bits}b}"
        right = bits(build, expected[0])
        place = next(x for x in range(len(right)) if counted[x] == "1" and right[x] == "1")
        board.take(right[:place] + bit + right[place + 1 :])
        assert board.complaints[0].startswith("FAIL image 0 row 0: got ")
        free = counted.find("0")
        if free >= 0:
            second = bits(build, expected[1])
            board.take(second[:free] + "x" + second[free + 1 :])
        assert board.errors == 1
        with pytest.raises(AssertionError, match="1 errors, the first: FAIL image 0 row 0: got "):
            board.check()

    def test_too_few_and_too_many(self, build: Any, board: Any) -> None:
        """Rows that have not come fail the check; one that nothing expects is an error."""
        expected = rows(build, 0)
        for row in expected[:-1]:
            board.take(bits(build, row))
        with pytest.raises(AssertionError, match="1 rows have not come"):
            board.check()
        with pytest.raises(AssertionError, match="FAIL image 1: 1 rows have not come"):
            board.expect("image 1", expected)
        board.take(bits(build, expected[-1]))
        board.check()
        board.take(bits(build, expected[-1]))
        assert board.complaints[0].startswith("FAIL a row that nothing expects: ")

    def test_order(self, build: Any, board: Any) -> None:
        """Rows in another order differ."""
        first, second = rows(build, 0)[:2]
        assert not np.array_equal(first, second)
        board.take(bits(build, second))
        assert board.errors == 1
