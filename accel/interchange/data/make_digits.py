"""Repack scikit-learn's digits as `digits.npz`, the data set that is part of the software.

Run with `python -m accel.interchange.data.make_digits` where scikit-learn is installed. It writes `digits.npz` beside
this file; a second run writes the identical bytes, so the file can be checked against its source.

The 1,797 images are the test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak (1998),
UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0, as scikit-learn distributes them.
They are shuffled once, so that each split is a sample of all of them.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from accel.files import write_whole

DIGITS_FILE = Path(__file__).with_name("digits.npz")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold: the clock must not reach the bytes


def pack(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> bytes:
    """Return the bytes of an npz file of `images` (N, 8, 8) and `labels` (N,), shuffled together.

    The order is `numpy.random.default_rng(0).permutation(N)`. Equal arrays give equal bytes: neither the time, nor the
    operating system, nor the user's umask is stored.
    """
    order = np.random.default_rng(0).permutation(len(images))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in (("images", images[order]), ("labels", labels[order])):
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whatever this runs on
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content.getvalue(), compresslevel=9)
    return packed.getvalue()


def main() -> None:
    """Write `digits.npz` from the installed scikit-learn."""
    from sklearn.datasets import load_digits  # here, since nothing else in the software needs scikit-learn

    digits = load_digits()
    images = digits.images.astype(np.uint8)
    if not np.array_equal(images, digits.images):
        raise SystemExit("scikit-learn's digits are no longer whole numbers: digits.npz would not hold them exactly")
    write_whole(DIGITS_FILE, pack(images, digits.target.astype(np.uint8)))
    print(f"{DIGITS_FILE}: {DIGITS_FILE.stat().st_size} bytes, {len(images)} images")


if __name__ == "__main__":
    main()
