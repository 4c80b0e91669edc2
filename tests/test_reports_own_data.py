"""Data of a user's own through the commands: what an outsider does from an ONNX file to verified hardware."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commandline import complaint, contents, espalier, untrained_lenet5
from support.own_images import SHAPE, drawn, network, write_classes

from accel.interchange import zoo
from accel.interchange.data.datasets import NAMES, load
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Calibration, Widths, lower
from reports.commands import explore as explore_command
from reports.report.results import Results
from reports.studies.bitwidth import run as bitwidth_run
from reports.studies.bitwidth.points import Version
from reports.studies.pruning import run as pruning_run
from reports.workflow.evaluate import float_error_rate
from reports.workflow.quantize import Workbench
from reports.workflow.sources import HOW, Source, far, range_of, source_if_any, source_of

IMAGES, LABELS = drawn(40)
NOTE = "84 train, 18 validation, 18 test images, "


def done(*arguments: object, err: str = "") -> str:
    """Run a command that must succeed, with `err` in what it says on standard error; return what it printed."""
    outcome = espalier(*arguments)
    assert outcome.status == 0, outcome.err
    assert err in outcome.err if err else outcome.err == ""
    return " ".join(outcome.out.split())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a float network from an ONNX file, pictures, and files of images; nobody may change it."""
    folder = tmp_path_factory.mktemp("work")
    write_classes(folder / "bars", IMAGES, LABELS)
    np.savez(folder / "bars.npz", images=IMAGES, labels=LABELS)
    np.savez(folder / "bare.npz", images=IMAGES)
    np.savez(folder / "wrong.npz", images=IMAGES.astype(np.float32), labels=LABELS)  # 0..255 where 0..1 is wanted
    done("import", network().save(folder / "bars.onnx"), "-o", folder / "net.espalier")
    words = "--pattern", "kernel", "--ratio", 0.5, "--data", folder / "bars.npz", "-o", folder / "pruned.espalier"
    done("prune", folder / "net.espalier", *words, err=NOTE)
    words = "--weight-bits", 4, "--data", folder / "bars.npz", "-o", folder / "program.espalier"
    done("quantize", folder / "pruned.espalier", *words, err=NOTE)
    return folder


class TestFromOnnxToHardware:
    @pytest.mark.slow
    def test_report(self, work: Path, tmp_path: Path) -> None:
        """A folder of class folders is all that a report needs beside the network; it says how it was split."""
        words = "--bits", 6, "--patterns", "kernel", "--data", work / "bars", "-o", tmp_path / "report"
        done("report", work / "net.espalier", *words, err=f"bars: {NOTE}read as gray and divided by 255")
        results = Results.from_json((tmp_path / "report" / "results.json").read_text())
        assert (results.data, results.test_images, results.calibration_images) == ("bars/", 18, 84)
        assert results.float_dense_error_rate == 0  # the network was drawn for this task
        assert [point.error_rate for point in results.points] == [0, 0]

    def test_prune(self, work: Path, tmp_path: Path) -> None:
        """Pruning measures on them, and the network remembers their name and range; no path."""
        words = "--pattern", "kernel", "--ratio", 0.5, "--data", work / "bars.npz", "--json", tmp_path / "json"
        told = done("prune", work / "net.espalier", *words, "-o", tmp_path / "p", err="uint8 pixels divided by 255")
        assert "Error rate on 18 test images: 0.00% before pruning, 0.00% after pruning." in told
        assert json.loads((tmp_path / "json").read_text())["data"] == "bars.npz"
        pruned = PrunedNetwork.load(tmp_path / "p")
        assert pruned.data == "bars.npz"
        assert pruned.input_range == pytest.approx((0, IMAGES.max() / 255), abs=0.02)
        assert str(work).encode() not in (tmp_path / "p").read_bytes()

    def test_quantize_and_run(self, work: Path, tmp_path: Path) -> None:
        """Quantising measures too; the Program runs on either form of the same images, and on the split asked for."""
        words = "--data", work / "bars.npz", "--json", tmp_path / "json", "-o", tmp_path / "p"
        done("quantize", work / "pruned.espalier", *words, err=NOTE)
        assert json.loads((tmp_path / "json").read_text())["error_rates"]["test"] == dict.fromkeys(
            ("float", "quantized", "result"), 0.0
        )
        assert Program.load(tmp_path / "p").data == "bars.npz"
        for data, split, count in (("bars", "test", 18), ("bars.npz", "train", 84)):
            told = done("run", tmp_path / "p", "--data", work / data, "--split", split, err=NOTE)
            assert f"0.00% error on {count} images" in told
        np.savez(tmp_path / "swapped.npz", images=IMAGES, labels=(LABELS + 1) % 3)  # negative control
        assert "100.00% error" in done("run", tmp_path / "p", "--data", tmp_path / "swapped.npz", err=NOTE)

    def test_verify(self, work: Path) -> None:
        """The hardware runs test images bit for bit; labels are not needed."""
        words = "--array", "2x2", "--images", 1, "--data", work / "bare.npz"
        told = done("verify", work / "program.espalier", *words, err="120 images without labels, uint8 pixels divided")
        assert "1 images, 30 bits compared, 0 differences" in told

    @pytest.mark.slow
    def test_hardware_without_images(self, work: Path, tmp_path: Path) -> None:
        """Without images the hardware runs random ones, and says so; not those of a file."""
        words = work / "program.espalier", "--array", "2x2", "--images", 1
        note = "without images (--data) random ones are run (seed 0)"
        assert "0 differences" in done("verify", *words, err=note)
        held = []
        for number, more in enumerate([(), ("--data", work / "bare.npz")]):
            done("rtl", *words, *more, "--out", tmp_path / str(number), err="note: " if more else note)
            held.append((tmp_path / str(number) / "signals.hex").read_bytes())
        assert held[0] != held[1]

    def test_import_with_a_folder(self, work: Path, tmp_path: Path) -> None:
        """An import quantises with the training images of a folder, as `quantize` does."""
        for name, words in (("a", ("import", work / "bars.onnx")), ("b", ("quantize", work / "net.espalier"))):
            done(*words, "--data", work / "bars", "-o", tmp_path / name, err=NOTE)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
        assert Program.load(tmp_path / "a").data == "bars/"

    def test_import_with_a_known_data_set(self, work: Path, tmp_path: Path) -> None:
        """A name means the same in an import as everywhere; its images must fit, too."""
        line = complaint("import", work / "bars.onnx", "--data", "digits", "-o", tmp_path / "x")
        assert line == f"{work / 'bars.onnx'}: takes images of shape (1, 6, 6), those of digits have (1, 8, 8)"
        assert contents(tmp_path) == {}

    def test_size(self, work: Path) -> None:
        """Sizes come from calibration on the images, or, said so, without any."""
        done("size", work / "net.espalier", "--data", work / "bare.npz", err="images without labels")
        done("size", work / "net.espalier", err="without images (--data, --data-dir) steps are from a random one")


