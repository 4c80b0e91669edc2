"""Small networks that share an array, their designs costed; and results made up by hand."""

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from accel.cost import Limits, estimate, load_technology
from accel.demand import array_for
from accel.interchange.data.datasets import Dataset
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Widths, lower_calibrated, ordered_for
from accel.words import Words
from reports.explore.points import Costing
from reports.explore.space import Lanes, Space
from reports.explore.trials import words_record
from reports.together.designs import Design, Member
from reports.together.families import Network
from reports.together.results import OnLanes, Row, Shared
from rtl.emit import formats_of
from support.explorations import MEANS, budget, point
from support.lowering import pruned_by
from support.networks import Sketch

SPACE = Space((3, 5, 8), (4,), ((4, 2), (2, 4)))
TECHNOLOGY = load_technology("asic-45nm")
SHARES = (0.75, 0.25)


def sketch(name: str) -> PrunedNetwork:
    """Return one of two networks: many maps of few pixels, or few maps of many."""
    wide = name == "wide"
    drawn = Sketch(1, 6, 6) if wide else Sketch(1, 10, 10, seed=1)
    drawn.conv("first", 6 if wide else 3)
    drawn.relu("relu")
    drawn.conv("second", 8 if wide else 4)
    drawn.flatten("flat")
    drawn.linear("scores", 3)
    return PrunedNetwork(drawn.network(name))


def images(pruned: PrunedNetwork) -> Dataset:
    """Return images to calibrate with."""
    pixels = np.random.default_rng(2).random((8, *pruned.network.input_shape)).astype(np.float32)
    return Dataset("made", "train", pixels, np.zeros(8, np.int64), 3, 1)


@cache
def version(name: str, pattern: str) -> PrunedNetwork:
    """Return a version of a network."""
    return pruned_by(sketch(name).network, pattern)


@cache
def lowered(name: str, pattern: str, weight_bits: int, lanes: Lanes | None = None) -> Program:
    """Return a Program, in the order for lanes."""
    pruned = version(name, pattern)
    program = lower_calibrated(Calibration(pruned, images(pruned).pixels()), Widths(weight_bits, 4, 8))
    return ordered_for(program, lanes[0], split=lanes[1] > 1) if lanes else program


PATTERNS = ("dense", "kernel")


def network(name: str, share: float, seed: int, limits: Limits | None = None) -> Network:
    """Return a network with two versions at three widths, whose errors are drawn: 0, 2, ... 10 %, none twice."""
    errors = iter(np.random.default_rng(seed).permutation(6) / 50)
    costings, rates = [], {}
    for pattern in PATTERNS:
        pruned = version(name, pattern)
        costings.append(Costing(pattern, pruned, images(pruned), 8, TECHNOLOGY, limits or Limits()))
        rates[pattern] = {
            pair: {"rate": float(next(errors)), "words": words_record(Words.of(lowered(name, pattern, pair[0])))}
            for pair in SPACE.widths()
        }
    return Network(costings, rates, SPACE, share)


def every_design(networks: dict[str, Network]) -> list[tuple[Design, list[Program]]]:
    """Return every combination, costed from Programs that are lowered for the array of all, and the Programs."""
    found = []
    for lanes in SPACE.arrays:
        settings = [list(product(PATTERNS, SPACE.widths())) for _ in networks]
        for chosen in product(*settings):
            programs = [
                lowered(name, pattern, pair[0], lanes) for name, (pattern, pair) in zip(networks, chosen, strict=True)
            ]
            found.append((costed(networks, chosen, programs, lanes), programs))
    return found


def costed(networks: dict[str, Network], chosen: Any, programs: list[Program], lanes: Lanes) -> Design:
    """Return what Programs cost on the array of all."""
    array = array_for(programs, *lanes)
    estimates = [estimate(program, array, TECHNOLOGY) for program in programs]
    members = [
        Member(
            version=pattern,
            weight_bits=pair[0],
            signal_bits=pair[1],
            error_rate=one.rates[pattern][pair]["rate"],
            cycles=x.cycles,
            share=one.share,
            load_wait_cycles=x.interval_cycles - x.cycles,
            energy_pj=round(1e12 * x.energy.total_joules) if x.energy else 0,
        )
        for one, x, (pattern, pair) in zip(networks.values(), estimates, chosen, strict=True)
    ]
    first = estimates[0]
    return Design(
        output_lanes=lanes[0],
        pixel_lanes=lanes[1],
        weight_bits=array.weight_bits,
        signal_bits=array.signal_bits,
        accumulator_bits=array.accumulator_bits,
        memory_bits=first.memory_bits,
        built_bits=array.built_bits,
        multipliers=first.multipliers,
        area_um2=round(1e6 * (first.area_mm2 or 0)),
        formats=len(formats_of(programs)),
        members=tuple(members),
        short=not all(x.fits for x in estimates),
    )


def design(**values: Any) -> Design:
    """Return a design made up: two networks on 4x4 lanes."""
    members = (
        Member(version="kernel", weight_bits=4, signal_bits=5, error_rate=0.01, cycles=1000, share=0.75),
        Member(version="dense", weight_bits=6, signal_bits=5, error_rate=0.02, cycles=3000, share=0.25),
    )
    usual = {"weight_bits": 6, "signal_bits": 8, "accumulator_bits": 18, "memory_bits": 81_920, "built_bits": 70_000}
    usual |= {"output_lanes": 4, "pixel_lanes": 4, "multipliers": 20, "area_um2": 50_000, "formats": 2}
    return Design(**{**usual, "members": members, **values})


def row(name: str, share: float, **values: Any) -> Row:
    """Return a network made up."""
    building = "espalier quantize digits --pattern {0} --weight-bits {{weight_bits}} --lanes {{output_lanes}} -o design"
    building += ".espalier\nespalier verify design.espalier --array {{output_lanes}}x{{pixel_lanes}}"
    made: dict[str, Any] = {
        "network": name,
        "data": "digits",
        "command": f"espalier explore {name}",
        "images": 1000,
        "float_rate": 0.01,
        "most": 0.03,
        "confidence": 0.95,
        "fitting": 3,
        "designs": 9,
        "alone": point(memory_bits=40_960, cycles=900),
        "missed": (),
        "building": {pattern: building.format(pattern) for pattern in PATTERNS},
        "test_rate": 0.012,
        "reference_rate": 0.011,
    }
    return Row(name=name, share=share, **made | values)


def shared(**values: Any) -> Shared:
    """Return results made up: two networks, the best of three numbers of lanes, of which the second is chosen."""
    chosen = design()
    small = replace(
        design(output_lanes=2, pixel_lanes=2, memory_bits=65_536),
        members=tuple(replace(x, version="dense", cycles=4 * x.cycles) for x in chosen.members),
    )
    made: dict[str, Any] = {
        "command": "espalier explore one two --shares 3,1 --max-error +1%",
        "max_error": "+1%",
        "goal": "efficient",
        "budget": budget(memory_bits=98_304),
        "means": MEANS,
        "networks": (row("one", 0.75), row("two", 0.25)),
        "chosen": chosen,
        "by_lanes": (
            OnLanes(lanes=4, design=small),
            OnLanes(lanes=16, design=chosen),
            OnLanes(lanes=64, design=None),
        ),
        "combinations": 1234,
    }
    return Shared(**made | values)
