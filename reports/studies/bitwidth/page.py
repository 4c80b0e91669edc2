"""The page of a study of word lengths: README.md, from saved results alone."""

from collections.abc import Iterable
from statistics import fmean

from accel.records import record_of
from reports.shared import markdown
from reports.shared.words import percent
from reports.studies.bitwidth.definition import METHODS, WIDTHS, Target
from reports.studies.bitwidth.results import Results
from reports.studies.files import picture

CAPTIONS = {
    "widths": "Error rate against the bits of weights and signals, by method.",
    "sensitivity": "One group at a few bits, everything else in high precision.",
    "pareto": "Error rate against on-chip memory, all that was measured; nothing lies left of and below the front.",
}


def page(results: Results, figures: Iterable[str]) -> str:
    """Return README.md.

    Parameters
    ----------
    results : Results
    figures : file names
        Of `reports.studies.bitwidth.figures.render`.
    """
    targets = [record_of(Target, record) for record in results.definition["targets"]]
    notes = [f"- {note}" for note in results.definition["notes"]]
    parts = [
        f"# Word lengths of {results.network} on {results.data}",
        *_reproduce(results),
        *(["## Targets", _targets(results, targets)] if targets else []),
        *(["## Notes", "\n".join(notes)] if notes else []),
        "## Uniform widths",
        picture("widths", CAPTIONS, figures),
        *(_uniform(results, pattern) for pattern in results.float_rates),
        "## One group at a time",
        picture("sensitivity", CAPTIONS, figures),
        "## Uniform against allocated widths, at equal memory",
        "Widths of each group are chosen on the validation images within the memory of uniform widths; no retraining.",
        _allocations(results),
        "## Memory against error",
        picture("pareto", CAPTIONS, figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _reproduce(results: Results) -> list[str]:
    definition, images = results.definition, results.images
    quick = " --quick" if definition["quick"] else ""
    return [
        f"    espalier study bitwidth {results.network} --data-dir DATA{quick} --out FOLDER",
        "makes this folder; stopped, it goes on where it was. "
        "`reports/studies/bitwidth/definition.py` defines the study.",
        f"Dense network in float: {percent(results.dense_rate)} error on {images['test']:,} test images. Steps are "
        f"found on training images; {definition['images']:,} validation images decide on steps in searches, "
        f"{definition['allocation_images']:,} on widths, the test images nothing. Searches take at most "
        f"{definition['evaluations']} evaluations; retraining, in which steps are learned, {definition['epochs']} "
        "epochs where nothing else is said. A Program that was retrained is also run on real values, as training sees "
        "it; the integer engine must give the same scores on every test image.",
    ]


def _targets(results: Results, targets: list[Target]) -> str:
    rows = []
    for target in targets:
        rise, low, high, smaller = results.outcome(target)
        asked = (
            f"{target.pattern}, {results.sparsities[target.pattern]:.1%} gone, {target.weight_bits}-bit weights, "
            f"{target.signal_bits}-bit signals: at most +{100 * target.rise:g} %, {target.smaller:g} times smaller "
            f"({target.method}, {target.epochs} epochs{_fit(target)})"
        )
        missed = [] if rise <= target.rise + 1e-12 else [f"missed by {percent(rise - target.rise)}"]
        missed += [] if smaller >= target.smaller else [f"{target.smaller - smaller:.1f} times too large"]
        told = f"{100 * rise:+.2f} % ({100 * low:+.2f} to {100 * high:+.2f}), {smaller:.1f} times smaller"
        floating = results.float_rates[target.pattern]["test"] - results.dense_rate
        rows.append([asked, f"{', '.join(missed) or 'met'}: {told}", f"{100 * floating:+.2f} %"])
    return markdown.table("target | outcome | the same in float", "llr", rows)


def _fit(target: Target) -> str:
    batch = f", batches of {target.batch_size}" if target.batch_size else ""
    return batch + (f", learning rate {target.learning_rate:g}" if target.learning_rate else "")


def _uniform(results: Results, pattern: str) -> str:
    found = {method: results.uniform(pattern, method) for method in METHODS}
    pairs = sorted({pair for points in found.values() for pair in points} | {(bits, bits) for bits in WIDTHS})
    floating = percent(results.float_rates[pattern]["test"])
    heads = ["bits of weights, signals", *METHODS, "parameters in KiB"]
    rows = []
    for pair in pairs:
        cells = [percent(fmean(p.error_rate for p in found[m][pair])) if pair in found[m] else "" for m in METHODS]
        some = next(points[pair] for points in found.values() if pair in points)
        rows.append([f"{pair[0]}, {pair[1]}", *cells, f"{some[0].values['parameter_bits'] / 8192:.1f}"])
    table = markdown.table(" | ".join(heads), "lr" + "r" * len(METHODS), rows)
    return f"**{pattern}**, {results.sparsities[pattern]:.1%} gone, {floating} in float\n\n{table}"


def _allocations(results: Results) -> str:
    heads = "version | memory of uniform | error: test (validation) | allocated: test (validation) | memory | widths"
    rows = []
    for pattern in results.float_rates:
        for chosen, uniform in results.allocations(pattern):
            told = ", ".join(f"{group} {bits}" for group, bits in chosen.values["widths"].items())
            cells = [
                pattern,
                f"{uniform.task.weight_bits} bits, {uniform.values['memory_bits'] / 8192:.1f} KiB",
                *(f"{percent(p.error_rate)} ({percent(p.values['rates']['validation'])})" for p in (uniform, chosen)),
                f"{chosen.values['memory_bits'] / 8192:.1f} KiB",
                told,
            ]
            rows.append(cells)
    return markdown.table(heads, "lrrrrl", rows)