class TestExplore:
    @pytest.fixture(autouse=True)
    def undrawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Draw nothing, which takes seconds and is no matter here."""
        monkeypatch.setattr(explore_command.figures, "render", lambda results: {})
        monkeypatch.setattr(explore_command, "page", lambda results, drawn: b"")

    def explored(self, work: Path, out: Path, data: Path) -> str:
        """Explore one version at one pair of word lengths and return what is said."""
        words = "--weight-bits", 4, "--signal-bits", 4, "--arrays", "4x4", "--patterns", "dense"
        words = *words, "--jobs", 1, "--cache", out.parent / "cache"
        return done("explore", work / "net.espalier", *words, "--data", data, "-o", out, err=NOTE)

    def test_results_are_kept_by_content(self, work: Path, tmp_path: Path) -> None:
        """What is kept is of these very images: under another path found again, and not for a file that has changed."""
        copy = tmp_path / "elsewhere" / "bars.npz"
        copy.parent.mkdir()
        copy.write_bytes((work / "bars.npz").read_bytes())
        assert "0 results were there, 4 were made" in self.explored(work, tmp_path / "out", work / "bars.npz")
        first = (tmp_path / "out" / "results.json").read_text()
        assert "--data bars.npz" in first
        assert str(work) not in first.replace(str(work / "net.espalier"), "")
        assert "4 results were there, 0 were made" in self.explored(work, tmp_path / "out", copy)
        assert (tmp_path / "out" / "results.json").read_text() == first
        np.savez(copy, images=IMAGES, labels=(LABELS + 1) % 3)
        assert "0 results were there, 4 were made" in self.explored(work, tmp_path / "out", copy)
        assert (tmp_path / "out" / "results.json").read_text() != first


class TestCheckpoints:
    def test_a_search_is_of_its_images(self, work: Path, tmp_path: Path) -> None:
        """A search that was stopped goes on with the same images wherever they lie, and refuses others by that name."""
        words = "prune", work / "net.espalier", "--pattern", "kernel", "--ratio", 0.5, "--select", "best-of-n"
        words = *words, "--budget", 4, "--checkpoint", tmp_path / "kept", "-o", tmp_path / "out"
        path = tmp_path / "bars.npz"
        done(*words, "--data", work / "bars.npz", err=NOTE)
        path.write_bytes((work / "bars.npz").read_bytes())
        done(*words, "--data", path, err=NOTE)
        np.savez(path, images=IMAGES, labels=(LABELS + 1) % 3)
        outcome = espalier(*words, "--data", path)
        assert (outcome.status, "is of another run (other data)" in outcome.err) == (2, True)


class TestRange:
    def test_images_of_another_scale(self, work: Path, tmp_path: Path) -> None:
        """Whatever runs a Program or calibrates a network warns of pixels of 0..255 where 0..1 is meant, with both."""
        program, pruned, wrong = work / "program.espalier", work / "pruned.espalier", ("--data", work / "wrong.npz")
        words = "warning: wrong.npz ({}): its pixels are 0..25{}, but {} was made for 0..{}"
        running = words.format("test", 3, "drawn", 1)
        high = f"{PrunedNetwork.load(pruned).input_range[1]:.3g}"  # type: ignore[index]
        done("run", program, *wrong, err=running)
        done("verify", program, *wrong, "--array", "2x2", "--images", 1, err=running)
        done("quantize", pruned, *wrong, "-o", tmp_path / "x", err=words.format("train", 5, pruned, high))
        done("size", pruned, *wrong, err=words.format("train", 5, pruned, high))
        np.savez(tmp_path / "dark.npz", images=IMAGES / 255 / 255, labels=LABELS)
        done("run", program, "--data", tmp_path / "dark.npz", err="warning: dark.npz (test): its pixels are 0..0.00")
        assert "warning" not in espalier("run", program, "--data", work / "bars.npz").err  # negative control

    def test_the_network_of_a_known_data_set(self, tmp_path: Path) -> None:
        """So does a network of the zoo, which takes 0..1."""
        digits = load("digits", "train").take(60)
        for name, scale, warned in (("same", 1, False), ("larger", 16, True)):
            path = tmp_path / f"{name}.npz"
            np.savez(path, images=digits.pixels() * scale, labels=digits.labels)
            outcome = espalier("quantize", "digits", "--data", path, "-o", tmp_path / "p")
            assert (outcome.status, "warning" in outcome.err) == (0, warned)
        assert f"{name}.npz (train): its pixels are 0..16, but digits was made for 0..1;" in outcome.err

    def test_where_a_range_is_known_from(self, work: Path) -> None:
        """It comes from the signal of a Program, the record of a network, or a known data set."""
        program = Program.load(work / "program.espalier")
        assert range_of(program) == (0, 255 * program.input_signal.step)
        assert range_of(zoo.load("digits")) == (0, 1)
        assert range_of(replace(zoo.load("digits"), input_range=(-1.0, 2.0))) == (-1, 2)
        assert range_of(replace(zoo.load("digits"), data="")) is None

    @pytest.mark.parametrize("bits", [2, 4, 8, 16])
    @pytest.mark.parametrize("shift", [-0.5, 0.0, 2.0])
    def test_no_false_alarm(self, bits: int, shift: float) -> None:
        """The images that a Program was calibrated with are never far from what it represents, at any width."""
        images = np.random.default_rng(0).random((40, *SHAPE), np.float32) + np.float32(shift)
        small = PrunedNetwork(untrained_lenet5().network, data="mnist")
        images = np.tile(images, (1, 1, 5, 5))[..., :28, :28]
        program = lower(small, Widths(4, 4, bits), images)
        assert not far((float(images.min()), float(images.max())), range_of(program) or (0, 0))
        assert far((0, 255), range_of(program) or (0, 255))  # negative control


class TestWithoutData:
    def test_by_magnitude_needs_none(self, work: Path, tmp_path: Path) -> None:
        """Magnitude prunes without images to the same network, and says that nothing is measured; others need some."""
        words = "prune", work / "net.espalier", "--pattern", "kernel", "--ratio", 0.5, "--json", tmp_path / "json"
        told = done(*words, "-o", tmp_path / "out", err="without images (--data) no error rate is measured")
        assert "Error rate" not in told
        assert json.loads((tmp_path / "json").read_text())["error_rates"] == {}
        masks = [PrunedNetwork.load(path).masks for path in (tmp_path / "out", work / "pruned.espalier")]
        assert [x.keys() for x in masks] == [{"same"}] * 2
        assert np.array_equal(masks[0]["same"].kept, masks[1]["same"].kept)
        for more in (("--select", "random"), ("--retrain", 1), ("--sparsify", 1)):
            assert "name one with --data" in complaint(*words, *more, "-o", tmp_path / "x")
        assert not (tmp_path / "x").exists()

    def test_which_data_to_give(self, work: Path, tmp_path: Path) -> None:
        """A network of own data says which to give, one of none says that it does not know."""
        out = "-o", tmp_path / "x"
        for words in (("run", work / "program.espalier"), ("quantize", work / "pruned.espalier", *out)):
            assert f"{words[1]}: was made with bars.npz, no data set known by name: say where" in complaint(*words)
        for command in ("report", "quantize"):
            assert "does not say which data set" in complaint(command, work / "net.espalier", *out)
        line = complaint("explore", work / "net.espalier", *out)
        assert line.endswith(f"name one with --data ({HOW})")
        assert contents(tmp_path) == {}

    def test_no_data_directory(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Known data that nobody said the place of are as good as none, where none are needed."""
        monkeypatch.delenv("ESPALIER_DATA", raising=False)
        lenet5 = zoo.load("lenet5")
        assert source_if_any("lenet5", lenet5, None, None) is None
        assert source_if_any("lenet5", lenet5, None, str(tmp_path)) == source_of("lenet5", lenet5, None, str(tmp_path))
        assert source_if_any("digits", zoo.load("digits"), None, None) is not None
        assert {*NAMES} >= {lenet5.data, "digits"}


