import gzip
from pathlib import Path

import numpy as np
import pytest

from accel.errors import EspalierError
from accel.interchange.data.idx import read_idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
# Written out by hand from the format: zeros, unsigned byte, 3 dimensions, big-endian 2, 3 and 4, then C order.
IMAGE_BYTES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, *range(24)])
LABEL_BYTES = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 9])


def write(folder: Path, data: bytes) -> Path:
    """Write a file whose name says nothing about its format."""
    path = folder / "some-file"
    path.write_bytes(data)
    return path


def refusal(path: Path, **arguments: int) -> str:
    """Return the message with which `path` is refused: one line that begins with the file's path."""
    with pytest.raises(EspalierError) as caught:
        read_idx(path, **arguments)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_images(tmp_path: Path) -> None:
    """An image file gives a read-only uint8 array of shape (count, rows, columns) in C order."""
    images = read_idx(write(tmp_path, IMAGE_BYTES))
    assert images.dtype == np.uint8
    assert not images.flags.writeable
    assert np.array_equal(images, IMAGES)


def test_one_changed_byte_is_seen(tmp_path: Path) -> None:
    """Negative control of test_images: with one pixel changed the arrays differ."""
    images = read_idx(write(tmp_path, IMAGE_BYTES[:-1] + b"\0"))
    assert not np.array_equal(images, IMAGES)


def test_labels(tmp_path: Path) -> None:
    """A label file gives a uint8 array of shape (count,)."""
    assert read_idx(write(tmp_path, LABEL_BYTES)).tolist() == [7, 0, 9]


def test_dimensions_are_big_endian_and_32_bits(tmp_path: Path) -> None:
    """A count above 255 takes more than the last byte of its field."""
    data = bytes([0, 0, 8, 1, 0, 0, 0x01, 0x02]) + bytes(0x0102)
    assert read_idx(write(tmp_path, data)).shape == (258,)


def test_gzip_is_recognized_by_content(tmp_path: Path) -> None:
    """A gzipped file without .gz in its name, and a plain one with it, are both read."""
    unzipped_name = tmp_path / "images"
    unzipped_name.write_bytes(gzip.compress(IMAGE_BYTES))
    zipped_name = tmp_path / "images.gz"
    zipped_name.write_bytes(IMAGE_BYTES)
    assert np.array_equal(read_idx(unzipped_name), IMAGES)
    assert np.array_equal(read_idx(zipped_name), IMAGES)


@pytest.mark.parametrize("data", [IMAGE_BYTES, LABEL_BYTES], ids=["images", "labels"])
def test_every_cut_is_refused(tmp_path: Path, data: bytes) -> None:
    """A plain file that ends anywhere before its end is refused."""
    for length in range(len(data)):
        refusal(write(tmp_path, data[:length]))


def test_every_cut_of_a_gzipped_file_is_refused(tmp_path: Path) -> None:
    """A gzipped file that ends anywhere before its end, within the gzip trailer too, is refused."""
    data = gzip.compress(IMAGE_BYTES)
    for length in range(len(data)):
        refusal(write(tmp_path, data[:length]))


def test_a_whole_file_cut_before_it_was_gzipped_is_refused(tmp_path: Path) -> None:
    """A sound gzip stream of a file that was cut short is refused as cut short."""
    assert "cut short" in refusal(write(tmp_path, gzip.compress(IMAGE_BYTES[:-1])))


def test_damage_within_a_gzip_stream_is_refused(tmp_path: Path) -> None:
    """A change of any byte of the compressed data or of its check sum is refused."""
    data = gzip.compress(IMAGE_BYTES)
    header, length_field = 10, 4  # the header holds no data; the last field is the length, checked below
    for at in range(header, len(data) - length_field):
        refusal(write(tmp_path, data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]))


def test_wrong_length_in_the_gzip_trailer_is_refused(tmp_path: Path) -> None:
    """The length that ends a gzip stream must be that of the data."""
    data = gzip.compress(IMAGE_BYTES)
    assert "gzip stream is damaged" in refusal(write(tmp_path, data[:-4] + b"\1\0\0\0"))


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_trailing_bytes_are_refused(tmp_path: Path, zipped: bool) -> None:
    """One byte more than the header says is an error that gives the size that would be right."""
    data = IMAGE_BYTES + b"\0"
    message = refusal(write(tmp_path, gzip.compress(data) if zipped else data))
    assert "bytes follow the last element" in message
    assert "2 x 3 x 4 = 24 bytes" in message


def test_bytes_after_a_gzip_stream_are_refused(tmp_path: Path) -> None:
    """What follows the end of the gzip stream must not be ignored."""
    refusal(write(tmp_path, gzip.compress(IMAGE_BYTES) + b"more"))


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        (0, 1, "not an IDX file"),
        (1, 1, "not an IDX file"),
        (2, 0x0D, "element type is 0x0d, expected 0x08"),  # 0x0D: 32-bit floats, legal IDX that we do not read
        (3, 0, "dimensions is 0, expected 1..4"),
        (3, 5, "dimensions is 5, expected 1..4"),
        (3, 2, "bytes follow the last element"),
    ],
)
def test_changed_magic_is_refused(tmp_path: Path, at: int, value: int, says: str) -> None:
    """The first four bytes must be 0, 0, 8 and the number of dimensions."""
    data = bytearray(IMAGE_BYTES)
    data[at] = value
    assert says in refusal(write(tmp_path, bytes(data)))


def test_labels_where_images_are_expected_are_refused(tmp_path: Path) -> None:
    """With `dimensions` given, a file of another number of dimensions is refused, and one with that number is read."""
    path = write(tmp_path, LABEL_BYTES)
    assert "dimensions is 1, expected 3" in refusal(path, dimensions=3)
    assert len(read_idx(path, dimensions=1)) == 3


def test_a_huge_header_allocates_nothing(tmp_path: Path) -> None:
    """A header that claims 2**96 bytes is refused before any of it is read."""
    assert "unpack to must be at most" in refusal(write(tmp_path, bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"data"))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there, and a folder in its place, are named."""
    assert "No such file" in refusal(tmp_path / "nothing")
    refusal(tmp_path)
