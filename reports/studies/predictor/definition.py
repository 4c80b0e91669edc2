"""The arrays of the sweep: shapes, word lengths, depths of memories, features left out or added."""

from typing import Any

import numpy as np

from accel.array import MacArray
from accel.cost.design import CLOCK_HZ

BUILT_FOR = "ECP5-45F, speed grade 6"
DRAWN, SEED = 20, 1  # arrays whose structure is counted beside those of the sweep
LIBRARY = "sky130_fd_sc_hd__tt_025C_1v80"
SIZED_FOR_HZ = CLOCK_HZ  # which clock cells are sized for
FEATURES = ("split", "flat", "pool", "lines", "overlap", "prefetch", "combine")  # all that make an array larger
DEPTHS: dict[str, dict[str, int]] = {  # of memories: for a network of digits, of small photographs, for larger ones
    "small": {"signal_words": 1536, "weight_words": 4096, "list_entries": 192},
    "medium": {"signal_words": 16384, "weight_words": 8192, "list_entries": 2048},
    "large": {"signal_words": 65536, "weight_words": 16384, "list_entries": 4096},
}
DEPTHS["small"] |= {"taps": 64, "constants": 96, "layers": 8}
DEPTHS["medium"] |= {"taps": 256, "constants": 256, "layers": 32}
DEPTHS["large"] |= {"taps": 512, "constants": 1024, "layers": 64}
_BOUNDS = {"ceiling": True, "floor": True}
# shape; bits of weights, signals, accumulators; depths; what is left out; what is added
_SWEEP: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("1x1", "8/8/24", "medium", "", {}),
    ("1x1", "3/4/14", "small", "lists", {}),
    ("2x1", "4/8/16", "small", "", {"table_words": 256}),
    ("1x2", "5/6/18", "medium", "lists split", {}),
    ("2x2", "4/4/16", "small", "", {}),
    ("2x2", "8/8/22", "large", "", {}),
    ("2x2", "6/5/20", "medium", "all", {}),
    ("4x1", "3/8/15", "large", "", _BOUNDS),
    ("2x1", "6/8/18", "large", "", {}),
    ("1x4", "8/8/20", "medium", "", {}),
    ("4x2", "4/8/17", "small", "lists", {}),
    ("2x4", "7/7/21", "small", "lines", {}),
    ("3x2", "5/8/19", "medium", "combine", {"offset_bits": 14}),
    ("8x1", "6/6/18", "medium", "", {}),
    ("1x8", "4/5/16", "small", "", {}),
    ("4x2", "8/8/24", "medium", "overlap prefetch", {"stream_words": 1024}),
    ("5x2", "6/8/20", "large", "pool", {"multiplier_bits": 24}),
    ("3x4", "8/6/26", "small", "all", {"table_words": 64}),
    ("4x4", "4/4/15", "small", "share", {}),
    ("4x4", "8/8/24", "medium", "lists", {}),
    ("4x4", "4/8/20", "medium", "flat pool", {}),
    ("4x4", "3/3/14", "medium", "split", _BOUNDS),
    ("8x2", "4/8/16", "small", "", {}),
    ("2x8", "8/8/23", "medium", "lists", {}),
    ("6x4", "5/5/17", "large", "", {}),
    ("4x4", "8/8/22", "large", "", {}),
    ("7x2", "7/4/19", "medium", "flat", {"table_words": 128}),
    ("8x4", "4/8/18", "medium", "", {}),
    ("4x8", "8/8/22", "small", "lists", {}),
    ("8x4", "8/8/23", "small", "", {}),
    ("4x8", "4/6/17", "medium", "combine", _BOUNDS),
    ("8x8", "4/4/16", "small", "", {}),
    ("8x8", "8/8/24", "medium", "", {}),
    ("8x8", "4/8/18", "large", "split", {}),
)


def _array(shape: str, bits: str, depths: str, without: str, more: dict[str, Any]) -> MacArray:
    output_lanes, pixel_lanes = map(int, shape.split("x"))
    fields: dict[str, Any] = dict(
        zip(("weight_bits", "signal_bits", "accumulator_bits"), map(int, bits.split("/")), strict=True)
    )
    left_out = FEATURES if without == "all" else without.split()
    fields |= DEPTHS[depths] | ({"list_entries": 0} if "lists" in left_out else {})
    fields |= {name: False for name in left_out if name != "lists"}
    return MacArray(output_lanes, pixel_lanes, **fields | more)


def _name(shape: str, bits: str, depths: str, without: str, more: dict[str, Any]) -> str:
    return ", ".join(filter(None, (shape, bits, depths, without and f"without {without}", " ".join(more))))


ARRAYS = {_name(*row): _array(*row) for row in _SWEEP}


def looked_at(count: int = DRAWN, seed: int = SEED) -> list[MacArray]:
    """Return arrays whose structure is counted: as many drawn at random, which nobody builds, and the sweep's."""
    rng = np.random.default_rng(seed)
    return [*(_drawn(rng) for _ in range(count)), *ARRAYS.values()]


def _drawn(rng: np.random.Generator) -> MacArray:
    depths = DEPTHS[str(rng.choice(list(DEPTHS)))]
    weight_bits, signal_bits = (int(bits) for bits in rng.integers(3, 9, 2))
    fields: dict[str, Any] = {name: bool(rng.random() < 0.8) for name in (*FEATURES, "share")}
    fields |= {name: bool(rng.random() < 0.2) for name in ("ceiling", "floor")}
    fields |= dict(depths) | ({"list_entries": 0} if rng.random() < 0.3 else {})
    fields |= {"table_words": int(rng.choice((0, 0, 0, 64, 256))), "offset_bits": int(rng.choice((0, 0, 0, 14)))}
    return MacArray(
        output_lanes=int(rng.integers(1, 9)),
        pixel_lanes=int(rng.choice((1, 2, 4, 8))),
        weight_bits=weight_bits,
        signal_bits=signal_bits,
        accumulator_bits=weight_bits + signal_bits + int(rng.integers(5, 11)),
        multiplier_bits=int(rng.choice((16, 16, 16, 24))),
        stream_words=int(rng.choice((0, 0, 0, 0, 1024))),
        **fields,
    )
