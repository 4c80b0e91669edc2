"""The wrapper of every array and bus: Verilog that lint has nothing to say about, and what cannot be wrapped."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.rtl_layers import FORMATS

from accel.array import MacArray
from accel.errors import EspalierError
from rtl.bus.wrapper import BUSES, WIDTHS, Wrapper
from rtl.core.accelerator import Accelerator
from rtl.emit import TOP, WAIVERS
from rtl.verilog import convert

RULES = Path(__file__).parents[1] / "rtl" / WAIVERS
DEPTHS = {"signal_words": 64, "weight_words": 64, "list_entries": 8, "taps": 8, "constants": 8, "layers": 2}
LESS = dict.fromkeys(("split", "flat", "pool", "lines", "overlap", "prefetch", "combine"), False)
ARRAYS = {
    "single lane": MacArray(1, 1, **DEPTHS, **LESS),
    "streamed": MacArray(3, 4, weight_bits=4, signal_bits=9, stream_words=16, **DEPTHS),
}
PORT = re.compile(r"^  (?:input|output) (?:\[\d+:0\] )?(\w+);$", re.MULTILINE)
STREAMS = {f"{stream}_{wire}" for stream in ("s_axis", "m_axis") for wire in ("tvalid", "tready", "tdata", "tlast")}
CHANNELS = {"aw": "addr prot", "w": "data strb", "b": "resp", "ar": "addr prot", "r": "data resp"}
BUS = {
    "axi": {f"s_axi_{name}{wire}" for name, wires in CHANNELS.items() for wire in f"{wires} valid ready".split()},
    "wishbone": {"cyc_i", "stb_i", "we_i", "adr_i", "sel_i", "dat_i", "dat_o", "ack_o", "err_o"},
}


def files(array: MacArray, bus: str, bits: int, folder: Path) -> str:
    """Write the array and its wrapper; return the wrapper's text."""
    core = Accelerator(array, FORMATS[:2])
    text = convert(Wrapper(core, TOP, BUSES[bus], bits), f"{TOP}_{bus}")
    shutil.copy(RULES, folder)
    (folder / "espalier.v").write_text(convert(core, TOP))
    (folder / f"espalier_{bus}.v").write_text(text)
    return text


def lint(folder: Path, bus: str) -> str:
    """Return what Verilator's -Wall says."""
    words = ["verilator", "--lint-only", "-Wall", "--top-module", f"{TOP}_{bus}", WAIVERS, f"{TOP}_{bus}.v", f"{TOP}.v"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator")
@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize(
    ("name", "bits"), [("single lane", 32), pytest.param("streamed", 64, marks=pytest.mark.slow)], ids=ARRAYS
)
def test_lint_and_ports(name: str, bits: int, bus: str, tmp_path: Path) -> None:
    """Nothing is told, of the smallest array and of one whose weights are streamed; ports are the standards'."""
    text = files(ARRAYS[name], bus, bits, tmp_path)
    assert lint(tmp_path, bus) == ""
    units = {f"s_axis_units_{wire}" for wire in ("tvalid", "tready", "tdata", "tlast")} if name == "streamed" else set()
    top = text[: text.index("endmodule")]
    assert set(PORT.findall(top)) == BUS[bus] | STREAMS | units | {BUSES[bus].clock, BUSES[bus].reset, "irq"}
    (tmp_path / f"{TOP}_{bus}.v").write_text(
        text.replace("\nendmodule", "\n  wire open, used; assign used = open;\nendmodule", 1)
    )
    assert "Warning-UNDRIVEN" in lint(tmp_path, bus)  # the control


def test_results_that_the_bus_cannot_read() -> None:
    """Accumulators of more bits than the bus are refused; a wider bus takes them."""
    core = Accelerator(MacArray(1, 1, accumulator_bits=40, **DEPTHS), FORMATS[:1])
    with pytest.raises(EspalierError, match=r"^results have 40 bits, a bus of 32 bits reads fewer: --bus-bits 64$"):
        Wrapper(core, TOP, BUSES["axi"], WIDTHS[0])
    assert Wrapper(core, TOP, BUSES["axi"], WIDTHS[1])
