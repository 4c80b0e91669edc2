"""Images of a user's own as IDX or CIFAR files, or from a function: the same images as in an .npz, or a line."""

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.own_images import SHAPE, drawn

from accel.errors import EspalierError
from accel.interchange.data import arrays
from accel.interchange.data.own_data import Taker, elsewhere, is_own, name_of, open_own

TAKER = Taker("net", SHAPE, 3)
IMAGES, LABELS = drawn(20)
COLORED = Taker("net", (3, 32, 32), 3)
FUNCTIONS = """
import numpy as np

IMAGES, LABELS = np.load("{folder}/images.npy"), np.load("{folder}/labels.npy")

def both(): return IMAGES, LABELS
def alone(): return IMAGES.tolist()
def named(): return dict(train_images=IMAGES, train_labels=LABELS, test_images=IMAGES[::2], test_labels=LABELS[::2])
def other(): return dict(x=IMAGES, y=LABELS)
def ragged(): return [[1], [2, 3]]
def fails(): raise OSError("no such disk\\n  here")
constant = 3
"""


def idx(array: Any) -> bytes:
    """Return an IDX file of bytes."""
    array = np.asarray(array, np.uint8)
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def cifar(images: Any, labels: Any) -> bytes:
    """Return a batch of CIFAR-10's binary version."""
    return b"".join(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))


def loaded(path: Path, split: str = "train", taker: Taker = TAKER) -> list[tuple[bytes, int]]:
    """Return the images of a split with their labels, in no order."""
    part = open_own(path, taker).load(split)
    return sorted((image.tobytes(), int(label)) for image, label in zip(part.images, part.labels, strict=True))


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    """The images as an .npz, of which the other tests read the same."""
    np.savez(tmp_path / "own.npz", images=IMAGES, labels=LABELS)
    return tmp_path / "own.npz"


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    """A module of functions, in a folder that is on no path."""
    folder = tmp_path / "code"
    folder.mkdir()
    np.save(folder / "images.npy", IMAGES)
    np.save(folder / "labels.npy", LABELS)
    (folder / "shapes_of_mine.py").write_text(FUNCTIONS.format(folder=folder))
    return folder / "shapes_of_mine.py"


class TestIdx:
    @pytest.mark.parametrize("packed", [False, True])
    def test_one_file(self, tmp_path: Path, npz: Path, packed: bool) -> None:
        """A file of images, gzipped or not, brings the labels beside it; splits are made as of an .npz."""
        ending = ".gz" if packed else ""
        for name, array in (("images-idx3-ubyte", IMAGES), ("labels-idx1-ubyte", LABELS)):
            (tmp_path / f"{name}{ending}").write_bytes(gzip.compress(idx(array)) if packed else idx(array))
        path = tmp_path / f"images-idx3-ubyte{ending}"
        for split in ("train", "validation", "test"):
            assert loaded(path, split) == loaded(npz, split)
        assert loaded(path) != loaded(path, "test")  # negative control

    def test_splits_by_name(self, tmp_path: Path) -> None:
        """A folder as MNIST comes: what begins with t10k are test images, the rest is split."""
        for name, part in (("train", slice(0, 45)), ("t10k", slice(45, 60))):
            order = np.random.default_rng(0).permutation(60)[part]
            (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(IMAGES[order]))
            (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(LABELS[order]))
        data = open_own(tmp_path, TAKER)
        assert data.made == ("validation",)
        assert len(data.load("test")) == 15
        assert sum(len(data.load(split)) for split in ("train", "validation")) == 45

    def test_without_labels(self, tmp_path: Path) -> None:
        """Images alone calibrate."""
        path = tmp_path / "a-images.idx3-ubyte"
        path.write_bytes(idx(IMAGES))
        data = open_own(path, TAKER)
        assert len(data.load("train", labelled=False)) == 60
        with pytest.raises(EspalierError, match="its test images have no labels"):
            data.load("test")

    def test_what_does_not_fit(self, tmp_path: Path) -> None:
        """A file that is cut, labels that are too few, and batches of other sizes are told."""
        images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
        images.write_bytes(idx(IMAGES)[:-1])
        with pytest.raises(EspalierError, match="the file is cut short"):
            open_own(tmp_path, TAKER)
        images.write_bytes(idx(IMAGES))
        labels.write_bytes(idx(LABELS[1:]))
        with pytest.raises(EspalierError, match="60 images but 59 of 'train_labels'; counts must be equal"):
            open_own(tmp_path, TAKER)
        (tmp_path / "train-2-images-idx3-ubyte").write_bytes(idx(IMAGES[:, 1:]))
        with pytest.raises(EspalierError, match="its files of 'train_images' have images of different shapes"):
            open_own(tmp_path, TAKER)


