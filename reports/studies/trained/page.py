"""The page of the study of trained networks: README.md, from saved results alone."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

from accel.train.recipe import FLOAT32
from reports.shared import markdown
from reports.shared.words import kib, percent
from reports.studies.files import picture
from reports.studies.trained.definition import NOTES, PLANS, SEEDS, SHARES, Task, tasks
from reports.studies.trained.results import Group, Results, Verdict

CAPTIONS = {
    "cycles": "Error rate against the cycles of one image: mean of the seeds, bars from the lowest to the highest. "
    "Floats are hollow; words of few bits have these beside them, weights/signals. Cycles are those of the closed "
    "form, which the hardware takes.",
    "equal_cycles": "What each pattern costs where an image takes equally many cycles, or fewer by one step of the "
    "ratio: the rise of the error rate over the dense network's, and above each bar the share of the weights that is "
    "gone; mean of the seeds.",
}

COMMANDS = """    python -m reports.studies.trained train --data-dir DIR --work FOLDER
    python -m reports.studies.trained judge --data-dir DIR --work FOLDER"""
HOW = """train the versions and make this folder; stopped, they go on where they were. `definition.py` here
defines the study, `recipes.py` says how each is trained: one cycle of the learning rate, masks that
follow the weights and are frozen after 60 % of the epochs (feature maps go in one shot; blocks of
lenet-300-100-fashion have 30 epochs of a group lasso first); what is pruned or quantised learns from
the dense float network too, but in 5 bits and more, where steps are calibrated alone. What is to
take a share of the cycles on 8x8 lanes is pruned at the least ratio that suffices, which all layers
share; feature maps of residual networks go inside blocks. Dense residual networks have a second
cycle, as long as that of a pruned one, in which resnet20 is the teacher of both, as it is of
resnet8 where `kernel@8` or single weights go. CIFAR-10 went through JPEG here, and a part of each
training set is the validation split and not trained on, so that published error rates are not
comparable."""
WORDS = """Bits are of weights and signals; the image has 8. Of residual networks, but for *everywhere*, 8 bits
have the weights of the first and of the last layer and what the last layer reads, as usual in the
literature, and the sums that only an addition reads, which are floats there; other networks have
the bits that are said everywhere. Error rates of Programs are the bit-accurate engine's. Memory is
that of parameters, indices and live signals; cycles are those of one image, output maps in the
order in which lanes agree most."""


def page(results: Results, figures: Iterable[str]) -> str:
    """Return README.md; `figures` are file names, those of `reports.studies.trained.figures.render`."""
    parts = [
        "# Trained networks: pruned, quantised, and both",
        COMMANDS,
        f"{HOW} Everything is chosen by validation images; error rates are those on test images ({_images(results)}).",
        "## Targets",
        _targets(results.verdicts()),
        "## What was cut",
        "\n".join(f"- {note}" for note in (*_cut(results), *NOTES)),
        *(section for network in results.networks for section in _sections(results, network)),
        WORDS + _emulated(results) + _precise(results),
        *(picture(name, CAPTIONS, figures) for name in CAPTIONS),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _images(results: Results) -> str:
    rows = (f"{data}: {x['validation']:,} and {x['test']:,}" for data, x in results.images.items())
    return "; ".join(rows)


def pattern_of(task: Task) -> str:
    """Return what was pruned in words."""
    if task.cycles:
        return f"{task.pattern}, {task.cycles} % of the cycles"
    return f"{task.pattern}, {task.gone} %" if task.gone else task.pattern


def bits_of(task: Task) -> str:
    """Return the word lengths of a version in words."""
    if not task.bits:
        return "float"
    everywhere = task.everywhere and any(task.bits and not task.everywhere for task in PLANS[task.network].versions)
    return f"{task.bits}/{task.signal_bits or task.bits}" + (" everywhere" if everywhere else "")


def _targets(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        plus = "" if verdict.target.rise is None else "+"
        asked = f"at most {plus}{percent(verdict.asked)}"
        if verdict.group is None or verdict.found is None:
            found, by = "not trained", ""
        else:
            missed = verdict.found - verdict.asked
            outcome = "met" if missed <= 0 else f"missed by {percent(missed)}"
            found, by = f"{verdict.found * 100:{plus}.2f} %: {outcome}", title(verdict.group)
        rows.append([verdict.network, verdict.target.what, asked, found, by])
    return markdown.table("network | target | asked | found | by", "llrrl", rows)


def title(group: Group) -> str:
    """Return pattern and word lengths in words."""
    return f"{pattern_of(group.task)}, {bits_of(group.task)}"


def _cut(results: Results) -> list[str]:
    """Return what of the study is not there, in lines."""
    there = {version.task for version in results.versions}
    found = [f"Of {len(tasks())} versions {len(there)} are trained."]
    for network, plan in PLANS.items():
        trained = Counter(task.of_any for task in there if task.network == network)
        counts = Counter(trained[version] for version in plan.versions)
        if counts[SEEDS] < len(plan.versions):
            told = ", ".join(f"{counts[seeds]} in {seeds or 'no'} seed{'s' * (seeds != 1)}" for seeds in sorted(counts))
            found.append(f"{network}: of {len(plan.versions)} versions {told}.")
    return found


def _sections(results: Results, network: str) -> Iterable[str]:
    yield f"## {network}"
    yield _table(results.groups(network, calibrated=False))
    yield _compared(network, results.compared(network))
    yield _calibrated(results.groups(network, calibrated=True))


def _compared(network: str, groups: Sequence[Group]) -> str:
    """Return which pattern errs least at equal cycles on the validation images, if there are several to compare."""
    if len(groups) < 2:
        return ""
    best = min(groups, key=lambda group: group.mean("validation"))
    others = ", ".join(f"{x.task.pattern} {percent(x.mean())}" for x in groups if x is not best)
    return (
        f"Of patterns that take at most {SHARES[network]} % of the dense network's cycles, the one to take is "
        f"`{best.task.pattern}`: chosen by validation images, {percent(best.mean())} on test images; {others}."
    )


def _calibrated(groups: Sequence[Group]) -> str:
    """Return the error rates of versions that are calibrated and not trained, a row for each pattern."""
    if not groups:
        return ""
    rates = {(group.task.pattern, group.task.bits): percent(group.mean()) for group in groups}
    columns = sorted({group.task.bits for group in groups})
    heads = ["error, calibrated alone", *(f"{bits} bits" for bits in columns)]
    rows = [
        [pattern, *(rates.get((pattern, bits), "-") for bits in columns)]
        for pattern in dict.fromkeys(group.task.pattern for group in groups)
    ]
    return markdown.table(" | ".join(heads), "l" + "r" * len(columns), rows)


def _table(groups: Sequence[Group]) -> str:
    heads = "version | bits | epochs | weights gone | MACs gone | memory, KiB | cycles | seeds | error | over float"
    rows = []
    for group in groups:
        first = group.versions[0]
        low, high = map(percent, group.span())
        error = percent(group.mean()) + (f" ({low} to {high})" if len(group.versions) > 1 else "")
        memory = fmean(version.memory_bits for version in group.versions)
        cells = [
            pattern_of(group.task),
            bits_of(group.task),
            str(first.epochs),
            f"{group.gone:.1%}",
            f"{1 - first.macs / first.dense_macs:.1%}",
            kib(round(memory)) if memory else "",
            f"{round(fmean(version.cycles for version in group.versions)):,}",
            str(len(group.versions)),
            error,
            f"{100 * group.rise():+.2f} %" if group.task.bits or group.task.pattern != "dense" else "",
        ]
        rows.append(cells)
    return markdown.table(heads, "llrrrrrrrr", rows)


def _emulated(results: Results) -> str:
    """Return for how many images Programs have the scores of their training, in a sentence, if there are any."""
    counts = [x.emulated_images for x in results.versions if x.emulated_images]
    if not counts:
        return ""
    return f" For {min(counts):,} test images each they have every score of the arithmetic that was trained."


def _precise(results: Results) -> str:
    """Return which networks were trained with other products than those of float32, in a sentence, if any were."""
    names = dict.fromkeys(x.task.network for x in results.versions if x.precision != FLOAT32)
    return f" Products in training were of bfloat16 for {', '.join(names)}, else of float32." if names else ""
