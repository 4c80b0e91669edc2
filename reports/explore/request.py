"""What an exploration is asked for, in the words of the command, and the plan that these words mean."""

import importlib.util
import shlex
from dataclasses import dataclass, fields, replace

from accel.cost import Limits, Technology, load_technology
from accel.cost.technology import DEFAULT
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import AUC, ERROR, MSE, check_choice
from accel.program import Program
from accel.pruned import PrunedNetwork
from reports.explore.choosing import FRUGAL, GOALS
from reports.explore.run import Plan
from reports.explore.space import ARRAYS, Question, Space
from reports.explore.versions import Version, versions_of, with_controls
from reports.shared.workers import check_backend
from reports.workflow import retrain as retraining
from reports.workflow.limits import check_confidence
from reports.workflow.load import sizeable
from reports.workflow.parsing import (
    parse_arrays,
    parse_band,
    parse_bandwidth,
    parse_bits,
    parse_energy,
    parse_frequency,
    parse_memory,
    parse_patterns,
    parse_shares,
)
from reports.workflow.sources import check_range, named, source_of

ASKED = (  # what decides the answer, in the order of the command's options
    "sram", "max_error", "confidence", "metric", "dsp", "lanes", "area", "power", "max_energy", "min_fps", "max_luts",
    "max_area", "min_mhz", "clock", "dram_bandwidth", "technology", "goal", "band", "patterns", "ratios", "retrain",
    "weight_bits", "signal_bits", "mixed", "arrays", "images",
)  # fmt: skip
NAMED = {"patterns": "pattern"}  # options that are called otherwise than their fields
MEASURED = (
    "max_error",
    "confidence",
    "metric",
    "ratios",
    "retrain",
    "mixed",
    "images",
    "data",
)  # options of what is measured
HARDWARE_ONLY = "--hardware-only"
EPOCHS = 3  # of retraining the versions that are made, where PyTorch is there


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for; `espalier explore --help` says what each word means."""

    network: str
    sram: str | None = None
    max_error: str = "+1%"
    confidence: float | None = None
    metric: str = ERROR
    dsp: int | None = None
    lanes: int | None = None
    area: float | None = None
    power: float | None = None
    max_energy: str | None = None
    min_fps: float | None = None
    max_luts: int | None = None
    max_area: float | None = None
    min_mhz: float | None = None
    clock: str = "100MHz"
    dram_bandwidth: str | None = None
    technology: str = DEFAULT
    goal: str | None = None
    band: str | None = None
    patterns: str | None = None
    ratios: str | None = None
    retrain: int | None = None
    weight_bits: str = "3..8"
    signal_bits: str = "3..8"
    mixed: int = 0
    arrays: str | None = None
    images: int | None = None
    backend: str = "loky"
    scheduler: str | None = None
    jobs: int | None = None
    data: str | None = None
    data_dir: str | None = None


def plan_of(request: Request) -> Plan:
    """Return the plan that a request means.

    Raises
    ------
    EspalierError
        Anything is wrong with it: all of that is found here, before any work.
    OSError
        A file cannot be read.
    """
    check_backend(request.backend, request.scheduler)
    question, limits, technology = _asked(request)
    weight_bits = parse_bits(request.weight_bits, "--weight-bits")
    signal_bits = parse_bits(request.signal_bits, "--signal-bits")
    space = Space(weight_bits, signal_bits, ARRAYS if request.arrays is None else parse_arrays(request.arrays))
    patterns = None if request.patterns is None else parse_patterns(request.patterns)
    versions = versions_of(request.network, patterns, parse_shares(request.ratios))
    first = zoo.load(request.network)
    source = source_of(request.network, first, request.data, request.data_dir, metric=request.metric)
    calibration = source.calibration()
    check_range(calibration, first, request.network)
    splits = {split: source.load(split) for split in ("validation", "test")}
    if request.images is not None:
        splits["validation"] = splits["validation"].take(request.images)
    epochs, recipe = _retraining(request, versions, first.network.name)
    training = source.load("train") if epochs else None
    images_of = calibration, splits["validation"], splits["test"], training
    made = epochs, recipe, technology, limits
    versions = with_controls(versions) if epochs else versions
    return Plan(
        request.network, versions, space, question, *images_of, *made, source.anywhere(), request.data, request.mixed
    )


@dataclass(frozen=True, eq=False)
class HardwarePlan:
    """What `--hardware-only` means: the versions of a network by their names, and what they are costed for.

    `again` are network and pattern by which each version is found again.
    """

    versions: dict[str, PrunedNetwork]
    again: dict[str, tuple[str, str | None]]
    space: Space
    question: Question
    technology: Technology
    limits: Limits


def hardware_plan(request: Request) -> HardwarePlan:
    """Return the plan of an exploration that measures nothing, of a network that may have no values.

    Word lengths are 8 bits where none are asked for: nobody knows how often others err.

    Raises
    ------
    EspalierError
        Anything is wrong with the request, or it asks for something to be measured.
    """
    usual = {field.name: field.default for field in fields(Request)}
    check_backend(request.backend, request.scheduler)
    for name in MEASURED:
        if getattr(request, name) != usual[name]:
            option = f"--{name.replace('_', '-')}"
            raise EspalierError(f"{option}: with --hardware-only nothing is measured, no errors are known")
    if request.goal == "accurate":
        raise EspalierError("--goal accurate: with --hardware-only nothing is measured, no errors are known")
    bits = {x: "8" if getattr(request, x) == usual[x] else getattr(request, x) for x in ("weight_bits", "signal_bits")}
    question, limits, technology = _asked(request, HARDWARE_ONLY)
    weight_bits, signal_bits = (parse_bits(text, f"--{name.replace('_', '-')}") for name, text in bits.items())
    space = Space(weight_bits, signal_bits, ARRAYS if request.arrays is None else parse_arrays(request.arrays))
    patterns = [None] if request.patterns is None else parse_patterns(request.patterns)
    versions, again = dict[str, PrunedNetwork](), dict[str, tuple[str, str | None]]()
    for pattern in patterns:
        made = sizeable(request.network, pattern)
        if isinstance(made, Program):
            raise EspalierError(f"{request.network}: is a Program ({made.pattern}), whose word lengths are its own")
        versions[made.pattern], again[made.pattern] = made, (request.network, pattern)
    return HardwarePlan(versions, again, space, question, technology, limits)


def _asked(request: Request, *more: str) -> tuple[Question, Limits, Technology]:
    memory_bits = parse_memory(request.sram) if request.sram is not None else None
    bandwidth = parse_bandwidth(request.dram_bandwidth) if request.dram_bandwidth is not None else None
    clock_hz = parse_frequency(request.clock)
    goal = request.goal or ("efficient" if request.min_fps is None else "cheap")
    check_choice("goal", goal, GOALS)
    check_confidence(request.confidence)
    measures = memory_bits, request.dsp, request.min_fps, clock_hz, goal
    area_um2 = None if request.area is None else 1e6 * request.area
    energy_pj = None if request.max_energy is None else parse_energy(request.max_energy)
    band = None if request.band is None else parse_band(request.band)
    others = request.lanes, area_um2, request.power, request.confidence
    question = Question(command_of(request, *more), request.max_error, *measures, *others)
    question = replace(question, energy_pj=energy_pj, band=band)
    _ = question.budget(reference=0.0)  # what is wrong with it is known before the work, not after it
    technology = load_technology(request.technology)
    estimated = (
        ("--area", area_um2, technology.area),
        ("--power", request.power, technology.energy),
        ("--max-energy", energy_pj, technology.energy),
        (f"--goal {FRUGAL}", goal == FRUGAL or None, technology.energy),
    )
    for name, given, known in estimated:
        if given is not None and known is None:
            raise EspalierError(f"{name}: nothing is known of it in the technology {technology.name}")
    limits = Limits(
        clock_hz=clock_hz,
        dram_bytes_per_s=bandwidth,
        sram_bits=memory_bits,
        luts=request.max_luts,
        cell_um2=None if request.max_area is None else 1e6 * request.max_area,
        mhz=request.min_mhz,
    )
    return question, limits, technology


def _retraining(request: Request, versions: tuple[Version, ...], network: str) -> tuple[int, str]:
    """Return epochs and recipe of the versions that are made; 0 epochs if there are none, or no PyTorch."""
    making = any(version.made for version in versions)
    if request.retrain is not None and not making:
        raise EspalierError(f"--retrain {request.retrain}: no version is made here; --ratios says which to make")
    if request.metric in (MSE, AUC):
        if request.retrain:
            raise EspalierError(
                f"--retrain {request.retrain}: training is for classes, with --metric {request.metric} there are none"
            )
        return 0, ""
    there = importlib.util.find_spec("torch") is not None
    epochs = request.retrain if request.retrain is not None else EPOCHS if there else 0
    if not making or not epochs:
        return 0, ""
    return epochs, str(retraining.recipe(network, epochs))


def command_of(request: Request, *more: str) -> str:
    """Return the command that asks the same, wherever its data and results lie, whoever measures.

    `more` are options without values; where nothing is measured none says how many errors there may be.
    """
    usual = {field.name: field.default for field in fields(Request)}
    parts = [request.network]
    for name in ASKED:
        value = getattr(request, name)
        if value != usual[name] or (name == "max_error" and HARDWARE_ONLY not in more):
            text = f"{value:g}" if isinstance(value, float) else str(value)
            parts += [f"--{NAMED.get(name, name).replace('_', '-')}", text]
    if request.data is not None:
        parts += ["--data", named(request.data)]
    return shlex.join(["espalier", "explore", *parts, *more])
