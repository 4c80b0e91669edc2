"""The page of a study of pruning: README.md, from saved results alone."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from accel.prune import SEARCHES
from accel.records import record_of
from reports.shared import markdown
from reports.shared.words import percent
from reports.studies.files import picture
from reports.studies.pruning import on_array
from reports.studies.pruning.compared import COMPARED
from reports.studies.pruning.definition import (
    BEST_OF_N,
    DRAW_NOTHING,
    MAGNITUDE,
    PARTICLE_FILTER,
    RANDOM,
    STUDIES,
    TOLERANCES,
    Target,
)
from reports.studies.pruning.results import Group, Results

EXPECTED = (PARTICLE_FILTER, BEST_OF_N, MAGNITUDE, RANDOM)  # lowest error first
CAPTIONS = {
    "sweep": "Error rate before retraining against the ratio of every pruned layer: mean of the seeds, and a band from "
    "the lowest to the highest.",
    "retrained": "Error rate after retraining against what is gone of all weights: mean of the seeds, bars from the "
    "lowest to the highest. The table below says how long each was trained.",
    "densities": "What is kept of each layer.",
    "cycles": "Error rate after retraining against the cycles of one image: mean of the seeds, bars from the lowest to "
    "the highest. Cycles are those of the closed form, which the hardware takes.",
    "masks": "What was kept (black), as lowered matrices: a row is an output map, a column a tap of an input map.",
}


def page(results: Results, figures: Iterable[str]) -> str:
    """Return README.md.

    Parameters
    ----------
    results : Results
    figures : file names
        Of `reports.studies.pruning.figures.render`.
    """
    target = [record_of(Target, record) for record in results.definition["targets"]]
    title = (
        f"Patterns of {results.network} on an array of {results.array} lanes"
        if results.compared
        else f"Pruning {results.network} on {results.data}"
    )
    parts = [
        f"# {title}",
        *_reproduce(results),
        *(["## Targets", _targets(results, target)] if target else []),
        *(["## Notes", "\n".join(f"- {note}" for note in _notes(results))] if _notes(results) else []),
        *(on_array.sections(results, picture("cycles", CAPTIONS, figures)) if results.costs else []),
        "## How much may go",
        "For each granularity the sparsest retrained setting whose error rate, the mean of the seeds on the validation "
        "images, is at most so much above the dense network's; in brackets what it is on the test images, lowest to "
        "highest seed. The test images decide nothing.",
        _best(results),
        picture("retrained", CAPTIONS, figures),
        *(["## Selectors, before retraining", _order(results)] if results.sweep else []),
        picture("sweep", CAPTIONS, figures),
        "## Layers and masks",
        picture("densities", CAPTIONS, figures),
        picture("masks", CAPTIONS, figures),
        "## All retrained settings",
        _settings(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _notes(results: Results) -> Sequence[str]:
    """Return what the table says now: words may be added without measuring anew."""
    study = (COMPARED if results.compared else STUDIES).get(results.network)
    return study.notes if study and not results.definition["quick"] else ()


def _reproduce(results: Results) -> list[str]:
    definition, images = results.definition, results.images
    options = (" --quick" if definition["quick"] else "") + (f" --array {results.array}" if results.compared else "")
    command = f"espalier study pruning {results.network} --data-dir DATA --seeds {results.seeds}{options} --out FOLDER"
    done = len(results.points)
    unfinished = f" **{done} of {results.planned} points are there; the same command measures the others.**"
    table = "compared" if results.compared else "definition"
    selectors = (
        f"Selectors judge masks on {images['selection']:,} of the validation images, searches ({', '.join(SEARCHES)}) "
        f"with {definition['budget']} evaluations for each stage. "
    )
    lasso = (
        " A group lasso, where there is one, comes before each selection and takes the weight decay's place; its "
        f"strength is {definition['group_lasso']:g}."
    )
    alone = f"; {' and '.join(DRAW_NOTHING)} draw nothing, and have one point before retraining"
    return [
        f"    {command}",
        "makes this folder; stopped, it goes on where it was. "
        f"`reports/studies/pruning/{table}.py` defines the study." + (unfinished if done < results.planned else ""),
        f"Dense network: {percent(results.dense['test'])} error on {images['test']:,} test images, "
        f"{percent(results.dense['validation'])} on {images['validation']:,} validation images{_control(results)}. "
        f"{selectors if results.sweep else ''}Retrained on {images['train']:,} images for "
        f"{_epochs(definition['epochs'])} where nothing else is said, after all stages: `{results.recipe}`."
        f"{lasso if any(group.task.sparsify for group in results.retrained) else ''} "
        f"{results.seeds} seeds a point, of search and retraining{alone if results.sweep else ''}.",
    ]


def _control(results: Results) -> str:
    """Return what the dense network makes of the same training, above which errors rise then."""
    if not results.control:
        return ""
    low, high = map(percent, results.control.span())
    mean, validation = percent(results.control.mean()), percent(results.control.mean("validation"))
    return (
        f"; trained on as what is pruned is, {mean} ({low} to {high}) and {validation}, and that is the dense network "
        "above which errors rise here"
    )


def _targets(results: Results, targets: Sequence[Target]) -> str:
    rows = []
    for target in targets:
        what = "convolution weights" if target.convolutions else "all weights"
        which = ", ".join(target.granularities) or "any granularity"
        asked = f"{which}: at least {target.least:.0%} of {what} gone for at most +{100 * target.rise:g} %"
        rows.append([asked, _outcome(results, target)])
    return markdown.table("target | outcome", "ll", rows)


def _outcome(results: Results, target: Target) -> str:
    names = results.convolutions if target.convolutions else ()
    group = results.nearest(target)
    if group is None:
        return "no setting that sparse was retrained"
    rise = results.rise(group)
    verdict = "met" if rise <= target.rise + 1e-12 else f"missed by {percent(rise - target.rise)}"
    low, high = (100 * (rate - results.floor()) for rate in group.span())
    return (
        f"{verdict}: {group.task.granularity} ({_training(group)}), "
        f"{group.sparsity(names):.1%} gone, {100 * rise:+.2f} % ({low:+.2f} to {high:+.2f})"
    )


def _best(results: Results) -> str:
    heads = ["granularity", *(f"at most +{100 * rise:g} %" for rise in TOLERANCES)]
    rows = [
        [granularity, *(_cell(results, results.best(granularity, rise)) for rise in TOLERANCES)]
        for granularity in dict.fromkeys(group.task.granularity for group in results.retrained)
    ]
    return markdown.table(" | ".join(heads), "l" + "r" * len(TOLERANCES), rows)


def _cell(results: Results, group: Group | None) -> str:
    if group is None:
        return "none"
    low, high = (100 * (rate - results.floor()) for rate in group.span())
    return f"{group.sparsity():.1%} ({low:+.2f} to {high:+.2f})"


def _order(results: Results) -> str:
    """Return how often neighbours in the expected order of selectors are in that order, and where not."""
    means = {(g.task.granularity, g.ratio, g.task.selector): g.mean() for g in results.sweep}
    cases = list(dict.fromkeys((granularity, ratio) for granularity, ratio, _ in means))
    rows = []
    for better, worse in pairwise(EXPECTED):
        pairs = [(*case, means.get((*case, better)), means.get((*case, worse))) for case in cases]
        known = [(label, ratio, a - b) for label, ratio, a, b in pairs if a is not None and b is not None]
        failing = [(label, ratio, more) for label, ratio, more in known if more > 1e-12]
        told = "; ".join(f"{label} at {ratio:g}: {100 * more:+.2f} %" for label, ratio, more in failing)
        rows.append([f"{better} <= {worse}", f"{len(known) - len(failing)} of {len(known)}", told])
    head = f"Expected at equal budget, lowest error first: {' <= '.join(EXPECTED)}. Means on the test images:"
    table = markdown.table("expected | holds | fails (difference of the error rates)", "lrl", rows)
    return f"{head}\n\n{table}"


def _settings(results: Results) -> str:
    heads = "granularity | ratios | selector, training | gone | of convolutions | before | after (lowest to highest)"
    rows = []
    for group in [*filter(None, [results.control]), *results.retrained]:
        low, high = map(percent, group.span())
        before = sum(point.before["test"] for point in group.points) / len(group.points)
        convolutions = f"{group.sparsity(results.convolutions):.1%}" if results.convolutions else ""
        cells = [
            group.task.granularity,
            _ratios(group),
            _training(group),
            f"{group.sparsity():.1%}",
            convolutions,
            percent(before),
            f"{percent(group.mean())} ({low} to {high})",
        ]
        rows.append(cells)
    return markdown.table(heads, "lllrrrr", rows)


def _ratios(group: Group) -> str:
    told = []
    for pattern, ratio in group.task.ratios.items():
        layers = [f"{name} {share:g}" for name, share in ratio.items()] if isinstance(ratio, dict) else [f"{ratio:g}"]
        told.append(f"{pattern}: {', '.join(layers)}")
    return "; ".join(told)


def _training(group: Group) -> str:
    lasso = f"group lasso {_epochs(group.task.sparsify)}, " if group.task.sparsify else ""
    return f"{lasso}{group.task.selector}, {_epochs(group.task.epochs)}"


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count > 1 else ''}"
