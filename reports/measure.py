"""The main job: prune, lower, run and cost every pattern at every width."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accel.array import MacArray
from accel.cost import START_CYCLES, cost_of, cycles_of
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.datasets import Dataset, load
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.signal import Signal
from reports.progress import bar
from reports.pruning import prune
from reports.results import Point, Results, layer_rows
from sim.engine import compile_program

CALIBRATION_IMAGES = 512
TOLERANCE = 0.01  # the rise of the error rate that the sources tolerate (CP)
DEFAULT_PATTERNS = ("dense", "feature-map", "kernel", "ikss", "kernel+ikss", "block-4", "irregular")


@dataclass(frozen=True)
class Plan:
    """What to measure: versions of one network, word lengths, and the images."""

    versions: tuple[PrunedNetwork, ...]
    bits: tuple[int, ...]
    calibration: Dataset
    test: Dataset
    retrained: bool
    threads: int | None = None
    array: MacArray = field(default_factory=MacArray)
    encoded: dict[Signal, NDArray[np.int64]] = field(default_factory=dict)

    def codes(self, program: Program) -> NDArray[np.int64]:
        """Return the test images as codes of the Program's input, encoded once for all Programs that share it."""
        if program.input_signal not in self.encoded:
            self.encoded[program.input_signal] = program.input_signal.encode(self.test.pixels())
        return self.encoded[program.input_signal]


def plan(
    network: str,
    bits: Sequence[int],
    patterns: Sequence[str] | None,
    data_dir: str | None,
    images: int | None = None,
    threads: int | None = None,
) -> Plan:
    """Return what `espalier report` measures, everything loaded and checked.

    Parameters
    ----------
    network : str
        A zoo name, whose pruned and retrained versions are used, or a file; a dense file is pruned by magnitude.
    bits : sequence of int
        Word lengths of weights and signals.
    patterns : sequence of str, optional
        All versions of a zoo network, or `DEFAULT_PATTERNS` for a file.
    data_dir : str or None
    images : int, optional
        How many test images; all by default.

    Raises
    ------
    EspalierError
        Something of this is unknown, missing, or does not fit.
    """
    for width in bits:
        _ = Widths(width, width)
    versions, retrained = _versions(network, patterns)
    calibration = calibration_images(network, versions[0].data, data_dir)
    test = load(versions[0].data, "test", data_dir)
    for version in versions:
        if version.network.input_shape != test.shape:
            shape = version.network.input_shape
            raise EspalierError(f"{network}: takes images of shape {shape}, those of {test.name} have {test.shape}")
    test = test.take(images) if images else test
    return Plan(versions, tuple(bits), calibration, test, retrained, threads)


def calibration_images(network: str, data: str, data_dir: str | None) -> Dataset:
    """Return the training images from which step sizes are found; `network` is named if its `data` set is not known."""
    if not data:
        raise EspalierError(f"{network}: does not say which data set it was trained on")
    images = load(data, "train", data_dir)
    return images.take(min(CALIBRATION_IMAGES, len(images)))


def measure(plan: Plan) -> Results:
    """Return the results of a plan; shows a progress bar on a terminal."""
    dense = plan.versions[0]
    rates = {}
    points = []
    with bar(f"{dense.network.name} on {plan.test.name}", len(plan.versions) * (1 + len(plan.bits))) as shown:
        for version in plan.versions:
            rates[version.pattern] = float_error_rate(version, plan.test)
            shown.advance(f"{version.pattern}, float: error {rates[version.pattern]:.2%}")
            for width in plan.bits:
                points.append(_point(version, width, rates[version.pattern], plan))
                shown.advance(f"{version.pattern}, {width} bits: error {points[-1].error_rate:.2%}")
    weights = sum(dense.dense_weights.values())
    return Results(
        dense.network.name,
        plan.test.name,
        len(plan.test),
        len(plan.calibration),
        rates.get(zoo.DENSE, rates[dense.pattern]),
        32 * weights,
        TOLERANCE,
        f"{plan.array.output_lanes}x{plan.array.pixel_lanes}",
        plan.retrained,
        tuple(points),
    )


def float_error_rate(pruned: PrunedNetwork, data: Dataset) -> float:
    """Return the error rate of the float network, 0..1."""
    scores = pruned.network.scores(data.pixels())
    return float(np.count_nonzero(scores.argmax(axis=1) != data.labels) / len(data))


def _versions(network: str, patterns: Sequence[str] | None) -> tuple[tuple[PrunedNetwork, ...], bool]:
    if not zoo.is_file(network):
        dense = zoo.load(network)
        others = _dense_first(patterns or zoo.patterns(network))[1:]
        return (dense, *(zoo.load(network, label) for label in others)), True
    given = zoo.load(network)
    if given.pattern != zoo.DENSE:
        if patterns and list(patterns) != [given.pattern]:
            raise EspalierError(
                f"{network}: is pruned already ({given.pattern}); other patterns need the dense version"
            )
        return (given,), True
    return tuple(prune(given, label) for label in _dense_first(patterns or DEFAULT_PATTERNS)), False


def _dense_first(patterns: Sequence[str]) -> list[str]:
    """Return the labels once each, behind the dense network that they are compared with."""
    return list(dict.fromkeys([zoo.DENSE, *patterns]))


def _point(pruned: PrunedNetwork, width: int, float_rate: float, plan: Plan) -> Point:
    program = lower(pruned, Widths(width, width), plan.calibration.pixels())
    cost, cycles = cost_of(program), cycles_of(program, plan.array)
    total = cost.total
    return Point(
        network=program.name,
        pattern=program.pattern,
        sparsity=total.sparsity,
        weight_bits=width,
        signal_bits=width,
        error_rate=compile_program(program).error_rate(plan.codes(program), plan.test.labels, plan.threads),
        float_error_rate=float_rate,
        macs=total.macs,
        dense_macs=total.dense_macs,
        weight_memory_bits=total.weight_memory_bits,
        index_memory_bits=total.index_memory_bits,
        bias_memory_bits=total.bias_memory_bits,
        requantize_memory_bits=total.requantize_memory_bits,
        signal_memory_bits=cost.signal_memory_bits,
        cycles=START_CYCLES + sum(layer.cycles for layer in cycles),
        layers=layer_rows(cost, cycles),
    )
