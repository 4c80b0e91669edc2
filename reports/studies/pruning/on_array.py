"""What the page of a study of pruning says of an array: error against cycles, and the quickest of each pattern."""

from reports.shared import markdown
from reports.shared.words import percent
from reports.studies.pruning.definition import TOLERANCES
from reports.studies.pruning.results import DENSE, Group, OnArray, Results


def sections(results: Results, picture: str) -> list[str]:
    """Return the sections of results that say what settings take on an array."""
    return [
        "## Error against cycles",
        f"One image on {results.array} lanes, output maps in the order in which lanes agree most; `--draw --array "
        f"{results.array}` counts the cycles anew, from what each setting keeps, and trains nothing.",
        picture,
        _settings(results),
        "For each granularity the setting of the fewest cycles whose error rate, the mean of the seeds on the "
        "validation images, is at most so much above the dense network's; in brackets what it is on the test images:",
        _quickest(results),
    ]


def _settings(results: Results) -> str:
    dense = results.costs[DENSE]
    heads = "granularity | epochs | convolutions gone | MACs | cycles | MACs / dense | cycles / dense | error (seeds)"
    rows = [[DENSE, "", "", *_counts(dense, dense), percent(results.dense["test"])]]  # no epochs, nothing gone
    control = [(results.control, dense)] if results.control else []
    for group, cost in [*control, *results.priced]:
        low, high = map(percent, group.span())
        gone = f"{group.sparsity(results.convolutions):.1%}"
        error = f"{percent(group.mean())} ({low} to {high})"
        epochs = f"{group.task.sparsify} + {group.task.epochs}" if group.task.sparsify else str(group.task.epochs)
        rows.append([group.task.granularity, epochs, gone, *_counts(cost, dense), error])
    return markdown.table(heads, "lrrrrrrr", rows)


def _counts(cost: OnArray, dense: OnArray) -> tuple[str, ...]:
    shares = f"{cost.macs / dense.macs:.1%}", f"{cost.cycles / dense.cycles:.1%}"
    return f"{cost.macs:,}", f"{cost.cycles:,}", *shares


def _quickest(results: Results) -> str:
    heads = ["granularity", *(f"at most +{100 * rise:g} %" for rise in TOLERANCES)]
    rows = [
        [granularity, *(_cell(results, results.quickest(granularity, rise)) for rise in TOLERANCES)]
        for granularity in dict.fromkeys(group.task.granularity for group, _ in results.priced)
    ]
    return markdown.table(" | ".join(heads), "l" + "r" * len(TOLERANCES), rows)


def _cell(results: Results, found: tuple[Group, OnArray] | None) -> str:
    if found is None:
        return "none"
    group, cost = found
    return f"{cost.cycles:,} ({100 * results.rise(group):+.2f} %)"
