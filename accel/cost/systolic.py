"""Other people's arrays: a dense systolic array of R x C, so that our numbers can be held against SCALE-Sim's.

A layer is a product of matrices (M x K) times (K x N): M pixels, N outputs, K = maps x taps. Two of the three lie on
the array, fold by fold; the third streams through::

    dataflow            on rows   on columns   streamed T   cycles of a fold
    weight stationary   K         N            M            2 R + C + T - 2
    output stationary   M         N            K              R + C + T - 2
    input stationary    K         M            N            2 R + C + T - 2

    cycles = folds x cycles of a fold - 1,    folds = ceil(rows' / R) ceil(columns' / C)

The array is dense: what is pruned is streamed as zeros. Memories are taken to keep up.

Source: Samajdar et al., "A Systematic Methodology for Characterizing Scalability of DNN Accelerators using SCALE-Sim"
(ISPASS 2020), section III (equations 1 to 4); the last cycle is not counted, as in the tool's reports.
"""

import math
from dataclasses import dataclass
from typing import Literal

from accel.cost.shapes import LayerShape
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

    def cycles(self, gemm: Gemm) -> int:
        """Return the cycles of one product."""
        down, across, streamed = {
            "weight": (gemm.k, gemm.n, gemm.m),
            "output": (gemm.m, gemm.n, gemm.k),
            "input": (gemm.k, gemm.m, gemm.n),
        }[self.stationary]
        folds = -(-down // self.rows) * -(-across // self.columns)
        loads = 1 if self.stationary == "output" else 2
        return folds * (loads * self.rows + self.columns + streamed - 2) - 1

    def utilization(self, gemm: Gemm) -> float:
        """Return multiply-accumulates of the dense product / (rows x columns x cycles), 0..1."""
        return gemm.m * gemm.n * gemm.k / (self.rows * self.columns * self.cycles(gemm))
