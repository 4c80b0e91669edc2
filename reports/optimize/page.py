"""The page of an optimisation: README.md beside the Program, from saved results alone."""

from reports.optimize.results import Results, Version
from reports.shared import markdown
from reports.shared.words import kib, percent

GOALS = {"fast": "fewest cycles", "small": "least memory"}


def page(results: Results) -> str:
    """Return README.md."""
    asked = results.asked
    within = f"at most {percent(asked.limit)} errors on {asked.validation_images:,} validation images"
    within += f" ({asked.max_error} was asked for)"
    if asked.memory_bits is not None:
        within += f", {kib(asked.memory_bits)} KiB of memories"
    parts = [
        f"# {asked.network}, pruned and quantised for {asked.array} lanes",
        f"Asked for: {GOALS[asked.goal]}, {within}.",
        answer(results),
        "## Programs that were made",
        _versions(results),
        "Memory is that of the array which is just large enough, cycles are those of an image on it. Bits are those of "
        "weights and of what a layer gives.",
        "## Mixes that were trained",
        _trained(results),
        "Each layer has its pattern and the share of its weights that went; layers that are not named are dense.",
    ]
    return "\n\n".join(parts) + "\n"


def answer(results: Results) -> str:
    """Return what came of it in a sentence or two."""
    asked = results.asked
    if results.chosen is None:
        nearest = min(results.versions, key=lambda x: (asked.beyond(x), x.rank(asked.goal)))
        return (
            f"Nothing that was tried is within the limits; {_told(nearest)} comes nearest. Allow more errors, more "
            "memory or more epochs."
        )
    best = results.versions[results.chosen]
    test = results.test_error_rates
    return (
        f"{_told(best)}. The dense network in 8 bits takes {asked.dense_cycles:,} cycles and "
        f"{kib(asked.dense_memory_bits)} KiB. On {results.test_images:,} test images, at which nothing was decided, it "
        f"errs in {percent(test['chosen'])}; the dense float network in {percent(test['dense'])}."
    )


def _told(version: Version) -> str:
    return (
        f"{version.mix}, in {version.widths} bits: {version.cycles:,} cycles, {kib(version.memory_bits)} KiB, "
        f"{percent(version.error_rate)} errors on validation images"
    )


def _versions(results: Results) -> str:
    rows = []
    for place, x in enumerate(results.versions):
        said = "**chosen**" if place == results.chosen else "" if x.fits else "beyond a limit"
        rows.append([x.mix, x.widths, str(x.epochs), percent(x.error_rate), f"{x.cycles:,}", kib(x.memory_bits), said])
    return markdown.table("mix | bits | epochs | error | cycles | memory, KiB |", "llrrrrl", rows)


def _trained(results: Results) -> str:
    rows = ([x.mix, str(x.epochs), percent(x.error_rate), "went on" if x.kept else ""] for x in results.trained)
    return markdown.table("mix | epochs | error |", "lrrl", rows)
