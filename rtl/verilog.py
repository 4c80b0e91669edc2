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
    assignment that does not block comes when all of them wait, in both.
    """
    return _TRIGGER.sub(r"\1;\n  initial \2<= 0;", source)


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
