"""The main job: what to measure, by whom, and what comes of it all."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import ERROR, Dataset
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Widths
from reports.report.designing import Hardware, break_evens
from reports.report.results import Results
from reports.report.version import Splits, VersionResults, measured
from reports.shared.progress import bar
from reports.shared.words import on_data
from reports.shared.workers import LOKY, workers
from reports.workflow.delivery import Delivery, Making, delivered
from reports.workflow.evaluate import float_error_rate
from reports.workflow.load import DEFAULT_PATTERNS
from reports.workflow.lowering import lowered
from reports.workflow.prune import prune
from reports.workflow.sources import Source, check_range, source_of

MAX_ERROR = "+1%"  # the rise of the error rate that the sources tolerate (CP)


@dataclass(frozen=True)
class Plan:
    """What to measure: versions of one network, word lengths, and the images."""

    versions: tuple[PrunedNetwork, ...]
    bits: tuple[int, ...]
    calibration: Dataset
    validation: Dataset
    test: Dataset
    retrained: bool
    jobs: int | None = None
    hardware: Hardware = field(default_factory=Hardware)
    left_out: tuple[str, ...] = ()
    max_error: str = MAX_ERROR
    confidence: float | None = None
    source: Source | None = None
    data: str | None = None  # as the command was given it
    network: str = ""


def plan(
    network: str,
    bits: Sequence[int],
    patterns: Sequence[str] | None,
    data_dir: str | None,
    images: int | None = None,
    jobs: int | None = None,
    hardware: Hardware | None = None,
    data: str | None = None,
    metric: str = ERROR,
) -> Plan:
    """Return what `espalier report` measures, everything loaded and checked.

    Parameters
    ----------
    network : str
        A zoo name, whose pruned and retrained versions are used, or a file; a dense file is pruned by magnitude.
    bits : sequence of int
        Word lengths of weights and signals.
    patterns : sequence of str, optional
        All versions of a zoo network, or `DEFAULT_PATTERNS` for a file, those that it cannot have left out.
    data_dir : str or None
    images : int, optional
        How many test images, and at most how many validation images; all by default.
    jobs : int, optional
        How many processes measure at a time; all processors by default.
    hardware : Hardware, optional
        What designs are made for.
    data : str, optional
        A data set, as `--data` names it; the one that the network was trained on by default.
    metric : str
        By what outputs are judged: one of `reports.workflow.evaluate.METRICS`.

    Raises
    ------
    EspalierError
        Something of this is unknown, missing, or does not fit.
    """
    for width in bits:
        _ = Widths(width, width)
    versions, retrained, left_out = _versions(network, patterns)
    source = source_of(network, versions[0], data, data_dir, metric=metric)
    calibration, validation, test = source.calibration(), source.load("validation"), source.load("test")
    check_range(calibration, versions[0], network)
    if images:
        validation, test = validation.take(min(images, len(validation))), test.take(images)
    made_for = hardware or Hardware()
    return Plan(
        versions,
        tuple(bits),
        calibration,
        validation,
        test,
        retrained,
        jobs,
        made_for,
        left_out,
        source=source,
        data=data,
        network=network,
    )


def delivery_of(plan: Plan, results: Results, command: str) -> Delivery | None:
    """Return what is recommended as files; None if nothing is."""
    best = results.recommended
    if best is None or plan.source is None:
        return None
    version = next(version for version in plan.versions if version.pattern == best.pattern)
    made = zoo.is_file(plan.network) and version is not plan.versions[0]
    bits = best.weight_bits, best.signal_bits
    program = lowered(Calibration(version, plan.calibration.pixels()), Widths(*bits))
    lanes = (plan.hardware.output_lanes, plan.hardware.pixel_lanes) if results.designs else None
    making = Making(plan.network, best.pattern, made=made)
    return delivered(making, version, program, (*bits, ""), lanes, plan.source, plan.data, command)


def measure(plan: Plan) -> Results:
    """Return the results of a plan, version by version, each by a worker of its own; shows a progress bar."""
    dense, hardware = plan.versions[0], plan.hardware
    images = Splits(plan.calibration, plan.validation, plan.test)
    calls = [(version.to_bytes(), plan.bits, images, hardware) for version in plan.versions]
    done: dict[int, VersionResults] = {}
    title = on_data(dense.network.name, plan.test.name)
    with bar(title, len(calls)) as shown, workers(LOKY, min(plan.jobs or len(calls), len(calls)), None) as run:
        for number, version in run(measured, calls):
            done[number] = version
            shown.advance(f"{plan.versions[number].pattern}, float: error {version.float_rate:.2%}")
    found = [done[number] for number in range(len(calls))]
    refusal = next((version.not_on_array for version in found if version.not_on_array), "")
    return Results(
        dense.network.name,
        plan.test.name,
        len(plan.test),
        len(plan.validation),
        len(plan.calibration),
        found[0].float_rate,
        float_error_rate(dense, plan.validation),
        32 * sum(dense.dense_weights.values()),
        plan.max_error,
        plan.retrained,
        metric=plan.source.metric if plan.source else ERROR,
        confidence=plan.confidence,
        array=hardware.name,
        technology=hardware.technology.about,
        clock_hz=hardware.limits.clock_hz,
        highest_clock_hz=hardware.technology.clock.hz if hardware.technology.clock else None,
        dram_bytes_per_s=hardware.limits.dram_bytes_per_s,
        sram_bits=hardware.limits.sram_bits,
        not_on_array=refusal,
        points=tuple(point for version in found for point in version.points),
        designs=() if refusal else tuple(design for version in found for design in version.designs),
        break_even=break_evens([Program.from_bytes(version.program) for version in found]),
        left_out=plan.left_out,
    )


def _versions(network: str, patterns: Sequence[str] | None) -> tuple[tuple[PrunedNetwork, ...], bool, tuple[str, ...]]:
    """Return the versions, the dense one first, whether they were retrained, and which cannot be had and why."""
    if not zoo.is_file(network):
        dense = zoo.load(network)
        others = _dense_first(patterns or zoo.patterns(network))[1:]
        return (dense, *(zoo.load(network, label) for label in others)), True, ()
    given = zoo.load(network)
    if given.pattern != zoo.DENSE:
        if patterns and list(patterns) != [given.pattern]:
            raise EspalierError(
                f"{network}: is pruned already ({given.pattern}); other patterns need the dense version"
            )
        return (given,), True, ()
    versions, left_out = [], []
    for label in _dense_first(patterns or DEFAULT_PATTERNS):
        try:
            versions.append(prune(given, label))
        except EspalierError as error:
            if patterns or label == zoo.DENSE:
                raise
            left_out.append(f"{label} ({error})")
    return tuple(versions), False, tuple(left_out)


def _dense_first(patterns: Sequence[str]) -> list[str]:
    """Return the labels once each, after the dense network that they are compared with."""
    return list(dict.fromkeys([zoo.DENSE, *patterns]))
