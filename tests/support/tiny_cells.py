"""A library of five cells, as Liberty for the tools and as Verilog for a simulator."""

AREAS = {"INV": 2, "BUF": 3, "NAND2": 4, "NOR2": 5, "DFF": 20}
LEAKAGES = {"INV": 1.0, "BUF": 1.5, "NAND2": 2.0, "NOR2": 2.5, "DFF": 10.0}  # nW
DELAY = 0.125  # ns, of every gate and from a clock's edge to a register's output
SETUP = 0.25  # ns
_GATES = {"INV": ("!A", "A"), "BUF": ("A", "A"), "NAND2": ("!(A&B)", "AB"), "NOR2": ("(A + B)'", "AB")}
_THRESHOLDS = {"input": 50, "output": 50, "slew_lower": 20, "slew_upper": 80}

# a register comes up as anything; as unknown, gates would know less than the logic they are
VERILOG = """
module INV(input A, output Y); assign Y = !A; endmodule
module BUF(input A, output Y); assign Y = A; endmodule
module NAND2(input A, B, output Y); assign Y = !(A & B); endmodule
module NOR2(input A, B, output Y); assign Y = !(A | B); endmodule
module DFF(input CK, D, output reg Q); initial Q = $random; always @(posedge CK) Q <= D; endmodule
"""


def _tables(value: float, *names: str) -> str:
    return " ".join(f'{name} (scalar) {{ values ("{value}"); }}' for name in names)


_DELAYS = _tables(DELAY, "cell_rise", "cell_fall", "rise_transition", "fall_transition")


def _cell(name: str, rest: str) -> str:
    return f"  cell ({name}) {{\n    area : {AREAS[name]}; cell_leakage_power : {LEAKAGES[name]};\n{rest}  }}\n"


def _gate(name: str) -> str:
    function, pins = _GATES[name]
    inputs = "".join(f"    pin ({pin}) {{ direction : input; capacitance : 0.001; }}\n" for pin in pins)
    timing = "".join(f'\n      timing () {{ related_pin : "{pin}"; {_DELAYS} }}' for pin in pins)
    return _cell(name, f'{inputs}    pin (Y) {{ direction : output; function : "{function}";{timing}\n    }}\n')


def _register() -> str:
    tables = _tables(SETUP, "rise_constraint", "fall_constraint")
    setup = f'timing () {{ related_pin : "CK"; timing_type : setup_rising; {tables} }}'
    return _cell(
        "DFF",
        '    ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }\n'
        "    pin (CK) { direction : input; clock : true; capacitance : 0.001; }\n"
        f"    pin (D) {{ direction : input; capacitance : 0.001; {setup} }}\n"
        '    pin (Q) { direction : output; function : "IQ"; '
        f'timing () {{ related_pin : "CK"; timing_type : rising_edge; {_DELAYS} }} }}\n',
    )


def liberty(*left_out: str) -> str:
    """Return the library, without the cells that are named."""
    cells = {name: _gate(name) for name in _GATES} | {"DFF": _register()}
    head = [
        "/* five cells { of no technology } */",
        "library (tiny) {",
        '  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";',
        '  leakage_power_unit : "1nW"; pulling_resistance_unit : "1kohm"; capacitive_load_unit (1, pf);',
        *(f"  {x}_threshold_pct_{y} : {_THRESHOLDS[x]};" for x in _THRESHOLDS for y in ("rise", "fall")),
    ]
    return "\n".join(head) + "\n" + "".join(text for name, text in cells.items() if name not in left_out) + "}\n"
