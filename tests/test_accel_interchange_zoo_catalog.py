import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.masks import PATTERNS, is_legal
from support.networks import chain

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.interchange.zoo.architectures import ARCHITECTURES
from accel.layers import Conv2d
from accel.pruned import PrunedNetwork
from accel.sparsity import LayerMask

SHIPPED = [(name, pattern) for name in zoo.names() for pattern in zoo.patterns(name)]

# what each data set forgives a pruned network; one that learned nothing is wrong nine times of ten
WORST = {"digits": 0.05, "mnist": 0.05, "fashion-mnist": 0.2, "cifar-10": 0.35}


def catalogue(name: str) -> dict[str, Any]:
    """Return what zoo.json says about a network."""
    text = (resources.files("accel.interchange") / "zoo" / name / "zoo.json").read_text()
    return dict(json.loads(text))


class TestShipped:
    def test_something_is_shipped(self) -> None:
        """The network of the embedded digits, dense and pruned."""
        assert "digits" in zoo.names()
        assert len(zoo.patterns("digits")) > 1
        assert set(zoo.names()) <= set(ARCHITECTURES)

    @pytest.mark.slow
    @pytest.mark.parametrize(("name", "pattern"), SHIPPED)
    def test_every_version(self, name: str, pattern: str) -> None:
        """It is what its name says: its masks are legal, its data set exists, its size before is the architecture's."""
        pruned, dense = zoo.load(name, pattern), ARCHITECTURES[name]()
        assert (pruned.network.name, pruned.pattern) == (name, pattern)
        assert pruned.data in datasets.NAMES
        assert dict(pruned.dense_weights) == {layer.name: layer.weight.size for layer in dense.weighted}
        assert dict(pruned.dense_macs) == dense.dense_macs()
        for layer, mask in pruned.masks.items():
            convolved = isinstance(pruned.network[layer], Conv2d)
            assert pattern.split("/")[0 if convolved else -1].endswith(mask.pattern)
            assert is_legal(mask.pattern, mask.kept)
            weights = pruned.network[layer].weight.reshape(mask.kept.shape)  # type: ignore[attr-defined]
            assert not weights[~mask.kept].any()
            assert weights[mask.kept].any()
        assert bool(pruned.masks) == (pattern not in ("dense", "feature-map"))
        assert (pruned.sparsity == 0) == (pattern == "dense")

    @pytest.mark.parametrize("name", zoo.names())
    def test_the_catalogue(self, name: str) -> None:
        """One row for each version, dense first, with the sparsity of its file and error rates that make sense."""
        record = catalogue(name)
        assert (record["network"], record["data"]) == (name, zoo.load(name).data)
        assert [row["pattern"] for row in record["files"]] == zoo.patterns(name)
        assert zoo.patterns(name)[0] == "dense"
        assert len(set(zoo.patterns(name))) == len(zoo.patterns(name))
        for row in record["files"]:
            assert row["file"] == zoo.file_name(row["pattern"])
            assert row["sparsity"] == round(zoo.load(name, row["pattern"]).sparsity, 6)
            for split in ("validation", "test"):
                assert 0 <= row[f"{split}_error_rate"] < WORST[record["data"]]

    @pytest.mark.parametrize("name", zoo.names())
    def test_every_file_is_in_the_catalogue(self, name: str) -> None:
        """Nothing lies in the folder that nobody can load."""
        folder = resources.files("accel.interchange") / "zoo" / name
        files = {file.name for file in folder.iterdir() if file.name.endswith(zoo.SUFFIX)}
        assert files == {row["file"] for row in catalogue(name)["files"]}

    def test_the_error_rate_is_that_of_the_file(self) -> None:
        """The dense digits network misses as many test images as the catalogue says; other labels are another rate."""
        test = datasets.load("digits", "test")
        (row,) = (row for row in catalogue("digits")["files"] if row["pattern"] == "dense")
        chosen = zoo.load("digits").network.scores(test.pixels()).argmax(axis=1)
        assert np.mean(chosen != test.labels) == pytest.approx(row["test_error_rate"], abs=1e-12)
        assert np.mean(chosen != np.roll(test.labels, 1)) > row["test_error_rate"] + 0.5

    def test_dense_by_default(self) -> None:
        """Whoever names no pattern gets the dense network."""
        assert zoo.load("digits").pattern == zoo.load("digits", "dense").pattern == "dense"
        assert zoo.load("digits", "kernel").pattern == "kernel"


