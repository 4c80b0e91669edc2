from pathlib import Path

import numpy as np
import pytest

from accel.errors import EspalierError
from accel.interchange.data.cifar import read_cifar10

PIXEL_BYTES = 3072  # 3 planes of 32 x 32


def record(label: int, red: int, green: int, blue: int) -> bytes:
    """Return one record of an image of one color."""
    return bytes([label]) + bytes([red]) * 1024 + bytes([green]) * 1024 + bytes([blue]) * 1024


def write(folder: Path, data: bytes) -> Path:
    """Write `data` as a batch file."""
    path = folder / "data_batch_1.bin"
    path.write_bytes(data)
    return path


def refusal(path: Path) -> str:
    """Return the message with which `path` is refused: one line that begins with the file's path."""
    with pytest.raises(EspalierError) as caught:
        read_cifar10(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_label_comes_first_then_red_green_blue(tmp_path: Path) -> None:
    """Each record is one label byte and three color planes in the order red, green, blue."""
    images, labels = read_cifar10(write(tmp_path, record(3, 10, 20, 30) + record(9, 40, 50, 60)))
    assert (images.dtype, images.shape) == (np.uint8, (2, 3, 32, 32))
    assert (labels.dtype, labels.tolist()) == (np.uint8, [3, 9])
    assert images[:, :, 0, 0].tolist() == [[10, 20, 30], [40, 50, 60]]
    assert images[:, :, 31, 31].tolist() == [[10, 20, 30], [40, 50, 60]]


def test_a_plane_is_rows_of_pixels(tmp_path: Path) -> None:
    """Pixel (row, column) of the red plane is byte 1 + 32 * row + column of its record."""
    data = bytearray(record(0, 0, 0, 0))
    data[1 + 32 * 2 + 5] = 77
    images, _ = read_cifar10(write(tmp_path, bytes(data)))
    assert images[0, 0, 2, 5] == 77
    assert np.count_nonzero(images) == 1


@pytest.mark.parametrize("length", [0, 1, PIXEL_BYTES, PIXEL_BYTES + 2, 2 * PIXEL_BYTES + 1])
def test_parts_of_a_record_are_refused(tmp_path: Path, length: int) -> None:
    """A file must hold a whole number of records of 3,073 bytes, and at least one."""
    message = refusal(write(tmp_path, bytes(length)))
    assert f"holds {length} bytes" in message
    assert "3073" in message


def test_label_above_9_is_refused(tmp_path: Path) -> None:
    """A label of 10 is refused, with the number of its image; 9 is the last that is read."""
    assert "label of image 1 is 10, expected 0..9" in refusal(
        write(tmp_path, record(9, 0, 0, 0) + record(10, 0, 0, 0) + record(11, 0, 0, 0))
    )


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there is named."""
    assert "No such file" in refusal(tmp_path / "data_batch_1.bin")
