import dataclasses
import gzip
import io
import struct
import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat, Overflow, Rounding
from accel.interchange.data.datasets import NAMES, SPLITS, Dataset, load
from accel.interchange.data.make_digits import pack
from accel.signal import Signal

HELD_OUT = 10_000


def idx(array: np.ndarray) -> bytes:
    """Return `array` as the bytes of an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(folder: Path, stem: str, count: int, ending: str = "") -> None:
    """Write `count` black images whose first two pixels hold the image's number, labeled with its last digit."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.zeros((count, 28, 28), dtype=np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(count), 256)
    for name, data in (
        (f"{stem}-images-idx3-ubyte", idx(images)),
        (f"{stem}-labels-idx1-ubyte", idx(np.arange(count) % 10)),
    ):
        (folder / f"{name}{ending}").write_bytes(gzip.compress(data, 1) if ending else data)


def write_cifar(folder: Path) -> None:
    """Write two images into each CIFAR-10 file; every pixel of an image is the number of its file, test being 6."""
    folder.mkdir()
    for number, name in enumerate([*(f"data_batch_{batch}.bin" for batch in range(1, 6)), "test_batch.bin"], start=1):
        (folder / name).write_bytes((bytes([number]) + bytes([number]) * 3072) * 2)


def numbers(dataset: Dataset) -> np.ndarray:
    """Return the number that `write_idx` hid in each image."""
    return dataset.images[:, 0, 0, 0].astype(int) * 256 + dataset.images[:, 0, 0, 1]


def some(**changes: Any) -> Dataset:
    """Return a sound data set of three 2 x 2 images, with `changes`."""
    values: dict[str, Any] = {
        "name": "squares",
        "split": "test",
        "images": np.array([[[[0, 1], [2, 3]]], [[[4, 5], [6, 7]]], [[[8, 8], [8, 8]]]], dtype=np.uint8),
        "labels": np.array([0, 1, 2], dtype=np.int64),
        "classes": 3,
        "full_scale": 8,
    }
    return Dataset(**{**values, **changes})


