"""What every way to store a pruned layer takes: weight words and index together, and from which density on it pays.

A layer has M outputs, C input maps and T taps; K = C x T, N = M x K. With n weights kept, w bits a weight ::

    encoding            words   index bits
    dense               N       0
    bitmap              n       N
    csr                 n       M e + n ceil(log2 K)              e = ceil(log2(N + 1)), where a row's list ends
    csc                 n       K e + n ceil(log2 M)
    zero runs           n       M e + r (n + f)                   f: see below
    run-length          n + p   K e + 4 (n + p)                   p: see below
    kernel flags        n       G C                               G groups of g outputs, the last may have fewer
    kernel lists        n       G ceil(log2(G C + 1)) + u ceil(log2 C)     u (group, map) kept: n / (g T) of full groups
    stride-offset       n       2 C ceil(log2(T + 1))
    block flags         n'      R B                               R x B blocks of b x b; n' = b^2 a block, edges filled
    bsr                 n'      R ceil(log2(R B + 1)) + n' / b^2 ceil(log2 B)
    n:m positions       n       n ceil(log2 m)

and what is kept by kernel and by stride takes both indices. `accel.encoding` makes the words of those that a Program
can hold; their number equals this table. Run-length is EIE's (Han et al., ISCA 2016, section III.A): columns one after
another, with each weight the number of zeros before it in its column, 0..15; a longer run takes a padding zero for
each 16, p in all. Zero runs are what a Program can hold of it: rows one after another, and for each 2^r - 1 zeros of a
longer run a word of r bits alone, f in all, which has no weight; r is what makes them the fewest bits.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from accel.encoding import bits_for, encodings
from accel.errors import EspalierError
from accel.kernel_patterns import Kernel, KernelStrided, Strided
from accel.pattern import Encoding, keeps_everything, kept_weights
from accel.program_layers import MacLayer
from accel.sparsity import Block, Dense, FeatureMap, Irregular, Mask, NOfM, Pattern, parse_pattern

Shape = tuple[int, int, int]
RUN_BITS = 4  # of EIE's runs
_FLAGS_AT_ONCE = 1 << 20  # of a mask, whose places take 16 times as much memory
DENSE = "dense"
SCALAR = ("bitmap", "csr", "csc")  # of single weights: they store any mask


@dataclass(frozen=True, kw_only=True)
class Storage:
    """One way to store a layer.

    Parameters
    ----------
    name : str
    words : int
        Weight words, filling and padding zeros included.
    index_bits : int
    stored : bool
        Whether a Program can hold it.
    """

    name: str
    words: int
    index_bits: int
    stored: bool

    def bits(self, weight_bits: int) -> int:
        """Return the bits of words and index."""
        return self.words * weight_bits + self.index_bits


@dataclass(frozen=True)
class Form:
    """An encoding whose index takes ``fixed_bits + units * unit_bits``, `unit_weights` kept weights to a unit."""

    name: str
    fixed_bits: int
    unit_bits: int = 0
    unit_weights: int = 1

    def index_bits(self, words: int) -> int:
        """Return the index bits beside `words` stored weights."""
        return self.fixed_bits + words // self.unit_weights * self.unit_bits

    def break_even(self, words: int, weight_bits: int) -> float:
        """Return the density below which this takes less than `words` dense words, 0..1.

        From fixed + d N (w + u) = N w with u index bits for each kept weight.
        """
        each = weight_bits + self.unit_bits / self.unit_weights
        return min(1.0, max(0.0, (words * weight_bits - self.fixed_bits) / (words * each)))

    def share(self, words: int, weight_bits: int, density: float) -> float:
        """Return the bits at a density as a share of the dense ones."""
        kept = density * words
        index = self.fixed_bits + kept * self.unit_bits / self.unit_weights
        return (index + kept * weight_bits) / (words * weight_bits)


def forms(pattern: Pattern, shape: Shape) -> tuple[Form, ...]:
    """Return the encodings of masks of `pattern` (outputs, maps, taps) that have a closed form in what is kept.

    The pattern's own are those of `accel.encoding.encodings`, in its order; those of single weights follow, which store
    any mask.
    """
    outputs, maps, taps = shape
    columns, weights = maps * taps, math.prod(shape)
    ends = bits_for(weights)
    scalar = (
        Form("bitmap", weights),
        Form("csr", outputs * ends, bits_for(columns - 1)),
        Form("csc", columns * ends, bits_for(outputs - 1)),
    )
    return (*_own_forms(pattern, shape), *scalar)


def _own_forms(pattern: Pattern, shape: Shape) -> Iterator[Form]:
    outputs, maps, taps = shape
    match pattern:
        case FeatureMap():
            yield from _own_forms(Kernel(), shape)
        case Kernel():
            units = pattern.rows(outputs).size * maps
            yield Form("kernel flags", units)
            lists = units // maps * bits_for(units)
            yield Form("kernel lists", lists, bits_for(maps - 1), taps * pattern.group)
        case Strided():
            yield Form("stride-offset", 2 * maps * bits_for(taps))
        case KernelStrided():
            for kernels in _own_forms(pattern.kernel, shape):
                fixed = kernels.fixed_bits + 2 * maps * bits_for(taps)
                # how many weights a kernel keeps differs from map to map: see `storages`
                yield Form(f"{kernels.name}+stride-offset", fixed, kernels.unit_bits, kernels.unit_weights)
        case Block():
            rows, columns = pattern.grid(shape)
            yield Form("block flags", rows * columns)
            yield Form("bsr", rows * bits_for(rows * columns), bits_for(columns - 1), pattern.size**2)
        case NOfM():
            yield Form("n:m positions", 0, bits_for(pattern.m - 1))


def storages(pattern: Pattern, kept: Mask, run_bits: int = RUN_BITS) -> tuple[Storage, ...]:
    """Return every sensible way to store a legal mask (M, C, T): dense, the pattern's own, those of single weights."""
    weights, held = kept_weights(kept), {encoding.name for encoding in encodings(pattern)}
    found = [Storage(name=DENSE, words=kept.size, index_bits=0, stored=isinstance(pattern, Dense))]
    for form in forms(pattern, kept.shape):
        words, units = _units(form, pattern, kept, weights)
        index_bits, stored = form.index_bits(units), form.name in held
        found.append(Storage(name=form.name, words=words, index_bits=index_bits, stored=stored))
    formed = {way.name for way in found}
    for other in _without_form(pattern, formed):  # of a pattern that another package brings
        words, index_bits = pattern.nest(kept).stored_words, other.index_bits(kept)
        found.append(Storage(name=other.name, words=words, index_bits=index_bits, stored=True))
    return (*found, run_length(kept, run_bits))


