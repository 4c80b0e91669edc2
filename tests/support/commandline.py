"""What the tests of `reports` share: the command in this process or another, small inputs, results made up by hand."""

import contextlib
import dataclasses
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.cost import Counts, Cycles, Slots
from accel.interchange.zoo.architectures import lenet5
from accel.layers import Weighted
from accel.pruned import PrunedNetwork
from reports.report.designs import BreakEven, Design, LayerDesign, MemoryDesign
from reports.report.points import LayerRow, Point
from reports.report.results import Results
from reports.shared.columns import COUNTED, SPENT
from reports.shell import run

ROOT = Path(__file__).parents[2]
MNIST_TEST_IMAGES = 20


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left: its exit status and what it printed."""

    status: int
    out: str
    err: str


def espalier(*arguments: object) -> Outcome:
    """Run the command in this process, as in a pipe of 100 columns, whatever the tests themselves run in."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        patch.setenv("ESPALIER_PROGRESS", "0")  # a busy machine takes longer than the usual seconds
        for forced in ("FORCE_COLOR", "TTY_COMPATIBLE"):
            patch.delenv(forced, raising=False)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run([str(argument) for argument in arguments])
    return Outcome(status, out.getvalue(), err.getvalue())


def reported(*arguments: object) -> Outcome:
    """Run `espalier report`, which has nothing to complain of and ends with 1 if it says that nothing fits, else 0."""
    done = espalier("report", *arguments, "--jobs", 1)
    assert (done.status, done.err) == (int("Nothing fits: " in done.out), "")
    return done


def program_text(before: str = "") -> list[str]:
    """Return the words that start the command in a process of its own; the statements `before` run first."""
    return [sys.executable, "-c", f"import espalier.__main__\n{before}\nespalier.__main__.main()"]


def environment(**changes: str) -> dict[str, str]:
    """Return the environment for a process of its own, wherever it runs."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "ESPALIER_PROGRESS": "0", **changes}


def espalier_process(*arguments: object, before: str = "", **changes: str) -> Outcome:
    """Run the command in a process of its own, whose output are pipes; `changes` are to its environment."""
    words = [*program_text(before), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment(**changes))
    return Outcome(done.returncode, done.stdout, done.stderr)


def line_of(outcome: Outcome) -> str:
    """Return the one line with which the command refused, checked to be one."""
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1
    assert outcome.err.startswith("espalier: ")
    return outcome.err.removeprefix("espalier: ").removesuffix("\n")


def complaint(*arguments: object) -> str:
    """Run the command in this process and return the one line with which it refused."""
    return line_of(espalier(*arguments))


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return everything under `folder`, hidden things too, by its path from there; None for a folder."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


def idx(array: Any) -> bytes:
    """Return an IDX file of unsigned bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_mnist(data_dir: Path) -> Path:
    """Write an MNIST of a few random images into `data_dir`: the training files hold 32, and 10,000 black ones."""
    rng = np.random.default_rng(0)
    folder = data_dir / "mnist"
    folder.mkdir(parents=True)
    for part, count, held_out in (("train", 32, 10_000), ("t10k", MNIST_TEST_IMAGES, 0)):
        images = np.zeros((count + held_out, 28, 28), np.uint8)
        images[:count] = rng.integers(0, 256, (count, 28, 28))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(rng.integers(0, 10, len(images))))
    return data_dir


def untrained_lenet5(data: str = "mnist") -> PrunedNetwork:
    """Return LeNet-5 with random weights."""
    rng = np.random.default_rng(0)
    network = lenet5()
    layers = [
        replace(x, weight=rng.normal(0, 0.1, x.weight.shape).astype(np.float32)) if isinstance(x, Weighted) else x
        for x in network.layers
    ]
    return PrunedNetwork(replace(network, layers=tuple(layers)), data=data)


