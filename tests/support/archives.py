"""A thing with a field of each kind, and its file taken apart and put together again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel import archive
from accel.errors import EspalierError

PREFIX, DIGEST = 14, 32  # 8 bytes of magic, 2 of version, 4 of the header's length; SHA-256


class Color(IntEnum):
    """Something that a field names."""

    RED = 1
    GREEN = 2


@dataclass(frozen=True, eq=False)
class Words:
    """Words of `bits` bits each."""

    bits: int
    words: np.ndarray[Any, Any] = field(metadata={"packed": "bits"})


@dataclass(frozen=True, eq=False)
class Thing:
    """One field of each kind that an archive holds."""

    text: str
    count: int
    step: float
    yes: bool
    color: Color
    pair: tuple[int, int]
    names: tuple[str, ...]
    parts: tuple[Words, ...]
    sizes: Mapping[str, int]
    array: np.ndarray[Any, Any]
    maybe: Words | None


CLASSES = (Thing, Words, Color)
THING = Thing("é\n", 3, 0.1, True, Color.GREEN, (1, 2), ("a", "b"), (), {"x": 1}, np.zeros((2, 0), "f4"), None)


def header_and_payload(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Take a file apart, from the layout in the module's docstring."""
    end = PREFIX + int.from_bytes(data[10:PREFIX], "little")
    return json.loads(data[PREFIX:end]), data[end:-DIGEST]


def rebuild(header: Any, payload: bytes = b"", version: int = 1) -> bytes:
    """Put a file together with a right digest, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    body = b"ESPALIER" + version.to_bytes(2, "little") + len(text).to_bytes(4, "little") + text + payload
    return body + hashlib.sha256(body).digest()


def refusal(path: Path, data: bytes, classes: tuple[type, ...] = CLASSES, kind: str = "thing") -> str:
    """Return the message that refuses `data`: one line that begins with the file's path."""
    path.write_bytes(data)
    with pytest.raises(EspalierError) as caught:
        archive.load(path, kind, classes)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


def reload(tmp_path: Path, thing: Any) -> Any:
    """Return `thing` as it comes back from a file."""
    archive.save(tmp_path / "thing", "thing", thing)
    return archive.load(tmp_path / "thing", "thing", (type(thing), *CLASSES))