def stored_index_bits(pattern: Pattern, kept: Mask) -> dict[str, int]:
    """Return the index bits of every encoding that a Program can hold: `accel.encoding.index_bits` in closed form."""
    if isinstance(pattern, Dense):
        return {"none": 0}
    held = {encoding.name for encoding in encodings(pattern)}
    weights = kept_weights(kept)
    found = {}
    for form in forms(pattern, kept.shape):
        if form.name in held:
            _, units = _units(form, pattern, kept, weights)
            found[form.name] = form.index_bits(units)
    return found | {other.name: other.index_bits(kept) for other in _without_form(pattern, found)}


def _without_form(pattern: Pattern, known: Collection[str]) -> list[Encoding]:
    """Return the encodings of a pattern for which there is no `Form`: they count their bits themselves."""
    return [other for other in encodings(pattern) if other.name not in (*known, "none")]


def _units(form: Form, pattern: Pattern, kept: Mask, weights: int) -> tuple[int, int]:
    """Return the words that a form stores of a mask, and those that its index counts."""
    if form.name in SCALAR:
        return weights, weights
    if isinstance(pattern, Block):
        words = int(np.count_nonzero(pattern.flags(kept))) * pattern.size**2
        return words, words
    if isinstance(pattern, Kernel | KernelStrided):
        kernel = pattern.kernel if isinstance(pattern, KernelStrided) else pattern
        return weights, int(np.count_nonzero(kernel.flags(kept))) * kernel.group * kept.shape[2]
    return weights, weights


