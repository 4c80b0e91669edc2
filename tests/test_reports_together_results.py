"""Results of several networks: what they say, as tables, JSON, CSV and a page."""

import csv
import io
import json
from dataclasses import replace

import pytest
from support.explorations import budget
from support.sealing import content
from support.shared_arrays import design, row, shared

from accel.errors import EspalierError
from reports.together import answer
from reports.together.designs import FORMATS
from reports.together.page import browsing, building, next_on_page
from reports.together.results import KIND, Miss, Shared
from reports.together.run import names_of, parse_weights
from reports.workflow.limits import MEMORY, SPEED

NOTHING = shared(
    chosen=None,
    by_lanes=(),
    budget=budget(memory_bits=65_536),
    nearest=design(),
    relaxed=(Miss(limit=MEMORY, factor=1.25, design=design()),),
)


def cells(table: answer.Table) -> dict[str, tuple[str, ...]]:
    """Return the rows of a table by their first cell."""
    return {first: rest for first, *rest in ((x[0], *x[1:]) for x in table)}  # type: ignore[misc]


class TestDesign:
    def test_mean_and_worst(self) -> None:
        """Cycles, errors and energy are means by the shares; the slowest network gives the time of an image."""
        p = design()
        assert p.cycles == 0.75 * 1000 + 0.25 * 3000
        assert p.error_rate == 0.75 * 0.01 + 0.25 * 0.02
        assert (p.worst_cycles, p.interval_cycles) == (3000, 3000)

    def test_power(self) -> None:
        """Power is that of the network that takes the most: energy / time, here 3,000 pJ in 10 us, 0.3 mW."""
        members = [replace(x, energy_pj=3000) for x in design().members]
        assert design(members=tuple(members)).power_mw(100e6) == pytest.approx(3000e-12 / 10e-6 * 1e3)


class TestTables:
    def test_asked(self) -> None:
        """Errors stand for each network by the rate that is not exceeded; the rest is the array's or the slowest's."""
        found = cells(answer.asked_rows(shared(budget=budget(memory_bits=98_304, images_per_s=20_000.0))))
        bound = row("one", 0.75).guard.upper(0.01)
        assert found["error of one, 95% sure"][:2] == ["at most 3.00 %", f"{100 * bound:.2f} %"]
        assert found["memory KiB"] == ["at most 12.00", "10.00", "2.00", ""]
        assert found["images/s, slowest"] == ["at least 20,000", "33,333", "13,333", ""]
        assert found["technology"][1] == "enough"

    def test_what_binds(self) -> None:
        """A limit that binds says yes, and the words say what twice as much would give."""
        bound = shared(binding=(Miss(limit=MEMORY, factor=1.25, design=design(output_lanes=8)),))
        assert cells(answer.asked_rows(bound))["memory KiB"][-1] == "yes"
        assert "memory (with twice as much allowed, 8x4 lanes would be 20% better by the goal)" in answer._binds(bound)

    def test_networks(self) -> None:
        """A row for each: version, bits, errors, cycles, share, images/s; the mean and the worst."""
        found = cells(answer.network_rows(shared()))
        assert found["two"] == ["dense", "6/5", "2.00 %", "3,000", "25%", "33,333"]
        assert found["mean by shares"][3] == "1,500"
        assert found["worst"] == ["", "", "2.00 %", "3,000", "", "33,333"]

    def test_what_sharing_costs(self) -> None:
        """Each network's own array stands beside the shared one, and the sum of them."""
        found = cells(answer.alone_rows(shared()))
        assert found["one"] == ["4x4 kernel 4/5", "5.00", "20", "900", "1,000", "+11%"]
        assert found["an array each"][1:3] == ["10.00", "40"]
        assert found["one for all"][1:3] == ["10.00", "20"]
        alone = cells(answer.alone_rows(shared(networks=(row("one", 0.75, alone=None), row("two", 0.25)))))
        assert alone["one"][0] == "nothing fits"

    def test_by_lanes(self) -> None:
        """The best of each number of lanes, the chosen one marked; where nothing fits it is said."""
        found = cells(answer.lanes_rows(shared()))
        assert [*found] == ["4", "16 *", "64"]
        assert found["4"] == ["dense 4/5, dense 6/5", "2x2", "8.00", "20", "6,000", "12,000"]
        assert found["64"][0] == "nothing fits"