class TestNames:
    def test_every_pattern_has_a_file_of_its_own(self) -> None:
        """No two labels share a file, and no file name holds a character that some system refuses."""
        labels = [*PATTERNS, *(f"feature-map+{pattern}" for pattern in PATTERNS)]
        files = [zoo.file_name(label) for label in labels]
        assert len(set(files)) == len(labels)
        assert all(file.endswith(".espalier") and not set(file) & set('<>:"/\\|?* ') for file in files)
        assert zoo.file_name("2:4") == "2of4.espalier"
        assert zoo.file_name("feature-map+kernel") == "feature-map+kernel.espalier"

    @pytest.mark.parametrize(
        ("network", "pattern", "message"),
        [
            ("digit", None, "unknown network 'digit': did you mean 'digits'?"),
            ("Digits", None, "unknown network 'Digits': did you mean 'digits'?"),
            ("lenet", None, r"unknown network 'lenet': (did you mean 'lenet5'\? )?\(known: "),
            ("cnn-small", None, "cnn-small: its weights are not part of this installation; install from a clone"),
            ("..", None, r"unknown network '\.\.': \(known: "),
            ("", None, r"unknown network '': \(known: "),
            ("digits", "kernels", "unknown pattern of digits in the zoo 'kernels': did you mean 'kernel'?"),
            ("digits", "3:4", "unknown pattern of digits in the zoo '3:4': did you mean '2:4'?"),
        ],
    )
    def test_unknown_names(self, network: str, pattern: str | None, message: str) -> None:
        """A network or version that is not there is refused, with the nearest name that is."""
        with pytest.raises(EspalierError, match=f"^{message}".replace("'?", r"'\?").replace(r"\\?", r"\?")):
            zoo.load(network, pattern)

    def test_patterns_of_an_unknown_network(self) -> None:
        """To ask for its versions is refused alike."""
        with pytest.raises(EspalierError, match=r"^unknown network 'digit': did you mean 'digits'\?"):
            zoo.patterns("digit")

    def test_a_version_that_was_left_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A catalogue may name what an installation does not hold: only what is there counts."""
        folder = tmp_path / "digits"
        folder.mkdir()
        whole = resources.files("accel.interchange") / "zoo" / "digits"
        for name in ("zoo.json", "dense.espalier", "kernel.espalier"):
            (folder / name).write_bytes((whole / name).read_bytes())
        monkeypatch.setattr("accel.interchange.zoo.catalog._root", lambda: tmp_path)
        assert zoo.patterns("digits") == ["dense", "kernel"]
        assert zoo.load("digits", "kernel").pattern == "kernel"
        with pytest.raises(EspalierError, match=r"^unknown pattern of digits in the zoo 'ikss'"):
            zoo.load("digits", "ikss")


class TestFiles:
    def saved(self, folder: Path) -> Path:
        """Return a file that holds a pruned network."""
        mask = LayerMask("kernel", np.broadcast_to(np.eye(5, 4, dtype=bool)[:, :, None], (5, 4, 9)))
        path = folder / "mine.espalier"
        PrunedNetwork(chain(), {"conv2": mask}, "kernel", "digits").save(path)
        return path

    @pytest.mark.parametrize("pattern", [None, "kernel"])
    def test_a_file_is_loaded(self, tmp_path: Path, pattern: str | None) -> None:
        """By its path, whether its pattern is named or not."""
        path = self.saved(tmp_path)
        for name in (path, str(path)):
            pruned = zoo.load(name, pattern)
            assert (pruned.network.name, pruned.pattern, pruned.data) == ("chain", "kernel", "digits")
            assert pruned.kept_weights == 72 + 4 * 9 + 140 + 21  # four of conv2's kernels stay

    def test_another_pattern_is_refused(self, tmp_path: Path) -> None:
        """A file holds one version."""
        path = self.saved(tmp_path)
        with pytest.raises(EspalierError, match=r"mine\.espalier: holds the pattern kernel, not ikss$"):
            zoo.load(path, "ikss")

    def test_what_counts_as_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What exists, ends like one, or has a folder in it; a bare word is a name of the zoo."""
        path = self.saved(tmp_path)
        monkeypatch.chdir(tmp_path)
        path.rename("mine")
        assert [zoo.is_file(name) for name in ("mine", "x.espalier", "folder/x", "digits", "mine2")] == [
            *(True, True, True, False, False)
        ]
        assert zoo.load("mine").pattern == "kernel"

    @pytest.mark.parametrize("name", ["missing.espalier", "missing/mine"])
    def test_a_file_that_is_not_there(self, tmp_path: Path, name: str) -> None:
        """The system's error names the file."""
        with pytest.raises(FileNotFoundError, match=name):
            zoo.load(tmp_path / name)

    def test_a_file_that_is_something_else(self, tmp_path: Path) -> None:
        """A damaged file is refused with its name."""
        path = self.saved(tmp_path)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(EspalierError, match=r"mine\.espalier"):
            zoo.load(path)
