"""Words that mean more than one number: of the command line, and of a call from Python."""

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

from accel.array import MacArray
from accel.demand import array_for
from accel.errors import EspalierError
from accel.interchange.data.datasets import check_choice
from accel.program import Program
from accel.program_layers import WORD_BITS

_UNITS = {"b": 1, "B": 8, "KiB": 8 * 1024, "MiB": 8 * 1024**2}
_TENS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}


def parse_bits(text: str, option: str = "--bits") -> tuple[int, ...]:
    """Return the word lengths that `text` names, ascending, which the `option` was given.

    >>> parse_bits("3..8"), parse_bits("8,4")
    ((3, 4, 5, 6, 7, 8), (4, 8))
    """
    widths: set[int] = set()
    if match := re.fullmatch(r"([0-9]{1,3})\.\.([0-9]{1,3})", text):
        widths = {*range(int(match[1]), int(match[2]) + 1)}
    elif re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3})*", text):
        widths = {*map(int, text.split(","))}
    if not widths or not 2 <= min(widths) <= max(widths) <= WORD_BITS:
        allowed = f"within 2..{WORD_BITS}"
        raise EspalierError(f"{option} {text}: expected a range {allowed}, such as 3..8, or a list, such as 3,4,8")
    return tuple(sorted(widths))


def parse_numbers(text: str | None, option: str) -> tuple[float, ...]:
    """Return numbers with commas between them; none where nothing is given.

    >>> parse_numbers("0.5, 2,-1e-3", "--mean")
    (0.5, 2.0, -0.001)

    Raises
    ------
    EspalierError
        A part is no number.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise EspalierError(
            f"{option} {text}: expected numbers with commas between them, such as 0.5,0.4,0.3"
        ) from error


def parse_patterns(text: str) -> list[str]:
    """Return the labels that `text` names.

    >>> parse_patterns("dense, 2:4")
    ['dense', '2:4']
    """
    labels = [label.strip() for label in text.split(",")]
    if "" in labels:
        raise EspalierError(f"--patterns {text}: expected names with commas between them, such as dense,kernel")
    return labels


def parse_memory(text: str, option: str = "--sram") -> int:
    """Return the bits that `text` names, which the `option` was given.

    >>> parse_memory("64KiB"), parse_memory("512b")
    (524288, 512)
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(b|B|KiB|MiB)", text)
    if not match:
        raise EspalierError(f"{option} {text}: expected a size such as 64KiB, 1.5MiB, 4096B or 32768b")
    return int(float(match[1]) * _UNITS[match[2]])


def parse_memories(text: str, option: str = "--sram") -> tuple[int, ...]:
    """Return the bits that `text` names: one size, or those of a range, a power of two and half more in turn.

    >>> [bits // 8192 for bits in parse_memories("64KiB..256KiB")], parse_memories("512b")
    ([64, 96, 128, 192, 256], (512,))

    Raises
    ------
    EspalierError
        An end is no size, or the range does not ascend.
    """
    low, range_, high = text.partition("..")
    if not range_:
        return (parse_memory(text, option),)
    try:
        first, last = parse_memory(low, option), parse_memory(high, option)
    except EspalierError as error:
        raise EspalierError(f"{option} {text}: expected a range of sizes such as 64KiB..4MiB") from error
    if not 0 < first < last:
        raise EspalierError(f"{option} {text}: must ascend, such as 64KiB..4MiB")
    sizes = {size for power in range(last.bit_length()) for size in (first << power, first * 3 << power >> 1)}
    return (*sorted(size for size in sizes if size < last), last)


def parse_frequency(text: str) -> float:
    """Return the hertz that `text` names.

    >>> parse_frequency("100MHz")
    100000000.0
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(Hz|kHz|MHz|GHz)", text)
    if not match or not float(match[1]):
        raise EspalierError(f"--clock {text}: expected a frequency above 0 such as 100MHz or 1.2GHz")
    return float(match[1]) * _TENS[match[2][:-2]]


def parse_bandwidth(text: str) -> float:
    """Return the bytes a second that `text` names.

    >>> parse_bandwidth("800MB/s"), parse_bandwidth("1KiB/s")
    (800000000.0, 1024.0)
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(k|M|G|Ki|Mi|Gi)?B/s", text)
    if not match or not float(match[1]):
        raise EspalierError(f"--dram-bandwidth {text}: expected a bandwidth above 0 such as 800MB/s or 1.5GiB/s")
    return float(match[1]) * _TENS[match[2] or ""]


