"""Espalier: pruned, low-precision CNNs on a MAC array, from the trained network to hardware proven bit for bit.

What most programs need of it, each name imported when it is first used:

>>> import espalier as esp
>>> digits = esp.load_data("digits", "train")
>>> program = esp.lower(esp.load("digits", "kernel"), esp.Widths(4, 5), digits.pixels())
>>> program.pattern, esp.cost_of(program).total.macs
('kernel', 143408)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accel.array import MacArray
    from accel.cost import cost_of, estimate
    from accel.errors import EspalierError
    from accel.fixedpoint import FixedFormat
    from accel.interchange.data.datasets import load as load_data
    from accel.interchange.onnx.reading.model import import_model
    from accel.interchange.onnx.writing.formats import export_model
    from accel.interchange.zoo import load
    from accel.network import Network
    from accel.program import Program
    from accel.pruned import PrunedNetwork
    from accel.quantize import Widths, lower
    from reports.compare.library import compare
    from reports.report.library import report
    from reports.together.library import explore
    from reports.workflow.from_torch import from_torch
    from reports.workflow.prune import prune
    from sim.engine import compile_program

__all__ = [
    "EspalierError",
    "FixedFormat",
    "MacArray",
    "Network",
    "Program",
    "PrunedNetwork",
    "Widths",
    "compare",
    "compile_program",
    "cost_of",
    "estimate",
    "explore",
    "export_model",
    "from_torch",
    "import_model",
    "load",
    "load_data",
    "lower",
    "prune",
    "report",
]

_HOMES = {
    "EspalierError": "accel.errors",
    "FixedFormat": "accel.fixedpoint",
    "MacArray": "accel.array",
    "Network": "accel.network",
    "Program": "accel.program",
    "PrunedNetwork": "accel.pruned",
    "Widths": "accel.quantize",
    "compare": "reports.compare.library",
    "compile_program": "sim.engine",
    "cost_of": "accel.cost",
    "estimate": "accel.cost",
    "explore": "reports.together.library",
    "export_model": "accel.interchange.onnx.writing.formats",
    "from_torch": "reports.workflow.from_torch",
    "import_model": "accel.interchange.onnx.reading.model",
    "load": "accel.interchange.zoo",
    "load_data": "accel.interchange.data.datasets",
    "lower": "accel.quantize",
    "prune": "reports.workflow.prune",
    "report": "reports.report.library",
}
_THERE = {"load_data": "load"}  # what is called otherwise where it comes from


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), _THERE.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
