"""A build as a core of FuseSoC (CAPI 2): what a system takes, its lint, and the simulation that checks itself."""

from collections.abc import Iterable

NAME = "::espalier:0.1.0"
CORE = "espalier.core"
BENCH, WAIVERS = "testbench.v", "espalier.vlt"


def core_file(names: Iterable[str], top: str) -> str:
    """Return ``espalier.core`` of a build.

    Parameters
    ----------
    names : iterable of str
        The build's files.
    top : str
        The module that a system takes.
    """
    kinds: dict[str, list[str]] = {"verilogSource": [], "vlt": [], "user": []}
    for name in sorted(names):
        if name.endswith(".v") and name != BENCH:
            kinds["verilogSource"].append(name)
        elif name.endswith(".hex"):
            kinds["user"].append(name)
    lines = [
        "CAPI=2:",
        "# A build of `espalier rtl`: fusesoc --cores-root . run --target sim espalier",
        f"name: {NAME}",
    ]
    lines += ["description: Espalier, pruned and low-precision convolutional networks on a MAC array", "", "filesets:"]
    lines += _fileset("rtl", kinds["verilogSource"], "verilogSource-2005")
    lines += _fileset("lint", [WAIVERS], "vlt")
    lines += _fileset("bench", [BENCH], "verilogSource-2005")
    lines += ["  words:", "    files:"]
    lines += [f"      - {name}: {{file_type: user, copyto: {name}}}" for name in kinds["user"]]
    lines += ["", "targets:", "  default:", "    filesets: [rtl]", f"    toplevel: {top}"]
    lines += ["  sim:", "    filesets: [rtl, bench, words]", "    toplevel: testbench", "    flow: sim"]
    lines += ["    flow_options: {tool: icarus, iverilog_options: [-g2005]}"]
    lines += ["  lint:", "    filesets: [lint, rtl]", f"    toplevel: {top}", "    flow: lint"]
    lines += ["    flow_options: {tool: verilator, verilator_options: [-Wall]}"]
    return "\n".join([*lines, ""])


def _fileset(name: str, files: Iterable[str], kind: str) -> list[str]:
    return [f"  {name}:", f"    files: [{', '.join(files)}]", f"    file_type: {kind}"]