def parse_energy(text: str, option: str = "--max-energy") -> float:
    """Return the picojoules that `text` names, which the `option` was given.

    >>> parse_energy("500nJ"), parse_energy("1.5 uJ"), parse_energy("2mJ")
    (500000.0, 1500000.0, 2000000000.0)
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(pJ|nJ|uJ|mJ)", text)
    if not match or not float(match[1]):
        raise EspalierError(f"{option} {text}: expected an energy of one image above 0, such as 500nJ, 1.5uJ or 2mJ")
    return float(match[1]) * {"p": 1.0, "n": 1e3, "u": 1e6, "m": 1e9}[match[2][0]]


def parse_band(text: str, option: str = "--band") -> float:
    """Return the share that `text` names, 0.05 for 5%.

    >>> parse_band("5%"), parse_band("0.05")
    (0.05, 0.05)
    """
    match = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*(%?)", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < share <= 1 or (share == 1 and match and not match[2]):
        raise EspalierError(f"{option} {text}: expected how far from the best by the goal, such as 5%, 100% at most")
    return share


def parse_mode(modes: type[IntEnum], name: str) -> Any:
    """Return the rounding or overflow of that name.

    >>> from accel.fixedpoint import Rounding
    >>> parse_mode(Rounding, "RND_CONV")
    <Rounding.RND_CONV: 4>
    """
    check_choice(modes.__name__.lower(), name, [*modes.__members__])
    return modes[name]


def parse_lanes(text: str, option: str = "--array") -> tuple[int, int]:
    """Return (output lanes, pixel lanes), which the `option` was given.

    >>> parse_lanes("8x4")
    (8, 4)
    """
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text)
    if not match:
        raise EspalierError(f"{option} {text}: expected output lanes x pixel lanes, such as 8x8")
    return int(match[1]), int(match[2])


def parse_order(text: str, option: str = "--lanes") -> tuple[int, bool]:
    """Return the output lanes that output maps are ordered for, and whether pixel lanes, several of them, share sums.

    >>> parse_order("8"), parse_order("8x4"), parse_order("8x1")
    ((8, True), (8, True), (8, False))
    """
    if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})?", text):
        raise EspalierError(
            f"{option} {text}: expected output lanes, such as 8, or output lanes x pixel lanes, such as 8x4"
        )
    outputs, _, pixels = text.partition("x")
    return int(outputs), pixels != "1"


def parse_features(text: str | None) -> dict[str, bool]:
    """Return False for each feature of an array that `text` names; nothing for None.

    >>> parse_features("split,pool")
    {'split': False, 'pool': False}
    """
    names = [name.strip() for name in text.split(",")] if text is not None else []
    for name in names:
        if name not in MacArray().features:
            raise EspalierError(f"--without {name}: expected some of {','.join(MacArray().features)}")
    return dict.fromkeys(names, False)


def parse_array(text: str, programs: Program | Sequence[Program], depths: Mapping[str, int] | None = None) -> MacArray:
    """Return the array `text` (output lanes x pixel lanes) for Programs, with the `depths` that were asked for.

    Features among them are left out.

    Raises
    ------
    EspalierError
        `text` is not of that form, the array cannot be, or a depth is too small; the line says which.
    """
    asked = dict(depths or {})
    features = {name: bool(asked.pop(name)) for name in MacArray().features if name in asked}
    return array_for(programs, *parse_lanes(text), asked, **features)


def one_each(given: Sequence[str], count: int, option: str = "--data", what: str = "Programs") -> list[str | None]:
    """Return what an option that is given once for all, or once for each, says of each; None where it is not given.

    >>> one_each([], 2), one_each(["mnist"], 2), one_each(["mnist", "digits"], 2)
    ([None, None], ['mnist', 'mnist'], ['mnist', 'digits'])
    """
    if len(given) not in (0, 1, count):
        raise EspalierError(
            f"{option}: is given {len(given)} times for {count} {what}; give it once for all of them, or once for each "
            "in their order"
        )
    if not given:
        return [None] * count
    return [*given] if len(given) == count else [given[0]] * count


def parse_arrays(text: str) -> tuple[tuple[int, int], ...]:
    """Return the arrays that `text` lists, each as (output lanes, pixel lanes); pixel lanes are powers of two.

    >>> parse_arrays("4x4,8x2"), parse_arrays("1..3x2..4")
    (((4, 4), (8, 2)), ((1, 2), (1, 4), (2, 2), (2, 4), (3, 2), (3, 4)))
    """
    found = dict[tuple[int, int], None]()
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,4})(?:\.\.(\d{1,4}))?x(\d{1,4})(?:\.\.(\d{1,4}))?", part.strip())
        if not match or not (match[2] or match[4]):
            found[parse_lanes(part.strip(), "--arrays")] = None
            continue
        first, last = int(match[1]), int(match[2] or match[1])
        low, high = int(match[3]), int(match[4] or match[3])
        pixels = [1 << power for power in range(14) if low <= 1 << power <= high] if match[4] else [low]
        found |= dict.fromkeys((outputs, one) for outputs in range(first, last + 1) for one in pixels)
    if not found:
        raise EspalierError(
            f"--arrays {text}: expected output lanes x pixel lanes such as 4x4,8x8, or ranges: 1..16x1..8"
        )
    return tuple(found)


def parse_shares(text: str | None) -> tuple[float, ...]:
    """Return the pruning ratios that `text` lists, none for None.

    >>> parse_shares("0.5,0.75")
    (0.5, 0.75)
    """
    if text is None:
        return ()
    shares = []
    for part in text.split(","):
        if not re.fullmatch(r"0?\.[0-9]{1,9}", part.strip()) or not float(part):
            raise EspalierError(f"--ratios {text}: expected numbers between 0 and 1 with commas, such as 0.5,0.7,0.9")
        shares.append(float(part))
    return tuple(dict.fromkeys(shares))
