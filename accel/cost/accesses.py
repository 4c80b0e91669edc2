"""What each layer reads from the memories of an array and writes to them: closed forms, equal to the hardware's counts.

An access is one word of one bank in one cycle. With steps K_j and rows D_j of tile j, P pixel lanes and L_g entries in
the list of group g, whose T tiles all read it, a layer makes ::

    signals     P sum_j K_j            reads: P banks a step; all 2 P of them in tiles whose words may lie apart
                sum_j D_j words_j      writes: the words of each row; none where rows leave the chip
    weights     sum_j K_j              reads: P times as many where sums are split
    entries     T sum_g max(L_g, 3)    reads; none where a counter makes them
    taps        sum_j K_j              reads
    constants   sum_j D_j              reads: one for each row
    layers      1                      read: its own words
    tables      P sum_j D_j            reads, where codes are looked up: a copy for each pixel lane

Words lie apart where neighbouring pixels do (stride 2), where a step reads two maps, or segments of two, and in tiles
that pass the end of a row or have pixels of two (`Walk.passing`). A list of less than three entries is read beyond its
end, for where it ends is known two places further on. Streamed weights are written once an image, and the image's own
words as it is loaded, in whole beats of P. Nothing else is read or written: memories rest where there is no step and no
row, and while the core stands still.

`rtl.counters` counts what the hardware does, and `espalier verify --counters` compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from accel.array import MacArray
from accel.cost.stalls import LayerSchedule, schedule_of
from accel.cost.summed import Summed
from accel.demand import LayerDemand, demand_of
from accel.places import beats_of
from accel.program import Program

IMAGE = "image"  # what no layer does: it is loaded


@dataclass(frozen=True, kw_only=True)
class Access(Summed):
    """Words of one memory; ``+`` and ``sum()`` add accesses up."""

    reads: int = 0
    writes: int = 0

    @property
    def words(self) -> int:
        """Words that are read or written."""
        return self.reads + self.writes


Accesses = Mapping[str, Access]  # of each memory that may be built, by its name (`accel.array.DEPTHS`)


def accesses_of(program: Program, array: MacArray) -> dict[str, Accesses]:
    """Return what is read and written for one image: while it is loaded, `IMAGE`, and in each layer that computes.

    Raises
    ------
    EspalierError
        The array does not run a layer.
    """
    rows = zip(schedule_of(program, array), demand_of(program, array).layers, strict=True)
    return {IMAGE: load_accesses(program, array)} | {x.name: layer_accesses(x, taken, array) for x, taken in rows}


def layer_accesses(layer: LayerSchedule, demand: LayerDemand, array: MacArray) -> Accesses:
    """Return what a layer reads and writes of which the schedule and the demand on memories are known."""
    return {
        "signals": Access(reads=layer.signal_reads, writes=layer.signal_writes),
        "weights": Access(reads=layer.weight_reads, writes=int(layer.units.sum()) if array.stream_words else 0),
        "entries": Access(reads=demand.reads * layer.passes),
        "taps": Access(reads=layer.compute_cycles),
        "constants": Access(reads=layer.drained),
        "layers": Access(reads=1),
        "tables": Access(reads=array.pixel_lanes * layer.drained if demand.looks_up else 0),
    }


def load_accesses(program: Program, array: MacArray) -> Accesses:
    """Return what is written as an image is loaded."""
    return {"signals": Access(writes=array.pixel_lanes * beats_of(program, array))}
