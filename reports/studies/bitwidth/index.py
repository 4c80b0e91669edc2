"""The page over all studies of word lengths: targets met or missed, uniform against allocated widths, methods.

    python -m reports.studies.bitwidth.index [FOLDER]

writes FOLDER/README.md (``reports/studies/bitwidth`` by default) from the ``results.json`` of the folders in it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import click

from accel.files import write_whole
from accel.records import record_of
from reports.shared import markdown, output
from reports.shared.journal import RESULTS
from reports.shared.schema import saved
from reports.shared.words import percent
from reports.studies.bitwidth.definition import BY_MAPS, METHODS, RETRAINED, STUDIES, Target
from reports.studies.bitwidth.results import Results

FOLDER = Path(__file__).parent
SHOWN = (3, 4)  # bits of weights and signals at which methods are compared


def index(studies: list[Results]) -> str:
    """Return README.md of the folder that holds these studies."""
    asked = "network | version | bits of weights, signals | asked | mean (lowest to highest), seeds | smaller |"
    memory = "network | version | memory | validation images: uniform, allocated | test images: uniform, allocated |"
    methods = " | ".join(["network", "version", "float", "bits", *METHODS])
    parts = [
        "# Word lengths",
        "    espalier study bitwidth NETWORK --data-dir DATA --out reports/studies/bitwidth/NETWORK\n"
        "    python -m reports.studies.bitwidth.index",
        "make the folders and this page. Error rates are on the test images, which decided nothing, by the integer "
        "engine; *rise* is over the dense float network. Each folder has tables of all widths, the sensitivity of "
        "every group, and memory against error.",
        "## Targets",
        markdown.table(asked, "llrllrl", _targets(studies)),
        "## Uniform against allocated widths, at equal memory",
        "For the memory that uniform widths take (weights, indices, biases, live signals), the widths of each group "
        "were chosen on the first validation images (each folder says how many), with steps of least squared error "
        "and no retraining. On these images allocated widths are never worse, because the uniform ones are among those "
        "that are tried; the error rates here are of all images, which may say otherwise where both are near.",
        markdown.table(memory, "llrrrl", _allocations(studies)),
        "## Methods",
        "The same bits for all weights and signals.",
        markdown.table(methods, "llrr" + "r" * len(METHODS), _methods(studies)),
        _emulated(studies),
    ]
    return "\n\n".join(parts) + "\n"


def _targets(studies: list[Results]) -> Iterator[Sequence[str]]:
    for results in studies:
        for target in (record_of(Target, record) for record in results.definition["targets"]):
            rise, low, high, smaller = results.outcome(target)
            points = results.uniform(target.pattern, target.method)[target.weight_bits, target.signal_bits]
            missed = [] if rise <= target.rise + 1e-12 else [f"missed by {percent(rise - target.rise)}"]
            missed += [] if smaller >= target.smaller else ["too large"]
            yield (
                f"[{results.network}]({results.network}/README.md)",
                f"{target.pattern}, {results.sparsities[target.pattern]:.1%} gone",
                f"{target.weight_bits}, {target.signal_bits}",
                f"at most {100 * target.rise:+g} %, {target.smaller:g} times smaller",
                f"{100 * rise:+.2f} % ({100 * low:+.2f} to {100 * high:+.2f}), {len(points)}",
                f"{smaller:.1f} times",
                f"**{', '.join(missed) or 'met'}**",
            )


def _allocations(studies: list[Results]) -> Iterator[Sequence[str]]:
    for results in studies:
        for pattern in results.float_rates:
            for chosen, uniform in results.allocations(pattern):
                rates = [percent(p.error_rate) for p in (uniform, chosen)]
                whole = [percent(p.values["rates"]["validation"]) for p in (uniform, chosen)]
                worse = chosen.error_rate > uniform.error_rate
                memory = f"{uniform.values['memory_bits'] / 8192:.1f} KiB, {uniform.task.weight_bits} bits"
                outcome = "worse on the test images" if worse else "no worse"
                yield results.network, pattern, memory, ", ".join(whole), ", ".join(rates), outcome


def _methods(studies: list[Results]) -> Iterator[Sequence[str]]:
    for results in studies:
        for pattern, rates in results.float_rates.items():
            for bits in SHOWN:
                found = [results.uniform(pattern, method).get((bits, bits), []) for method in METHODS]
                cells = [percent(fmean(p.error_rate for p in points)) if points else "" for points in found]
                yield results.network, pattern, percent(rates["test"]), str(bits), *cells


def _emulated(studies: list[Results]) -> str:
    points = [p for results in studies for p in results.points if p.task.method in (RETRAINED, BY_MAPS)]
    images = sum(p.values.get("emulated_images", 0) for p in points)
    return (
        f"Each of the {len(points)} retrained Programs was also run on real values, as training sees it: the integer "
        f"engine gave the same scores for all test images, {images:,} in all, or the study would have stopped."
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=FOLDER)
def main(folder: Path) -> None:
    """Write the page over the studies in FOLDER."""
    with output.writing(folder):
        paths = [folder / name / RESULTS for name in STUDIES if (folder / name / RESULTS).exists()]
        studies = [saved(path, Results.from_json) for path in paths]
        write_whole(folder / "README.md", index(studies).encode())


if __name__ == "__main__":
    main()
