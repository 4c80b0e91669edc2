"""The page of the study of MLPerf Tiny's networks: README.md, from saved results alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from reports.shared import markdown
from reports.shared.schema import saved
from reports.shared.words import kib, percent
from reports.studies.files import picture
from reports.studies.mlperf_tiny.definition import (
    AUTOENCODER,
    BITS,
    GONE,
    LANES,
    MOST,
    NETWORKS,
    SEED,
    TARGETS,
    TECHNOLOGY,
)
from reports.studies.mlperf_tiny.figures import CAPTIONS
from reports.studies.mlperf_tiny.results import Loss, Results, Row, Run
from reports.studies.trained.definition import CALIBRATED
from reports.studies.trained.results import Results as Trained

Rates = Mapping[tuple[str, str, int], float]  # of network, pattern and bits
ARRAY = "x".join(map(str, LANES))
ONE_BITS, OTHER_BITS = 8, 4
COMMANDS = """    python -m reports.studies.mlperf_tiny measure
    python -m reports.studies.mlperf_tiny verify
    python -m reports.studies.mlperf_tiny sample --weights ad01.h5 --sample normal_id_01_00000000_hist_librosa.bin"""
LOSSES = """What the autoencoder misses of **one recording**, the only one that MLPerf Tiny's repository has: mean
squared error of its windows, in dB squared. Weights are those that MLPerf Tiny trained, which by its own count
(`anomaly_score_ToyCar_id_01.csv` and `tflite_quant_fullint_...`) miss 9.4913 of this recording in floats and 10.2603 in
its int8. They are pruned by magnitude and **not trained again**, and steps are found of the same windows: a row says
what pruning and few bits break, not what they could come to. One recording says nothing of the AUC."""
HOW = f"""What MLPerf Tiny's four reference networks take on an array of {ARRAY} lanes when they are pruned
and have 3 to 8 bits. Sizes need no training: weights are random (He's, seed {SEED}) and pruned by magnitude, each layer
at one ratio, the least that takes {GONE:.0%} of the multiply-accumulates, or {MOST:.0%} where none does; `2:4` says
itself how much goes, and the first convolution and the last layer stay whole. *Kernels* of separable convolutions
are those that mix maps, 1x1; of the autoencoder's matrices they are weights. Bits are of weights and signals, the image
has 8. Memory is that of parameters, indices and live signals; energy is that of one image by the table `{TECHNOLOGY}`
(Horowitz's, an estimate), all weights on the chip; *useful* is the share of multiply slots, in all cycles of an image,
in which a kept weight meets a signal. Errors are those of the study of trained networks on its test images, by its
first seed, where it has the version: at other ratios there, and the outer layers in 8 bits; below {min(CALIBRATED)}
bits trained, else calibrated alone. Where weights are narrow, additions take more cycles: they multiply by
constants of as many bits as a weight has, in several steps."""


def page(results: Results, figures: Iterable[str], rates: Rates) -> str:
    """Return README.md; `figures` are file names, `rates` the error rates of versions that are trained."""
    parts = [
        "# MLPerf Tiny's networks, sparse and in few bits",
        COMMANDS,
        HOW,
        *(() if results.missing else (f"**{quickest(results)} {smallest(results)}**",)),
        *(picture(name, CAPTIONS, figures) for name in CAPTIONS),
        *(section for network in NETWORKS if results.of(network) for section in _sections(results, network, rates)),
        *_verification(results.runs),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def quickest(results: Results) -> str:
    """Return which pattern takes the fewest cycles of each network, with the work that is left alike."""
    told = []
    for network in NETWORKS:
        dense, *others = results.of(network)
        best = min(others, key=lambda row: row.at(ONE_BITS).cycles)
        told.append(f"{network} `{best.pattern}` ({best.at(ONE_BITS).cycles / dense.at(ONE_BITS).cycles:.0%})")
    return f"With about half of the work gone, the fewest cycles, over the dense network's, are: {', '.join(told)}."


def smallest(results: Results) -> str:
    """Return what bits and patterns save of memory and energy together."""
    told = []
    for network in NETWORKS:
        rows = results.of(network)
        dense = rows[0].at(ONE_BITS)
        best = min(rows, key=lambda row: row.at(OTHER_BITS).joules)
        found = best.at(OTHER_BITS)
        told.append(
            f"{network} `{best.pattern}` {kib(found.memory_bits)} KiB of {kib(dense.memory_bits)}, "
            f"{found.joules / dense.joules:.0%} of the energy"
        )
    return f"The least energy at {OTHER_BITS} bits, beside dense at {ONE_BITS}: {'; '.join(told)}."


def rates_of(path: Path) -> Rates:
    """Return the error rates on test images that the study of trained networks has found, if it has.

    They are of its first seed, which alone has all versions.
    """
    if not path.exists():
        return {}
    trained = saved(path, Trained.from_json)
    groups = [(network, group) for network in trained.networks for group in trained.groups(network)]
    plain = [(x, group) for x, group in groups if not (group.task.signal_bits or group.task.gone or group.task.cycles)]
    ordered = sorted(plain, key=lambda pair: pair[1].task.everywhere)  # all in few bits, where there is such a version
    return {
        (network, group.task.pattern, group.task.bits): group.versions[0].error_rates["test"]
        for network, group in ordered
        if group.versions[0].task.seed == 0
    }


def _sections(results: Results, network: str, rates: Rates) -> Iterable[str]:
    rows = results.of(network)
    yield f"## {network}"
    yield f"MLPerf Tiny asks for {TARGETS[network]}; {rows[0].dense_weights:,} weights, {rows[0].dense_macs:,} MACs."
    yield _work(rows)
    yield _errors(rows, rates)
    yield _losses(rows, results.losses)
    yield _by_bits(rows, "cycles (useful)", lambda row, bits: f"{row.at(bits).cycles:,} ({row.at(bits).useful:.0%})")
    yield _by_bits(rows, "KiB", lambda row, bits: kib(row.at(bits).memory_bits))
    yield _by_bits(rows, "µJ", lambda row, bits: f"{row.at(bits).joules * 1e6:.3g}")
    absent = [row for row in results.rows if row.network == network and row.problem]
    yield "\n".join(f"- `{row.pattern}`: {row.problem}." for row in absent)


def _work(rows: list[Row]) -> str:
    cells = (
        [
            row.pattern,
            "-" if row.ratio is None else f"{row.ratio:.3g}",
            f"{1 - row.weights / row.dense_weights:.1%}",
            f"{row.macs:,}",
            f"{1 - row.macs / row.dense_macs:.1%}",
        ]
        for row in rows
    )
    return markdown.table("pattern | ratio | weights gone | MACs | MACs gone", "lrrrr", cells)


def _errors(rows: list[Row], rates: Rates) -> str:
    """Return the error rates of what is trained of these versions, a dash where one is not; nothing if none is."""
    if not any((row.network, row.pattern, bits) in rates for row in rows for bits in (0, *BITS)):
        return ""

    def cell(row: Row, bits: int) -> str:
        rate = rates.get((row.network, row.pattern, bits))
        return "-" if rate is None else percent(rate)

    return _by_bits(rows, "error", cell, (0, *BITS))


def _losses(rows: list[Row], losses: Sequence[Loss]) -> str:
    """Return what the autoencoder misses of a recording; nothing of other networks, or where none was run."""
    if not losses or rows[0].network != AUTOENCODER:
        return ""
    known = {(x.pattern, x.bits): f"{x.loss:.4g}" for x in losses}
    table = _by_bits(rows, "loss, dB²", lambda row, bits: known.get((row.pattern, bits), "-"), (0, *BITS))
    return f"{LOSSES}\n\n{table}"


def _by_bits(rows: list[Row], unit: str, cell: Callable[[Row, int], str], columns: Sequence[int] = BITS) -> str:
    heads = [unit, *(f"{bits} bits" if bits else "float" for bits in columns)]
    cells = ([row.pattern, *(cell(row, bits) for bits in columns)] for row in rows)
    return markdown.table(" | ".join(heads), "l" + "r" * len(columns), cells)


def _verification(runs: tuple[Run, ...]) -> Iterable[str]:
    if not runs:
        return
    yield "## In Verilator"
    errors = sum(run.errors for run in runs)
    yield (
        f"One random image of each of {len(runs)} Programs; those of a word length take turns on one array, in one "
        f"build: {errors} errors in {sum(run.rows for run in runs):,} rows of outputs, compared bit for bit with the "
        "golden model, and in the cycles, compared with the closed form."
    )
    cells = (
        [run.network, run.pattern, f"{run.bits}", f"{run.rows:,}", f"{run.cycles:,}", f"{run.expected_cycles:,}"]
        for run in runs
    )
    yield markdown.table("network | pattern | bits | rows | cycles | closed form", "llrrrr", cells)
