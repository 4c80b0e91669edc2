"""What a number of a row is called, what it counts and how it is written: for tables, pages, CSV and terminal alike.

A column is known by the field that holds it in `accel.cost`, and by that name in saved results. A row is a record with
the nouns that it holds beside it, such as a layer and its `Counts`: `columns` takes each number from whichever has it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from accel.cost import Counts, Cycles, Slots

TEXT, COUNT, SHARE, KIB, NANO = "text", "count", "share", "kib", "nano"  # how a value is written
SPENT = tuple(field.name for field in fields(Cycles))
WAITS = tuple(name for name in SPENT if name != "compute_cycles")  # cycles in which no lane works
SLOTS = tuple(field.name for field in fields(Slots))
COUNTED = tuple(field.name for field in fields(Counts))
STORED = tuple(name for name in COUNTED if name.endswith("_memory_bits"))  # what of a layer lies in memories
WORK = tuple(name for name in COUNTED if name not in STORED)  # the same at every word length


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    label : str
        Its heading where the table says the unit.
    unit : str
        Empty for words, shares and numbers of things.
    about : str
        What is counted, in full.
    form : str
        `TEXT`, `COUNT` (with commas), `SHARE` (of 1, in %), `KIB` (of bits) or `NANO` (of a unit's billionth parts).
    """

    label: str
    unit: str
    about: str
    form: str = COUNT

    def heading(self, told: str = "") -> str:
        """Return the label with its unit, unless a table has `told` it.

        >>> COLUMNS["bias_memory_bits"].heading(), COLUMNS["bias_memory_bits"].heading("bits")
        ('bias bits', 'bias')
        """
        return self.label if self.unit in ("", told) or self.unit in self.label else f"{self.label} {self.unit}"

    def written(self, value: Any) -> str:
        """Return a value as its form has it; nothing for None.

        >>> COLUMNS["macs"].written(416520), COLUMNS["macro_bits"].written(8192), COLUMNS["density"].written(None)
        ('416,520', '1.00', '')
        """
        if value is None or self.form == TEXT:
            return value or ""
        if self.form == COUNT:
            return f"{value:,}"
        factor, digits, unit = {SHARE: (100, 1, " %"), KIB: (1 / 8192, 2, ""), NANO: (1e9, 2, "")}[self.form]
        return fixed(value * factor, digits) + unit


COLUMNS = {
    "network": Column("network", "", "what was measured", TEXT),
    "name": Column("layer", "", "the layer", TEXT),
    "kind": Column("kind", "", "what the layer computes", TEXT),
    "pattern": Column("pattern", "", "what pruning removed", TEXT),
    "encoding": Column("encoding", "", "how the index is stored: whatever takes the fewest bits", TEXT),
    "reads": Column("reads", "", "the tensor of a layer's input maps", TEXT),
    "signal_density": Column("signals not 0", "", "signals that are not zero / all that a layer reads", SHARE),
    "map_densities": Column("of a map", "", "the same of each input map", SHARE),
    "weight_bits": Column("bits of a weight", "bits", "width of a weight"),
    "signal_bits": Column("bits of a signal", "bits", "width of a word between layers"),
    "accumulator_bits": Column("acc.", "bits", "width of an accumulator"),
    "dense_weights": Column("dense weights", "", "weights before pruning"),
    "weights": Column("weights", "", "weights that are kept"),
    "nonzero_weights": Column("not 0", "", "weights that are kept and not zero"),
    "density": Column("of dense", "", "weights that are kept / weights before pruning", SHARE),
    "sparsity": Column("sparsity", "", "1 - density", SHARE),
    "dense_macs": Column("dense MACs", "", "multiply-accumulates for one image before pruning"),
    "macs": Column("MACs", "", "multiply-accumulates for one image"),
    "effective_macs": Column("effective", "", "MACs of which neither operand is zero, for one image on average"),
    "fft_multiplications": Column("by FFT", "", "real multiplications of the convolution by FFT"),
    "dense_fft_multiplications": Column("FFT dense", "", "the same before pruning"),
    "weight_memory_bits": Column("weight", "bits", "stored weights, the filling of blocks at an edge included"),
    "index_memory_bits": Column("index", "bits", "stored beside the weights to say which were kept"),
    "bias_memory_bits": Column("bias", "bits", "stored biases, in the fewest bits that hold them all"),
    "requantize_memory_bits": Column("requant.", "bits", "stored multipliers, offsets and shifts of requantisation"),
    "signal_memory_bits": Column("signal", "bits", "the most bits of signals that are held at one time"),
    "control_bits": Column("control", "bits", "entries, taps and words of layers, the array's own form of an index"),
    "held_bits": Column("held", "bits", "signals in the memory while the layer runs"),
    "filling_bits": Column("waste", "bits", "lanes that keep nothing, numbers narrower than their word"),
    "compute_cycles": Column("compute", "cycles", "the array works"),
    "drain_cycles": Column("drain", "cycles", "the array waits for rows to leave"),
    "fill_cycles": Column("fill", "cycles", "the pipeline, once a layer"),
    "stall_cycles": Column("stall", "cycles", "weights have not come from DRAM: a model"),
    "cycles": Column("cycles", "cycles", "cycles of one image in all"),
    "useful_slots": Column("useful", "slots", "a kept weight meets a signal"),
    "pruned_slots": Column("pruned weights", "slots", "the weight is pruned, but a neighbouring lane keeps its own"),
    "no_map_slots": Column("no output map", "slots", "output lanes beyond the last output map"),
    "no_pixel_slots": Column("no pixel", "slots", "pixel lanes beyond the end of a row, or of a split sum"),
    "pool_slots": Column("pools, additions", "slots", "layers that have no weights"),
    "utilization": Column("useful", "", "useful multiply-accumulates / (lanes x cycles)", SHARE),
    "dram_bits": Column("DRAM", "bits", "from and to DRAM for one image"),
    "joules": Column("nJ (est.)", "nJ", "energy of one image, estimated from the table of the technology", NANO),
    "gated_joules": Column("gated", "nJ", "the same if lanes held still where an operand is zero, estimated", NANO),
    "error_rate": Column("error", "", "share of test images that the bit-accurate engine gets wrong", SHARE),
    "validation_error_rate": Column("error, validation", "", "of validation images, which decide", SHARE),
    "float_error_rate": Column("float", "", "of test images, by the same pruned network in float", SHARE),
    "memory": Column("memory", "", "a memory of the array", TEXT),
    "wanted": Column("wanted", "", "banks x words x width, as the array has it", TEXT),
    "made": Column("blocks", "", "how many of which block of the technology", TEXT),
    "macro_bits": Column("KiB", "KiB", "bits of all blocks", KIB),
    "payload_bits": Column("used KiB", "KiB", "bits of these that the Program uses", KIB),
    "empty": Column("empty", "", "the share that it does not use", SHARE),
}


def columns(names: Iterable[str], *row: Any) -> dict[str, Any]:
    """Return the columns of a row by name, each from the first of its records that has it.

    >>> columns(["macs", "sparsity"], Counts(macs=6, dense_weights=4, weights=1))
    {'macs': 6, 'sparsity': 0.75}
    """
    return {name: getattr(next(record for record in row if hasattr(record, name)), name) for name in names}


def fixed(value: float, digits: int) -> str:
    """Return a number with so many decimals, halves rounded up.

    >>> fixed(6.25, 1), fixed(0.125, 2)
    ('6.3', '0.13')
    """
    return str(Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))
