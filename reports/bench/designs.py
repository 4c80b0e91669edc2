"""What designs take to cost on many arrays at once, beside one after the other: processor seconds, in turn."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

from accel.cost import Limits, Technology, estimate_of, load_technology
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.pruned import PrunedNetwork
from reports.shared.progress import bar
from reports.workflow.shapes import Bits, Designs, Lanes, Shapes, in_vectors, numbers_of

DESIGNS = "designs"  # the word after `espalier bench` that asks for this
COSTED = ("lenet5", "resnet8")
ARRAYS: tuple[Lanes, ...] = tuple((outputs, pixels) for outputs in range(1, 17) for pixels in (1, 2, 4, 8))
WEIGHT_BITS, SIGNAL_BITS = tuple(range(2, 12)), tuple(range(3, 13))


@dataclass(frozen=True, kw_only=True)
class Costing:
    """Processor seconds for the same designs of a network, dense, at a hundred pairs of word lengths.

    `at_once` takes arrays at once, `one_by_one` an array and a pair of word lengths after the other.
    """

    network: str
    designs: int
    at_once: tuple[float, ...]
    one_by_one: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """How many times as long one by one takes: the median of pairs that ran one after the other."""
        return median(b / a for a, b in zip(self.at_once, self.one_by_one, strict=True))


def measured(names: Sequence[str], rounds: int) -> Iterator[Costing]:
    """Yield what costing takes for each network, the same designs both ways, which are compared.

    Raises
    ------
    EspalierError
        There is no such network, or the two ways differ.
    """
    if unknown := [name for name in names if name not in COSTED]:
        raise EspalierError(f"unknown network {unknown[0]!r}: costing is measured on {', '.join(COSTED)}")
    bits, technology, limits = [*product(WEIGHT_BITS, SIGNAL_BITS)], load_technology(), Limits()
    for name in names:
        pruned, pairs, count = zoo.load(name), [], 0
        with bar(f"{name}, designs", rounds) as shown:
            for _ in range(rounds):
                begin = time.process_time()
                first = at_once(pruned, bits, ARRAYS, technology, limits)
                middle = time.process_time()
                second = one_by_one(pruned, bits, ARRAYS, technology, limits)
                pairs.append((middle - begin, time.process_time() - middle))
                check_equal(name, first, second)
                count = sum(x.count for x in first)
                shown.advance()
        left, right = zip(*pairs, strict=True)
        yield Costing(network=name, designs=count, at_once=left, one_by_one=right)


def at_once(
    pruned: PrunedNetwork, bits: Sequence[Bits], lanes: Sequence[Lanes], technology: Technology, limits: Limits
) -> list[Designs]:
    """Return the designs at each pair of word lengths, on all arrays at once."""
    shapes, arrays, found = Shapes(pruned, bits[0]), {}, []
    for widths in bits:
        kind = shapes.kind(widths)
        if kind not in arrays:
            arrays[kind] = shapes.arrays([shapes.facts(widths, each, limits) for each in lanes])
        costs = arrays[kind].costs(shapes.invariants(widths), shapes.words(widths), technology, limits)
        found.append(in_vectors(costs, []))
    return found


def one_by_one(
    pruned: PrunedNetwork, bits: Sequence[Bits], lanes: Sequence[Lanes], technology: Technology, limits: Limits
) -> list[list[dict[str, Any]]]:
    """Return the same designs, each estimated on its own; what of an array all have in common is found once too."""
    shapes = Shapes(pruned, bits[0], remembered=len(lanes))
    found: list[list[dict[str, Any]]] = [[] for _ in bits]
    for each in lanes:
        for place, widths in enumerate(bits):
            invariants, words = shapes.invariants(widths, each), shapes.words(widths)
            estimate = estimate_of(invariants, words, invariants.array(words, *each), technology, limits)
            found[place].append(numbers_of(estimate))
    return found


def check_equal(name: str, first: Sequence[Designs], second: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Raise EspalierError unless both ways give the same numbers."""
    for designs, rows in zip(first, second, strict=True):
        for column in rows[0]:
            if not np.array_equal(getattr(designs, column), [row[column] for row in rows]):
                raise EspalierError(f"{name}: {column} of designs on arrays at once are others than one by one")


def costing_table(found: Sequence[Costing]) -> Table:
    """Return the measurements as a table."""
    table = Table(title="Designs costed, processor seconds of one thread")
    table.add_column("network", no_wrap=True)
    for name in ("designs", "arrays at once, s", "one by one, s", "times"):
        table.add_column(name, justify="right")
    for x in found:
        seconds = f"{median(x.at_once):.2f}", f"{median(x.one_by_one):.2f}"
        table.add_row(x.network, f"{x.designs:,}", *seconds, f"{x.ratio:.1f}")
    return table
