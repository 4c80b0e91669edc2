"""The main job: prune, lower, run and cost every pattern at every width."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel.cost import Invariants, cost_of
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import Dataset
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Widths, in_order, lane_orders
from accel.signal import Signal
from accel.words import Words
from reports.report.designing import Hardware, break_evens, designs_of, fft_multiplications
from reports.report.designs import Design
from reports.report.points import Point, layer_rows
from reports.report.results import Results
from reports.shared.progress import bar
from reports.shared.words import on_data
from reports.workflow.delivery import Delivery, Making, delivered
from reports.workflow.evaluate import float_error_rate
from reports.workflow.load import DEFAULT_PATTERNS
from reports.workflow.lowering import lowered
from reports.workflow.prune import prune
from reports.workflow.sources import Source, check_range, source_of
from sim.engine import compile_program

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
    threads: int | None = None
    hardware: Hardware = field(default_factory=Hardware)
    left_out: tuple[str, ...] = ()
    max_error: str = MAX_ERROR
    confidence: float | None = None
    source: Source | None = None
    data: str | None = None  # as the command was given it
    network: str = ""
    encoded: dict[tuple[str, Signal], NDArray[np.integer[Any]]] = field(default_factory=dict)

    def error_rates(self, program: Program) -> tuple[float, float]:
        """Return the error rates of a Program on the validation and on the test images, 0..1."""
        engine = compile_program(program)
        validation, test = (
            engine.error_rate(self._codes(images, program), images.labels, self.threads)
            for images in (self.validation, self.test)
        )
        return validation, test

    def _codes(self, images: Dataset, program: Program) -> NDArray[np.integer[Any]]:
        """Return images as codes of the Program's input, encoded once for all Programs that share it."""
        key = images.split, program.input_signal
        if key not in self.encoded:
            self.encoded[key] = images.codes(program.input_signal)
        return self.encoded[key]


def plan(
    network: str,
    bits: Sequence[int],
    patterns: Sequence[str] | None,
    data_dir: str | None,
    images: int | None = None,
    threads: int | None = None,
    hardware: Hardware | None = None,
    data: str | None = None,
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
    threads : int, optional
        Of the engine.
    hardware : Hardware, optional
        What designs are made for.
    data : str, optional
        A data set, as `--data` names it; the one that the network was trained on by default.

    Raises
    ------
    EspalierError
        Something of this is unknown, missing, or does not fit.
    """
    for width in bits:
        _ = Widths(width, width)
    versions, retrained, left_out = _versions(network, patterns)
    source = source_of(network, versions[0], data, data_dir)
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
        threads,
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
    widths = best.weight_bits, best.signal_bits
    program = lowered(Calibration(version, plan.calibration.pixels()), Widths(*widths))
    lanes = (plan.hardware.output_lanes, plan.hardware.pixel_lanes) if results.designs else None
    making = Making(plan.network, best.pattern, made=made)
    return delivered(making, version, program, widths, lanes, plan.source, plan.data, command)


def measure(plan: Plan) -> Results:
    """Return the results of a plan; shows a progress bar on a terminal."""
    dense, hardware = plan.versions[0], plan.hardware
    rates: dict[str, float] = {}
    found = _Found()
    with bar(on_data(dense.network.name, plan.test.name), len(plan.versions) * (1 + len(plan.bits))) as shown:
        for version in plan.versions:
            rates[version.pattern] = float_error_rate(version, plan.test)
            shown.advance(f"{version.pattern}, float: error {rates[version.pattern]:.2%}")
            calibration, found.invariants = Calibration(version, plan.calibration.pixels()), None
            for width in plan.bits:
                _measure_width(calibration, width, rates[version.pattern], plan, found)
                shown.advance(f"{version.pattern}, {width} bits: error {found.points[-1].error_rate:.2%}")
    return Results(
        dense.network.name,
        plan.test.name,
        len(plan.test),
        len(plan.validation),
        len(plan.calibration),
        rates[dense.pattern],
        float_error_rate(dense, plan.validation),
        32 * sum(dense.dense_weights.values()),
        plan.max_error,
        plan.retrained,
        confidence=plan.confidence,
        array=hardware.name,
        technology=hardware.technology.about,
        clock_hz=hardware.limits.clock_hz,
        highest_clock_hz=hardware.technology.clock.hz if hardware.technology.clock else None,
        dram_bytes_per_s=hardware.limits.dram_bytes_per_s,
        sram_bits=hardware.limits.sram_bits,
        not_on_array=found.not_on_array,
        points=tuple(found.points),
        designs=() if found.not_on_array else tuple(found.designs),
        break_even=break_evens(found.programs),
        left_out=plan.left_out,
    )


@dataclass
class _Found:
    """What a measurement has found by now."""

    points: list[Point] = field(default_factory=list)
    designs: list[Design] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)  # one of each pattern
    not_on_array: str = ""
    invariants: Invariants | None = None  # of the version at hand, its output maps in the order that suits the array

    def facts(self, program: Program, words: Words, hardware: Hardware) -> Invariants:
        """Return what the masks of the version at hand say, once for all its Programs that differ in words alone."""
        if self.invariants is None or not self.invariants.serves(words):
            orders = lane_orders(program, hardware.output_lanes, split=hardware.pixel_lanes > 1)
            self.invariants = Invariants(in_order(program, orders))
        return self.invariants


def _measure_width(calibration: Calibration, signal_bits: int, float_rate: float, plan: Plan, found: _Found) -> None:
    """Make designs of every width of weights, and a point of equal widths."""
    for weight_bits in plan.bits:
        program = lowered(calibration, Widths(weight_bits, signal_bits))
        cycles = None
        if not found.not_on_array:
            try:
                words = Words.of(program)
                facts = found.facts(program, words, plan.hardware)
                designs = [*designs_of(facts, words, program.pattern, (weight_bits, signal_bits), plan.hardware)]
                found.designs += designs
                cycles = designs[0].cycles
            except EspalierError as error:
                found.not_on_array = str(error)
        if weight_bits == signal_bits:
            found.points.append(_point(program, weight_bits, float_rate, cycles, plan))
            if weight_bits == plan.bits[0]:
                found.programs.append(program)


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


def _point(program: Program, width: int, float_rate: float, cycles: int | None, plan: Plan) -> Point:
    cost = cost_of(program)
    validation_rate, test_rate = plan.error_rates(program)
    return Point(
        network=program.name,
        pattern=program.pattern,
        weight_bits=width,
        signal_bits=width,
        error_rate=test_rate,
        validation_error_rate=validation_rate,
        float_error_rate=float_rate,
        signal_memory_bits=cost.signal_memory_bits,
        cycles=cycles,
        layers=layer_rows(cost, fft_multiplications(program)),
    )
