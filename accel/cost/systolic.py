"""Other people's arrays: a dense systolic array of R x C, so that our numbers can be held against SCALE-Sim's.

A layer is a product of matrices (M x K) times (K x N): M pixels, N outputs, K = maps x taps. Two of the three lie on
the array, fold by fold; the third streams through::

    dataflow            on rows   on columns   streamed T   cycles of a fold
    weight stationary   K         N            M            2 R + C + T - 2
    output stationary   M         N            K              R + C + T - 2
    input stationary    K         M            N            2 R + C + T - 2

    cycles = folds x cycles of a fold - 1,    folds = ceil(rows' / R) ceil(columns' / C)

Words that memories give and take, each use of a word by another fold being a new read, partial sums of all folds being
written::

    dataflow            inputs             weights            outputs
    weight stationary   M K ceil(N / C)    K N                M N ceil(K / R)
    output stationary   M K ceil(N / C)    K N ceil(M / R)    M N
    input stationary    M K                K N ceil(M / C)    M N ceil(K / R)

The array is dense: what is pruned is streamed as zeros, but for n:m sparsity. There n of each m weights of a column
are kept, K becomes K n / m, and beside each weight stand the ceil(log2 m) bits that say which of m inputs it meets.
(Inputs are those that one column takes; where each takes others of the m, all M K of them pass.) Memories keep up.

Source: Samajdar et al., "A Systematic Methodology for Characterizing Scalability of DNN Accelerators using SCALE-Sim"
(ISPASS 2020), section III (equations 1 to 4); the last cycle is not counted, as in the tool's reports. n:m: Raj et al.,
"SCALE-Sim v3" (ISPASS 2025), whose simulator `reports.studies.referees` holds all of this against.
"""

import math
from dataclasses import dataclass
from typing import Literal

from accel.cost.shapes import LayerShape
from accel.cost.summed import Summed
from accel.errors import EspalierError

Dataflow = Literal["weight", "output", "input"]
DATAFLOWS: tuple[Dataflow, ...] = ("weight", "output", "input")


@dataclass(frozen=True)
class Gemm:
    """A product of matrices (m x k) times (k x n)."""

    m: int
    n: int
    k: int

    def __post_init__(self) -> None:
        if min(self.m, self.n, self.k) < 1:
            raise EspalierError(f"a product of matrices has sizes of at least 1, got {self}")

    @classmethod
    def of(cls, shape: LayerShape) -> "Gemm":
        """Return a layer as one product: all maps for all outputs, whatever pairs are connected."""
        return cls(shape.pixels, shape.outputs, shape.maps * math.prod(shape.kernel))


@dataclass(frozen=True)
class Kept:
    """n of each m weights of a column, along K."""

    n: int
    m: int

    def __post_init__(self) -> None:
        if not 1 <= self.n <= self.m:
            raise EspalierError(f"n of m weights are kept, 1 <= n <= m, got {self.n}:{self.m}")

    def of(self, k: int) -> int:
        """Return how many of `k` weights are kept at most: a last block of fewer than m keeps n, or all it has."""
        return k // self.m * self.n + min(self.n, k % self.m)

    @property
    def index_bits(self) -> int:
        """Bits that say which of m inputs a weight meets."""
        return (self.m - 1).bit_length()


DENSE = Kept(1, 1)


@dataclass(frozen=True, kw_only=True)
class Accesses(Summed):
    """Words that a product of matrices reads and writes; ``+`` and ``sum()`` add layers up."""

    input_reads: int = 0
    weight_reads: int = 0
    output_writes: int = 0  # partial sums of a fold too
    index_bits: int = 0  # that are read beside the weights


@dataclass(frozen=True)
class SystolicArray:
    """A dense array of `rows` x `columns` multiply-accumulators whose weights, outputs or inputs stay in place."""

    rows: int
    columns: int
    stationary: Dataflow = "weight"

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1:
            raise EspalierError(f"a systolic array has at least one row and column, got {self.rows}x{self.columns}")
        if self.stationary not in DATAFLOWS:
            raise EspalierError(f"stationary must be one of {', '.join(DATAFLOWS)}, got {self.stationary!r}")

    def cycles(self, gemm: Gemm, kept: Kept = DENSE) -> int:
        """Return the cycles of one product."""
        k = kept.of(gemm.k)
        down, across, streamed = {
            "weight": (k, gemm.n, gemm.m),
            "output": (gemm.m, gemm.n, k),
            "input": (k, gemm.m, gemm.n),
        }[self.stationary]
        folds = -(-down // self.rows) * -(-across // self.columns)
        loads = 1 if self.stationary == "output" else 2
        return folds * (loads * self.rows + self.columns + streamed - 2) - 1

    def accesses(self, gemm: Gemm, kept: Kept = DENSE) -> Accesses:
        """Return the words that one product reads and writes."""
        k = kept.of(gemm.k)
        inputs, weights, outputs = gemm.m * k, k * gemm.n, gemm.m * gemm.n
        if self.stationary != "input":
            inputs *= -(-gemm.n // self.columns)
        if self.stationary != "weight":
            weights *= -(-gemm.m // (self.rows if self.stationary == "output" else self.columns))
        if self.stationary != "output":
            outputs *= -(-k // self.rows)
        return Accesses(
            input_reads=inputs, weight_reads=weights, output_writes=outputs, index_bits=weights * kept.index_bits
        )

    def utilization(self, gemm: Gemm) -> float:
        """Return multiply-accumulates of the dense product / (rows x columns x cycles), 0..1."""
        return gemm.m * gemm.n * gemm.k / (self.rows * self.columns * self.cycles(gemm))
