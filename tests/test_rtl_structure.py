"""What the hardware is made of before any tool has seen it."""

from accel.array import MacArray
from rtl.structure import CHOICES, KINDS, REGISTERS, SUMS, counted, structure_of

NETLIST = r"""
module \top
  process $1
    assign $10 [3:0] \held [3:0]
    switch \enable [0]
      case 1'1
        assign $10 [3:0] \given [3:0]
    end
  end

  cell $dff $2
    parameter \WIDTH 4
    parameter \CLK_POLARITY 1
    connect \D $10 [3:0]
    connect \CLK \clk [0]
    connect \Q \held
  end

  process $3
    assign $11 [3:0] \one [3:0]
    switch \which [0]
      case 1'1
        assign $11 [3:0] \other [3:0]
    end
    switch \rst [0]
      case 1'1
        assign $11 [3:0] 4'0000
    end
  end

  cell $dff $4
    parameter \WIDTH 4
    parameter \CLK_POLARITY 1
    connect \D $11 [3:0]
    connect \CLK \clk [0]
    connect \Q \chosen
  end

  cell $mux $5
    parameter \WIDTH 4
    connect \S 1'1
    connect \A \one [3:0]
    connect \B \other [3:0]
    connect \Y $12
  end

  cell $shr $6
    parameter \A_SIGNED 0
    parameter \B_SIGNED 0
    parameter \A_WIDTH 4
    parameter \B_WIDTH 4
    parameter \Y_WIDTH 4
    connect \A \one [3:0]
    connect \B { \places [1:0] 2'00 }
    connect \Y $13
  end
end
"""


def test_bits_grow_with_the_array() -> None:
    """A bit more of an accumulator is one of each sum, of an accumulator and of its shadow in every lane."""
    small, large = (structure_of(MacArray(2, 1, accumulator_bits=bits)) for bits in (20, 21))
    assert large[REGISTERS] - small[REGISTERS] >= 2 * 2
    assert large[SUMS] - small[SUMS] >= 2
    assert large["products"] == small["products"]


def test_what_a_flip_flop_does_is_no_choice() -> None:
    """An enable and a reset take nothing, a choice by a constant neither; what else is chosen counts its bits."""
    assert counted(NETLIST) == {**dict.fromkeys(KINDS, 0), REGISTERS: 8, CHOICES: 4 + 4 * 2}
    free = NETLIST.replace("connect \\S 1'1", "connect \\S \\which [0]")
    assert counted(free)[CHOICES] == 4 + 4 * 2 + 4  # negative control: not by a constant
