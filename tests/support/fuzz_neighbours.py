"""Files that are right, and near those that we write: what lies behind loading meets them, and bears them soon.

A few fields of a real network or Program become a neighbour of what they were, one after the other, each time one that
its classes take. What comes of it is costed, planned, run by golden and engine, which must agree, and assembled.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from accel import archive
from accel.demand import array_for
from accel.errors import EspalierError
from accel.fixedpoint import Rounding
from accel.program import KIND, Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Steps, Widths, lower_calibrated
from rtl.assemble import assemble
from sim import golden
from sim.engine import compile_program
from support.fuzz_cases import Rng
from support.fuzz_files import Run, check_network, check_program, networks, programs

TRIES = 60  # to find neighbours that the classes take
MOST_STEPS = 4
LANES = ((1, 1), (2, 3), (4, 4), (16, 8))


def neighbour(value: Any, rng: Rng) -> Any:
    """Return a value of the type of `value` near it: in one field, item or element of it."""
    if isinstance(value, IntEnum):
        return list(type(value))[rng.integers(len(type(value)))]
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, int | np.integer):
        return type(value)((value - 1, value + 1, 2 * value, value // 2, 0)[rng.integers(5)])
    if isinstance(value, float | np.floating):
        return type(value)((value / 2, 2 * value, -value, 1.001 * value, 0)[rng.integers(5)])
    if isinstance(value, np.ndarray):
        return _array(value, rng)
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        name = names[rng.integers(len(names))]
        return replace(value, **{name: neighbour(getattr(value, name), rng)})
    if isinstance(value, Mapping) and value:
        key = [*value][rng.integers(len(value))]
        return {**value, key: neighbour(value[key], rng)}
    if isinstance(value, tuple) and value:
        at = int(rng.integers(len(value)))
        return (*value[:at], neighbour(value[at], rng), *value[at + 1 :])
    return value


def _array(array: Any, rng: Rng) -> Any:
    """Return an array in which an element, or the end of each row, is another."""
    found = array.copy()
    if found.size:
        at = np.unravel_index(rng.integers(found.size), found.shape) if rng.random() < 0.7 else (..., -1)
        low, high = (-1, 2) if found.dtype.kind in "if" else (0, 2)
        found[at] = rng.integers(low, high)
    return found


def legal(thing: Any, rng: Rng) -> Any:
    """Return `thing` after one to `MOST_STEPS` steps to a neighbour that its classes take."""
    left = int(rng.integers(1, MOST_STEPS + 1))
    for _ in range(TRIES):
        try:
            found = neighbour(thing, rng)
        except (EspalierError, OverflowError):  # which a made-up number may be for a numpy type
            continue
        thing, left = found, left - (found is not thing)
        if not left:
            break
    return thing


@cache
def real() -> tuple[tuple[Program, ...], tuple[PrunedNetwork, ...]]:
    """Return small Programs and networks of every pattern."""
    return (
        tuple(_load(data, Program.load) for data in programs()),
        tuple(_load(data, PrunedNetwork.load) for data in networks()),
    )


def _load(data: bytes, load: Callable[[Path], Any]) -> Any:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder, "a.espalier")
        path.write_bytes(data)
        return load(path)


def check_runs(program: Program, rng: Rng) -> None:
    """Have a Program run and assembled; EspalierError if something refuses it."""
    signal = program.input_signal.format
    codes = rng.integers(signal.min_code, signal.max_code + 1, (2, *program.input_shape))
    expected = golden.run(program, codes)[program.output]
    assert np.array_equal(compile_program(program).run(codes, 1).codes, expected), "engine and golden differ"
    assemble(program, array_for(program, *LANES[rng.integers(len(LANES))]))


def _program(rng: Rng) -> Run:
    of = real()[0]
    program = legal(of[rng.integers(len(of))], rng)

    def run(folder: Path) -> None:
        (folder / "a.espalier").write_bytes(archive.dump(KIND, program))
        check_runs(check_program(folder / "a.espalier"), rng)

    return run


def _network(rng: Rng) -> Run:
    of = real()[1]
    network = legal(of[rng.integers(len(of))], rng)
    bits = rng.integers(1, 9, 3).tolist()

    def run(folder: Path) -> None:
        (folder / "a.espalier").write_bytes(network.to_bytes())
        found = check_network(folder / "a.espalier")
        images = rng.random((2, *found.network.input_shape), np.float32)
        calibration = Calibration(found, images, Steps(power_of_two=bool(rng.random() < 0.5)))
        check_runs(lower_calibrated(calibration, Widths(*bits), rounding=Rounding.RND_CONV), rng)

    return run


FORMATS_OF: dict[str, Callable[[Rng], Run]] = {
    "Program, neighbours": _program,
    "network, neighbours": _network,
}
