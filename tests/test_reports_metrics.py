"""What counts as an error: a wrong class, another class than the float network's, or what an autoencoder misses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.commandline import complaint, espalier

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import MSE, load
from accel.layers import Flatten, Linear, ReLU
from accel.network import Network
from accel.program import Program
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from reports.report.results import Results
from reports.workflow.evaluate import float_error_rate, program_error_rate, rate_of
from sim import golden
from sim.engine import compile_program

CODES = 16


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an autoencoder of the digits, by principal components, and images without labels."""
    folder, images = tmp_path_factory.mktemp("brought"), load("digits", "train").pixels()
    rows = images.reshape(len(images), -1).astype(np.float64)
    mean = rows.mean(axis=0)
    axes = np.linalg.svd(rows - mean, full_matrices=False)[2][:CODES]
    ends = np.concatenate([axes, -axes])  # what is below zero of the one is above of the other: a ReLU loses nothing
    encoder = Linear("encoder", ("flatten",), weight=ends.astype("f"), bias=(-ends @ mean).astype("f"))
    decoder = Linear("decoder", ("relu",), weight=ends.T.astype("f"), bias=mean.astype("f"))
    layers = Flatten("flatten", ("input",)), encoder, ReLU("relu", ("encoder",)), decoder
    PrunedNetwork(Network("auto", (1, 8, 8), layers)).save(folder / "auto.espalier")
    np.savez(folder / "images.npz", images=images[:200])
    return folder


class TestRates:
    def test_what_is_missed(self) -> None:
        """Nothing of an image that comes out as it is, all of it where the mean image does, and never more."""
        images = replace(load("digits", "test"), metric=MSE)
        pixels = images.pixels()
        mean = np.broadcast_to(pixels.mean(axis=0), pixels.shape)
        assert rate_of(pixels, images, "x") == 0
        assert 0.9 < rate_of(mean, images, "x") <= 1  # 1 on average, but an image counts once at most
        assert rate_of(pixels + 100, images, "x") == 1
        half = pixels + 0.5 * (mean - pixels)
        assert rate_of(half, images, "x") == pytest.approx(0.25, abs=0.01)

    def test_a_program(self, brought: Path) -> None:
        """The engine's outputs are told in their step: the rate is that of the golden model's."""
        pruned, images = PrunedNetwork.load(brought / "auto.espalier"), replace(load("digits", "test"), metric=MSE)
        program = lower(pruned, Widths(6, 6), images.pixels())
        codes = images.codes(program.input_signal)
        outputs = golden.run(program, codes)[program.output] * program.signals[program.output].step
        rate = program_error_rate(compile_program(program), codes, images, 1)
        assert rate == rate_of(outputs, images, "x")
        assert float_error_rate(pruned, images) < rate < 0.5

    def test_outputs_that_are_no_images(self) -> None:
        """Ten scores are no image of 64 pixels."""
        with pytest.raises(EspalierError, match="digits: gives 10 numbers for an image of 64"):
            float_error_rate(zoo.load("digits"), replace(load("digits", "test"), metric=MSE))


