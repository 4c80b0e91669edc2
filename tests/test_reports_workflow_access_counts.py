"""`espalier verify --counters`: what is told, written and decided, and that a count that is one off is noticed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from support.commandline import espalier
from test_reports_commands_several import NARROW, WIDE

from accel.array import DEPTHS
from accel.cost.accesses import accesses_of
from accel.demand import array_for
from reports.commands import verify
from reports.commands.schemas import schemas
from reports.workflow.access_counts import rows_of, table_of
from reports.workflow.verification import KIND

LANES = ("--array", "2x2")
ARRAY = array_for([NARROW, WIDE], 2, 2)


def counts() -> np.ndarray:
    """Return what counters say of an image if all is right."""
    rows = accesses_of(NARROW, ARRAY).values()
    words = [[(row[name].reads, row[name].writes) if name in row else (0, 0) for name in DEPTHS] for row in rows]
    return np.array(words, np.int64)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the files of both Programs."""
    paths = [tmp_path_factory.mktemp("counted") / f"{one.name}.espalier" for one in (NARROW, WIDE)]
    for path, one in zip(paths, (NARROW, WIDE), strict=True):
        one.save(path)
    return paths


class TestRows:
    def test_equal(self) -> None:
        """A row for each memory of the array and each layer, the image's first; both say the same."""
        rows = rows_of(NARROW, ARRAY, [counts(), counts()])
        assert all(row.equal for row in rows)
        assert [row.layer for row in rows if row.memory == "signals"] == ["image", "conv", "scores"]
        assert {row.memory for row in rows} == {memory.name for memory in ARRAY.memories}
        found = next(row for row in rows if (row.layer, row.memory) == ("conv", "signals"))
        assert found.bits == found.word_bits * (found.reads + found.writes)

    @pytest.mark.parametrize("kind", [0, 1])
    @pytest.mark.parametrize("image", [0, 1])
    def test_one_off(self, image: int, kind: int) -> None:
        """Negative control: a count that is one too high in one image is told, with the image, and no other."""
        said = [counts(), counts()]
        said[image][1, list(DEPTHS).index("taps"), kind] += 1
        (row,) = (row for row in rows_of(NARROW, ARRAY, said) if not row.equal)
        assert (row.layer, row.memory, row.image) == ("conv", "taps", image)
        assert (row.counted_reads - row.reads, row.counted_writes - row.writes) == (1 - kind, kind)
        words = f"{216 + 1 - kind} reads and {kind} writes of taps counted, not 216 and 0"
        assert row.complaint == f"FAIL image {image} conv: {words}"
        assert any("expected 216" in str(cell) for column in table_of([row]).columns for cell in column.cells)


class TestCommand:
    def test_json(self, saved: list[Path], tmp_path: Path) -> None:
        """Exit status 0; a table and a verdict of each Program; rows as the schema has them, one a layer and memory."""
        done = espalier("verify", *saved, *LANES, "--images", 1, "--counters", "--json", tmp_path / "a.json")
        assert (done.status, done.err) == (0, "")
        assert "narrow: words read + written for one image" in done.out
        assert "wide: 30 counts of reads and writes, 0 differ" in done.out
        record = json.loads((tmp_path / "a.json").read_text())
        Draft202012Validator(schemas()[f"{KIND.name}-{KIND.version}.json"]).validate(record)
        assert (record["array"], record["simulator"], record["images"]) == ("2x2", "amaranth", 1)
        assert len(record["accesses"]) == 2 * 3 * len(ARRAY.memories)
        for row in record["accesses"]:
            assert (row["reads"], row["writes"]) == (row["counted_reads"], row["counted_writes"])

    def test_another_count(self, saved: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
        """Negative control: exit status 1 and a line for each count that differs."""
        right = verify.rows_of

        def wrong(program: Any, array: Any, said: Any) -> Any:
            said[0][1, list(DEPTHS).index("constants"), 0] += program.name == "wide"
            return right(program, array, said)

        monkeypatch.setattr(verify, "rows_of", wrong)
        done = espalier("verify", *saved, *LANES, "--images", 1, "--counters")
        assert done.status == 1
        assert "FAIL image 0 conv: 25 reads and 0 writes of constants counted, not 24 and 0" in done.out
        assert "narrow: 30 counts of reads and writes, 0 differ" in done.out
        assert "wide: 30 counts of reads and writes, 1 differ" in done.out

    @pytest.mark.slow
    @pytest.mark.parametrize("simulator", ["iverilog", "verilator"])
    def test_in_verilog(self, saved: list[Path], simulator: str) -> None:
        """The same in other simulators, with streamed weights and a receiver that waits."""
        if shutil.which(simulator) is None:
            pytest.skip(f"needs Debian's package {simulator}")
        how = ("--images", 2, "--counters", "--stall", 0.3, "--stream", "--simulator", simulator)
        done = espalier("verify", *saved, *LANES, *how)
        assert (done.status, done.err) == (0, "")
        assert [line.endswith(", 0 differ") for line in done.out.splitlines() if "counts of reads" in line] == [
            True
        ] * 2