def refusal(name: str, split: str, data_dir: Path | None = None) -> str:
    """Return the one line with which `load` refuses."""
    with pytest.raises(EspalierError) as caught:
        load(name, split, data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestDataset:
    def test_length_and_shape(self) -> None:
        """len() is the number of images; shape is that of one image."""
        assert len(some()) == 3
        assert some().shape == (1, 2, 2)

    def test_pixels_are_the_images_over_full_scale(self) -> None:
        """pixels() is float32 in 0..1: pixel p becomes p / full_scale, exact here since full_scale is 8."""
        pixels = some().pixels()
        assert (pixels.dtype, pixels.shape) == (np.float32, (3, 1, 2, 2))
        assert pixels.ravel().tolist() == [p / 8 for p in (0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8)]
        assert pixels.ravel().tolist() != [p / 255 for p in (0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8)]

    @pytest.mark.parametrize(
        ("form", "kind"),
        [
            (FixedFormat(8, 8, signed=False, rounding=Rounding.RND_CONV, overflow=Overflow.SAT), np.uint8),
            (FixedFormat(8, 8, rounding=Rounding.RND_CONV, overflow=Overflow.SAT), np.int8),
            (FixedFormat(3, 3, rounding=Rounding.TRN, overflow=Overflow.WRAP), np.int8),
            (FixedFormat(12, 12, signed=False, rounding=Rounding.RND_INF, overflow=Overflow.SAT), np.int16),
            (FixedFormat(16, 16, signed=False, rounding=Rounding.RND_INF, overflow=Overflow.SAT), np.int64),
        ],
        ids=str,
    )
    def test_codes_are_the_signals_of_the_pixels(self, form: FixedFormat, kind: type) -> None:
        """codes(signal) is signal.encode(pixels()), value for value, in words no wider than needed."""
        signal = Signal(form, 0.07)
        codes = some().codes(signal)
        assert codes.dtype == kind
        assert codes.tolist() == signal.encode(some().pixels()).tolist()
        assert codes.tolist() != Signal(form, 0.09).encode(some().pixels()).tolist()

    @pytest.mark.parametrize("form", [FixedFormat(4, 4, overflow=Overflow.SAT), FixedFormat(16, 16, signed=False)])
    def test_floats_are_taken_as_they_are(self, form: FixedFormat) -> None:
        """Images of float32 are their own pixels, and their codes the signal's, in parts or not."""
        images = np.random.default_rng(0).normal(0, 1, (2500, 1, 2, 1)).astype(np.float32)
        data = Dataset("a", "test", images, np.zeros(2500, np.int64), classes=1, full_scale=1)
        assert np.array_equal(data.pixels(), images)
        assert data.range == (images.min(), images.max())
        assert np.array_equal(data.codes(Signal(form, 0.25)), Signal(form, 0.25).encode(images))
        assert not np.array_equal(data.codes(Signal(form, 0.25)), Signal(form, 0.5).encode(images))

    def test_images_without_labels(self) -> None:
        """They have no classes and no labels, whatever part is taken of them."""
        data = some(labels=np.zeros(0, np.int64), classes=0)
        assert (data.labelled, some().labelled) == (False, True)
        assert (len(data.take(2)), len(data.take(2).labels)) == (2, 0)
        assert data.range == (0, some().images.max() / 8)

    def test_take_gives_the_first(self) -> None:
        """take(n) keeps the first n images with their labels and changes nothing else."""
        first = some().take(2)
        assert first.labels.tolist() == [0, 1]
        assert first.images.ravel().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
        assert (first.name, first.split, first.classes, first.full_scale) == ("squares", "test", 3, 8)

    @pytest.mark.parametrize("count", [-1, 0, 4])
    def test_take_outside_the_set_is_refused(self, count: int) -> None:
        """take(n) needs 1 <= n <= N, rather than returning fewer images than asked for."""
        with pytest.raises(EspalierError, match=rf"squares \(test\): count must be 1\.\.3, got {count}"):
            some().take(count)

    def test_nothing_can_be_changed(self) -> None:
        """The fields cannot be assigned, the arrays cannot be written, and neither can they through the original."""
        labels = np.array([0, 1, 2], dtype=np.int64)
        dataset = some(labels=labels)
        labels[0] = 2
        assert dataset.labels.tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match="read-only"):
            dataset.labels[0] = 2
        with pytest.raises(ValueError, match="read-only"):
            dataset.images[0] = 0
        with pytest.raises(dataclasses.FrozenInstanceError):
            dataset.classes = 4  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"images": np.zeros((3, 1, 2, 2), np.float64)}, "images must be uint8 or float32 .* got float64"),
            ({"images": np.full((3, 1, 2, 2), np.nan, np.float32)}, "hold a value that is not finite"),
            ({"images": np.zeros((3, 2, 2), np.uint8)}, r"\(N, C, H, W\).* got uint8 of shape \(3, 2, 2\)"),
            ({"images": np.zeros((3, 1, 0, 2), np.uint8)}, "no size 0"),
            ({"images": np.zeros((0, 1, 2, 2), np.uint8), "labels": np.zeros(0, np.int64)}, "no size 0"),
            ({"labels": np.zeros(3, np.uint8)}, "labels must be int64 .* got uint8"),
            ({"labels": np.zeros((3, 1), np.int64)}, r"labels must be int64 of shape \(N,\).*\(3, 1\)"),
            ({"labels": np.zeros(2, np.int64)}, "3 images but 2 labels"),
            ({"labels": np.array([0, 1, 3])}, r"label of image 2 is 3, expected 0\.\.2"),
            ({"labels": np.array([0, -1, 2])}, r"label of image 1 is -1, expected 0\.\.2"),
            ({"classes": 0}, "classes must be at least 1, got 0"),
            ({"full_scale": 7}, r"pixels must be 0\.\.7, got 8"),
            ({"full_scale": 0}, r"full_scale must be 1\.\.255, got 0"),
            ({"full_scale": 256}, r"full_scale must be 1\.\.255, got 256"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, changes: dict[str, Any], says: str) -> None:
        """Dtypes, shapes, counts, labels and pixels are checked when the object is made; the message says which."""
        with pytest.raises(EspalierError, match=rf"^squares \(test\): .*{says}"):
            some(**changes)


