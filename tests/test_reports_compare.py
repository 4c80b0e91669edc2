"""Explorations side by side: what differs is told apart from what is the same, and every number is an exploration's."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.commandline import complaint, contents, espalier
from support.explorations import DEVICE, budget, results
from support.sealing import content, resealed

import espalier as esp
from accel.errors import EspalierError
from reports.commands import compare as compare_command
from reports.compare import figures
from reports.compare.comparison import Comparison
from reports.compare.figures import edge
from reports.compare.page import browsing, page
from reports.explore.results import Results, Verified
from reports.shared import console as shared_console
from reports.shared.browsing import plotly

VERIFIED = Verified(0.0123, 0.006, {"binding": "multipliers bind"})
ROOMY = results(verified=VERIFIED, budget=budget(error_rate=0.015, memory_bits=81_920, images_per_s=20_000.0))
SMALL = results(verified=replace(VERIFIED, test_rate=0.0234), means=replace(DEVICE, name="small", multipliers=100))
NOTHING = results(network="other", budget=budget(error_rate=0.004))
NAMES = ("roomy", "small", "nothing")
ALL = Comparison(NAMES, (ROOMY, SMALL, NOTHING))


def written(folder: Path, **explorations: Results) -> list[Path]:
    """Write explorations as their command does, each to a folder of its name."""
    for name, one in explorations.items():
        (folder / name).mkdir()
        (folder / name / "results.json").write_text(one.to_json())
    return [folder / name for name in explorations]


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    """Return three folders with explorations."""
    return written(tmp_path, roomy=ROOMY, small=SMALL, nothing=NOTHING)


def told(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    """Return the rows of the table by what they are about; a limit's row is told from its slack by a star before it."""
    rows: dict[str, tuple[str, ...]] = {}
    for label, *cells in comparison.table():
        rows[f"{'*' * (label in rows)}{label}"] = tuple(cells)
    return rows


class TestQuestions:
    def test_what_differs(self) -> None:
        """Technology, limits and network are told for each; what is the same stands once, in words."""
        names = {fact.name for fact in ALL.differing}
        limits = {"error_limit", "memory_bits_limit", "images_per_s_limit"}
        assert names == limits | {"network", "technology", "device_memory_bits", "device_multipliers"}
        differ, same = ALL.words()
        assert differ.startswith("What was asked differs in: network, technology, ")
        assert "errors asked for +1%" in same
        assert "arrays tried 4x4, 8x2" in same
        rows = told(ALL)
        assert rows[""] == NAMES
        assert rows["technology"] == ("made-up", "small", "made-up")
        assert rows["KiB at most"] == ("10.00", "-", "-")
        assert "goal" not in rows

    def test_nothing_differs(self) -> None:
        """The same question twice is said to be the same; one other word of it is not (the control)."""
        again = results(verified=VERIFIED)
        assert Comparison(("a", "b"), (results(), again)).words()[0] == "The same was asked of all."
        other = Comparison(("a", "b"), (results(), results(goal="fast")))
        assert other.words()[0] == "What was asked differs in: goal."

    def test_limits_that_none_has(self) -> None:
        """They are neither told nor compared."""
        assert "power" not in " ".join(ALL.words())
        assert "mW at most" not in told(ALL)


class TestAnswers:
    def test_the_recommended_designs(self) -> None:
        """Each column has the numbers of that exploration's own recommendation; where nothing fits there are none."""
        rows = told(ALL)
        point = ROOMY.recommended
        assert point is not None
        assert rows["design"] == ("kernel 4/5 4x4", "kernel 4/5 4x4", "nothing fits")
        assert rows["memory KiB"][0] == "4.88"
        assert rows["cycles"][0] == f"{point.cycles:,}" == "2,004"
        assert rows["images/s"][0] == "49,900"
        assert rows["nJ (est.)"][0] == "12.0"
        assert rows["error, validation"] == ("1.00 %", "1.00 %", "-")
        assert rows["error, test"] == ("1.23 %", "2.34 %", "-")
        assert rows["float, validation"] == ("0.50 %",) * 3

    def test_slack(self) -> None:
        """What is left of each limit: 1.5 % allowed and 1 % got, 80,000 - 40,004 bits; what binds by name."""
        rows = told(ALL)
        assert rows["errors"] == ("0.50 %", "0.50 %", "-")
        assert rows["*memory KiB"] == ("5.12", "-", "-")
        assert rows["*images/s"] == ("29,900", "-", "-")
        assert rows["binds"][0] == "errors"

    def test_other_numbers_are_seen(self) -> None:
        """Negative control: another word length of the recommended design changes its column, and no other."""
        points = tuple(replace(p, cycles=p.cycles + 1) for p in ROOMY.points)
        changed = told(Comparison(NAMES, (replace(ROOMY, points=points), SMALL, NOTHING)))
        assert changed["cycles"] == ("2,005", *told(ALL)["cycles"][1:])

    def test_next(self) -> None:
        """Where the Program lies its proof, else what builds it; where nothing fits what it would take."""
        here = replace(ALL, folders=("a b", "", ""))
        (_, first), (_, second), (_, third) = here.next_steps()
        assert first == "espalier verify 'a b/program.espalier' --array 4x4"
        assert second.startswith("espalier quantize made --pattern kernel --weight-bits 4 --signal-bits 5 --lanes 4x4 ")
        assert third.startswith("Nothing fits. It would take 0.50 % errors where at most 0.40 %")


