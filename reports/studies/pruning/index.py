"""The page over the studies of patterns on an array: which pattern has the least error at equal cycles.

    python -m reports.studies.pruning.index [FOLDER]

writes FOLDER/README.md (``reports/studies/pruning`` by default) from the ``results.json`` of the folders in it.
"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np

from accel.files import write_whole
from accel.interchange import zoo
from reports.shared import markdown, output
from reports.shared.journal import RESULTS
from reports.shared.schema import saved
from reports.shared.words import percent
from reports.studies.pruning.compared import COMPARED
from reports.studies.pruning.cycles import cost_on
from reports.studies.pruning.definition import STUDIES
from reports.studies.pruning.results import DENSE, Group, Results

FOLDER = Path(__file__).parent
LANES = (8, 8)
ALONE, TOGETHER = "kernel", "kernel@8"
VERSIONS = ("digits", "lenet5", "cifar-quick")
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)  # of the dense network's cycles


def index(studies: list[Results], versions: Sequence[str] = ()) -> str:
    """Return README.md of the folder that holds these studies, each in the folder of `folder_of`.

    Of the networks `versions` the table of the zoo's versions is made too.
    """
    parts = [
        "# Which pattern to take",
        "    espalier study pruning NETWORK --data-dir DATA --out reports/studies/pruning/NETWORK\n"
        "    espalier study pruning NETWORK --draw --array 8x8 --out reports/studies/pruning/NETWORK\n"
        "    espalier study pruning NETWORK --array 8x8 --data-dir DATA --out reports/studies/pruning/NETWORK-cycles\n"
        "    python -m reports.studies.pruning.index",
        "make the folders and this page; with `--draw` cycles are those of the array as it is now, and nothing is "
        "trained. What an architect pays for is cycles, not weights: patterns that remove equal shares of the weights "
        "leave an array with unequal work, because a group of lanes runs the union of what its lanes keep.",
        *(part for results in studies if not results.compared for part in _whole(results)),
        *(part for results in studies if results.compared for part in _alike(results)),
        *(part for name in versions for part in _zoo(name)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _zoo(name: str) -> Iterator[str]:
    """Yield what the zoo's versions of a network take on `LANES`."""
    yield f"## {name}: the zoo's versions, {LANES[0]}x{LANES[1]} lanes"
    yield "One seed; `reports/workflow/recipes.py` has the ratios, and how long each was trained."
    rates = zoo.error_rates(name)
    costs = {pattern: cost_on(zoo.load(name, pattern), LANES) for pattern in rates}
    dense = costs[DENSE]
    rows = []
    for pattern, cost in costs.items():
        shares = f"{cost.macs / dense.macs:.1%}", f"{cost.cycles / dense.cycles:.1%}"
        rows.append([pattern, f"{cost.macs:,}", f"{cost.cycles:,}", *shares, percent(rates[pattern])])
    yield markdown.table("pattern | MACs | cycles | MACs of dense | cycles of dense | error", "lrrrrr", rows)


def folder_of(results: Results) -> str:
    """Return the name of the folder of a study."""
    return f"{results.network}-cycles" if results.compared else results.network


def _whole(results: Results) -> Iterator[str]:
    """Yield what a study of many patterns says, some trained longer and some sparser than others."""
    yield f"## {results.network} on {results.data}, {results.array} lanes"
    yield from _head(results)
    layers = "the convolutions" if results.convolutions else "all layers"
    yield (
        "What no other setting of the study beats, which would take no more cycles for no more error; *gone* is of the "
        f"weights of {layers}:"
    )
    heads = "pattern | gone | cycles | of dense | error, mean of the seeds | risen by"
    yield markdown.table(heads, "lrrrrr", _front(results))


def _head(results: Results) -> Iterator[str]:
    folder = folder_of(results)
    yield f"![Error rate against cycles, one line for each pattern]({folder}/cycles.png)"
    yield (
        f"Dense: {results.costs[DENSE].cycles:,} cycles for an image, {percent(results.dense['test'])} error on "
        f"{results.images['test']:,} test images{_control(results)}; {results.definition['epochs']} x "
        f"{results.images['train']:,} images of retraining where [all settings]({folder}/README.md) say nothing else."
    )


def _control(results: Results) -> str:
    if not results.control:
        return ""
    return f", {_error(results.control)} after the training that what is pruned gets"


def _error(group: Group) -> str:
    low, high = map(percent, group.span())
    return f"{percent(group.mean())} ({low} to {high})"


def _front(results: Results) -> Iterator[Sequence[str]]:
    dense = results.costs[DENSE].cycles
    for group, cost in sorted(results.priced, key=lambda pair: pair[1].cycles):
        better = (c.cycles <= cost.cycles and g.mean() <= group.mean() for g, c in results.priced if g is not group)
        if not any(better):
            share, gone = cost.cycles / dense, group.sparsity(results.convolutions)
            rates = percent(group.mean()), f"{100 * results.rise(group):+.2f} %"
            yield group.task.granularity, f"{gone:.1%}", f"{cost.cycles:,}", f"{share:.1%}", *rates


