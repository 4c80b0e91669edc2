"""`espalier bench report`: whole commands timed in processes of their own, here and beside another checkout."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from support.commandline import complaint, espalier

from reports.bench import reporting
from reports.bench.reporting import HERE, Job, Taken, Timed, records, table_of, timed

BESIDE = Path("elsewhere")


def made() -> Timed:
    """Return a command that took 2 s here, of both processors, and 6 s beside, of one."""
    here = [Taken(2.0, 4.0), Taken(1.0, 3.0), Taken(90.0, 90.0)]  # the median of three is not moved by one
    return Timed(Job("report", ("report",)), {HERE: here, BESIDE: [Taken(6.0, 6.0)] * 3})


def shown(table: Table) -> str:
    """Return a table as a terminal of 100 columns shows it."""
    text = io.StringIO()
    Console(width=100, file=text).print(table)
    return text.getvalue()


class TestTimes:
    def test_medians_and_ratios(self) -> None:
        """Medians count, and a ratio is the other's time over this one's."""
        assert (made().clock(HERE), made().processor(HERE)) == (2.0, 4.0)
        told = shown(table_of([made()]))
        assert all(words in told for words in ("2.0, 4.0", "6.0, 6.0", "3.00, 1.50"))

    def test_alone(self) -> None:
        """Without another checkout there is no ratio."""
        told = shown(table_of([Timed(Job("report", ()), {HERE: [Taken(2.0, 4.0)]})]))
        assert "2.0, 4.0" in told
        assert "beside" not in told

    def test_records(self) -> None:
        """Every run is kept."""
        assert records([made()])[0]["runs"]["beside"] == [{"clock": 6.0, "processor": 6.0}] * 3


class TestRuns:
    @pytest.mark.slow
    def test_a_command(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A command is run as often as asked, with a cache of its own, and a run that is kept once more before."""
        words = ("report", "digits", "--bits", "4", "--pattern", "dense", "--images", "20")
        monkeypatch.setattr(reporting, "JOBS", (Job("report", words),))
        (found,) = timed(None, 2, reporting.JOBS)
        assert len(found.runs[HERE]) == 2
        assert all(run.processor > 0 and run.clock > 0 for run in found.runs[HERE])

    def test_no_checkout(self, tmp_path: Path) -> None:
        """What is no clone is refused before anything is timed."""
        line = complaint("bench", "report", "--beside", tmp_path)
        assert line.endswith("holds no Espalier; expected a clone of it")
        assert complaint("bench", "lenet5", "--beside", tmp_path).endswith("is for espalier bench report and explore")

    def test_networks_are_none(self) -> None:
        """Commands and networks are not measured together."""
        assert "unknown command 'lenet5'" in complaint("bench", "report", "lenet5")

    def test_a_command_that_fails(self) -> None:
        """A command that is refused ends the measurement with what it said."""
        with pytest.raises(Exception, match="unknown network"):
            next(timed(None, 1, [Job("wrong", ("report", "digit"))]))

    def test_the_command(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The command prints the table and writes each run."""
        monkeypatch.setattr(reporting, "timed", lambda *_: iter([made()]))
        done = espalier("bench", "report", "--json", tmp_path / "x.json")
        assert (done.status, "3.00, 1.50" in done.out) == (0, True)
        assert json.loads((tmp_path / "x.json").read_text())["commands"][0]["command"] == "report"
