"""Images of a user's own: every layout is read as the network takes it, splits are made, what is wrong is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.own_images import CLASSES, SHAPE, drawn, write_classes

from accel.errors import EspalierError
from accel.interchange.data.datasets import SPLITS, Dataset
from accel.interchange.data.own_data import Taker, is_own, open_own

TAKER = Taker("net", SHAPE, 3)
IMAGES, LABELS = drawn(20)


def saved(folder: Path, **arrays: Any) -> Path:
    """Return an .npz file of these arrays."""
    path = folder / "own.npz"
    np.savez(path, **arrays)
    return path


def pairs(*parts: Dataset) -> list[tuple[bytes, int]]:
    """Return images with their labels, in an order that depends on nothing but them."""
    return sorted((image.tobytes(), int(label)) for x in parts for image, label in zip(x.images, x.labels, strict=True))


GIVEN = sorted((image.tobytes(), int(label)) for image, label in zip(IMAGES, LABELS, strict=True))


class TestSplits:
    def test_made_of_one_pool(self, tmp_path: Path) -> None:
        """15 % of each class become validation and 15 % test images, each image with its label is in one split."""
        data = open_own(saved(tmp_path, images=IMAGES, labels=LABELS), TAKER)
        parts = [data.load(split) for split in SPLITS]
        assert [np.bincount(part.labels).tolist() for part in parts] == [[14] * 3, [3] * 3, [3] * 3]
        assert pairs(*parts) == GIVEN
        assert pairs(*parts[:2]) != GIVEN  # negative control
        assert data.note.endswith(
            "own.npz: 42 train, 9 validation, 9 test images, uint8 pixels divided by 255; 15% validation and 15% test "
            "images taken from the training images, class by class (seed 0)"
        )

    def test_the_same_again(self, tmp_path: Path) -> None:
        """The same images give the same splits in the same order, in an .npz as in a folder; other ones do not."""
        first = open_own(saved(tmp_path, images=IMAGES, labels=LABELS), TAKER)
        second = open_own(write_classes(tmp_path / "own", IMAGES, LABELS), TAKER)
        for split in SPLITS:
            one, other = first.load(split), second.load(split)
            assert one.images.tobytes() == other.images.tobytes()
            assert one.labels.tolist() == other.labels.tolist()
        assert first.load("train").images.tobytes() != first.load("test").images.tobytes()

    def test_the_first_images_are_of_all_classes(self, tmp_path: Path) -> None:
        """Images that came class by class do not leave that way: 12 that are the first are of all three classes."""
        data = open_own(saved(tmp_path, train_images=IMAGES, train_labels=LABELS), TAKER)
        assert set(data.load("train").take(12).labels) == {0, 1, 2}
        assert set(LABELS[:12]) == {0}

    def test_given(self, tmp_path: Path) -> None:
        """Splits that are there stay whole, and only those that are missing are taken from the training images."""
        test, labels = drawn(4, seed=1)
        arrays = {"images": IMAGES, "labels": LABELS, "test_images": test, "test_labels": labels}
        data = open_own(saved(tmp_path, **arrays), TAKER)
        assert [len(data.load(split)) for split in SPLITS] == [51, 9, 12]
        assert pairs(data.load("train"), data.load("validation")) == GIVEN
        assert pairs(data.load("test")) == sorted((x.tobytes(), int(y)) for x, y in zip(test, labels, strict=True))
        assert "15% validation images taken" in data.note

    def test_of_folders(self, tmp_path: Path) -> None:
        """So do folders of splits; all three of them leave nothing to be made."""
        for number, split in enumerate(SPLITS):
            write_classes(tmp_path / "own" / split, *drawn(number + 2, seed=number))
        data = open_own(tmp_path / "own", TAKER)
        assert [len(data.load(split)) for split in SPLITS] == [6, 9, 12]
        assert "taken from" not in data.note
        assert (data.made, data.name) == ((), "own/")

    def test_without_labels(self, tmp_path: Path) -> None:
        """Images without labels are not split, and keep their order; an array that is alone may have any name."""
        data = open_own(saved(tmp_path, anything=IMAGES), TAKER)
        for split in SPLITS:
            assert np.array_equal(data.load(split, labelled=False).images[:, 0], IMAGES)
        with pytest.raises(EspalierError, match=r"own.npz: its test images have no labels, which error rates need$"):
            data.load("test")

    def test_a_changed_file_is_read_again(self, tmp_path: Path) -> None:
        """What was read once is not given again for a file that was written since."""
        path = saved(tmp_path, images=IMAGES)
        before = open_own(path, TAKER).load("test", labelled=False)
        saved(tmp_path, images=IMAGES[:10] // 2)
        after = open_own(path, TAKER).load("test", labelled=False)
        assert (len(before), len(after)) == (60, 10)


class TestLayouts:
    @pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (4, 1, 1)])
    def test_every_layout(self, tmp_path: Path, shape: tuple[int, int, int]) -> None:
        """Channels stand first, last, or, where there is one, nowhere; a network of numbers takes rows of them."""
        images = np.random.default_rng(0).integers(0, 256, (6, *shape)).astype(np.uint8)
        layouts = [images, np.moveaxis(images, 1, -1)]
        layouts += [images[:, 0]] if shape[0] == 1 else [images[:, :, 0, 0]] if shape[1:] == (1, 1) else []
        for number, layout in enumerate(layouts):
            data = open_own(saved(tmp_path, images=layout), Taker(f"net{number}", shape, 2))
            assert np.array_equal(data.load("test", labelled=False).images, images)

    def test_a_shape_that_can_be_read_both_ways(self, tmp_path: Path) -> None:
        """Channels stand first, unless what takes the images has them last."""
        images = np.random.default_rng(0).integers(0, 256, (6, 3, 3, 3)).astype(np.uint8)
        path = saved(tmp_path, images=images)
        for last in (False, True):
            found = open_own(path, Taker("net", (3, 3, 3), 2, last)).load("test", labelled=False).images
            assert np.array_equal(found, np.moveaxis(images, -1, 1) if last else images)
        assert not np.array_equal(images, np.moveaxis(images, -1, 1))

    def test_bytes_become_shares_and_floats_stay(self, tmp_path: Path) -> None:
        """Pixel 255 is 1.0; a float is what the network is given, in single precision."""
        bytes_of = open_own(saved(tmp_path, images=IMAGES), TAKER).load("test", labelled=False)
        assert np.array_equal(bytes_of.pixels()[:, 0], IMAGES / np.float32(255))
        for kind in (np.float16, np.float32, np.float64):
            data = open_own(saved(tmp_path, images=IMAGES.astype(kind)), Taker(kind.__name__, SHAPE, 3))
            found = data.load("test", labelled=False).pixels()
            assert found.dtype == np.float32
            assert np.array_equal(found[:, 0], IMAGES)
            assert "floats 0..255 taken as they are" in data.note


class TestPictures:
    @pytest.mark.parametrize("suffix", ["png", "PNG", "jpg", "jpeg"])
    def test_formats(self, tmp_path: Path, suffix: str) -> None:
        """PNG gives the very pixels; JPEG those that Pillow reads, near them."""
        data = open_own(write_classes(tmp_path / "own", IMAGES, LABELS, suffix), TAKER)
        found = np.concatenate([data.load(split).images[:, 0] for split in SPLITS]).astype(int)
        near = np.abs(found[:, None] - IMAGES[None].astype(int)).mean(axis=(2, 3)).min(axis=1)
        assert near.max() < (1 if suffix.lower() == "png" else 20)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_modes(self, tmp_path: Path, mode: str, channels: int) -> None:
        """Gray, color, palettes and transparency become what the network takes; black and white stay that."""
        image = Image.fromarray(np.where(np.eye(6), 255, 0).astype(np.uint8)).convert(mode)
        for name in CLASSES:
            (tmp_path / name).mkdir()
            for number in range(3):
                image.save(tmp_path / name / f"{number}.png")
        images = open_own(tmp_path, Taker("net", (channels, 6, 6), 3)).load("test").images
        assert images.shape == (3, channels, 6, 6)
        assert np.array_equal(images, np.broadcast_to(np.where(np.eye(6), 255, 0), images.shape))

    def test_hidden_files_and_files_above_are_no_pictures(self, tmp_path: Path) -> None:
        """What a file manager leaves, and a README beside the classes, is passed over."""
        write_classes(tmp_path, IMAGES, LABELS)
        (tmp_path / CLASSES[0] / ".DS_Store").write_bytes(b"x")
        (tmp_path / ".git").mkdir()
        (tmp_path / "README").write_text("bars")
        assert len(open_own(tmp_path, TAKER).load("train")) == 42


class TestRefusals:
    @pytest.mark.parametrize(
        ("arrays", "words"),
        [
            ({"images": IMAGES, "labels": LABELS[:-1]}, "60 images but 59 of 'labels'; counts must be equal"),
            ({"images": IMAGES, "labels": LABELS / 2}, r"'labels' holds float64 \(60,\), expected an integer for each"),
            ({"images": IMAGES, "labels": np.eye(3)[LABELS]}, r"'labels' holds float64 \(60, 3\), expected an integer"),
            ({"images": IMAGES, "labels": LABELS + 1}, r"3 classes\): label of image 40 is 3, expected 0..2"),
            ({"images": IMAGES, "labels": LABELS * 0 + 1}, "all test labels are 1; images of at least two classes"),
            ({"images": IMAGES[:, :5], "labels": LABELS}, r"takes images of shape \(1, 6, 6\), those .* have \(5, 6\)"),
            ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"'images' holds no images, its shape is \(0, 6, 6\)"),
            ({"images": np.float32(1), "labels": LABELS}, r"'images' holds no images, its shape is \(\)"),
            ({"images": IMAGES, "test_images": IMAGES[:0]}, "'test_images' holds no images"),
            ({"images": IMAGES.astype(int)}, "'images' holds int64 .*, expected uint8 or floats"),
            ({"images": IMAGES > 100}, "'images' holds bool .*, expected uint8 or floats"),
            ({"images": np.where(IMAGES > 250, np.nan, 0)}, "'images' holds a value that is not finite"),
            ({"images": np.where(IMAGES > 250, np.inf, 0)}, "'images' holds a value that is not finite"),
            ({"images": np.where(IMAGES > 250, 1e39, 0)}, "'images' holds a value that is not finite"),
            ({"images": np.array([None, "a"])}, "is an array of object"),
            ({"x": IMAGES, "y": LABELS}, "holds x, y; expected 'images', perhaps with 'labels', or 'train_images'"),
            ({"labels": LABELS}, "holds 'labels' without 'images'"),
            ({"images": IMAGES, "test_labels": LABELS}, "holds 'test_labels' without 'test_images'"),
            ({"images": IMAGES, "train_images": IMAGES}, "'images' and 'train_images', which mean the same"),
            ({"test_images": IMAGES, "test_labels": LABELS}, "has no train images, and no training images to take"),
            ({"images": IMAGES[::20], "labels": LABELS[::20]}, "no class has enough images to take validation and"),
        ],
    )
    def test_of_an_npz(self, tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
        """Arrays that do not fit each other or the network are told with the file, what it holds, what would fit."""
        path = saved(tmp_path, **arrays)
        with pytest.raises(EspalierError, match=words) as error:
            _ = [open_own(path, TAKER).load(split) for split in ("test", "train")]
        assert "\n" not in str(error.value)

    def test_no_npz(self, tmp_path: Path) -> None:
        """So is a file that is cut or something else."""
        path = saved(tmp_path, images=IMAGES)
        sound = path.read_bytes()
        for damaged in (sound[:200], b"", b"PK" + sound[9:], b"\x93NUMPY", sound[:500] + b"x" + sound[501:]):
            path.write_bytes(damaged)
            with pytest.raises(EspalierError, match=r"own\.npz: "):
                open_own(path, TAKER)

    def refused(self, folder: Path, words: str, taker: Taker = TAKER) -> None:
        """See that a folder is refused with one line."""
        with pytest.raises(EspalierError, match=words) as error:
            open_own(folder, taker).load("train")
        assert "\n" not in str(error.value)

    def test_of_pictures(self, tmp_path: Path) -> None:
        """A picture that is cut, none, of another size or more bits is named; without it the folder is read."""
        write_classes(tmp_path, IMAGES, LABELS)
        path = tmp_path / CLASSES[0] / "000.png"
        sound = path.read_bytes()
        for bad in (sound[:60], b"", b"GIF89a", sound[:-30] + bytes(30)):
            path.write_bytes(bad)
            self.refused(tmp_path, "000.png: is no PNG or JPEG picture, or was cut or changed")
        Image.fromarray(IMAGES[0][:5]).save(path)
        self.refused(tmp_path, r"000.png: has the height and width \(5, 6\); all must have \(6, 6\), for net takes")
        Image.fromarray(IMAGES[0].astype(np.uint16) * 256).save(path)
        self.refused(tmp_path, "000.png: has pixels of Pillow's mode I;16; expected 8 bits a channel")
        path.write_bytes(sound)
        assert len(open_own(tmp_path, TAKER).load("train")) == 42  # negative control
        self.refused(tmp_path, "pictures have 1 or 3 channels", Taker("net", (2, 6, 6), 3))

    def test_of_folders(self, tmp_path: Path) -> None:
        """No classes, others than the network has, one without a picture, and a stray file are told."""
        self.refused(tmp_path, "holds no class folders; expected one folder of PNG or JPEG files for each class")
        write_classes(tmp_path, IMAGES, LABELS)
        (tmp_path / "zebra").mkdir()
        self.refused(tmp_path, r"has 4 class folders \(across, down, none, zebra\), but net has 3 classes")
        self.refused(tmp_path, "zebra: a class folder without a picture", Taker("net", SHAPE, 4))
        (tmp_path / "zebra" / "notes.txt").write_text("striped")
        self.refused(tmp_path, "notes.txt: is no picture; a class folder holds", Taker("net", SHAPE, 4))

    def test_of_folders_of_splits(self, tmp_path: Path) -> None:
        """A split that is empty, or has a neighbor that is none, is told."""
        write_classes(tmp_path / "train", IMAGES, LABELS)
        assert len(open_own(tmp_path, TAKER).load("train")) == 42  # negative control
        (tmp_path / "test").mkdir()
        self.refused(tmp_path, "test: holds no class folders")
        (tmp_path / "test").rmdir()
        (tmp_path / "val").mkdir()
        self.refused(tmp_path, "val: is no split; beside train, validation, test expected nothing else")

    def test_no_file(self, tmp_path: Path) -> None:
        """A path to nothing is told as other commands tell it."""
        with pytest.raises(FileNotFoundError):
            open_own(tmp_path / "none.npz", TAKER)


@pytest.mark.parametrize(("text", "own"), [("mnist", False), ("", False), ("a.npz", True), ("a/b", True), (".", True)])
def test_what_is_written_like_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, own: bool) -> None:
    """A name is no path unless there is something of that name."""
    monkeypatch.chdir(tmp_path)
    assert is_own(text) is own