class TestWords:
    def test_built(self) -> None:
        """The first line says what to build; others the test images and how sure it is."""
        first, tested, sure, *_ = answer.words(shared())
        assert "one array of 4x4 lanes" in first
        assert "one kernel 4/5; two dense 6/5" in first
        assert "1,500 cycles in the mean by shares, 3,000 at worst" in first
        assert "one 1.20 % (+0.10 % over float)" in tested
        assert "one over 99%, two 97%" in sure
        bare = shared(networks=(row("one", 0.75), row("two", 0.25, confidence=0.0)))
        assert answer.words(bare)[2].endswith("% (no guard band).")

    def test_nothing_fits(self) -> None:
        """The nearest miss is a limit, with what it would have to be."""
        lines = answer.words(NOTHING)
        assert lines[0] == "Nothing fits."
        assert lines[1].startswith(
            "With all other limits met, 10.00 KiB of memory blocks would do, 1.25 times what is asked for: 4x4 lanes"
        )

    def test_no_single_limit(self) -> None:
        """Where several limits are missed at once all are named, and by how much at worst."""
        both = replace(NOTHING, relaxed=(), budget=budget(memory_bits=65_536, images_per_s=50_000.0))
        assert "misses memory, images/s: at worst 1.50 times" in answer.words(both)[1]

    def test_a_network_that_does_not_fit_alone(self) -> None:
        """It is named, with what it would take."""
        lone = row("two", 0.25, alone=None, missed=("It would take 3.10 % errors.",))
        lines = answer.words(replace(NOTHING, networks=(row("one", 0.75), lone), relaxed=(), nearest=None))
        assert lines[1] == "two does not fit even alone: It would take 3.10 % errors."

    def test_needs(self) -> None:
        """What a limit would have to be is told in its unit."""
        told = {x: answer.needs(shared(), Miss(limit=x, factor=2.0, design=design())) for x in (SPEED, FORMATS, "room")}
        assert told[SPEED] == "33,333 images/s of the slowest network"
        assert (told[FORMATS], told["room"]) == ("2 output formats", "a larger technology")
        error = answer.needs(shared(), Miss(limit="error of two", factor=2.0, design=design()))
        assert error == f"{100 * row('two', 0.25).guard.upper(0.02):.2f} % errors of two"


class TestSaved:
    @pytest.mark.parametrize("results", [shared(), NOTHING], ids=["fits", "nothing"])
    def test_there_and_back(self, results: Shared) -> None:
        """JSON says everything, and its digest is checked."""
        text = results.to_json()
        assert Shared.from_json(text) == results
        with pytest.raises(EspalierError):
            Shared.from_json(text.replace('"espalier explore one two', '"espalier explore one three'))
        assert content(text)["format"] == KIND.name

    def test_another_number_of_networks(self) -> None:
        """A design of fewer members than networks is refused, and so is one network."""
        with pytest.raises(EspalierError, match="a design of 1 networks, not of 2"):
            shared(chosen=design(members=design().members[:1]))
        with pytest.raises(EspalierError, match="two networks or more, got 1"):
            shared(networks=(row("one", 1.0),))

    def test_csv(self) -> None:
        """A line for each network on the best array of each number of lanes; the same in a data frame."""
        lines = list(csv.DictReader(io.StringIO(shared().to_csv())))
        assert [(x["network"], x["output_lanes"], x["recommended"]) for x in lines] == [
            ("one", "2", "False"),
            ("two", "2", "False"),
            ("one", "4", "True"),
            ("two", "4", "True"),
        ]
        assert (lines[3]["weight_bits"], lines[3]["array_weight_bits"], lines[3]["cycles"]) == ("6", "6", "3000")
        pytest.importorskip("pandas")
        assert shared().to_dataframe()["cycles"].tolist() == [4000, 12000, 1000, 3000]

    def test_answer(self) -> None:
        """The record of `--json` has the design, the mean and the worst cycles, and the networks by name."""
        found = json.loads(json.dumps(shared().answer()))
        assert (found["mean_cycles"], found["worst_cycles"]) == (1500, 3000)
        assert found["networks"]["two"]["test_rate"] == 0.012

    def test_shown(self) -> None:
        """A notebook shows the answer as tables; a program a line."""
        assert repr(shared()) == "<Shared array for one, two: 4x4 lanes>"
        assert repr(NOTHING) == "<Shared array for one, two: nothing fits>"
        assert shared()._repr_html_().count("<table>") == 4


class TestPage:
    def test_commands(self) -> None:
        """A design is built by the commands of each network, each with a file of its own, and one that proves all."""
        assert building(shared(), design()).splitlines() == [
            "espalier quantize digits --pattern kernel --weight-bits 4 --lanes 4 -o one.espalier",
            "espalier quantize digits --pattern dense --weight-bits 6 --lanes 4 -o two.espalier",
            "espalier verify one.espalier two.espalier --array 4x4",
        ]

    def test_next(self) -> None:
        """Who is in the folder is told where the Programs lie; images of their own are named."""
        assert next_on_page(shared()) == "espalier verify one/program.espalier two/program.espalier --array 4x4"
        own = shared(networks=(row("one", 0.75, data="a.npz"), row("two", 0.25)))
        assert next_on_page(own).endswith(" --array 4x4 --data a.npz --data digits")

    def test_designs(self) -> None:
        """Every best array is a row; the chosen one is marked."""
        found = browsing(shared())
        assert [one[0] for one in found.rows] == ["2x2", "4x4"]
        assert found.best == 1
        assert [len(one) for one in found.rows] == [len(found.columns)] * 2


class TestNames:
    def test_one_name_twice(self) -> None:
        """Files of one name in different folders have folders of their own, on any file system."""
        assert names_of(["a/net.espalier", "b/Net.espalier", "net-2"]) == ("net", "Net-2", "net-2-2")

    def test_shares(self) -> None:
        """Shares are numbers above 0, one for each network."""
        assert parse_weights("3,1", 2) == (0.75, 0.25)
        for text in ("3", "3,0", "3,-1", "3,x", "inf,1", "nan,1"):
            with pytest.raises(EspalierError, match=f"--shares {text}: expected 2 numbers above 0"):
                parse_weights(text, 2)