class TestNumbers:
    def test_csv(self) -> None:
        """A line for each exploration, plain numbers."""
        rows = list(csv.DictReader(io.StringIO(ALL.to_csv())))
        assert [row["name"] for row in rows] == [*NAMES]
        assert [row["memory_bits"] for row in rows][::2] == ["40004", ""]
        assert rows[0]["memory_slack"] == str(81_920 - 40_004)

    def test_json(self) -> None:
        """Versioned and sealed: what differs by name, each exploration with its answer and its front."""
        record = content(ALL.to_json())
        assert (record["format"], record["version"]) == ("espalier-comparison", 1)
        assert {"technology", "network"} <= {*record["differ"]}
        assert "goal" in record["same"]
        assert [len(one["front"]) for one in record["explorations"]] == [len(ALL.front(place)) for place in range(3)]
        assert record["explorations"][0]["recommended"]["cycles"] == 2004
        assert record["explorations"][2]["recommended"] is None
        with pytest.raises(EspalierError, match="SHA-256"):
            content(ALL.to_json().replace("2004", "2003"))

    def test_front_holds_what_is_recommended(self) -> None:
        """Also where a design beats it that breaks a limit which the front knows nothing of."""
        large = {"error_rate": 0.001, "memory_bits": 1, "cycles": 1, "area_um2": 10**9}
        points = tuple(replace(p, **large) if p.version == "dense" else p for p in ROOMY.points)
        tight = replace(ROOMY, points=points, budget=budget(error_rate=0.015, area_um2=1e6))
        chosen = tight.recommended
        assert chosen is not None
        assert [p.version for p in tight.front] == ["dense"]
        assert Comparison(("a", "b"), (tight, SMALL)).front(0) == [*tight.front, chosen]
        assert ALL.front(0) == ROOMY.front  # where it is one of them it is there once


class TestPage:
    def test_points(self) -> None:
        """Every front, each recommended design marked, each point with the commands of its own version."""
        record = browsing(ALL).record()
        assert len(record["rows"]) == sum(len(ALL.front(place)) for place in range(3))
        assert [record["rows"][place][:4] for place in record["marked"]] == [
            ["roomy", "kernel", 4, 5],
            ["small", "kernel", 4, 5],
        ]
        keys = {"\n".join(row[column] for column in record["by"]) for row in record["rows"]}
        assert keys <= record["commands"].keys()
        assert record["commands"]["roomy\ndense"] != record["commands"]["nothing\nkernel"]

    def test_edge(self) -> None:
        """Less memory, more errors: of the points that are as large the one that errs least."""
        points = edge(ROOMY.points, lambda p: p.memory_bits)
        assert [p.memory_bits for p in points] == sorted({p.memory_bits for p in points})
        rates = [p.error_rate for p in points]
        assert rates == sorted(rates, reverse=True)
        assert min(p.error_rate for p in ROOMY.points) == rates[-1]

    def test_one_file(self) -> None:
        """The page needs no network and has the table, the figure and the next commands; names cannot break it."""
        hostile = replace(ALL, names=("<b>a</b>", "small", "nothing"))
        text = page(hostile, figures.render(hostile)).decode().replace(plotly(), "")
        assert text.count("<svg") == 1
        for loading in ("src=", "<link", "@import", "url(http", "<b>a</b>"):
            assert loading not in text
        for words in (
            "What was asked differs in",
            "&lt;b&gt;a&lt;/b&gt;",
            "nothing fits",
            "--lanes 4x4 -o design.espalier",
        ):
            assert words in text