def _alike(results: Results) -> Iterator[str]:
    """Yield what a study of patterns says that were trained alike."""
    yield f"## {results.network}: patterns that remove as much, trained alike"
    yield from _head(results)
    yield (
        f"Errors are means of {results.seeds} seeds, in brackets the lowest and the highest. Shares are of the dense "
        "network's; where the last column is 1, cycles have gone as multiply-accumulates have. Before kernels go in "
        "groups, output maps that want the same input maps are put into one group (`accel/prune/group_order.py`)."
    )
    heads = "pattern | of convolutions gone | error | risen by | cycles | of dense | MACs | cycles over MACs"
    yield markdown.table(heads, "lrrrrrrr", _paid(results))
    yield from _in_groups(results)
    yield (
        f"Rise of the error rate, mean of {results.seeds} seeds, where a pattern's line crosses a share of the cycles: "
        "straight between what was measured, the dense network included; the lowest is bold."
    )
    for epochs in sorted({group.task.epochs for group, _ in results.priced}):
        rises = _rises(results, epochs)
        yield f"Retrained for {epochs} epoch{'s' if epochs > 1 else ''}:"
        heads = " | ".join(["pattern", *(f"{share:.0%} of the cycles" for share in SHARES)])
        yield markdown.table(heads, "l" + "r" * len(SHARES), _crossings(rises))
        yield _most_often(rises)


def lines(results: Results, epochs: int) -> dict[str, tuple[list[float], list[float]]]:
    """Return, for each pattern, shares of the dense network's cycles, ascending, and the rates after so many epochs."""
    dense, found = results.costs[DENSE].cycles, {}
    alike = [(group, cost) for group, cost in results.priced if group.task.epochs == epochs]
    for pattern in dict.fromkeys(group.task.granularity for group, _ in alike):
        points = [(cost.cycles / dense, g.mean()) for g, cost in alike if g.task.granularity == pattern]
        shares, rates = zip(*sorted([*points, (1.0, results.floor())]), strict=True)
        found[pattern] = [*shares], [*rates]
    return found


def _rises(results: Results, epochs: int) -> dict[str, list[float]]:
    """Return the rise of each pattern at each of `SHARES` after so many epochs; infinite where its line ends before."""
    return {
        pattern: (np.interp(SHARES, shares, rates, left=np.inf) - results.floor()).tolist()
        for pattern, (shares, rates) in lines(results, epochs).items()
    }


def _crossings(rises: dict[str, list[float]]) -> Iterator[Sequence[str]]:
    least = [min(column) for column in zip(*rises.values(), strict=True)]
    for pattern, row in rises.items():
        texts = ["not reached" if math.isinf(rise) else f"{100 * rise:+.2f} %" for rise in row]
        best = [rise == low < math.inf for rise, low in zip(row, least, strict=True)]
        yield pattern, *(f"**{text}**" if lowest else text for text, lowest in zip(texts, best, strict=True))


def _most_often(rises: dict[str, list[float]]) -> str:
    """Return which pattern has the least rise at the most shares that any reaches."""
    columns = [column for column in zip(*rises.values(), strict=True) if min(column) < math.inf]
    wins = {pattern: sum(column[i] == min(column) for column in columns) for i, pattern in enumerate(rises)}
    if not columns:
        return ""
    first = max(wins, key=lambda pattern: wins[pattern])
    return f"`{first}` is lowest at {wins[first]} of the {len(columns)} shares that any pattern reaches."


def _paid(results: Results) -> Iterator[Sequence[str]]:
    dense = results.costs[DENSE]
    for group, cost in results.priced:
        macs, cycles = cost.macs / dense.macs, cost.cycles / dense.cycles
        gone, rise = f"{group.sparsity(results.convolutions):.1%}", f"{100 * results.rise(group):+.2f} %"
        shares = f"{cost.cycles:,}", f"{cycles:.1%}", f"{macs:.1%}", f"{cycles / macs:.2f}"
        yield group.task.granularity, gone, _error(group), rise, *shares


def _in_groups(results: Results) -> Iterator[str]:
    """Yield, ratio by ratio, what kernels that go in groups of output maps save and cost beside those that go alone."""
    alone = {_ratio(group): (group, cost) for group, cost in results.priced if group.task.granularity == ALONE}
    for group, cost in results.priced:
        if group.task.granularity != TOGETHER or _ratio(group) not in alone:
            continue
        other, dear = alone[_ratio(group)]
        more, saved = group.mean() - other.mean(), 1 - cost.cycles / dear.cycles
        apart = other.span()[1] < group.span()[0] or group.span()[1] < other.span()[0]
        yield (
            f"`{TOGETHER}` beside `{ALONE}`, {group.sparsity(results.convolutions):.0%} of the convolutions gone: "
            f"{saved:.0%} fewer cycles, {100 * more:+.2f} % errors; the seeds' ranges {'do not' * apart}"
            f"{' ' * apart}overlap."
        )


def _ratio(group: Group) -> str:
    return json.dumps([*group.task.ratios.values()], sort_keys=True)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=FOLDER)
def main(folder: Path) -> None:
    """Write the page over the studies in FOLDER."""
    with output.writing(folder):
        paths = [folder / name / RESULTS for name in (*STUDIES, *(f"{name}-cycles" for name in COMPARED))]
        studies = [saved(path, Results.from_json) for path in paths if path.exists()]
        studies = [results for results in studies if results.costs and results.priced]
        write_whole(folder / "README.md", index(studies, VERSIONS).encode())


if __name__ == "__main__":
    main()
