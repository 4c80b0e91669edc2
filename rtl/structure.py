"""What the hardware of an array is made of before any tool has seen it: bits of registers, sums, choices, by kind.

Counted in the netlist that Amaranth writes (RTLIL), which takes seconds. A register that holds its word unless it is
enabled, or is reset, needs no choice for that: flip-flops have both.
"""

import re
from collections import Counter
from collections.abc import Iterator

from amaranth.back import rtlil

from accel.array import MacArray
from accel.signal import integer_format
from rtl.core.accelerator import Accelerator

REGISTERS, SUMS, CHOICES, TURNS, COMPARISONS, PRODUCTS, GATES = KINDS = (
    "registers", "sums", "choices", "turns", "comparisons", "products", "gates",
)  # fmt: skip
_TURNING = "top.core.activations"  # the module whose choices are rotations, counted apart
_CELL = re.compile(r"^  cell \$(\S+) \S+\n((?:    .*\n)*)", re.MULTILINE)
_BY = re.compile(r"connect \\[BS] (.*)")  # by what is shifted or chosen, of which constants take nothing
_CONSTANT = re.compile(r"(\d+)'")
_WIDTH = re.compile(r"parameter \\(\w*WIDTH) (\d+)")
_PROCESS = re.compile(r"^  process \S+\n((?:    .*\n)*)", re.MULTILINE)
_ASSIGN = re.compile(r"^( +)assign (\S+) \[(\d+)(?::(\d+))?\] (.*)$")
_HELD = re.compile(r"connect \\D (\S+) .*\n    connect \\CLK .*\n    connect \\Q (\S+)")
_KINDS = {
    "dff": REGISTERS,
    **dict.fromkeys(("add", "sub", "neg"), SUMS),
    **dict.fromkeys(("mux", "shr", "sshr", "shl", "shift"), CHOICES),
    **dict.fromkeys(("lt", "le", "gt", "ge", "eq", "ne"), COMPARISONS),
    "mul": PRODUCTS,
    **dict.fromkeys(("and", "or", "xor", "not", "reduce_or", "reduce_and", "reduce_bool"), GATES),
}


def structure_of(array: MacArray) -> dict[str, int]:
    """Return the bits of each of `KINDS` in the accelerator of an array; of products one's times the other's.

    A choice is of two words: shifting one by some bits takes a choice of all its bits for each of them.
    """
    component = Accelerator(array, [integer_format(array.signal_bits, signed=False)])
    return dict(counted(rtlil.convert(component, name="top", emit_src=False)))


def counted(text: str) -> Counter[str]:
    """Return the bits of each kind in a netlist."""
    found: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
    for module in text.split("\nmodule ")[1:]:
        turns = module.startswith(f"\\{_TURNING}")
        for kind, bits in _cells(module):
            found[TURNS if turns and kind == CHOICES else kind] += bits
        found[TURNS if turns else CHOICES] += _chosen(module)
    return found


def _cells(module: str) -> Iterator[tuple[str, int]]:
    for name, body in _CELL.findall(module):
        kind, widths = _KINDS.get(name), {key: int(bits) for key, bits in _WIDTH.findall(body)}
        if kind is None:
            continue
        if kind == PRODUCTS:
            yield kind, widths["A_WIDTH"] * widths["B_WIDTH"]
        elif kind == CHOICES:
            fixed = sum(map(int, _CONSTANT.findall(_BY.findall(body)[0])))
            yield kind, (widths.get("Y_WIDTH") or widths["WIDTH"]) * (widths.get("B_WIDTH", 1) - fixed)
        elif kind == COMPARISONS or name.startswith("reduce"):
            yield kind, widths["A_WIDTH"]
        else:
            yield kind, widths.get("Y_WIDTH", widths.get("WIDTH", 0))


def _chosen(module: str) -> int:
    """Return the bits that processes choose, one for each case but the reset's and a register's enable."""
    held = dict(_HELD.findall(module))
    bits = 0
    for body in _PROCESS.findall(module):
        resets, defaults, enabled = False, {}, set()
        for line in body.splitlines():
            if "switch" in line and len(line) - len(line.lstrip()) == 4:
                resets = line.endswith("switch \\rst [0]")
            if not (found := _ASSIGN.match(line)):
                continue
            indent, target, high, low, value = found.groups()
            width = int(high) - int(low if low is not None else high) + 1
            if len(indent) == 4:
                defaults[target] = value.split()[0]
            elif not resets:
                holds = defaults.get(target) == held.get(target, "")
                bits += 0 if holds and (target, high) not in enabled else width
                enabled.add((target, high))
    return bits
