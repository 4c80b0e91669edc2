"""What is read of ONNX, and how far it goes, from the tables that the importer itself reads by."""

from collections.abc import Iterator
from dataclasses import dataclass

from accel.demand import NOT_ON_ARRAY
from accel.interchange.onnx.reading.integer_operators import INTEGER_OPERATORS
from accel.interchange.onnx.reading.model import FLOAT_OPERATORS
from accel.interchange.onnx.reading.operators import FLOATS_ALONE
from accel.interchange.onnx.reading.quantizers import NEVER_READ
from accel.program_layers import MulLayer, ProgramLayer

OF_TWO_SIGNALS: dict[str, type[ProgramLayer]] = {"Mul": MulLayer}
"""Operators that become another kind of layer of a Program where both of their inputs are signals."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """How far an operator of ONNX goes.

    Parameters
    ----------
    name : str
    floats, integers : bool
        Whether it is read in files of floats, and in quantised ones. What is read runs: as floats in a network, as
        codes in golden model and engine.
    array : str
        Whether the array runs it: ``yes``, or in which case not.
    about : str
        What is read of it, a line.
    """

    name: str
    floats: bool
    integers: bool
    array: str
    about: str


def operators() -> Iterator[Operator]:
    """Yield every operator that is read, by name."""
    for name in sorted({*FLOAT_OPERATORS, *INTEGER_OPERATORS} - NEVER_READ):
        of_floats = FLOAT_OPERATORS.get(name)
        of_integers = None if name in FLOATS_ALONE else INTEGER_OPERATORS.get(name)
        about = (of_floats or INTEGER_OPERATORS[name]).__doc__ or ""
        yield Operator(
            name=name,
            floats=of_floats is not None,
            integers=of_integers is not None,
            array="not of two signals" if OF_TWO_SIGNALS.get(name) in NOT_ON_ARRAY else "yes",
            about=about.splitlines()[0],
        )
