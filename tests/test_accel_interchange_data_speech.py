import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.commandline import complaint, espalier
from support.sounds import noise, speech_commands, wav

from accel.errors import EspalierError
from accel.interchange.data.own_data import OwnData, Taker, open_own
from accel.interchange.data.sound import mfcc, read_wav
from accel.interchange.data.speech import NOISE, SILENCE, UNKNOWN
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.layers import Linear
from accel.network import Network
from accel.pruned import PrunedNetwork

TAKER = Taker("dscnn", (1, 49, 10), 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three recordings of each word, one for each split."""
    return speech_commands(tmp_path_factory.mktemp("sounds") / "speech_commands_v0.02")


def opened(path: Path) -> OwnData:
    """Return the data in a folder for a network of twelve words."""
    found = open_own(path, TAKER)
    assert isinstance(found, OwnData)
    return found


class TestSplits:
    def test_the_lists_say_which(self, folder: Path) -> None:
        """Each word once in a split; a tenth as many, one, are silence, and one another word."""
        data = opened(folder)
        assert data.name == "speech_commands_v0.02/"
        for split in ("train", "validation", "test"):
            images = data.load(split)
            assert images.shape == (1, 49, 10)
            assert images.classes == 12
            assert Counter(images.labels.tolist()) == dict.fromkeys(range(12), 1)
        paths = {split: {clip.path.name for clip in part.items} for split, part in data.parts.items()}
        assert paths["test"] - {"running_tap.wav", "white_noise.wav"} == {"c_nohash_0.wav"}
        assert paths["validation"] - {"running_tap.wav", "white_noise.wav"} == {"b_nohash_0.wav"}

    def test_what_is_heard(self, folder: Path) -> None:
        """Of a test recording the MFCC of its samples, the highest 1, zeros behind it; silence is a second of noise."""
        data = opened(folder)
        images, clips = data.load("test"), data.parts["test"].items
        for label, word in ((3, "no"), (UNKNOWN, "bed")):
            place = int(np.flatnonzero(images.labels == label)[0])
            samples = read_wav(folder / word / "c_nohash_0.wav").astype(np.float32)
            padded = np.zeros(16_000, np.float32)
            padded[: len(samples)] = samples / samples.max()
            assert clips[place].path == folder / word / "c_nohash_0.wav"
            np.testing.assert_array_equal(images.images[place, 0], mfcc(padded))
        assert clips[int(np.flatnonzero(images.labels == SILENCE)[0])].path.parent == folder / NOISE

    def test_only_training_is_noisy(self, folder: Path) -> None:
        """Four of five training recordings of words have noise mixed in, at most a tenth as loud; the others none."""
        parts = opened(folder).parts
        noisy = [clip for clip in parts["train"].items if clip.noise]
        assert 5 <= len(noisy) <= 11
        assert all(0 <= clip.volume <= 0.1 and clip.path.parent.name != NOISE for clip in noisy)
        assert not any(clip.noise for split in ("validation", "test") for clip in parts[split].items)
        clean = {clip.path: clip for clip in parts["train"].items}
        assert len(clean) == 12


def without(name: str) -> Callable[[Path], None]:
    """Return what takes a file or the recordings of a word away."""

    def take(folder: Path) -> None:
        for file in [folder / name] if (folder / name).is_file() else (folder / name).iterdir():
            file.unlink()

    return take


def slow(folder: Path) -> None:
    """Put a recording of another rate in the place of one."""
    wav(folder / "go" / "a_nohash_0.wav", noise(np.random.default_rng(0), 0.2), rate=8000)


def listed(folder: Path) -> None:
    """Have a list name what is not there."""
    with (folder / "testing_list.txt").open("a") as file:
        file.write("yes/z_nohash_0.wav\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("testing_list.txt"), "testing_list.txt: no such file; Speech Commands lists there what is not for"),
        (without("validation_list.txt"), "validation_list.txt: no such file"),
        (without("yes/a_nohash_0.wav"), "yes: has no train recording; each of down, go, "),
        (without(NOISE), f"{NOISE}: has no wav files, or one of less than a second; silence is taken from it"),
        (without("bed/a_nohash_0.wav"), "has no train recording of another word than down, go, "),
        (slow, "a_nohash_0.wav: has 8,000 samples a second, 16 bits and 1 channels; expected 16,000, 16 and 1"),
        (listed, "has no yes/z_nohash_0.wav, which testing_list.txt names"),
    ],
)
def test_what_is_missing(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    """A list, a word, the noise, or another rate: one line says what, and where."""
    folder = speech_commands(tmp_path / "words", 0.1)
    damage(folder)
    with pytest.raises(EspalierError, match=re.escape(message)):
        opened(folder).load("train")


def test_another_network(folder: Path) -> None:
    """A network of images is told what MFCC are."""
    with pytest.raises(EspalierError, match=r"^lenet5: takes images of shape \(1, 28, 28\) and knows 10 classes; MFCC"):
        open_own(folder, Taker("lenet5", (1, 28, 28), 10))


@pytest.mark.slow
def test_commands(folder: Path, tmp_path: Path) -> None:
    """A network is quantised with the recordings, and run on them."""
    rng = np.random.default_rng(0)
    shapes = ARCHITECTURES["dscnn"]()
    weights = {x.name: rng.normal(0, 0.3, x.weight.shape).astype("f") for x in shapes.weighted}
    network = shapes.with_weights(weights)
    assert isinstance(network, Network)
    assert isinstance(network["fc6"], Linear)
    PrunedNetwork(network).save(tmp_path / "net.espalier")
    done = espalier("quantize", tmp_path / "net.espalier", "--data", folder, "-o", tmp_path / "p.espalier")
    assert done.status == 0
    assert "12 train, 12 validation, 12 test images, MFCC of a second each" in done.err
    done = espalier("run", tmp_path / "p.espalier", "--data", folder)
    assert (done.status, "on 12 images" in done.out) == (0, True)
    (tmp_path / "empty" / NOISE).mkdir(parents=True)
    line = complaint("run", tmp_path / "p.espalier", "--data", tmp_path / "empty")
    assert "validation_list.txt: no such file" in line
