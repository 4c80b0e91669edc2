"""What Yosys writes of the hardware, as text that means the same in every tool and that lint has little to say about.

What is left of Verilator's ``-Wall`` is named in ``espalier.vlt``, a rule a line with its reason.
"""

import re
from itertools import count

from amaranth._toolchain.yosys import YosysError
from amaranth.back import verilog
from amaranth.lib import wiring

from accel.errors import EspalierError

_TRIGGER = re.compile(r"^(  reg (\\\$auto\$verilog_backend\S+ )) = 0;$", re.MULTILINE)
_SINGLE = re.compile(r"^  always @\*\n    (.+;)$", re.MULTILINE)
_HEAD = re.compile(r"^(module [^;]*;\n)", re.MULTILINE)
_ZEROS = re.compile(
    r"^  initial begin\n    (\S+?) ?\[0\] = (\d+'h0+);\n(?:    \1 ?\[\d+\] = \2;\n)*    \1 ?\[(\d+)\] = \2;\n  end$",
    re.M,
)
_EMPTY = re.compile(r"^  wire \[-1:0\] \S+ ?;\n", re.MULTILINE)
_END = re.compile(r"^( *)endcase$", re.MULTILINE)


def convert(hardware: wiring.Component, name: str) -> str:
    """Return the Verilog of `hardware`, whose top module is `name`.

    Raises
    ------
    EspalierError
        There is no Yosys.
    """
    try:
        source = verilog.convert(hardware, name=name, strip_internal_attrs=True, emit_src=False)
    except YosysError as error:
        raise EspalierError(f"Verilog needs Yosys: pip install 'espalier-hw[verilog]' ({error})") from error
    return _complete(_EMPTY.sub("", _initialised(_started(source))))  # a wire of no bits would be one of two


def _started(source: str) -> str:
    """Return Verilog whose ``always @*`` blocks all run at time 0, whichever standard it is compiled by.

    Yosys lets each of them wait for a register that is initialised for this purpose. In Verilog-2005 that is an event;
    in SystemVerilog it happens before any block waits, so that what depends on constants alone would stay unknown. An
    assignment that does not block comes when all of them wait, in both. Blocks of a single assignment lack such a
    register, and get it.
    """
    modules = re.split(r"(?<=^endmodule\n)", source, flags=re.MULTILINE)
    return "".join(_TRIGGER.sub(r"\1;\n  initial \2<= 0;", _waiting(module)) for module in modules)


def _waiting(module: str) -> str:
    """Return a module in which blocks of a single assignment wait for its register, which is made if there is none."""
    if not _SINGLE.search(module):
        return module
    if not _TRIGGER.search(module):
        module = _HEAD.sub(r"\1  reg \\$auto$verilog_backend$started  = 0;\n", module)
    name = next(_TRIGGER.finditer(module))[2]
    return _SINGLE.sub(lambda found: f"  always @* begin\n    if ({name}) begin end\n    {found[1]}\n  end", module)


def _initialised(source: str) -> str:
    """Return Verilog that sets the words of a memory to 0 in a loop, where Yosys writes a line for each of them."""
    loops = count()

    def loop(found: re.Match[str]) -> str:
        name, zero, last = found.groups()
        begin = f"  initial begin : zeros{next(loops)}\n    integer zeroed;\n"
        return f"{begin}    for (zeroed = 0; zeroed <= {last}; zeroed = zeroed + 1) {name} [zeroed] = {zero};\n  end"

    return _ZEROS.sub(loop, source)


def _complete(source: str) -> str:
    """Return Verilog whose cases say that other values change nothing: Yosys assigns what holds then before them."""
    return _END.sub(r"\1  default:\n\1      /* empty */;\n\1endcase", source)
