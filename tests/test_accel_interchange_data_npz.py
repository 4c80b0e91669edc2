"""Reading .npz: what numpy writes comes back; what is damaged or too large ends in one line, at little cost."""

import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from accel import limits
from accel.errors import EspalierError
from accel.interchange.data.npz import read_npz

ARRAYS = {
    "images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "floats": np.asfortranarray(np.linspace(0, 1, 6, dtype=">f4").reshape(2, 3)),
    "names": np.array(["cat", "dog"]),
    "empty": np.zeros((0, 3), np.int64),
    "flag": np.array(True),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a file may be."""
    return tmp_path / "a.npz"


def refusal(path: Path) -> str:
    """Return the line that refuses the file, checked to be one that names it."""
    with pytest.raises(EspalierError) as caught:
        read_npz(path)
    message = str(caught.value)
    assert message.startswith(f"{path}")
    assert len(message.splitlines()) == 1
    return message


def npy(header: str | bytes, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """Return a member: numpy's magic, a header as it is given, and data."""
    text = header.encode() if isinstance(header, str) else header
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def header(shape: object, dtype: object = "|u1") -> str:
    """Return the text of a header."""
    return repr({"descr": dtype, "fortran_order": False, "shape": shape}) + "\n"


def write(path: Path, *members: bytes, compression: int = zipfile.ZIP_STORED, name: str = "images.npy") -> Path:
    """Write a zip file of members, called `name` with a number where there are more."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for number, member in enumerate(members):
            archive.writestr(f"{number or ''}{name}", member)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_comes_back(path: Path, save: Callable[..., None]) -> None:
    """All arrays, in order, with their values and shapes, in the machine's byte order."""
    save(path, **ARRAYS)
    found = read_npz(path)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=name != "floats")
    assert found["floats"].dtype == np.float32


def test_some_arrays(path: Path) -> None:
    """Only what is named is read, and what is not there is left out."""
    np.savez(path, **ARRAYS)
    assert list(read_npz(path, ("images", "labels"))) == ["images"]


@pytest.mark.parametrize("at", range(3))
def test_a_changed_byte_is_refused(path: Path, at: int) -> None:
    """Negative control: a byte of the data that is another breaks the member's sum."""
    np.savez(path, images=np.full(3000, 7, np.uint8))
    data = bytearray(path.read_bytes())
    data[300 + 1000 * at] ^= 1
    path.write_bytes(data)
    assert "BadZipFile" in refusal(path)


DEEP = "(" * 5000
DAMAGED = {
    "no zip": b"nothing",
    "an npy": npy(header((3,)), b"abc"),
    "objects": npy(header((1,), "|O"), b"\x80\x04N."),
    "a record": npy(header((1,), [("a", "<i4")]), b"1234"),
    "complex": npy(header((1,), "<c8"), bytes(8)),
    "a date": npy(header((1,), "<M8[s]"), bytes(8)),
    "text of no length": npy(header((10**18,), "<U0")),
    "deep": npy(DEEP),
    "half a literal": npy("{'descr': '|u1', 'shape': ("),
    "a number too long": npy(header((1,)).replace("1,", "9" * 5000 + ",")),
    "no literal": npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': ()}"),
    "negative": npy(header((-1,)), b"a"),
    "huge": npy(header((1 << 40, 1 << 40)), b"a"),
    "many dimensions": npy(header((1,) * 33), b"a"),
    "a true dimension": npy(header((True,)), b"a"),
    "a float dimension": npy(header((1.5,)), b"a"),
    "short": npy(header((4,)), b"abc"),
    "long": npy(header((2,)), b"abc"),
    "another version": npy(header((3,)), b"abc", (7, 0)),
    "a long header": npy(header((3,)) + " " * 20_000, b"abc", (2, 0)),
    "no text": npy(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage(path: Path, case: str) -> None:
    """Whatever numpy, zipfile or Python raise of it, it ends in one line that names the file."""
    member = DAMAGED[case]
    path.write_bytes(member) if case in ("no zip", "an npy") else write(path, member)
    refusal(path)


@pytest.mark.parametrize("name", ["images", "images.txt", "im\nages.npy"])
def test_members_that_numpy_does_not_write(path: Path, name: str) -> None:
    """A member that is no array is told; so is a name that would break the line."""
    assert "expected arrays (.npy)" in refusal(write(path, npy(header((1,)), b"a"), name=name))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(path: Path, compression: int) -> None:
    """Only the two that numpy writes are read: others have bounds of their own."""
    assert "packed in another way" in refusal(write(path, npy(header((1,)), b"a"), compression=compression))


def test_an_encrypted_member(path: Path) -> None:
    """An encrypted file is told, not a RuntimeError."""
    write(path, npy(header((1,)), b"a"))
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02")
    path.write_bytes(data[: at + 8] + b"\x01" + data[at + 9 :])
    assert "is encrypted" in refusal(path)


def peak_bytes(path: Path) -> int:
    """Return the most memory that Python and numpy held while the file was refused."""
    tracemalloc.start()
    try:
        refusal(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("told", [True, False])
def test_a_bomb_is_refused_before_it_is_unpacked(path: Path, monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    """Zeros that would unpack to more than the limit cost no memory; nor do they if the directory hides their size."""
    monkeypatch.setattr(limits, "ALWAYS_UNPACKED_BYTES", 1 << 20)
    size = 8 << 20
    write(path, npy(header((size,)), bytes(size)), compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    if not told:
        data[at + 24 : at + 28] = struct.pack("<I", 1000)
        path.write_bytes(data)
    assert peak_bytes(path) < 1 << 20


def test_a_member_that_begins_nowhere(path: Path) -> None:
    """A directory that says that a member begins before the file is damage too, though the system says so."""
    write(path, npy(header((1,)), b"a"))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x05\x06")
    data[at + 16 : at + 20] = struct.pack("<I", 1000)  # where the directory begins: members move by the difference
    path.write_bytes(data)
    assert "is no .npz file" in refusal(path)


def test_many_members(path: Path) -> None:
    """An array for each image is no data set: a directory is bounded, too."""
    members = [npy(header((1,)), b"a")] * (limits.MOST_MEMBERS + 1)
    assert "expected at most 1024" in refusal(write(path, *members))


def test_members_that_share_their_bytes(path: Path) -> None:
    """A directory that names one member's bytes many times does not multiply them."""
    write(path, npy(header((100_000,)), bytes(100_000)))
    data = path.read_bytes()
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry, tail = data[at:end], data[end:]
    names = [entry.replace(b"images.npy", b"image%d.npy" % number) for number in range(5)]
    counts = struct.pack("<HHI", 5, 5, 5 * len(entry))
    path.write_bytes(data[:at] + b"".join(names) + tail[:8] + counts + tail[16:])
    refusal(path)


def test_the_default_limits_leave_room(path: Path) -> None:
    """A file of one value, which is squeezed best of all, may hold 64 MiB."""
    np.savez_compressed(path, images=np.zeros(60 << 20, np.uint8))
    assert path.stat().st_size < 100_000
    assert read_npz(path)["images"].nbytes == 60 << 20


def test_bytes_in_memory_are_no_file() -> None:
    """What cannot be opened is an OSError, as everywhere: the front door names the file."""
    with pytest.raises(OSError):
        read_npz("/nowhere/a.npz")


def test_one_array_alone(tmp_path: Path) -> None:
    """An .npy file is one array without a name: the line says how to write an .npz."""
    np.save(tmp_path / "images.npy", np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(EspalierError, match=r"images.npy: is one array; expected an .npz: numpy.savez"):
        read_npz(tmp_path / "images.npy")
