"""The register map: the one place that says what a system finds where.

Hardware (`rtl.bus.bank`), SystemRDL, a table, a C header (`rtl.bus.describe`) and the tests' model are made of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

IDENTITY = 0x45535031  # "ESP1": the layout of this map
ADDRESS_BITS = 12  # of a byte in the space of the registers
MAP_BITS = 32  # of a register that is no data


class Access(Enum):
    """What a field does when it is read or written, by its name in SystemRDL."""

    READ = "the hardware's"
    WRITE = "kept as it was written"
    COUNT = "kept as it was written, and counted up by the hardware"
    PULSE = "a one that is written does it once; reads as 0"
    CLEAR = "set by the hardware, cleared by a one that is written"
    DATA = "each write is taken; reads as 0"
    TAKE = "each read takes it away"


@dataclass(frozen=True, kw_only=True)
class Field:
    """Bits of a register.

    Attributes
    ----------
    name : str
    lowest, bits : int
        Where it lies, and how many there are; `bits` 0: all of the bus.
    access : Access
    text : str
        What it means, for a reader of the table.
    reset : int
        What it is after a reset.
    """

    name: str
    access: Access
    text: str
    lowest: int = 0
    bits: int = 1
    reset: int = 0


@dataclass(frozen=True)
class Register:
    """A word of the bus; `fields` do not overlap."""

    name: str
    text: str
    fields: tuple[Field, ...]

    def port(self, field: Field) -> str:
        """Return what the bank's port of a field is called."""
        return f"{self.name}_{field.name}".lower()


def _whole(access: Access, text: str, bits: int = MAP_BITS, reset: int = 0) -> tuple[Field, ...]:
    return (Field(name="VALUE", access=access, text=text, bits=bits, reset=reset),)


READ, WRITE, COUNT, PULSE, CLEAR, DATA, TAKE = Access
EVENTS = {
    "RESULT": "The first result of an image waits.",
    "DONE": "The last result of an image has been taken.",
    "ERROR": "One of the errors of `STATUS` has come.",
}
ERRORS = {
    "EARLY": "An image's TLAST came before its last beat: the image was left out.",
    "LATE": "An image's last beat had no TLAST: the image was left out, and all beats up to the TLAST that came.",
    "REFUSED": "A word was loaded while an image ran, or more than its memory's word takes, or an image without a "
    "place, or a result was read that was not there. The bus says so too.",
}
WORD = "The next bits of the word that is loaded, lowest first"
REGISTERS = (
    Register("ID", "Which map this is", _whole(READ, "`ESP1` in ASCII.", reset=IDENTITY)),
    Register(
        "CONTROL",
        "What to do",
        (
            Field(name="START", access=PULSE, text="Run an image, as soon as one has come and the array is idle."),
            Field(
                name="RESET",
                access=PULSE,
                lowest=1,
                text="Stop, and forget images and results; memories stay as they are.",
            ),
            Field(name="AUTO", access=WRITE, lowest=2, text="Run every image that comes, without `START`."),
            Field(
                name="TAKE",
                access=WRITE,
                lowest=3,
                text="Results are read from `RESULT`, and none leaves through the stream.",
            ),
        ),
    ),
    Register(
        "STATUS",
        "What is",
        (
            Field(name="BUSY", access=READ, text="An image runs."),
            Field(name="ARMED", access=READ, lowest=1, text="`START` waits for an image, or for the array."),
            Field(name="RESULT", access=READ, lowest=2, text="A result waits to be read from `RESULT`."),
            Field(name="ROOM", access=READ, lowest=3, text="There is a place for an image that comes."),
            Field(name="WAITING", access=READ, lowest=4, bits=2, text="Images that have come and have not begun."),
            *(Field(name=name, access=CLEAR, lowest=8 + i, text=text) for i, (name, text) in enumerate(ERRORS.items())),
        ),
    ),
    Register(
        "INTERRUPT_ENABLE",
        "Which events raise `irq`",
        tuple(Field(name=name, access=WRITE, lowest=i, text=f"That of {name}.") for i, name in enumerate(EVENTS)),
    ),
    Register(
        "INTERRUPT_STATUS",
        "Events that have come",
        tuple(Field(name=name, access=CLEAR, lowest=i, text=text) for i, (name, text) in enumerate(EVENTS.items())),
    ),
    Register("CYCLES", "Of the last image that has ended", _whole(READ, "From its start to its last row.")),
    Register("STALLS", "Of the last image that has ended", _whole(READ, "Of these, those in which a row waited.")),
    Register("IMAGES", "Since a reset", _whole(READ, "Images whose last result has been taken.")),
    Register("IMAGE_BEATS", "The length of an image", _whole(WRITE, "Beats of the stream, or words of signals.", 24)),
    Register("PLACE0", "Where images begin", _whole(WRITE, "The word of signals of the first image, third, ...", 24)),
    Register("PLACE1", "Where images begin", _whole(WRITE, "That of the second one, fourth, ..., of two places.", 24)),
    Register(
        "LOAD_ADDRESS",
        "Where the next word is loaded",
        (
            Field(name="WORD", access=COUNT, bits=24, text="Counts up with each word; of an image without meaning."),
            Field(name="TARGET", access=WRITE, lowest=24, bits=3, text="The memory; 0 is the image that comes next."),
        ),
    ),
    Register("LOAD_DATA", "Data", _whole(DATA, f"{WORD}.", 0)),
    Register("LOAD_COMMIT", "Data", _whole(DATA, f"{WORD}: the last ones, with which it goes to its memory.", 0)),
    Register("RESULT", "Data", _whole(TAKE, "The next result, with its sign, where `TAKE` is set.", 0)),
)


def fields() -> Iterator[tuple[int, Register, Field]]:
    """Yield each field with its register and that register's place in the map."""
    for place, register in enumerate(REGISTERS):
        for field in register.fields:
            yield place, register, field
