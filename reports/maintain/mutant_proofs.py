"""Proofs that a mutant is no error: with the state cut out, its logic computes the same from every state.

Registers and memory ports are taken out of the original and of the mutant; what they give becomes inputs, what they
take becomes outputs. If no input makes an output differ, no run can, and the mutant is equivalent. The converse does
not hold: a difference may need a state that the hardware never reaches.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from reports.maintain.mutants import Mutant, yosys

PORTS = {  # of the cells with state: what they take, what they give, and the parameter with the width of each
    "$dff": ({"D": "WIDTH"}, {"Q": "WIDTH"}),
    "$memrd": ({"ADDR": "ABITS"}, {"DATA": "WIDTH"}),
    "$memwr_v2": ({"ADDR": "ABITS", "DATA": "WIDTH", "EN": "WIDTH"}, {}),
}
SECONDS = 20  # for one proof
SAT = """
design -reset
read_rtlil gold.il
rename mutated gold
read_rtlil {number}.il
rename mutated gate
miter -equiv -flatten -make_outputs gold gate miter
hierarchy -top miter
opt -share_all
tee -o {number}.log sat -prove trigger 0 -timeout {seconds} miter
tee -o {number}.reset.log sat -prove trigger 0 -set in_rst 0 -timeout {seconds} miter
"""


def equivalent(folder: Path, mutants: Sequence[Mutant]) -> dict[int, str]:
    """Return for each mutant's number ``equivalent``, ``but for reset`` or nothing; `folder` is that of `mutate`."""
    work = folder / "proofs"
    work.mkdir(exist_ok=True)
    script = "read_rtlil ../base.il\ndelete t:$meminit*\nsetattr -unset init w:*\ndesign -save base\n"
    script += "dffunmap\nwrite_rtlil gold.il\n"
    for mutant in mutants:
        script += f"design -load base\n{mutant.command}\ndffunmap\nwrite_rtlil {mutant.number}.il\n"
    yosys(work, script)
    for path in (work / "gold.il", *(work / f"{mutant.number}.il" for mutant in mutants)):
        path.write_text(cut(path.read_text()))
    yosys(work, "".join(SAT.format(number=mutant.number, seconds=SECONDS) for mutant in mutants))
    return {mutant.number: _said(work, mutant.number) for mutant in mutants}


def _said(work: Path, number: int) -> str:
    for name, verdict in ((f"{number}.log", "equivalent"), (f"{number}.reset.log", "but for reset")):
        if "no model found: SUCCESS" in (work / name).read_text():
            return verdict
    return ""


def cut(design: str) -> str:
    r"""Return RTLIL in which every register and memory port became ports of the module, named after the cell.

    >>> cell = ["cell $dff $7", r" parameter \WIDTH 2", r" connect \D \a", r" connect \Q \b", "end"]
    >>> print(cut("\n".join(cell)), end="")
      wire width 2 output 1001 \cut$7.D
      connect \cut$7.D \a
      wire width 2 input 1002 \cut$7.Q
      connect \b \cut$7.Q
    """
    lines, number = iter(design.splitlines()), 1000
    made: list[str] = []
    for line in lines:
        found = re.match(r"\s*cell (\S+) (\S+)$", line)
        if not (found and found[1] in PORTS):
            made.append(line)
            continue
        parameters, signals = _body(lines)
        takes, gives = PORTS[found[1]]
        for name, width in (takes | gives).items():
            number += 1
            way, wire = "input" if name in gives else "output", f"\\cut{found[2]}.{name}"
            made.append(f"  wire width {parameters[width]} {way} {number} {wire}")
            made.append(f"  connect {signals[name]} {wire}" if name in gives else f"  connect {wire} {signals[name]}")
    return "\n".join(made) + "\n"


def _body(lines: Iterator[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Take the lines of a cell up to its end; return its parameters and the signals at its ports."""
    found: dict[str, dict[str, str]] = {"parameter": {}, "connect": {}}
    for line in lines:
        words = line.split(maxsplit=2)
        if words[0] == "end":
            break
        found[words[0]][words[1].removeprefix("\\")] = words[2]
    return found["parameter"], found["connect"]