def made_point(pattern: str = "dense", bits: int = 4, **values: Any) -> Point:
    """Return a point of two layers that keep 600 weights each; its memory is 20,000 bits in all.

    What is given of its counts, even numbers, is divided between the layers.
    """
    counts = replace(made_counts(pattern), weight_memory_bits=2_400, index_memory_bits=70)
    counts = replace(counts, bias_memory_bits=80, requantize_memory_bits=22)
    counts = replace(counts, **{name: values.pop(name) // 2 for name in COUNTED if name in values})
    layers = tuple(
        LayerRow(
            name=name,
            pattern=pattern,
            counts=counts,
            encoding="flags",
            encoding_reason="a list would take 99 bits",
            accumulator_bits=17,
            fft_multiplications=multiplications,
        )
        for name, multiplications in (("conv1", 70_000), ("fc2", None))
    )
    point = Point(
        network="made",
        pattern=pattern,
        weight_bits=bits,
        signal_bits=bits,
        error_rate=0.0325,
        validation_error_rate=values.get("error_rate", 0.0325),  # as on test images, unless it is said otherwise
        float_error_rate=0.0215,
        signal_memory_bits=14_856,
        cycles=3_456,
        layers=layers,
    )
    return replace(point, **values)


def made_counts(pattern: str, macs: int = 60_000) -> Counts:
    """Return the work of a layer of 900 weights of which 600 are kept, or of 600 where it is dense."""
    return Counts(dense_weights=600 if pattern == "dense" else 900, weights=600, dense_macs=90_000, macs=macs)


def made_slots(kind: str, steps: int) -> Slots:
    """Return what becomes of the slots of 64 lanes: of a layer with weights a tenth is lost or more for each reason."""
    if kind != "mac":
        return Slots(pool_slots=64 * steps)
    lost = 64 * (steps // 10)
    return Slots(useful_slots=64 * steps - 6 * lost, pruned_slots=3 * lost, no_map_slots=2 * lost, no_pixel_slots=lost)


def made_design(
    pattern: str = "dense",
    weight_bits: int = 4,
    signal_bits: int = 4,
    weights: str = "resident",
    macs: int = 60_000,
    **values: Any,
) -> Design:
    """Return a design of two layers with weights and a pool, whose numbers differ; 3,456 cycles, or stalls too."""
    stall = 0 if weights == "resident" else 250
    bits = 600 * weight_bits
    stored = made_counts(pattern, macs) + Counts(weight_memory_bits=bits, index_memory_bits=70)
    rows = (
        ("conv1", "mac", (2_900, 60, 33, stall), 17, (80, 22), 8_000 + signal_bits, 90, 900, stall, 3e-8),
        ("pool", "max-pool", (300, 1, 7, 0), 0, (0, 0), 1_100 * signal_bits, 60, 400, 0, 1e-9),
        ("fc2", "mac", (120, 9, 24, 0), 16, (81, 0), 50 * signal_bits, 85, 300, stall // 2, 2.5e-9),
    )
    layers = tuple(
        LayerDesign(
            name=name,
            kind=kind,
            counts=(stored if kind == "mac" else Counts())
            + Counts(bias_memory_bits=constants[0], requantize_memory_bits=constants[1]),
            spent=Cycles(**dict(zip(SPENT, cycles, strict=True))),
            slots=made_slots(kind, cycles[0]),
            accumulator_bits=accumulator,
            held_bits=held,
            control_bits=control,
            filling_bits=filling,
            dram_bits=dram,
            joules=joules,
        )
        for name, kind, cycles, accumulator, constants, held, control, filling, dram, joules in rows
    )
    names = [field.name for field in dataclasses.fields(MemoryDesign)]
    placed = (
        ("weights", 1, 300, 8 * weight_bits, "BLOCK", weight_bits - 1, 8_192 * (weight_bits - 1), 2 * bits),
        ("signals", 16, 64, 8, "BLOCK", 16, 131_072, 8_000 + signal_bits),
    )
    memories = tuple(MemoryDesign(**dict(zip(names, row, strict=True))) for row in placed)
    design = Design(
        pattern=pattern,
        weight_bits=weight_bits,
        signal_bits=signal_bits,
        weights=weights,
        fits=True,
        verdict=f"fits: 19.0 KiB of memory blocks, weights {weights}, {weight_bits} and {signal_bits} bits",
        cycles=3_456 + stall,
        multipliers=72,
        stored_bits=13_000 + 600 * weight_bits + signal_bits,
        memory_bits=131_072 + 8_192 * (weight_bits - 1),
        payload_bits=2 * bits + 8_000 + signal_bits,
        dram_bits=6_272 + stall,
        joules=4e-8,
        area_mm2=0.25,
        memories=memories,
        layers=layers,
    )
    return replace(design, **values)


def made_designs(points: Sequence[Point]) -> tuple[Design, ...]:
    """Return a design for every pair of widths of each pattern, and where they are equal another that streams."""
    designs = []
    for pattern in dict.fromkeys(point.pattern for point in points):
        of = [point for point in points if point.pattern == pattern]
        widths, macs = [point.weight_bits for point in of], of[0].layers[0].counts.macs
        designs += [made_design(pattern, w, s, macs=macs) for s in widths for w in widths]
        designs += [made_design(pattern, w, w, "streamed", macs) for w in widths]
    return tuple(designs)


def made_results(*points: Point, **values: Any) -> Results:
    """Return results made up by hand: three patterns at two widths if no points are given."""
    if not points:
        shares = {"dense": 1.0, "kernel+ikss": 0.5, "2:4": 0.25}
        points = tuple(
            made_point(
                pattern,
                bits,
                error_rate=0.08 * share / bits,
                macs=round(180_000 * share),
                weight_memory_bits=round(2_400 * share) * bits,
                signal_memory_bits=3_001 * bits,
            )
            for pattern, share in shares.items()
            for bits in (4, 8)
        )
    results = Results(
        network="made",
        data="digits",
        test_images=400,
        validation_images=250,
        calibration_images=512,
        float_dense_error_rate=0.0125,
        float_dense_validation_error_rate=0.0125,
        dense_parameter_bits=32 * 1_800,
        max_error="+1%",
        confidence=0.0,
        retrained=True,
        array="8x8",
        technology="some chip",
        clock_hz=100e6,
        highest_clock_hz=120e6,
        dram_bytes_per_s=1e9,
        sram_bits=None,
        not_on_array="",
        points=points,
        designs=made_designs(points),
        break_even=(
            BreakEven(
                pattern="2:4",
                layer="fc2",
                shape=(30, 30, 1),
                density=2 / 3,
                bits=(2, 8),
                densities={"bitmap": [0.5, 0.875], "csr": [0.0, 0.25]},
            ),
        ),
    )
    return replace(results, **values)