class TestDigits:
    def test_the_whole_set(self) -> None:
        """The three splits together are scikit-learn's 1,797 images: its documented count of each digit."""
        parts = [load("digits", split) for split in SPLITS]
        assert [len(part) for part in parts] == [1197, 250, 350]
        labels = np.concatenate([part.labels for part in parts])
        # The class distribution that the data set's own documentation lists for its test part.
        assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]

    def test_splits_are_disjoint(self) -> None:
        """No image is in two splits: the 1,797 originals differ pairwise, and so do all images of all splits."""
        images = np.concatenate([load("digits", split).images for split in SPLITS])
        assert len(np.unique(images.reshape(1797, 64), axis=0)) == 1797

    def test_every_split_has_every_class(self) -> None:
        """The set was shuffled before it was split, so no split lacks a digit."""
        for split in SPLITS:
            assert (np.bincount(load("digits", split).labels, minlength=10) > 0).all()

    def test_values(self) -> None:
        """Pixels are 0..16 over one 8 x 8 map, and both ends occur; pixels() ends at 1."""
        digits = load("digits", "train")
        assert (digits.name, digits.split, digits.classes, digits.full_scale) == ("digits", "train", 10, 16)
        assert digits.shape == (1, 8, 8)
        assert (digits.images.min(), digits.images.max(), digits.pixels().max()) == (0, 16, 1.0)

    def test_images_belong_to_their_labels(self) -> None:
        """The labels were shuffled with the images: the nearest class mean of train is right for most of test.

        Chance is 10 %, and so is the result against labels that were moved by one; a nearest-mean classifier reaches
        about 90 % on this set.
        """
        train, test = load("digits", "train"), load("digits", "test")
        means = np.stack([train.pixels()[train.labels == digit].mean(axis=0).ravel() for digit in range(10)])
        nearest = ((test.pixels().reshape(-1, 1, 64) - means) ** 2).sum(axis=2).argmin(axis=1)
        assert np.mean(nearest == test.labels) > 0.8
        assert np.mean(nearest == np.roll(test.labels, 1)) < 0.3

    def test_data_dir_is_not_needed(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Digits come with the software, whatever the data directory is."""
        monkeypatch.delenv("ESPALIER_DATA", raising=False)
        assert len(load("digits", "test")) == len(load("digits", "test", tmp_path / "nothing")) == 350

    def test_the_file_holds_no_clock_and_is_small(self) -> None:
        """digits.npz stays under 80 kB, and its members carry the earliest zip date instead of the time of packing."""
        packed = resources.files("accel.interchange.data").joinpath("digits.npz").read_bytes()
        assert len(packed) < 80_000
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            assert archive.namelist() == ["images.npy", "labels.npy"]

    def test_packing_is_deterministic(self) -> None:
        """Equal arrays give equal bytes, one changed pixel gives others, and both arrays are shuffled alike."""
        images = np.arange(5 * 64).reshape(5, 8, 8).astype(np.uint8)
        labels = np.arange(5, dtype=np.uint8)
        packed = pack(images, labels)
        assert pack(images.copy(), labels.copy()) == packed
        changed = images.copy()
        changed[0, 0, 0] ^= 1
        assert pack(changed, labels) != packed
        with np.load(io.BytesIO(packed), allow_pickle=False) as file:
            assert np.array_equal(file["images"], images[file["labels"]])
            assert sorted(file["labels"]) == [0, 1, 2, 3, 4]

    def test_attribution_lies_beside_the_data(self) -> None:
        """CC BY 4.0 asks for the authors' names and the license where the data is."""
        notice = resources.files("accel.interchange.data").joinpath("DIGITS_NOTICE.md").read_text(encoding="utf-8")
        for needed in ("Alpaydin", "Kaynak", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/", "shuffled"):
            assert needed in notice


class TestIdxSets:
    @pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
    @pytest.mark.parametrize("ending", ["", ".gz"], ids=["plain", "gzipped"])
    def test_the_last_training_images_are_the_validation_split(self, tmp_path: Path, name: str, ending: str) -> None:
        """Of 10,007 training images, train is images 0..6 and validation the last 10,000; labels follow."""
        write_idx(tmp_path / name, "train", HELD_OUT + 7, ending)
        train, validation = load(name, "train", tmp_path), load(name, "validation", tmp_path)
        assert numbers(train).tolist() == list(range(7))
        assert numbers(validation).tolist() == list(range(7, HELD_OUT + 7))
        assert train.labels.tolist() == list(range(7))
        assert validation.labels[:5].tolist() == [7, 8, 9, 0, 1]
        assert (train.name, train.split, train.shape, train.full_scale) == (name, "train", (1, 28, 28), 255)
        assert (validation.split, train.classes) == ("validation", 10)

    def test_the_test_split_is_the_t10k_files(self, tmp_path: Path) -> None:
        """The test split is all of the t10k files, and needs no other file."""
        write_idx(tmp_path / "mnist", "t10k", 12)
        assert numbers(load("mnist", "test", tmp_path)).tolist() == list(range(12))

    def test_plain_and_gzipped_files_mix(self, tmp_path: Path) -> None:
        """Each file is looked for without and with .gz on its own."""
        write_idx(tmp_path / "mnist", "t10k", 3)
        labels = tmp_path / "mnist" / "t10k-labels-idx1-ubyte"
        labels.with_name(labels.name + ".gz").write_bytes(gzip.compress(labels.read_bytes()))
        labels.unlink()
        assert len(load("mnist", "test", tmp_path)) == 3

    @pytest.mark.parametrize("missing", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
    def test_missing_file(self, tmp_path: Path, missing: str) -> None:
        """A missing file is named by its path, with the command that downloads it."""
        write_idx(tmp_path / "mnist", "t10k", 3)
        (tmp_path / "mnist" / missing).unlink()
        message = refusal("mnist", "test", tmp_path)
        assert str(tmp_path / "mnist" / missing) in message
        assert "espalier data fetch mnist" in message

    def test_counts_that_differ(self, tmp_path: Path) -> None:
        """Unequal counts are refused in one line with both files and both counts."""
        write_idx(tmp_path / "mnist", "t10k", 3)
        images, labels = (tmp_path / "mnist" / f"t10k-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
        labels.write_bytes(idx(np.zeros(2)))
        message = refusal("mnist", "test", tmp_path)
        assert f"{images} holds 3 images" in message
        assert f"{labels} holds 2 labels" in message

    def test_label_out_of_range(self, tmp_path: Path) -> None:
        """A label of 10 is refused with the name of the label file."""
        write_idx(tmp_path / "mnist", "t10k", 3)
        labels = tmp_path / "mnist" / "t10k-labels-idx1-ubyte"
        labels.write_bytes(idx(np.array([0, 10, 2])))
        assert f"{labels}: label of image 1 is 10, expected 0..9" in refusal("mnist", "test", tmp_path)

    def test_swapped_files(self, tmp_path: Path) -> None:
        """Labels in the place of images are refused with the name of the file."""
        write_idx(tmp_path / "mnist", "t10k", 3)
        images = tmp_path / "mnist" / "t10k-images-idx3-ubyte"
        images.write_bytes(idx(np.zeros(3)))
        assert f"{images}: number of IDX dimensions is 1, expected 3" in refusal("mnist", "test", tmp_path)

    def test_images_of_another_size(self, tmp_path: Path) -> None:
        """Images that are not 28 x 28 are refused: the networks of these data sets would not fit them."""
        write_idx(tmp_path / "mnist", "t10k", 3)
        images = tmp_path / "mnist" / "t10k-images-idx3-ubyte"
        images.write_bytes(idx(np.zeros((3, 28, 27))))
        assert f"{images}: images are 28 x 27, expected 28 x 28" in refusal("mnist", "test", tmp_path)

    @pytest.mark.parametrize(("stem", "split", "count"), [("train", "train", HELD_OUT), ("t10k", "test", 0)])
    def test_too_few_images(self, tmp_path: Path, stem: str, split: str, count: int) -> None:
        """A file that leaves nothing for the split is refused: 10,000 training images leave none to train on."""
        write_idx(tmp_path / "mnist", stem, count)
        assert f"holds {count} images, expected at least {count + 1}" in refusal("mnist", split, tmp_path)


class TestCifar:
    def test_splits_are_whole_batches(self, tmp_path: Path) -> None:
        """Train is batches 1 to 4, validation batch 5, test the test batch, each in its order."""
        write_cifar(tmp_path / "cifar-10-batches-bin")
        batches = {split: load("cifar-10", split, tmp_path) for split in SPLITS}
        assert batches["train"].labels.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
        assert batches["validation"].labels.tolist() == [5, 5]
        assert batches["test"].labels.tolist() == [6, 6]
        for dataset in batches.values():
            assert (dataset.shape, dataset.classes, dataset.full_scale) == ((3, 32, 32), 10, 255)
            assert np.array_equal(dataset.images[:, 2, 31, 31], dataset.labels)

    def test_missing_batch(self, tmp_path: Path) -> None:
        """A missing batch is named by its path; the splits that do not need it load."""
        folder = tmp_path / "cifar-10-batches-bin"
        write_cifar(folder)
        (folder / "data_batch_3.bin").unlink()
        assert str(folder / "data_batch_3.bin") in refusal("cifar-10", "train", tmp_path)
        assert len(load("cifar-10", "validation", tmp_path)) == 2


class TestChoices:
    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("mnst", "mnist"),
            ("MNIST", "mnist"),
            ("cifar10", "cifar-10"),
            ("fashion", "fashion-mnist"),
            ("digit", "digits"),
        ],
    )
    def test_unknown_name_suggests_the_nearest(self, given: str, meant: str) -> None:
        """An unknown name is refused with the nearest known one, and with all of them."""
        message = refusal(given, "test")
        assert f"unknown data set '{given}': did you mean '{meant}'?" in message
        assert ", ".join(NAMES) in message

    def test_unknown_split_suggests_the_nearest(self) -> None:
        """So is an unknown split."""
        assert "unknown split 'valid': did you mean 'validation'?" in refusal("digits", "valid")

    def test_nothing_near_suggests_nothing(self) -> None:
        """A name that resembles none is answered with the list alone."""
        message = refusal("xyz", "test")
        assert "did you mean" not in message
        assert ", ".join(NAMES) in message


class TestDataDirectory:
    def test_environment_variable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without data_dir the folder is what ESPALIER_DATA names; data_dir wins over it."""
        write_idx(tmp_path / "one" / "mnist", "t10k", 1)
        write_idx(tmp_path / "two" / "mnist", "t10k", 2)
        monkeypatch.setenv("ESPALIER_DATA", str(tmp_path / "one"))
        assert len(load("mnist", "test")) == 1
        assert len(load("mnist", "test", tmp_path / "two")) == 2

    @pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
    def test_neither_given(self, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
        """With neither, the line says all three ways out."""
        if value is None:
            monkeypatch.delenv("ESPALIER_DATA", raising=False)
        else:
            monkeypatch.setenv("ESPALIER_DATA", value)
        message = refusal("mnist", "test")
        for way in ("--data-dir", "ESPALIER_DATA", "espalier data fetch"):
            assert way in message