def run_length(kept: Mask, run_bits: int = RUN_BITS) -> Storage:
    """Return what EIE's run-length encoding of a mask (M, C, T) takes, padding zeros included."""
    if run_bits < 1:
        raise EspalierError(f"run_bits must be at least 1, got {run_bits}")
    matrix, few = kept.reshape(len(kept), -1), max(1, _FLAGS_AT_ONCE // len(kept))
    words = kept.size
    if not keeps_everything(kept):
        words = sum(_run_words(matrix[:, first : first + few], run_bits) for first in range(0, matrix.shape[1], few))
    name = "run-length" if run_bits == RUN_BITS else f"run-length {run_bits}"
    index_bits = matrix.shape[1] * bits_for(matrix.size) + words * run_bits
    return Storage(name=name, words=words, index_bits=index_bits, stored=False)


def _run_words(matrix: Mask, run_bits: int) -> int:
    """Return the words of run-length encoding for columns (M, K) of a lowered matrix."""
    columns, rows = np.nonzero(matrix.T)
    first = np.ones(rows.size, bool)
    first[1:] = columns[1:] != columns[:-1]
    before = np.empty_like(rows)
    before[:1], before[1:] = -1, rows[:-1]
    zeros = rows - np.where(first, -1, before) - 1
    return rows.size + int((zeros >> run_bits).sum())


def layer_storages(layer: MacLayer) -> tuple[Storage, ...]:
    """Return every sensible way to store a layer of a Program."""
    return storages(parse_pattern(layer.pattern), layer.kept)


def run_length_share(shape: Shape, weight_bits: int, density: float, run_bits: int = RUN_BITS) -> float:
    """Return the bits that run-length is expected to take for a random mask, as a share of the dense ones.

    Where each weight is kept with probability d, the zeros before one are geometric: floor(zeros / 16) is on average
    q / (1 - q) with q = (1 - d)**16, hence n / (1 - q) words. Columns are taken to be long.
    """
    _, maps, taps = shape
    weights = math.prod(shape)
    fixed = maps * taps * bits_for(weights)
    missing = 1 - (1 - density) ** (1 << run_bits)
    words = density * weights / missing if missing else weights / (1 << run_bits)
    return (fixed + words * (weight_bits + run_bits)) / (weights * weight_bits)


def break_even(pattern: Pattern, shape: Shape, weight_bits: int) -> dict[str, float]:
    """Return for each encoding the density below which it takes fewer bits than dense storage, 0..1.

    Closed forms (`Form.break_even`); of run-length, the density at which the share of a random mask is 1, by bisection.
    0: it never pays.
    """
    weights = math.prod(shape)
    found = {form.name: form.break_even(weights, weight_bits) for form in forms(pattern, shape)}
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if run_length_share(shape, weight_bits, middle) < 1 else (low, middle)
    return {**found, "run-length": low}


def break_even_table(
    patterns: Sequence[str], shape: Shape, widths: Sequence[int]
) -> dict[str, dict[str, dict[int, float]]]:
    """Return break-even densities by pattern, encoding and bits of a weight: what a table or figure shows."""
    table: dict[str, dict[str, dict[int, float]]] = {}
    for text in patterns:
        by_width = {bits: break_even(parse_pattern(text), shape, bits) for bits in widths}
        names = next(iter(by_width.values()), {})
        table[text] = {name: {bits: by_width[bits][name] for bits in widths} for name in names}
    return table


def shares(pattern: Pattern, shape: Shape, weight_bits: int, densities: Sequence[float]) -> dict[str, list[float]]:
    """Return for each encoding its bits at each density as a share of the dense ones: the lines of a figure."""
    weights = math.prod(shape)
    lines = {form.name: [form.share(weights, weight_bits, d) for d in densities] for form in forms(pattern, shape)}
    return {**lines, "run-length": [run_length_share(shape, weight_bits, d) for d in densities]}


def bound_bits(pattern: Pattern, shape: Shape, kept_weights: int) -> float:
    """Return log2 of the number of masks that keep as much: no index whose length follows from that takes fewer bits.

    All encodings but runs have such a length, so that each is a code of that many words of one length. Of masks
    that are pruned by kernel and by stride those are counted that keep all taps: a weaker bound. `kept_weights` are
    those of the stored words (`Storage.words`), a block's filling included.
    """
    outputs, maps, taps = shape
    match pattern:
        case Dense():
            return 0.0
        case Kernel():
            return _log2_kernels(pattern, outputs, maps, kept_weights // taps)
        case FeatureMap():
            return _log2_choices(outputs, kept_weights // (maps * taps))
        case KernelStrided():
            return 0.0 if kept_weights % taps else _log2_kernels(pattern.kernel, outputs, maps, kept_weights // taps)
        case Strided():
            return _log2_strided(pattern, shape, kept_weights // outputs)
        case Block():
            return _log2_choices(math.prod(pattern.grid(shape)), kept_weights // pattern.size**2)
        case NOfM():
            runs = [min(pattern.m, maps * taps - first) for first in range(0, maps * taps, pattern.m)]
            return outputs * sum(_log2_choices(run, min(pattern.n, run)) for run in runs)
        case Irregular():
            return _log2_choices(math.prod(shape), kept_weights)
    return 0.0  # of a pattern that another package brings, nothing is known


def _log2_choices(units: int, kept: int) -> float:
    return math.log2(math.comb(units, kept))


def _log2_kernels(pattern: Kernel, outputs: int, maps: int, kept: int) -> float:
    """Count the masks that keep as many kernels, in as many units of full groups and of a last one that is not full.

    An index may tell apart the numbers of both, so that of all that give `kept` kernels the fewest masks are counted.
    """
    full, rest = divmod(outputs, pattern.group)
    last = range(min(maps, kept // rest) + 1 if rest else 1)  # units of a last group that is not full
    counts = [(units, kept - units * rest) for units in last]
    ways = [
        _log2_choices(full * maps, kernels // pattern.group) + _log2_choices(maps if rest else 0, units)
        for units, kernels in counts
        if kernels % pattern.group == 0 and kernels // pattern.group <= full * maps
    ]
    return min(ways, default=0.0)


def _log2_strided(pattern: Strided, shape: Shape, kept_taps: int) -> float:
    """Count the ways in which C maps keep `kept_taps` taps between them: a coefficient of the C-th power."""
    _, maps, taps = shape
    sets = {pattern.taps(stride, offset, taps).tobytes() for stride, offset in pattern.choices(taps)}
    sizes = [0] * (taps + 1)
    for chosen in sets:
        sizes[sum(chosen)] += 1
    ways = [1]
    for _ in range(maps):
        grown = [0] * (len(ways) + taps)
        for already, count in enumerate(ways):
            for more, choices in enumerate(sizes):
                grown[already + more] += count * choices
        ways = grown
    return math.log2(ways[kept_taps])
