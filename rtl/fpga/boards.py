"""Boards with an ECP5: a constraint file for nextpnr says where their pins are, how fast their clock is, which FPGA.

The part number of the FPGA stands in a comment, because constraints have no place for it.
"""

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from accel.errors import EspalierError
from accel.records import text_of
from rtl.fpga.uart_top import PINS

SUFFIX = ".lpf"
PACKAGES = {"BG": "CABGA", "MG": "CSFBGA", "TG": "TQFP"}
PART = re.compile(r"^#.*\bLFE5(U|UM|UM5G)-(12|25|45|85)F-([6-8])(BG|MG|TG)(\d+)", re.MULTILINE)
EXAMPLE = "LFE5U-85F-6BG381"
FAMILY = {"U": "", "UM": "um-", "UM5G": "um5g-"}  # as nextpnr's options call it
_SITE = re.compile(r'^\s*LOCATE\s+COMP\s+"(\w+)"\s+SITE\s+"(\w+)"\s*;', re.MULTILINE | re.IGNORECASE)
_CLOCK = re.compile(r'^\s*FREQUENCY\s+PORT\s+"clk"\s+(\d+(?:\.\d+)?)\s*MHZ\s*;', re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board.

    Parameters
    ----------
    name : str
    constraints : str
        Its file, as nextpnr reads it.
    part : str
        The FPGA's part number.
    device : tuple of str
        That FPGA in nextpnr's options.
    clock_hertz : float
    """

    name: str
    constraints: str
    part: str
    device: tuple[str, ...]
    clock_hertz: float


def names() -> list[str]:
    """Return the boards that come along."""
    files = resources.files("rtl.fpga").iterdir()
    return sorted(file.name.removesuffix(SUFFIX) for file in files if file.name.endswith(SUFFIX))


def board_of(name: str) -> Board:
    """Return the board of that name, or of a constraint file.

    Raises
    ------
    EspalierError
        It is none, the file cannot be read, or lacks something.
    """
    if name in names():
        return parse(name, (resources.files("rtl.fpga") / f"{name}{SUFFIX}").read_text())
    if not name.endswith(SUFFIX):
        raise EspalierError(f"--board {name}: expected {', '.join(names())} or a constraint file, NAME{SUFFIX}")
    try:
        return parse(name, text_of(name))
    except OSError as error:
        raise EspalierError(f"cannot read {name}: {error.strerror or error}") from error


def parse(name: str, text: str) -> Board:
    """Return the board of a constraint file's text.

    Raises
    ------
    EspalierError
        It names no FPGA, has no frequency of the clock, or no site for a port.
    """
    part, clock, sites = PART.search(text), _CLOCK.search(text), dict(_SITE.findall(text))
    if part is None:
        raise EspalierError(f"{name}: names no FPGA: expected a comment with its part number, # {EXAMPLE}")
    if clock is None or not float(clock[1]):
        raise EspalierError(f'{name}: has no clock: expected FREQUENCY PORT "clk" 25 MHZ;')
    if lacks := [pin for pin in PINS if pin not in sites]:
        raise EspalierError(f'{name}: has no site for {lacks[0]}: expected LOCATE COMP "{lacks[0]}" SITE "...";')
    family, size, speed, package, balls = part.groups()
    device = (f"--{FAMILY[family]}{size}k", "--package", f"{PACKAGES[package]}{balls}", "--speed", speed)
    return Board(
        name=Path(name).stem,
        constraints=text,
        part=f"LFE5{family}-{size}F-{speed}{package}{balls}",
        device=device,
        clock_hertz=float(clock[1]) * 1e6,
    )
