"""What is told of an exploration beside others, each fact once for table, page, CSV and JSON: asked, got, left."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from reports.explore.answer import short, span
from reports.explore.points import Point
from reports.explore.results import Results
from reports.shared.words import kib, percent
from reports.workflow.answer_table import MEASURES, called, signed, slack_of

NONE = "-"  # no limit, or nothing known
MOST_ARRAYS = 6  # that are told one by one
Value = Callable[[Results], Any]


@dataclass(frozen=True)
class Fact:
    """Something that each exploration has.

    Parameters
    ----------
    name : str
        In JSON and CSV.
    label : str
        In tables, with its unit.
    value : function
        From results to a plain value; None where there is none.
    written : function
        From such a value, not None, to text.
    """

    name: str
    label: str
    value: Value
    written: Callable[[Any], str] = str

    def text(self, results: Results) -> str:
        """Return the value as text."""
        value = self.value(results)
        return NONE if value is None else self.written(value)

    def plain(self, results: Results) -> Any:
        """Return the value as a number or text; a list in words."""
        value = self.value(results)
        return self.written(value) if isinstance(value, tuple) else value


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _millions(value: float) -> str:
    return f"{value / 1e6:g}"


def _arrays(arrays: tuple[str, ...]) -> str:
    if len(arrays) <= MOST_ARRAYS:
        return ", ".join(arrays)
    return f"{len(arrays)} from {arrays[0]} to {arrays[-1]}"


def _lanes(lanes: tuple[int, int]) -> str:
    return f"{lanes[0]}x{lanes[1]}"


ASKED = (
    Fact("network", "network", lambda r: r.network),
    Fact("data", "data", lambda r: r.data),
    Fact("technology", "technology", lambda r: r.means.name),
    Fact("device_memory_bits", "device KiB", lambda r: r.means.memory_bits, kib),
    Fact("device_multipliers", "device multipliers", lambda r: r.means.multipliers, _count),
    Fact("device_clock_hz", "highest MHz", lambda r: r.means.clock_hz, _millions),
    Fact("max_error", "errors asked for", lambda r: r.max_error),
    Fact("error_limit", "errors at most", lambda r: r.budget.error_rate, percent),
    Fact("confidence", "confidence", lambda r: r.decision.guard.confidence, lambda x: f"{x:.0%}" if x else NONE),
    Fact("memory_bits_limit", "KiB at most", lambda r: r.budget.memory_bits, kib),
    Fact("multipliers_limit", "multipliers at most", lambda r: r.budget.multipliers, _count),
    Fact("lanes_limit", "lanes at most", lambda r: r.budget.lanes, _count),
    Fact("images_per_s_limit", "images/s at least", lambda r: r.budget.images_per_s, lambda x: f"{x:,g}"),
    Fact("area_um2_limit", "mm² at most", lambda r: r.budget.area_um2, _millions),
    Fact("power_mw_limit", "mW at most", lambda r: r.budget.power_mw, lambda x: f"{x:g}"),
    Fact("clock_hz", "clock MHz", lambda r: r.budget.clock_hz, _millions),
    Fact("dram_bytes_per_s", "DRAM MB/s", lambda r: r.dram_bytes_per_s, _millions),
    Fact("goal", "goal", lambda r: r.goal),
    Fact("versions", "versions", lambda r: tuple(x.name for x in r.versions if not x.left_out), ", ".join),
    Fact("weight_bits_tried", "weight bits tried", lambda r: r.space.weight_bits, span),
    Fact("signal_bits_tried", "signal bits tried", lambda r: r.space.signal_bits, span),
    Fact("arrays_tried", "arrays tried", lambda r: tuple(map(_lanes, r.space.arrays)), _arrays),
    Fact("validation_images", "validation images", lambda r: r.images["validation"], _count),
    Fact("test_images", "test images", lambda r: r.images.get("test"), _count),
)


def _chosen(value: Callable[[Results, Point], Any]) -> Value:
    """Return the function that gives a value of the recommended design, None where nothing fits."""
    return lambda results: value(results, results.recommended) if results.recommended else None


def _upper(results: Results, point: Point) -> float | None:
    guard = results.decision.guard
    return guard.upper(point.error_rate) if guard.confidence else None


GOT = (
    Fact("design", "design", lambda r: short(r.recommended) if r.recommended else "nothing fits"),
    Fact("version", "version", _chosen(lambda r, p: p.version)),
    Fact("sparsity", "weights gone", _chosen(lambda r, p: r.version(p).sparsity), lambda x: f"{x:.1%}"),
    Fact("weight_bits", "weight bits", _chosen(lambda r, p: p.weight_bits)),
    Fact("signal_bits", "signal bits", _chosen(lambda r, p: p.signal_bits)),
    Fact("lanes", "lanes", _chosen(lambda r, p: p.lanes), _lanes),
    Fact("memory_bits", "memory KiB", _chosen(lambda r, p: p.memory_bits), kib),
    Fact("multipliers", "multipliers", _chosen(lambda r, p: p.multipliers), _count),
    Fact("cycles", "cycles", _chosen(lambda r, p: p.cycles), _count),
    Fact("images_per_s", "images/s", _chosen(lambda r, p: r.images_per_s(p)), _count),
    Fact("area_um2", "mm² (est.)", _chosen(lambda r, p: p.area_um2 or None), lambda x: f"{x / 1e6:.3f}"),
    Fact("energy_pj", "nJ (est.)", _chosen(lambda r, p: p.energy_pj or None), lambda x: f"{x / 1e3:,.1f}"),
    Fact("error_rate", "error, validation", _chosen(lambda r, p: p.error_rate), percent),
    Fact("error_bound", "error, upper bound", _chosen(_upper), percent),
    Fact("float_error_rate", "float, validation", lambda r: r.reference.float_rate, percent),
    Fact("test_error_rate", "error, test", lambda r: r.verified and r.verified.test_rate, percent),
    Fact("float_test_error_rate", "float, test", lambda r: r.verified and r.verified.reference_rate, percent),
)


def _slack(name: str, results: Results) -> float | None:
    return slack_of(results.decision, name)


LEFT = (
    *(
        Fact(f"{name}_slack", measure.label, partial(_slack, name), partial(signed, measure))
        for name, measure in MEASURES.items()
    ),
    Fact("binding", "binds", _chosen(lambda r, p: tuple(called(x.limit) for x in r.binding) or None), ", ".join),
)
GROUPS = {"Recommended": GOT, "Left of its limits": LEFT}
FACTS = (*ASKED, *GOT, *LEFT)
