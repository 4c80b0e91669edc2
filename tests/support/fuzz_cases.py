"""What fuzzers of every format share: one damaged input with what reads it, and ways to damage bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Rng = np.random.Generator
Damage = Callable[[bytes, Rng], bytes]
NASTY = (
    *(b"NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"-inf", b"1e400", b"1e-400", b"-1", b"null", b"true", b'""'),
    *(b"[" * 20_000, b"{" * 20_000, b'{"a":' * 20_000, b"a." * 3000 + b"a", b"[[" * 5000, b"9" * 5000),
    *(b"1" + b"0" * 400, b"9223372036854775808", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b'"\\ud800"', b"\r", b"\x1b[31m"),
    *(b"1979-05-27T07:32:00Z", b"0x10", b"1_000", b'"""', b"'''", b"[[", b"]]", b"=", b"\\u0000", b"\\", b"#", b"{}"),
)


@dataclass(frozen=True)
class Case:
    """One damaged input.

    Parameters
    ----------
    format : str
        Of which file.
    run : function of Path
        Writes the input into an empty folder and has it read. It returns if what was read is what had been written, or
        is sound whatever it is; raises EspalierError if the input was refused; and AssertionError if a changed result
        was believed.
    """

    format: str
    run: Callable[[Path], None]


def cut(data: bytes, rng: Rng) -> bytes:
    """Leave the end away, or the beginning."""
    at = int(rng.integers(0, len(data) + 1))
    return data[:at] if rng.random() < 0.8 else data[at:]


def flipped(data: bytes, rng: Rng) -> bytes:
    """Turn one to eight bits around."""
    found = bytearray(data)
    for index in rng.integers(0, len(data), rng.integers(1, 9)):
        found[index] ^= 1 << int(rng.integers(8))
    return bytes(found)


def digits(data: bytes, rng: Rng) -> bytes:
    """Put another digit in the place of one, which any parser takes."""
    places = [index for index, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return cut(data, rng)
    at = places[rng.integers(len(places))]
    return data[:at] + bytes([48 + (data[at] - 48 + int(rng.integers(1, 10))) % 10]) + data[at + 1 :]


def grown(data: bytes, rng: Rng) -> bytes:
    """Put something in between: nasty words, random bytes, or a piece of the file again."""
    at, start = rng.integers(0, len(data) + 1, 2).tolist()
    pieces = NASTY[rng.integers(len(NASTY))], rng.bytes(20), data[start : start + 200]
    return data[:at] + pieces[rng.integers(3)] + data[at:]


def replaced(data: bytes, rng: Rng) -> bytes:
    """Put a nasty word in the place of a value: what stands between a separator and the next."""
    marks = [index for index, byte in enumerate(data) if byte in b":,=[] \n"]
    if len(marks) < 2:
        return grown(data, rng)
    which = int(rng.integers(len(marks) - 1))
    return data[: marks[which] + 1] + NASTY[rng.integers(len(NASTY))] + data[marks[which + 1] :]


def shuffled(data: bytes, rng: Rng) -> bytes:
    """Take a line away, or put one in another place, or twice."""
    lines = data.splitlines(keepends=True)
    a, b = rng.integers(0, len(lines), 2).tolist()
    line = lines[a]
    if rng.random() < 0.7:
        del lines[a]
    if rng.random() < 0.5:
        lines.insert(b, line)
    return b"".join(lines)


BINARY: tuple[Damage, ...] = (cut, flipped, grown)
TEXT: tuple[Damage, ...] = (cut, flipped, digits, digits, grown, replaced, replaced, shuffled)


def damaged(data: bytes, rng: Rng, ways: tuple[Damage, ...] = TEXT) -> bytes:
    """Return `data`, damaged once or, one time in four, twice."""
    for _ in range(1 if rng.random() < 0.75 else 2):
        data = ways[rng.integers(len(ways))](data or b"\n", rng)
    return data
