"""The file of `--formats`: TOML, a table for each layer, formats as HLS writes them."""

from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from accel.errors import EspalierError, reading
from accel.fixedpoint import FixedFormat
from accel.network import INPUT
from accel.quantize import Formats
from accel.records import parse_toml, text_of

KEYS = ("weight", "output")


def read_formats(path: Path) -> Formats:
    """Return the formats that a file gives.

    Raises
    ------
    EspalierError
        The file is no TOML, or says something else than formats of weights and outputs.
    OSError
        The file cannot be read.
    """
    text = text_of(path)
    with reading(path):
        return _formats(parse_toml(text))


def _formats(record: dict[str, Any]) -> Formats:
    found: dict[str, dict[str, FixedFormat]] = {key: {} for key in KEYS}
    for name, given in record.items():
        if name == INPUT:
            found["output"][INPUT] = _format(name, given)
            continue
        if not isinstance(given, dict):
            raise EspalierError(
                f'{name}: expected a table [{name}] with weight = "ap_fixed<...>" or output, got {shortened(given)}'
            )
        for key, text in given.items():
            if key not in KEYS:
                raise EspalierError(f"{name}: has no {key!r}; expected weight or output")
            found[key][name] = _format(f"{name}: {key}", text)
    return Formats(found["weight"], found["output"])


def _format(where: str, text: Any) -> FixedFormat:
    if not isinstance(text, str):
        raise EspalierError(
            f'{where}: expected a text such as "ap_fixed<8,3,AP_RND_CONV,AP_SAT>", got {shortened(text)}'
        )
    with reading(where):
        return FixedFormat.parse(text)
