"""Images and labels that are wrong: whatever it is, one line that says what and where, status 2, nothing written."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import contents, espalier, line_of
from support.own_images import CLASSES, drawn, network, write_classes

IMAGES, LABELS = drawn(20)
COUNT = len(IMAGES)
SOME_NAN = np.where(np.arange(36).reshape(6, 6) == 7, np.nan, IMAGES / 255).astype(np.float32)


def npz(**arrays: Any) -> Callable[[Path], Path]:
    """Return what writes an .npz of these arrays; images and labels are good ones by default."""

    def write(folder: Path) -> Path:
        np.savez(
            folder / "x.npz", **({} if "train_images" in arrays else {"images": IMAGES, "labels": LABELS}) | arrays
        )
        return folder / "x.npz"

    return write


def splits(test_images: Any, test_labels: Any) -> Callable[[Path], Path]:
    """Return what writes an .npz whose test images are these."""
    good = {f"{split}_{kind}": x for split in ("train", "validation") for kind, x in PAIR.items()}
    return npz(**good, test_images=test_images, test_labels=test_labels)


PAIR = {"images": IMAGES, "labels": LABELS}


def pictures(spoil: Callable[[Path], Any]) -> Callable[[Path], Path]:
    """Return what writes class folders and spoils something in them."""

    def write(folder: Path) -> Path:
        spoil(write_classes(folder / "bars", IMAGES, LABELS))
        return folder / "bars"

    return write


def one(folder: Path) -> Path:
    """Return a picture of a folder of class folders."""
    return min((folder / CLASSES[1]).iterdir())


def idx(images: Any, labels: Any) -> Callable[[Path], Path]:
    """Return what writes IDX files of images and labels."""

    def write(folder: Path) -> Path:
        for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
            head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (folder / name).write_bytes(head + array.astype(np.uint8).tobytes())
        return folder

    return write


def function(text: str) -> Callable[[Path], str]:
    """Return what writes a function of Python that returns `text`."""

    def write(folder: Path) -> str:
        (folder / "own.py").write_text(f"import numpy as np\ndef load():\n    return {text}\n")
        return f"{folder / 'own.py'}:load"

    return write


def cut(folder: Path) -> None:
    """Cut a picture short."""
    one(folder).write_bytes(one(folder).read_bytes()[:50])


def smaller(folder: Path) -> None:
    """Make a picture smaller than the others."""
    write_classes(folder, IMAGES[:1, :4, :4], [1])
    (folder / CLASSES[1] / "000.png").replace(one(folder))


def emptied(folder: Path) -> None:
    """Take all pictures of a class away."""
    for path in (folder / CLASSES[2]).iterdir():
        path.unlink()


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "fewer labels": (npz(labels=LABELS[:-3]), f"{COUNT} images but {COUNT - 3} of 'labels'; counts must be equal"),
    "fewer labels, IDX": (idx(IMAGES, LABELS[:-3]), f"{COUNT} images but {COUNT - 3} of 'train_labels'"),
    "fewer labels, a function": (function("np.zeros((9, 6, 6), np.uint8), np.arange(8) % 3"), "9 images but 8 of"),
    "labels of other classes": (npz(labels=LABELS + 1), "is 3, expected 0..2"),
    "labels below 0": (npz(labels=LABELS - 1), "is -1, expected 0..2"),
    "one hot": (npz(labels=np.eye(3)[LABELS]), "expected an integer for each of the"),
    "NaN": (npz(images=SOME_NAN), "'images' holds a value that is not finite"),
    "NaN, a function": (function("np.full((9, 6, 6), np.nan), np.arange(9) % 3"), "a value that is not finite"),
    "infinite": (npz(images=np.where(np.isnan(SOME_NAN), np.inf, SOME_NAN)), "a value that is not finite"),
    "one class": (npz(labels=0 * LABELS), "all validation labels are 0; images of at least two classes are needed"),
    "one class, IDX": (idx(IMAGES, 0 * LABELS), "all validation labels are 0; images of at least two classes"),
    "one class in a split": (splits(IMAGES, 0 * LABELS + 2), "all test labels are 2; images of at least two classes"),
    "no images": (npz(images=IMAGES[:0], labels=LABELS[:0]), "'images' holds no images"),
    "an empty split": (splits(IMAGES[:0], LABELS[:0]), "'test_images' holds no images"),
    "too few to split": (npz(images=IMAGES[::20], labels=LABELS[::20]), "no class has enough images to take"),
    "other sizes": (npz(images=IMAGES[:, :5]), "takes images of shape (1, 6, 6)"),
    "mixed sizes, a function": (function("[np.zeros((6, 6)), np.zeros((5, 5))], [0, 1]"), "returned no arrays"),
    "no picture": (pictures(lambda x: one(x).write_bytes(b"no picture")), "is no PNG or JPEG picture"),
    "an empty picture": (pictures(lambda x: one(x).write_bytes(b"")), "is no PNG or JPEG picture"),
    "a cut picture": (pictures(cut), "is no PNG or JPEG picture, or was cut or changed"),
    "mixed sizes": (pictures(smaller), "has the height and width (4, 4); all must have (6, 6)"),
    "a class without pictures": (pictures(emptied), "a class folder without a picture"),
    "something else": (pictures(lambda x: (x / CLASSES[0] / "x.txt").write_text("")), "is no picture"),
}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the network that takes such images."""
    folder = tmp_path_factory.mktemp("net")
    assert espalier("import", network().save(folder / "x.onnx"), "-o", folder / "net.espalier").status == 0
    return folder / "net.espalier"


@pytest.mark.parametrize("command", ["report", "explore"])
@pytest.mark.parametrize("what", BAD)
def test_one_line(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, command: str) -> None:
    """No traceback, no note before it, no folder begun."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write, told = BAD[what]
    data = write(tmp_path / "data")
    before = contents(tmp_path)
    line = line_of(espalier(command, net, "--patterns", "dense", "--data", data, "-o", tmp_path / "out"))
    assert line.startswith((f"{data}", f"{net}: takes images", str(tmp_path)))
    assert told in line
    after = {name: x for name, x in contents(tmp_path).items() if "__pycache__" not in name}
    assert after == before


def test_good_ones(net: Path, tmp_path: Path) -> None:
    """Negative control: the same images unspoiled are taken, and then there is the note."""
    for number, write in enumerate((npz(), pictures(lambda x: None), idx(IMAGES, LABELS))):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = espalier("prune", net, "--pattern", "kernel", "--data", write(folder), "-o", tmp_path / "out")
        assert (done.status, done.err.count("note: ")) == (0, 1)