class TestBadData:
    @pytest.mark.parametrize(
        ("command", "arrays", "words"),
        [
            ("run", {"images": IMAGES}, "own.npz: its test images have no labels, which error rates need"),
            ("report", {"images": IMAGES}, "own.npz: its validation images have no labels, which error rates need"),
            ("run", {"images": IMAGES[:, :4], "labels": LABELS}, "takes images of shape (1, 6, 6), those of "),
            ("run", {"images": IMAGES, "labels": LABELS * 0}, "own.npz: all test labels are 0; images of at least two"),
            ("quantize", {"images": IMAGES, "labels": LABELS[1:]}, "own.npz: 120 images but 119 of 'labels'; counts"),
            ("verify", {"x": IMAGES, "y": LABELS}, "own.npz: holds x, y; expected 'images', perhaps with 'labels'"),
        ],
    )
    def test_one_line(self, work: Path, tmp_path: Path, command: str, arrays: dict[str, Any], words: str) -> None:
        """What is wrong with data is one line after the notes, exit status 2, and nothing is written."""
        np.savez(tmp_path / "own.npz", **arrays)
        which = {"run": "program", "verify": "program"}.get(command, "net")
        more = ("-o", tmp_path / "x") if command in ("report", "quantize") else ()
        outcome = espalier(command, work / f"{which}.espalier", "--data", tmp_path / "own.npz", *more)
        *notes, line = outcome.err.splitlines()
        assert (outcome.status, outcome.out) == (2, "")
        assert words in line
        assert line.startswith("espalier: ")
        assert all(note.startswith("note: ") for note in notes)
        assert set(contents(tmp_path)) == {"own.npz"}

    def test_names(self, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that is none is told with those that are, a path with what is not there."""
        monkeypatch.chdir(tmp_path)
        run = "run", work / "program.espalier", "--data"
        assert complaint(*run, "mnits").startswith("unknown data set 'mnits': did you mean 'mnist'? (known: digits, ")
        assert complaint(*run, "mnits").endswith(f", or give {HOW.removeprefix('a name, ')}")
        assert complaint(*run, "") == "Invalid value for '--data': is empty; expected the name of a folder"
        assert complaint(*run, "none.npz") == "none.npz: No such file or directory"
        assert complaint(*run, "no/where") == "no/where: No such file or directory"
        assert complaint(*run, tmp_path).endswith("expected one folder of PNG or JPEG files for each class")


def test_a_source_goes_to_another_folder(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that runs elsewhere finds the same images, under the same name."""
    monkeypatch.chdir(work)
    source = source_of("net", PrunedNetwork.load(work / "net.espalier"), "bars.npz", None)
    there = source.anywhere()
    monkeypatch.chdir(tmp_path)
    assert (there.name, source.name) == ("bars.npz", "bars.npz")
    assert float_error_rate(PrunedNetwork.load(work / "net.espalier"), there.load("test")) == 0
    with pytest.raises(FileNotFoundError):
        source.load("test")
    known = Source(source.taker, "digits", "sets").anywhere()
    assert (known.data, known.data_dir) == ("digits", str(tmp_path / "sets"))


def test_points_of_studies_are_of_their_images(work: Path) -> None:
    """A study of own data keeps its points by the images' content, one of a known data set by the network alone."""
    source = source_of("net", PrunedNetwork.load(work / "net.espalier"), str(work / "bars.npz"), None)
    images = {split: source.load(split) for split in ("train", "validation", "test")}
    others = {**images, "test": images["validation"]}
    network = PrunedNetwork.load(work / "net.espalier")
    assert len({pruning_run._digest(network, x) for x in (images, others, {})}) == 3
    calibration = Calibration(replace(network, data="bars.npz"), images["train"].pixels())
    versions = [Version(Workbench(calibration, images["validation"]), x) for x in (images, others)]
    assert len({bitwidth_run._digest(version) for version in versions}) == 2
    known = Workbench(replace(calibration, pruned=replace(network, data="digits")), images["validation"])
    assert len({bitwidth_run._digest(Version(known, x)) for x in (images, others)}) == 1
