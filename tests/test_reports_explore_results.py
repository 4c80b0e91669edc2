"""Results: what follows from them by stated rules, and their versioned form."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from support.explorations import budget, point, results
from support.sealing import resealed

from accel.errors import EspalierError
from reports.explore.results import Results, Verified
from reports.workflow import recommend

VERIFIED = Verified(0.018, 0.006, {"binding": "multipliers bind", "layers": []})


class TestWhatFollows:
    def test_recommended(self) -> None:
        """The best by the goal of the points that meet all limits."""
        made = results()
        assert len(made.points) == 8
        assert made.fitting == [p for p in made.points if p.error_rate <= 0.015]
        expected = min(made.fitting, key=lambda p: p.area_um2 * p.cycles)
        assert made.recommended == expected
        assert (expected.version, expected.weight_bits, expected.lanes) == ("kernel", 4, (4, 4))

    def test_what_binds(self) -> None:
        """With more errors 3-bit weights would do, which are smaller; memory, which is not asked for, binds nothing."""
        (found,) = results().binding
        assert (found.limit, found.point.weight_bits) == ("error", 3)
        assert found.factor == pytest.approx(4 / 3)
        assert results(budget=budget(error_rate=0.02)).binding == []

    def test_nothing_fits(self) -> None:
        """Then nothing is recommended, nothing binds, and it is told what it would take."""
        made = results(budget=budget(error_rate=0.004))
        assert made.recommended is None
        assert made.binding == []
        assert [(x.limit, x.point.error_rate) for x in made.relaxed] == [("error", 0.005)]
        assert results().relaxed == []

    def test_the_front_is_of_what_can_be_built(self) -> None:
        """More multipliers than there are, or than the technology has room for, are not on it."""
        made = results(budget=budget(multipliers=66))
        assert {p.multipliers for p in made.points} > {p.multipliers for p in made.buildable}
        assert made.front == recommend.front(p for p in made.points if p.multipliers <= 66)
        short = replace(made, points=tuple(replace(p, short=p.version == "kernel") for p in made.points))
        assert {p.version for p in short.front} == {"dense"}

    def test_best_by_version(self) -> None:
        """Every version with its best, the best first, those where nothing fits last."""
        best = results().best_by_version()
        assert [*best] == ["kernel", "dense"]
        assert best["kernel"] == results().recommended
        assert best["dense"] is not None
        assert best["dense"].version == "dense"
        hard = results(budget=budget(error_rate=0.006)).best_by_version()
        assert hard["kernel"] is None
        assert [*hard] == ["dense", "kernel"]

    def test_short_of(self) -> None:
        """What a version of which nothing fits would take: of one limit, or of all that the nearest does not meet."""
        (short,) = results(budget=budget(error_rate=0.006)).short_of("kernel")
        assert (short.limit, short.point.error_rate, short.factor) == ("error", 0.01, pytest.approx(0.01 / 0.006))
        both = results(budget=budget(error_rate=0.004, images_per_s=1e6)).short_of("kernel")
        assert [(x.limit, x.factor) for x in both] == [("error", pytest.approx(2.5)), ("speed", pytest.approx(20.04))]
        assert len({x.point for x in both}) == 1

    def test_best_by_lanes(self) -> None:
        """For each number of lanes, whatever multipliers it takes."""
        made = results(budget=budget(error_rate=0.015, multipliers=1))
        assert made.fitting == []
        assert made.best_by_lanes() == {16: results().recommended}

    def test_by_memory(self) -> None:
        """Memory rises, cycles fall, and the limit on memory is not one."""
        made = results(
            budget=budget(error_rate=0.03, memory_bits=1),
            points=tuple(point(memory_bits=m, cycles=c) for m, c in ((3, 50), (1, 90), (2, 95), (4, 50), (5, 20))),
        )
        assert [(p.memory_bits, p.cycles) for p in made.by_memory()] == [(1, 90), (3, 50), (5, 20)]

    def test_tables(self) -> None:
        """Word lengths of one version on one array; arrays of one setting."""
        made = results()
        assert {pair: p.lanes for pair, p in made.by_widths("dense", (8, 2)).items()} == {
            (3, 5): (8, 2),
            (4, 5): (8, 2),
        }
        assert [p.lanes for p in made.by_array(("dense", 3, 5, ""))] == [(4, 4), (8, 2)]


class TestJson:
    @pytest.mark.parametrize("verified", [None, VERIFIED])
    def test_round_trip(self, verified: Verified | None) -> None:
        """What is written reads the same and is written the same."""
        made = results(verified=verified, budget=budget(error_rate=0.015, images_per_s=2.5))
        again = Results.from_json(made.to_json())
        assert asdict(again) == asdict(made)
        assert again.to_json() == made.to_json()
        assert again.to_json() != results(network="other").to_json()  # negative control

    def test_rare_numbers(self) -> None:
        """Stalls and shortages, which few explorations have, are kept where there are any."""
        points = list(results().points)
        points[3] = replace(points[3], stall_cycles=7, short=True)
        made = results(points=tuple(points))
        assert Results.from_json(made.to_json()).points == made.points
        assert ("stall_cycles" in made.to_json(), 'stall_cycles": [' in results().to_json()) == (True, False)

    def test_for_other_programs(self) -> None:
        """The answer stands in the file as plain numbers: nobody has to know the rules to read it."""
        record = json.loads(results().to_json())
        assert (record["format"], record["version"]) == ("espalier-exploration", 6)
        answer = record["answer"]
        assert answer["recommended"]["version"] == "kernel"
        assert answer["recommended"] in answer["front"]
        assert (answer["fitting"], answer["designs"]) == (6, 8)
        assert len(record["settings"]) == 4
        assert record["settings"][0]["cycles"] == [4004, 4008]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"format": "espalier-report", "version": 1}',
            '{"format": "espalier-exploration", "version": 1}',
            '{"format": "espalier-exploration", "version": 5}',
        ],
    )
    def test_something_else(self, text: str) -> None:
        """Another file is refused, also one of a release to come, or of which a part is gone."""
        with pytest.raises(EspalierError, match="not the results of an exploration"):
            Results.from_json(text)

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda row: row.pop("cycles"), r"settings\[0\]: Object missing required field cycles"),
            (lambda row: row["cycles"].pop(), r"settings\[0\].cycles: expected 2 numbers, got 1"),
            (lambda row: row["cycles"].clear(), r"settings\[0\].cycles: expected 2 numbers, got 0"),
            (lambda row: row.update(short=[1]), r"settings\[0\].short: expected 2 numbers, got 1"),
            (lambda row: row["cycles"].append("x"), r"settings\[0\].cycles\[2\]: Expected int, got str"),
            (lambda row: row.update(error_rate=None), r"settings\[0\].error_rate: Expected float, got null"),
        ],
    )
    def test_a_setting_of_which_a_part_is_gone(self, change: Callable[[dict[str, Any]], Any], told: str) -> None:
        """One line says which part of which setting, and what would be right."""
        record = json.loads(results().to_json())
        change(record["settings"][0])
        with pytest.raises(EspalierError, match=f"^not the results of an exploration: {told}$"):
            Results.from_json(resealed(record))
