"""`espalier prune`: what it writes is what the library gives, and bad input ends in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import complaint, contents, espalier, espalier_process, untrained_lenet5, write_mnist

from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.prune import Evaluator, chooser
from accel.pruned import PrunedNetwork
from accel.sparsity import parse_pattern
from reports.commands.places import Interruption
from reports.workflow import retrain
from reports.workflow.evaluate import float_error_rate
from reports.workflow.prune import parse_ratios, prune

KERNEL = ("prune", "digits", "--pattern", "kernel", "--ratio", "0.5")
SEARCH = ("--select", "best-of-n", "--budget", 8, "--validation-images", 40)


def same(left: PrunedNetwork, right: PrunedNetwork) -> bool:
    """Return whether two networks keep the same, with the same weights."""
    if left.masks.keys() != right.masks.keys() or left.pattern != right.pattern:
        return False
    masks = all(np.array_equal(left.masks[name].kept, right.masks[name].kept) for name in left.masks)
    pairs = zip(left.network.weighted, right.network.weighted, strict=True)
    return masks and all(np.array_equal(x.weight, y.weight) for x, y in pairs)


def fill_validation(data_dir: Path) -> None:
    """Draw the first 40 images of the validation split of a made-up MNIST, which are black otherwise."""
    path = data_dir / "mnist" / "train-images-idx3-ubyte"
    data = bytearray(path.read_bytes())
    first = 16 + 32 * 28 * 28  # after the header and the training images
    data[first : first + 40 * 28 * 28] = np.random.default_rng(1).integers(0, 256, 40 * 28 * 28, np.uint8).tobytes()
    path.write_bytes(data)


class TestPrune:
    def test_it_is_the_library(self, tmp_path: Path) -> None:
        """The file holds what the library gives for the same selector, validation images, budget and seed."""
        done = espalier(*KERNEL, *SEARCH, "--seed", 3, "-o", tmp_path / "out.espalier")
        assert (done.status, done.err) == (0, "")
        written = PrunedNetwork.load(tmp_path / "out.espalier")
        images = datasets.load("digits", "validation").take(40)
        for seed in (3, 4):
            rng = np.random.default_rng(seed)
            choose = chooser("best-of-n", images.pixels(), images.labels, rng, budget=8)
            expected = prune(zoo.load("digits"), "kernel", {"kernel": 0.5}, choose=choose)
            assert same(written, expected) == (seed == 3)  # negative control: another seed

    def test_what_is_said(self, tmp_path: Path) -> None:
        """Kept and all weights of each layer, and the error rates of both splits, are those of the written network."""
        done = espalier(*KERNEL, "-o", tmp_path / "o.espalier", "--json", tmp_path / "o.json")
        written, dense = PrunedNetwork.load(tmp_path / "o.espalier"), zoo.load("digits")
        record = json.loads((tmp_path / "o.json").read_text())
        assert record["layers"]["conv2"] == {"kept": 32 * 16 * 9 // 2, "weights": 32 * 16 * 9}
        assert record["layers"]["conv1"] == {"kept": 144, "weights": 144}  # spared
        for split in ("validation", "test"):
            images = datasets.load("digits", split)
            rates = {"dense": float_error_rate(dense, images), "pruned": float_error_rate(written, images)}
            assert record["error_rates"][split] == rates
            assert rates["dense"] < rates["pruned"]
            told = f"{len(images)} {split} images: {rates['dense']:.2%} before pruning, {rates['pruned']:.2%} after"
            assert told in done.out
        assert record["sparsity"] == written.sparsity
        assert ["conv2", "kernel", "2,304", "4,608", "50.0%"] in [
            line.split("│")[1:-1] for line in done.out.replace(" ", "").splitlines()
        ]
        assert done.out.endswith(f"Written to {tmp_path / 'o.espalier'}.\n")

    @pytest.mark.parametrize(
        ("pattern", "ratio", "kept"),
        [
            ("feature-map+kernel", "feature-map=0.5,kernel=0.25", {"conv2": 16 * 16 * 9 * 3 // 4}),
            ("kernel/block-4", "kernel=0.5,block-4=0.75", {"conv2": 2304, "conv3": 4608}),
            ("kernel", "conv2=0.25,conv3=0.75", {"conv2": 3456, "conv3": 2304}),
            ("kernel", "conv2=0,conv3=0.5", {"conv2": 4608, "conv3": 4608}),
            ("2:4", None, {"conv2": 2304, "conv3": 4608}),
        ],
    )
    def test_labels_and_ratios(self, tmp_path: Path, pattern: str, ratio: str | None, kept: dict[str, int]) -> None:
        """Any label works, with one ratio for each part or each layer; what is left is legal."""
        words = ["--ratio", ratio] if ratio else []
        assert espalier("prune", "digits", "--pattern", pattern, *words, "-o", tmp_path / "o").status == 0
        written = PrunedNetwork.load(tmp_path / "o")
        for name, count in kept.items():
            assert int(written.layer_mask(name).kept.sum()) == count
        for name, mask in written.masks.items():
            parse_pattern(mask.pattern).check(mask.kept, name)
        assert "conv1" not in written.masks
        assert written.pattern == pattern

    def test_rounds(self, tmp_path: Path) -> None:
        """Nothing that went comes back: without retraining, rounds by magnitude end where one shot ends."""
        one, two = tmp_path / "one", tmp_path / "two"
        assert espalier(*KERNEL, "-o", one).status == 0
        assert espalier(*KERNEL, "--rounds", 2, "--steps", "linear", "-o", two).status == 0
        assert same(PrunedNetwork.load(one), PrunedNetwork.load(two))

    @pytest.mark.slow
    def test_the_test_split_decides_nothing(self, tmp_path: Path) -> None:
        """Other test images: the same masks. Other validation labels: other masks (negative control)."""
        untrained_lenet5().save(tmp_path / "n.espalier")
        words = ("prune", tmp_path / "n.espalier", "--pattern", "kernel", "--ratio", "0.7", *SEARCH)
        written = []
        for number, changed in enumerate((None, "t10k", "train")):
            folder = write_mnist(tmp_path / str(number))
            fill_validation(folder)
            if changed:
                path = folder / "mnist" / f"{changed}-labels-idx1-ubyte"
                data = path.read_bytes()
                path.write_bytes(data[:8] + bytes((label + 1 + at % 5) % 10 for at, label in enumerate(data[8:])))
            done = espalier(*words, "--data", "mnist", "--data-dir", folder, "-o", folder / "o")
            assert done.status == 0
            written.append(PrunedNetwork.load(folder / "o"))
        assert same(written[0], written[1])
        assert not same(written[0], written[2])

    def test_no_pytorch(self, tmp_path: Path) -> None:
        """PyTorch is not needed unless something is retrained; then that is said in one line. A pipe gets no bar."""
        gone = "import sys; sys.modules['torch'] = None"
        words = ("prune", "digits", "--pattern", "kernel", *SEARCH, "-o", tmp_path / "o")
        done = espalier_process(*words, before=gone, FORCE_COLOR="1", TTY_COMPATIBLE="1")
        assert (done.status, done.err) == (0, "")
        (tmp_path / "o").unlink()
        done = espalier_process(*words, "--retrain", 1, before=gone)
        assert (done.status, done.out) == (2, "")
        assert done.err == "espalier: training needs PyTorch: pip install 'espalier-hw[train]'\n"
        assert contents(tmp_path) == {}

    @pytest.mark.slow
    def test_a_group_lasso_first(self, tmp_path: Path) -> None:
        """`--sparsify` is what the library does with the groups of each stage; without it other weights come out."""
        pytest.importorskip("torch")
        words = ("prune", "digits", "--pattern", "feature-map+kernel", "--ratio", "0.5", "--seed", 3, "--retrain", 1)
        files = ("--json", tmp_path / "o.json", "-o", tmp_path / "o.espalier")
        assert espalier(*words, "--sparsify", 2, "--group-lasso", "0.3", *files).status == 0
        record = json.loads((tmp_path / "o.json").read_text())
        assert (record["sparsified_epochs"], record["retrained_epochs"]) == (2, 1)
        images, dense = datasets.load("digits", "train"), zoo.load("digits")
        recipe = retrain.recipe("digits", 1, seed=3)
        for strength in (0.3, 0.1):
            shrinking = retrain.trainer(retrain.sparsifying(recipe, 2, strength), images)
            again = retrain.trainer(recipe, images)
            ratios = {"feature-map": 0.5, "kernel": 0.5}
            expected = prune(dense, "feature-map+kernel", ratios, again, sparsify=shrinking)
            assert same(PrunedNetwork.load(files[-1]), expected) == (strength == 0.3)  # negative control: another one

    @pytest.mark.slow
    def test_a_teacher_and_the_best_epoch(self, tmp_path: Path) -> None:
        """`--teacher` has the share of the loss that recipes give it, `--best-epoch` chooses; else others come out."""
        pytest.importorskip("torch")
        words = ("prune", "digits", "--pattern", "kernel", "--ratio", "0.5", "--seed", 3, "--retrain", 4)
        rate = ("--learning-rate", "0.05")  # so high that the last epoch is not the best
        assert espalier(*words, *rate, "--teacher", "digits", "--best-epoch", "-o", tmp_path / "o").status == 0
        (images, held_out), dense = (datasets.load("digits", x) for x in ("train", "validation")), zoo.load("digits")
        for taught, best in ((True, True), (False, True), (True, False)):
            recipe = retrain.recipe("digits", 4, taught=taught, seed=3, best=best, learning_rate=0.05)
            more = {"teacher": dense.network if taught else None, "validation": held_out if best else None}
            expected = prune(dense, "kernel", {"kernel": 0.5}, retrain.trainer(recipe, images, **more))
            assert same(PrunedNetwork.load(tmp_path / "o"), expected) == (taught and best)


class TestResume:
    @pytest.mark.parametrize("calls", [5, 11])
    def test_stopped_and_resumed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
        """Stopped in the search of either stage and started again: the bytes of a run that nobody stopped."""
        pytest.importorskip("torch")
        words = ("prune", "digits", "--pattern", "feature-map+kernel", "--ratio", "0.5", *SEARCH, "--retrain", 1)
        assert espalier(*words, "-o", tmp_path / "whole").status == 0
        assert espalier(*words, "--seed", 1, "-o", tmp_path / "other").status == 0
        again = (*words, "--checkpoint", tmp_path / "stop", "-o", tmp_path / "again")
        judged: list[int] = []
        judge = Evaluator.__call__

        def stopping(self: Evaluator, masks: Any) -> float:
            judged.append(1)
            if len(judged) == calls:
                raise KeyboardInterrupt
            return judge(self, masks)

        with monkeypatch.context() as patch:
            patch.setattr(Evaluator, "__call__", stopping)
            with pytest.raises(Interruption):  # of which the process makes its status
                espalier(*again)
        assert not (tmp_path / "again").exists()
        assert espalier(*again).status == 0
        assert (tmp_path / "again").read_bytes() == (tmp_path / "whole").read_bytes()
        assert (tmp_path / "again").read_bytes() != (tmp_path / "other").read_bytes()  # negative control
        assert len(judged) < 16

    def test_another_search(self, tmp_path: Path) -> None:
        """A folder of another run is refused with what to do; other images are another run too."""
        words = (*KERNEL, *SEARCH, "--checkpoint", tmp_path / "c", "-o", tmp_path / "o")
        assert espalier(*words).status == 0
        line = complaint(*words, "--seed", 1)
        assert line.startswith(f"checkpoint {tmp_path / 'c'} is of another run (other seed): delete it to start anew")
        line = complaint(*words, "--validation-images", 41)
        assert "(other validation_images)" in line


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--pattern", "kernel", "--ratio", "1.5"], "--ratio 1.5: a ratio must be at least 0 and less than 1, got"),
            (["--pattern", "kernel", "--ratio", "-0.1"], "--ratio -0.1: a ratio must be at least 0 and less than 1"),
            (["--pattern", "kernel", "--ratio", "1"], "--ratio 1: a ratio must be at least 0 and less than 1, got 1"),
            (["--pattern", "kernel", "--ratio", "nan"], "--ratio nan: expected a number, such as 0.7, or LAYER=NUMBER"),
            (["--pattern", "kernel", "--ratio", "much"], "--ratio much: expected a number, such as 0.7, or LAYER="),
            (["--pattern", "kernel", "--ratio", "conv2=x"], "--ratio conv2=x: expected a number"),
            (["--pattern", "kernel", "--ratio", "conv2=0.5"], "conv3: has no ratio; those of kernel are for conv2"),
            (["--pattern", "kernel", "--ratio", "cnv2=0.5"], "unknown layer of digits 'cnv2': did you mean 'conv2'?"),
            (
                ["--pattern", "kernel", "--ratio", "kernel=0.5,conv2=0.1"],
                "--ratio kernel=0.5,conv2=0.1: kernel has one",
            ),
            (
                ["--pattern", "kernel", "--ratio", "0.9999"],
                "conv2: pruning 100% as kernel would remove the whole layer",
            ),
            (["--pattern", "feature-map", "--ratio", "0.99"], "conv2: pruning 99% as feature-map would remove the"),
            (["--pattern", "2:4", "--ratio", "0.5"], "--ratio 0.5: 2:4 says itself how much goes; leave --ratio out"),
            (["--pattern", "krnel"], "unknown pattern 'krnel': expected one of dense, feature-map, kernel,"),
            (["--pattern", "kernel@0"], "a group of kernels must have 1..1024 output maps, got 0"),
            (["--pattern", "kernel@-1"], "a group of kernels must have 1..1024 output maps, got -1"),
            (["--pattern", "kernel@5000"], "a group of kernels must have 1..1024 output maps, got 5000"),
            (["--pattern", "kernel@x"], "'kernel@x': a group of kernels must have 1..1024 output maps, got 'x'"),
            (["--pattern", "kernel@1"], "the pattern kernel@1 is written kernel"),
            (
                ["--pattern", "kernel@8", "--ratio", "0.9999"],
                "conv2: pruning 100% as kernel@8 would remove the whole layer",
            ),
            (["--pattern", "kernel@8", "--ratio", "kernel=0.5"], "unknown layer of digits 'kernel'"),
            (["--pattern", "dense"], "--pattern dense: prunes nothing"),
            (["--pattern", "kernel", "--select", "particle"], "unknown selector 'particle': did you mean 'particle-f"),
            (
                ["--pattern", "kernel", "--select", "activation-sum"],
                "--select activation-sum: chooses feature maps only",
            ),
            (
                ["--pattern", "feature-map+ikss", "--select", "activation-sum"],
                "--select activation-sum: chooses feature",
            ),
            (
                ["--pattern", "kernel", "--start", "magnitude"],
                "--start magnitude: is for particle-filter, not for magni",
            ),
            (["--pattern", "kernel", "--learning-rate", "0.1"], "--learning-rate 0.1: nothing is retrained; --retrain"),
            (["--pattern", "kernel", "--teacher", "digits"], "--teacher digits: nothing is retrained; --retrain says"),
            (
                ["--pattern", "kernel", "--retrain", "1", "--teacher", "lenet5"],
                "--teacher lenet5: takes images (1, 28, 28) and gives 10 scores, and digits takes (1, 8, 8) and gi",
            ),
            (["--pattern", "kernel", "--retrain", "1", "--teacher", "digit"], "unknown network 'digit': did you mean "),
            (
                ["--pattern", "kernel", "--best-epoch"],
                "--best-epoch: nothing is retrained; --retrain says for how many",
            ),
            (["--pattern", "kernel", "--spare", "conv9"], "unknown layer of digits 'conv9': did you mean 'conv"),
            (["--pattern", "kernel", "--steps", "big"], "steps must be one of geometric, linear, cubic, got 'big'"),
            (["--pattern", "kernel", "--budget", "0"], "Invalid value for '--budget': 0 is not in the range x>=1."),
            (["--pattern", "kernel", "--rounds", "0"], "Invalid value for '--rounds': 0 is not in the range x>=1."),
            (["--pattern", "kernel", "--data", "mnits"], "unknown data set 'mnits': did you mean 'mnist'?"),
            ([], "Missing option '--pattern'."),
        ],
    )
    def test_words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str) -> None:
        """What cannot be done is said in one line, and nothing is written."""
        monkeypatch.chdir(tmp_path)
        assert complaint("prune", "digits", *arguments, "-o", "out.espalier").startswith(words)
        assert contents(tmp_path) == {}

    def test_no_layer_can_have_it(self, tmp_path: Path) -> None:
        """A pattern that no layer of the network can have is refused with the layers that were spared."""
        line = complaint(*KERNEL, *("--spare", "conv2", "--spare", "conv3", "--spare", "conv1"), "-o", tmp_path / "o")
        assert line == "digits: no layer can have the pattern kernel; spared: conv1, conv2, conv3"

    def test_a_data_set_of_the_wrong_shape(self, tmp_path: Path) -> None:
        """Both shapes are told."""
        write_mnist(tmp_path)
        line = complaint(*KERNEL, "--data", "mnist", "--data-dir", tmp_path, "-o", tmp_path / "o")
        assert line == "digits: takes images of shape (1, 8, 8), those of mnist have (1, 28, 28)"

    def test_files(self, tmp_path: Path) -> None:
        """What is pruned already, has no images to search with, or cannot be written is refused before the work."""
        path = tmp_path / "n.espalier"
        zoo.load("digits", "kernel").save(path)
        words = ("--pattern", "kernel", "-o", tmp_path / "o")
        assert "is pruned already (kernel)" in complaint("prune", path, *words)
        untrained_lenet5(data="").save(path)
        line = complaint("prune", path, *words, "--select", "best-of-n")
        assert line.startswith(f"{path}: does not say which data set it was trained on; name one with --data")
        line = complaint(*KERNEL, "-o", tmp_path / "no" / "o")
        assert line == f"cannot write to {tmp_path / 'no' / 'o'}: No such file or directory"
        assert set(contents(tmp_path)) == {"n.espalier"}


class TestRatios:
    def test_one_for_all_parts(self) -> None:
        """One number is for every part of a label that has a ratio."""
        assert parse_ratios("0.5", "feature-map+kernel/block-4") == {"feature-map": 0.5, "kernel": 0.5, "block-4": 0.5}
        assert parse_ratios("0.5", "kernel/2:4") == {"kernel": 0.5}
        assert parse_ratios(None, "kernel") == {}

    def test_layers_of_a_part(self) -> None:
        """A layer may have one ratio in one part and another in another."""
        text = "feature-map:conv2=0.5,feature-map:conv3=0.25,kernel=0.7"
        expected = {"feature-map": {"conv2": 0.5, "conv3": 0.25}, "kernel": 0.7}
        assert parse_ratios(text, "feature-map+kernel") == expected
