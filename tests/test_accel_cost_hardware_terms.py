"""Terms of what hardware takes: each by its closed form, of one array and of many at once."""

from dataclasses import replace

import numpy as np
import pytest

from accel.array import DEPTHS, MacArray
from accel.cost.hardware_terms import BITS, FLAGS, Sizes, terms

ARRAY = MacArray(4, 2, weight_bits=4, signal_bits=8, accumulator_bits=20, multiplier_bits=16, table_words=64)


def many(arrays: list[MacArray]) -> Sizes:
    """Return the sizes of several arrays, each a vector."""
    each = [Sizes.of(array) for array in arrays]
    return Sizes(
        **{name: np.array([getattr(one, name) for one in each]) for name in ("output_lanes", "pixel_lanes", "streams")},
        bits={name: np.array([one.bits[name] for one in each]) for name in BITS},
        flags={name: np.array([one.flags[name] for one in each]) for name in FLAGS},
        words={name: np.array([one.words[name] for one in each]) for name in DEPTHS},
        widths={name: np.array([one.widths[name] for one in each]) for name in DEPTHS},
    )


def test_terms_are_what_the_hardware_has() -> None:
    """Lanes have accumulators; two narrow weights share a multiplier; banks are two a pixel lane; a drain a lane."""
    found = {name: float(value) for name, value in terms(Sizes.of(ARRAY)).items()}
    widths = {memory.name: memory.width_bits for memory in ARRAY.memories}
    expected = {
        "lanes": 4 * 2,
        "lane_sum_bits": 4 * 2 * 20,
        "signal_operand_bits": 2 * 2 * 9,  # rows of multipliers x pixel lanes x a signal with its sign
        "multiplied_bits": 2 * 2 * 18 * 9,
        "turned_bits": 3 * 4 * 8 * 2,  # in twice, out once; banks x bits x levels
        "layer_bits": widths["layers"],
        "loaded_bits": widths["layers"],
        "scaled_high_bits": 2 * 2 * 16,  # what is above 18 bits, in logic
        "looked_up_bits": 2 * 8,
        "table_memories": 4 * 2 * 2,  # 64 words of 8 bits: 4 x 2 memories of 16 x 4 in each of two lanes
        "streamed_bits": 0,
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("change", "term"),
    [
        ({"flat": False}, "flat_bits"),
        ({"pool": False}, "pool_bits"),
        ({"split": False}, "split_sum_bits"),
        ({"combine": False}, "combined_bits"),
        ({"list_entries": 0}, "combined_bits"),
        ({"table_words": 0}, "looked_up_bits"),
    ],
)
def test_what_is_left_out_takes_nothing(change: dict[str, object], term: str) -> None:
    """A feature that an array does not have is a term of zero, and one that it has is more."""
    assert float(terms(Sizes.of(ARRAY))[term]) > 0
    assert float(terms(Sizes.of(replace(ARRAY, **change)))[term]) == 0  # type: ignore[arg-type]


def test_many_arrays_at_once_are_each_by_itself() -> None:
    """Vectors hold, for each array, the very numbers of that array."""
    arrays = [ARRAY, MacArray(1, 1), MacArray(8, 8, weight_bits=3, stream_words=1024), replace(ARRAY, flat=False)]
    together = terms(many(arrays))
    for place, array in enumerate(arrays):
        alone = terms(Sizes.of(array))
        of_it = {name: np.broadcast_to(value, len(arrays))[place] for name, value in together.items()}
        assert of_it == alone
    assert together["flat_bits"][0] != together["flat_bits"][3]  # negative control: they differ where arrays do