class TestCommands:
    @pytest.mark.slow
    def test_retraining(self, brought: Path, tmp_path: Path) -> None:
        """What is pruned or rounded away from an autoencoder is learned again, by what it misses; a teacher is none."""
        pytest.importorskip("torch", reason="training needs PyTorch (extra train)")
        given = "--data", brought / "images.npz", "--metric", "mse"
        trained = *given, "--retrain", 20, "--learning-rate", 0.2
        test = replace(load("digits", "test"), metric=MSE)
        rates = {}
        for name, options in (("pruned", given), ("learned", trained)):
            path = tmp_path / f"{name}.espalier"
            done = espalier(
                "prune", brought / "auto.espalier", "--pattern", "irregular", "--ratio", 0.6, *options, "-o", path
            )
            assert done.status == 0, done.err
            rates[name] = float_error_rate(PrunedNetwork.load(path), test)
        assert rates["learned"] < 0.8 * rates["pruned"]
        for name, options in (("rounded", given), ("fitted", trained)):
            path, bits = tmp_path / f"{name}.espalier", ("--weight-bits", 3, "--signal-bits", 4)
            assert espalier("quantize", tmp_path / "learned.espalier", *bits, *options, "-o", path).status == 0
            program = Program.load(path)
            rates[name] = program_error_rate(compile_program(program), test.codes(program.input_signal), test, 1)
        assert rates["fitted"] < 0.9 * rates["rounded"]
        line = complaint(
            "prune",
            brought / "auto.espalier",
            "--pattern",
            "irregular",
            *trained,
            "--teacher",
            brought / "auto.espalier",
            "-o",
            tmp_path / "x.espalier",
        )
        assert "a loss of mse knows no classes: distillation and label_smoothing must be 0" in line

    @pytest.mark.slow
    def test_an_autoencoder(self, brought: Path, tmp_path: Path) -> None:
        """It is quantised, run and reported by what it misses, on images that nobody labelled."""
        net, program = brought / "auto.espalier", tmp_path / "p.espalier"
        given = "--data", brought / "images.npz", "--metric", "mse"
        done = espalier("quantize", net, *given, "--weight-bits", 6, "--signal-bits", 6, "-o", program)
        assert done.status == 0
        assert "the share of the images' variance that outputs miss" in done.err
        assert espalier("run", program, *given).status == 0
        done = espalier("report", net, *given, "--bits", 6, "--pattern", "dense", "--jobs", 1, "-o", tmp_path / "r")
        assert done.status in (0, 1)
        results = Results.from_json((tmp_path / "r" / "results.json").read_text())
        assert results.metric == MSE
        assert "Errors are the share of the images" in (tmp_path / "r" / "report.html").read_text()
        (point,) = results.points
        loaded = Program.load(program)
        images = np.load(brought / "images.npz")["images"]
        bare = {"labels": np.zeros(0, int), "classes": 0, "full_scale": 1, "metric": MSE}
        data = replace(load("digits", "test"), images=images, **bare)
        codes = loaded.input_signal.encode(images)
        assert point.error_rate == program_error_rate(compile_program(loaded), codes, data, 1)

    @pytest.mark.slow
    def test_exploring(self, brought: Path, tmp_path: Path) -> None:
        """An exploration decides by it too, and keeps its rates apart from others."""
        words = ("explore", brought / "auto.espalier", "--data", brought / "images.npz", "--pattern", "dense")
        words += ("--weight-bits", "6", "--signal-bits", "6", "--arrays", "4x4", "--jobs", 1, "--cache", tmp_path / "c")
        done = espalier(*words, "--metric", "mse", "--confidence", 0, "-o", tmp_path / "x")
        assert (done.status, "What was asked" in done.out) == (0, True)
        more = "--metric", "mse", "--ratios", 0.5, "--retrain", 3
        assert "--retrain 3" in complaint(*words, *more, "-o", tmp_path / "y")

    def test_agreement(self, brought: Path, tmp_path: Path) -> None:
        """Without labels the float network's classes are what is right; it is never wrong itself."""
        given = "--data", brought / "images.npz", "--metric", "agreement"
        words = ("report", "digits", *given, "--bits", "2,8", "--pattern", "dense", "--max-error", "90%", "--jobs", 1)
        assert espalier(*words, "-o", tmp_path / "r").status == 0
        results = Results.from_json((tmp_path / "r" / "results.json").read_text())
        assert results.float_dense_error_rate == 0
        coarse, fine = (point.error_rate for point in results.points)
        assert fine < 0.02 < coarse

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("report", "digits", "--metric", "msr"), "unknown metric 'msr': did you mean 'mse'?"),
            (("report", "digits", "--metric", "mse", "--bits", "4"), "gives 10 numbers for an image of 64"),
            (("run", "{program}", "--metric", "agreement"), "needs the network that it was made of"),
        ],
    )
    def test_bad_input(self, words: tuple[str, ...], said: str, tmp_path: Path) -> None:
        """One line, and status 2."""
        program = tmp_path / "p.espalier"
        lower(zoo.load("digits"), Widths(4, 4), load("digits", "train").take(8).pixels()).save(program)
        more = ("--jobs", 1, "-o", tmp_path / "out") if words[0] == "report" else ()
        assert said in complaint(*(word.format(program=program) for word in words), *more)
