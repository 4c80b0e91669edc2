"""Folders of class folders: damaged pictures, small files of giant ones, names and links of all kinds, what is none."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from accel.interchange.data.own_data import Taker, open_own
from support.fuzz_cases import BINARY, Rng, damaged
from support.fuzz_files import Run
from support.own_images import CLASSES, SHAPE, drawn

KINDS = {"png": "PNG", "jpg": "JPEG", "JPEG": "JPEG"}
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")
SIDES = (0, 1, 6, 7, 1000, 1 << 14, 65_000, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)
NAMES = (b"a\nb", b"\x1b[2J", b"\xff\xfe", b"\xff.png", b".hidden", b"\xe2\x80\xaeg.png", b"=1+1", b"a" * 255, b" ")
NAMES += (b"\x1b.png", b"train", b"a\nb.jpg")
EACH = 8  # pictures of a class


@cache
def pictures() -> tuple[bytes, ...]:
    """Return the files of right pictures, `EACH` of each class."""
    return tuple(_file(image, "PNG") for image in drawn(EACH)[0])


def _file(image: np.ndarray, kind: str, mode: str = "L") -> bytes:
    buffer, mode = io.BytesIO(), "RGB" if (mode, kind) == ("CMYK", "PNG") else mode
    picture = Image.fromarray(image.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(image).convert(mode)
    picture.save(buffer, kind)
    return buffer.getvalue()


def _mode(rng: Rng) -> bytes:
    """Return a picture of a mode that not every network takes."""
    mode = MODES[rng.integers(len(MODES))]
    side = SHAPE[1:] if rng.random() < 0.8 else (9, 3)
    kind = "JPEG" if mode in ("L", "RGB", "CMYK") and rng.random() < 0.5 else "PNG"
    return _file(rng.integers(0, 256, side).astype(np.uint8), kind, mode)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _bomb(rng: Rng) -> bytes:
    """Return a small PNG that says that it is a giant one, holds more pixels than it says, or text without end."""
    width, height = (SIDES[i] for i in rng.integers(0, len(SIDES), 2)) if rng.random() < 0.6 else SHAPE[1:]
    head = struct.pack(">IIBBBBB", width, height, 8, (0, 2, 3, 6)[rng.integers(4)], 0, 0, int(rng.integers(2)))
    many = zlib.compress(bytes(1 << int(rng.integers(4, 26))), 1)
    text = _chunk(b"zTXt", b"a\0\0" + many) * int(rng.integers(0, 3)) + _chunk(b"iCCP", b"a\0\0" + many)
    chunks = (
        _chunk(b"IHDR", head) + (text if rng.random() < 0.4 else b"") + _chunk(b"IDAT", many) + _chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def _jpeg_bomb(rng: Rng) -> bytes:
    """Return a small JPEG with another height and width in its header."""
    data = bytearray(_file(rng.integers(0, 256, SHAPE[1:]).astype(np.uint8), "JPEG"))
    at = data.find(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", *(int(rng.choice((0, 1, 6, 60_000, 65_535))) for _ in range(2)))
    return bytes(data)


def _odd(folder: Path, rng: Rng) -> None:
    """Put something beside the pictures that is none: a link, a loop, a pipe, a hole, a name of any bytes."""
    where = (folder, folder / CLASSES[0])[rng.integers(2)]
    name = NAMES[rng.integers(len(NAMES))] if rng.random() < 0.5 else b"y.png"
    path = os.fsencode(where) + b"/" + name
    what = rng.integers(8)
    if what == 0:
        os.symlink(b"x.png", path)
    elif what == 1:
        os.symlink(b"..", path)
    elif what == 2:
        os.symlink((b"/dev/zero", b"/etc/passwd", b"/", b"nothing")[rng.integers(4)], path)
    elif what == 3:
        os.mkfifo(path)
    elif what == 4:
        with open(path, "wb") as file:
            file.truncate(1 << 36)
    elif what == 5:
        os.mkdir(path)
    elif what == 6:
        os.symlink(os.fsencode(folder / CLASSES[1] / "000.png"), path)
    else:
        Path(os.fsdecode(path)).write_bytes(pictures()[0])


def _folders(rng: Rng) -> Run:
    what = rng.random()
    suffix = [*KINDS][rng.integers(len(KINDS))]
    made = (_mode, _bomb, _jpeg_bomb)[rng.integers(3)](rng) if what < 0.5 else pictures()[0]
    made = damaged(made, rng, BINARY) if what > 0.6 or what < 0.1 else made
    odd = rng.random() < (0.1 if what < 0.8 else 1)
    splits = rng.random() < 0.2
    shape = SHAPE if rng.random() < 0.8 else (3, *SHAPE[1:])

    def run(folder: Path) -> None:
        data = folder / "data"
        root = data / "train" if splits else data
        for number, file in enumerate(pictures()):
            place = root / CLASSES[number // EACH]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number:03}.png").write_bytes(file)
        (root / CLASSES[0] / f"x.{suffix}").write_bytes(made)
        if odd:
            _odd(root, rng)
        found = open_own(data, Taker("network", shape, len(CLASSES)))
        for split in found.parts:
            images = found.load(split, labelled=False)
            assert images.images.shape[1:] == shape, "a picture of another size was read"
            assert images.labels.max() < len(CLASSES)

    return run


FORMATS_OF: dict[str, Callable[[Rng], Run]] = {"class folders": _folders}
