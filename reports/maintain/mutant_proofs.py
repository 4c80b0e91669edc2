"""Proofs that a mutant is no error: with the state cut out, its logic computes the same from every state.

Registers and memory ports are taken out of the original and of the mutant; what they give becomes inputs, what they
take becomes outputs. If no input makes an output differ, no run can, and the mutant is equivalent. The converse does
not hold: a difference may need a state that the hardware never reaches.

Such states are those of a column of the drain in which sum, product and rounding belong to different rows. Its
registers move together and nothing comes back, so that a row is what goes through all of them while the layer's words
stay: an error in a column's logic is looked for with these registers as wires too.
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
PIPELINE = re.compile(
    r"\\core\.drain\.column\d+\.(?!value|others|constant|layer|written|code\b)"
)  # its registers' names
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
    """Return for each mutant's number ``equivalent``, ``for each row``, ``but for reset`` or nothing.

    Parameters
    ----------
    folder : Path
        That of `mutate`.
    mutants : sequence of Mutant
        ``for each row`` are those of the drain's columns that no row can tell from none.
    """
    found = _proven(folder / "proofs", mutants)
    inside = [mutant for mutant in mutants if not found[mutant.number] and _in_a_column(mutant)]
    if inside:
        rows = _proven(folder / "proofs", inside, through=True)
        found |= {number: "for each row" for number, verdict in rows.items() if verdict == "equivalent"}
    return found


def _in_a_column(mutant: Mutant) -> bool:
    """Return whether a mutant is an error in what a column computes, not in when its registers move."""
    return re.search(r"core\.drain\.column\d+\.", mutant.place) is not None and mutant.port not in ("EN", "CLK")


def _proven(work: Path, mutants: Sequence[Mutant], through: bool = False) -> dict[int, str]:
    """Return the verdicts with the state cut out; the registers of columns are wires where it goes `through` them."""
    work.mkdir(exist_ok=True)
    files = ["gold.il", *(f"{mutant.number}.il" for mutant in mutants)]
    script = "read_rtlil ../base.il\ndelete t:$meminit*\nsetattr -unset init w:*\ndesign -save base\n"
    for file, command in zip(files, ["", *(mutant.command for mutant in mutants)], strict=True):
        script += f"design -load base\n{command}\ndffunmap -srst-only\nwrite_rtlil {file}\n"
    yosys(work, script)
    for file in files if through else []:
        (work / file).write_text(wired((work / file).read_text()))
    yosys(work, "".join(f"design -reset\nread_rtlil {file}\ndffunmap\nwrite_rtlil {file}\n" for file in files))
    for file in files:
        (work / file).write_text(cut((work / file).read_text()))
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


def wired(design: str) -> str:
    r"""Return RTLIL in which registers of the drain's columns are wires, whatever lets them move.

    >>> cell = ["cell $dffe $7", r" connect \D \a", r" connect \EN \e", r" connect \Q \core.drain.column0.b", "end"]
    >>> print(wired("\n".join(cell)), end="")
      connect \core.drain.column0.b \a
    """
    lines = iter(design.splitlines())
    made: list[str] = []
    for line in lines:
        if not re.match(r"\s*cell \$dffe? \S+$", line):
            made.append(line)
            continue
        body = [line]
        while body[-1].strip() != "end":
            body.append(next(lines))
        _, signals = _body(iter(body[1:]))
        if not PIPELINE.search(signals["Q"]):
            made += body
            continue
        while made and made[-1].lstrip().startswith("attribute"):
            made.pop()
        made.append(f"  connect {signals['Q']} {signals['D']}")
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