class TestCifar:
    def test_batches(self, tmp_path: Path, rng: np.random.Generator) -> None:
        """Batches of training images are one split, a test batch the other; one file is a pool."""
        images, labels = rng.integers(0, 256, (60, 3, 32, 32), np.uint8), np.arange(60) % 3
        for name, part in (
            ("data_batch_1", slice(0, 30)),
            ("data_batch_2", slice(30, 50)),
            ("test_batch", slice(50, 60)),
        ):
            (tmp_path / f"{name}.bin").write_bytes(cifar(images[part], labels[part]))
        given = sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
        found = [loaded(tmp_path, split, COLORED) for split in ("train", "validation", "test")]
        assert sorted([*found[0], *found[1], *found[2]]) == given
        assert len(found[2]) == 10
        assert sorted([*found[0], *found[1]]) != given  # negative control
        assert len(loaded(tmp_path / "data_batch_1.bin", "train", COLORED)) < 30

    def test_beside_idx_files(self, tmp_path: Path) -> None:
        """A folder of both kinds is refused: it would not say which of them is meant."""
        (tmp_path / "test_batch.bin").write_bytes(cifar(np.zeros((1, 3, 32, 32), np.uint8), [1]))
        (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
        with pytest.raises(EspalierError, match="holds IDX and CIFAR files; expected files of one kind"):
            open_own(tmp_path, COLORED)

    def test_a_label_too_high(self, tmp_path: Path) -> None:
        """A file of something else is told."""
        (tmp_path / "x.bin").write_bytes(cifar(np.zeros((1, 3, 32, 32), np.uint8), [11]))
        with pytest.raises(EspalierError, match=r"x\.bin: label of image 0 is 11, expected 0\.\.9"):
            open_own(tmp_path / "x.bin", COLORED)


class TestFunction:
    def test_by_file_and_by_module(self, npz: Path, functions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A function by its file, or by its module in this folder, gives the images that an .npz would."""
        assert loaded(Path(f"{functions}:both")) == loaded(npz)
        monkeypatch.chdir(functions.parent)
        monkeypatch.delitem(sys.modules, "shapes_of_mine", raising=False)
        assert loaded(Path("shapes_of_mine:both")) == loaded(npz)
        assert str(functions.parent) not in sys.path

    def test_the_same_elsewhere(self, functions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process in another folder finds the same function, and calls the images by the same name."""
        monkeypatch.chdir(functions.parent)
        monkeypatch.delitem(sys.modules, "shapes_of_mine", raising=False)
        for text in ("shapes_of_mine:both", "shapes_of_mine.py:both"):
            assert elsewhere(text) == f"{functions}:both"
            assert name_of(Path(text)) == name_of(Path(elsewhere(text))) == "shapes_of_mine:both"

    def test_splits(self, functions: Path) -> None:
        """What is returned by name says its splits; a list alone is images without labels."""
        data = open_own(Path(f"{functions}:named"), TAKER)
        assert (data.made, len(data.load("test"))) == (("validation",), 30)
        with pytest.raises(EspalierError, match="'images' holds int64"):
            open_own(Path(f"{functions}:alone"), TAKER)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("none", "has no function 'none'"),
            ("constant", "has no function 'constant'"),
            ("fails", ":fails: raised OSError: no such disk here$"),
            ("ragged", "returned no arrays: ValueError: "),
            ("other", "holds x, y; expected 'images'"),
        ],
    )
    def test_what_goes_wrong_inside(self, functions: Path, name: str, words: str) -> None:
        """One line, whatever the function does."""
        with pytest.raises(EspalierError, match=words) as error:
            open_own(Path(f"{functions}:{name}"), TAKER)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("text", ["no_such_module:load", "no/such/file.py:load"])
    def test_not_there(self, text: str) -> None:
        """A module or a file that is not there is told with what Python said."""
        with pytest.raises(EspalierError, match=f"{text}: cannot be imported: (ModuleNotFound|FileNotFound)Error"):
            open_own(Path(text), TAKER)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("a:b", True),
        ("a.b:c", True),
        ("x/y.py:f", True),
        ("a:", False),
        (":b", False),
        ("1:b", False),
        ("a/b:c", False),
    ],
)
def test_what_is_written_like_a_function(text: str, function: bool) -> None:
    """A module's name or a file of Python, and one name after the colon."""
    assert arrays.is_function(text) is function
    assert is_own(text) or not function