class TestLibrary:
    def test_objects_and_folders(self, places: list[Path]) -> None:
        """What `explore` returned and what it wrote compare alike; a folder's name is what it is called."""
        found = esp.compare(*places)
        assert found.names == NAMES
        assert found.table() == ALL.table()
        assert esp.compare(ROOMY, SMALL).names == ("made-up", "small")  # what tells them apart
        assert esp.compare(ROOMY, replace(ROOMY, goal="fast")).names == ("1", "2")
        assert esp.compare(ROOMY, NOTHING, names=["x", "y"]).names == ("x", "y")

    def test_as_tables(self) -> None:
        """A DataFrame of a row each, HTML for a notebook, a short repr."""
        pandas = pytest.importorskip("pandas")
        frame = ALL.to_dataframe()
        assert isinstance(frame, pandas.DataFrame)
        assert list(frame["name"]) == [*NAMES]
        assert "<th>roomy</th>" in ALL._repr_html_()
        assert repr(ALL) == (
            "<Comparison of 3 explorations: roomy: kernel 4/5 4x4; small: kernel 4/5 4x4; nothing: nothing fits>"
        )

    def test_names(self) -> None:
        """There is one for each, and no two are alike."""
        for names in (("a",), ("a", "a")):
            with pytest.raises(EspalierError, match="names: expected 2 that differ, got a"):
                esp.compare(ROOMY, SMALL, names=names)
        with pytest.raises(EspalierError, match="got one twice"):
            esp.compare(ROOMY, ROOMY)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, which takes a second and is tested above."""
    monkeypatch.setattr(compare_command.figures, "render", lambda found: {"fronts.svg": b"<svg></svg>"})


@pytest.mark.usefixtures("undrawn")
class TestCommand:
    def test_what_it_writes(self, places: list[Path], tmp_path: Path) -> None:
        """Table and next steps on the terminal; page, JSON and CSV in the folder, the same as on standard output."""
        out = tmp_path / "out"
        done = espalier("compare", *places, "-o", out, "--csv", tmp_path / "x.csv")
        assert (done.status, done.err) == (0, "")
        assert {*contents(out)} == {"compare.html", "compare.json", "compare.csv", "fronts.svg"}
        assert (tmp_path / "x.csv").read_bytes() == (out / "compare.csv").read_bytes()
        assert espalier("compare", *places, "--json", "-").out == (out / "compare.json").read_text()
        assert "roomy: Next: espalier quantize made" in done.out
        assert "nothing: Nothing fits. It would take" in done.out
        assert f"Written to {out}: compare.html, " in done.out

    def test_a_program_in_the_folder(self, places: list[Path]) -> None:
        """What was delivered beside the results is what comes next; a file of results stands for its folder."""
        (places[0] / "program.espalier").touch()
        done = espalier("compare", places[0] / "results.json", places[1])
        assert f"roomy: Next: espalier verify {places[0]}/program.espalier --array 4x4" in done.out

    def test_nothing_fits_anywhere(self, tmp_path: Path) -> None:
        """Then there is nothing to build, which is exit status 1."""
        places = written(tmp_path, one=NOTHING, two=replace(NOTHING, goal="fast"))
        assert espalier("compare", *places).status == 1

    def test_no_digit_is_left_out(self, places: list[Path], tmp_path: Path) -> None:
        """At 80 columns six explorations stand in parts, each whole."""
        more = written(tmp_path, **{f"a-longer-name-{number}": replace(ROOMY, goal="fast") for number in range(3)})
        found = esp.compare(*places, *more)
        heads, *rows = found.table()
        parts = shared_console.fitting(shared_console.plain_table(heads, rows, words=len(heads)), 80)
        assert len(parts) > 1
        console = shared_console.console()
        console.width = 80
        with console.capture() as captured:
            for part in parts:
                console.print(part)
        lines = captured.get().splitlines()
        assert max(map(len, lines)) <= 80
        for cell in {cell for row in rows for cell in row if cell[:1].isdigit()}:
            assert cell in captured.get()
        assert sum(line.split()[:1] == ["cycles"] for line in lines) == len(parts)

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (("roomy",), "a comparison takes two explorations or more, got 1 (roomy)"),
            (("roomy", "roomy"), "roomy: is the same exploration as roomy; name another"),
            (("roomy", "./roomy/results.json"), "roomy/results.json: is the same exploration as roomy; name another"),
            (("roomy", "."), ".: holds no results.json; expected a folder that `espalier explore -o` wrote"),
            (("roomy", "none"), "cannot read none: No such file or directory"),
            (("roomy", "small", "-o", "small"), "--out small: is one of the explorations; name another folder"),
            (("roomy", "small", "--csv", "small/results.json"), "--csv small/results.json: would replace "),
            (("roomy", "small", "-o", "x", "--csv", "x/compare.csv"), "--csv x/compare.csv: would replace "),
            (("roomy", "x.json"), "x.json: not the results of an exploration: expected espalier-exploration"),
            (("roomy", "cut.json"), "cut.json: not the results of an exploration: "),
            (("roomy", "empty.json"), "empty.json: not the results of an exploration: an exploration has versions, "),
        ],
    )
    def test_refusals(
        self, places: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str
    ) -> None:
        """One line each, and nothing is written."""
        monkeypatch.chdir(tmp_path)
        Path("x.json").write_text('{"format": "espalier-report", "version": 1}')
        Path("cut.json").write_text(ROOMY.to_json()[:-9])
        record: dict[str, Any] = json.loads(ROOMY.to_json())
        Path("empty.json").write_text(resealed(record, settings=[]))
        before = contents(tmp_path)
        assert complaint("compare", *words).startswith(line)
        assert contents(tmp_path) == before
