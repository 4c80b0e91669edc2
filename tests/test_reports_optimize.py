"""`espalier optimize`: what it delivers is within the limits, stops change nothing, bad input ends in one line."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.commandline import complaint, contents, espalier

from accel.cost import total_cycles
from accel.demand import array_for
from accel.errors import EspalierError
from accel.program import Program
from accel.pruned import PrunedNetwork
from reports.commands.places import Interruption
from reports.optimize import mixes, run, search
from reports.optimize.mixes import Choice, Mix
from reports.optimize.page import page
from reports.optimize.results import Asked, Results, Trained, Version, chosen_of

WORDS = ("optimize", "digits", "--epochs", 4, "--array", "4x4", "--pattern", "kernel@8,irregular", "--max-error", "+3%")
FILES = {"README.md", "network.espalier", "program.espalier", "results.json"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a search be short: two mixes, of which one is left, and few allocations."""
    monkeypatch.setattr(mixes, "RATIOS", (0.3, 0.6))
    monkeypatch.setattr(run, "SHARES", (0.8, 0.6))
    monkeypatch.setattr(search, "RUNGS", ((2, 1), (1, 1)))
    monkeypatch.setattr(search, "EVALUATIONS", 8)
    monkeypatch.setattr(search, "LOSSES", (0.03,))


def version(error: float, memory: int, cycles: int, fits: bool = True) -> Version:
    """Return a Program that was made."""
    return Version(
        mix="conv2 kernel 0.5",
        widths="conv1 4/4",
        error_rate=error,
        memory_bits=memory,
        cycles=cycles,
        epochs=2,
        fits=fits,
    )


ASKED = Asked(
    network="mine", data="pictures", array="8x8", patterns=("kernel",), goal="fast", max_error="+1%", limit=0.02,
    memory_bits=8192 * 64, epochs=4, seed=0, dense_error_rate=0.01, dense_cycles=1000, dense_memory_bits=8192 * 100,
    validation_images=500,
)  # fmt: skip
RESULTS = Results(
    asked=ASKED,
    trained=(Trained(mix="conv2 kernel 0.5", epochs=2, error_rate=0.015, kept=True),),
    versions=(version(0.015, 8192 * 32, 500), version(0.03, 8192 * 16, 400, fits=False)),
    chosen=0,
    test_images=900,
    test_error_rates={"dense": 0.011, "chosen": 0.016},
)


class TestResults:
    def test_the_best_that_fits_is_chosen(self) -> None:
        """Fewest cycles or least memory among those within the limits, of two alike the one with fewer errors."""
        versions = (version(0.01, 5, 9), version(0.02, 4, 10), version(0.03, 1, 1, fits=False), version(0.005, 5, 9))
        assert (chosen_of(versions, "fast"), chosen_of(versions, "small")) == (3, 1)
        assert chosen_of(versions[2:3], "fast") is None

    def test_what_comes_nearest(self) -> None:
        """Least beyond the limits, both together, is nearest; what is quickest may be further."""
        quick, near, exact = version(0.01, 8192 * 128, 10), version(0.03, 8192 * 64, 50), version(0.02, 8192 * 64, 60)
        assert [ASKED.beyond(x) for x in (quick, near, exact)] == pytest.approx([1, 0.5, 0])
        nothing = replace(RESULTS, versions=(quick, near), chosen=None)
        assert ": 50 cycles, 64.00 KiB, 3.00 % errors on validation images comes nearest" in page(nothing)

    def test_text_gives_them_back(self) -> None:
        """And text that was changed is refused."""
        assert Results.from_json(RESULTS.to_json()) == RESULTS
        with pytest.raises(EspalierError, match="not the results of an optimisation"):
            Results.from_json(RESULTS.to_json().replace("0.015", "0.014"))

    def test_the_page(self) -> None:
        """It says what was asked for, what came of it, and all that was tried; or that nothing fits."""
        text = page(RESULTS)
        assert (
            "Asked for: fewest cycles, at most 2.00 % errors on 500 validation images (+1% was asked for), 64" in text
        )
        assert (
            "500 cycles, 32.00 KiB, 1.50 % errors on validation images. The dense network in 8 bits takes 1,000" in text
        )
        assert "| conv2 kernel 0.5 | conv1 4/4 | 2 | 3.00 % | 400 | 16.00 | beyond a limit |" in text
        nothing = Results(**{**vars(RESULTS), "versions": RESULTS.versions[1:], "chosen": None})
        assert "Nothing that was tried is within the limits; conv2 kernel 0.5, in conv1 4/4 bits: 400" in page(nothing)


class TestSearch:
    def test_few_epochs_make_two_rungs_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of 4 epochs two rungs are of 2 each, at which nothing is said or decided twice; of 8 they differ."""
        mixed = [Mix({"conv2": Choice("kernel", cost / 9, cost, 0.0)}, cost) for cost in (2, 4, 6, 8)]
        monkeypatch.setattr(search.Search, "trained", lambda _, mix, __: mix)
        monkeypatch.setattr(search.Search, "error_rate", lambda *_: 0.0)
        for epochs, expected in ((4, [(2, 4), (4, 2)]), (16, [(2, 4), (5, 3), (16, 2)])):
            wish = SimpleNamespace(epochs=epochs, dense=None)
            left, seen = search.Search(wish, 0.02).finalists(mixed)  # type: ignore[arg-type]
            assert [mix.cost for mix, _ in left] == [2, 4]
            assert list(Counter(x.epochs for x in seen).items()) == expected


class TestCommand:
    @pytest.mark.slow
    @pytest.mark.usefixtures("small")
    def test_stops_change_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stopped after every second epoch, the same command ends with the same bytes, which are what it says.

        A run with another seed ends with others, and does not go on in the first one's folder.
        """
        pytest.importorskip("torch")
        from accel.train.run import Run

        done = espalier(*WORDS, "-o", tmp_path / "whole")
        assert done.status == 0, done.err
        epoch, left, stops = Run.epoch, [0], 0

        def stopping(self: Run, *given: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return epoch(self, *given)

        monkeypatch.setattr(Run, "epoch", stopping)
        while True:
            left[0] = 2
            try:
                espalier(*WORDS, "-o", tmp_path / "stopped")
                break
            except Interruption:
                stops += 1
        assert stops >= 4
        monkeypatch.setattr(Run, "epoch", epoch)
        whole, stopped = (
            {x.name: x.read_bytes() for x in (tmp_path / name).glob("*.*")} for name in ("whole", "stopped")
        )
        assert whole == stopped
        assert whole.keys() == FILES
        assert complaint(*WORDS, "--seed", 1, "-o", tmp_path / "whole").startswith(
            f"checkpoint {tmp_path / 'whole' / 'work'} is of another run (other seed)"
        )
        program = Program.load(tmp_path / "whole" / "program.espalier")
        network = PrunedNetwork.load(tmp_path / "whole" / "network.espalier")
        results = Results.from_json(whole["results.json"].decode())
        assert results.chosen is not None
        best = results.versions[results.chosen]
        array = array_for(program, 4, 4)
        assert (best.cycles, best.memory_bits) == (total_cycles(program, array), array.built_bits)
        assert best.cycles < results.asked.dense_cycles
        assert best.error_rate <= results.asked.limit == results.asked.dense_error_rate + 0.03
        assert {name: mask.kept.mean() for name, mask in network.masks.items()} == pytest.approx(
            {layer.name: layer.kept.mean() for layer in program.mac_layers if layer.name in network.masks}
        )

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--pattern", "feature-map"], "--pattern feature-map: a mix is of patterns whose units may come back"),
            (
                ["--pattern", "kernel,2:4"],
                "--pattern 2:4: a mix is of patterns whose units may come back; leave it out",
            ),
            (["--pattern", "krnel"], "unknown pattern 'krnel'"),
            (["--epochs", "3"], "--epochs 3: expected at least 4"),
            (["--goal", "cheap"], "unknown goal 'cheap'"),
            (["--max-error", "much"], "--max-error much: expected +1%"),
            (["--sram", "0KiB"], "--sram 0KiB"),
            (["--array", "8"], "--array 8"),
            (["--data", "mnits"], "unknown data set 'mnits': did you mean 'mnist'?"),
        ],
    )
    def test_bad_input(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str) -> None:
        """One line says what was wrong, and nothing is written."""
        monkeypatch.chdir(tmp_path)
        assert words in complaint("optimize", "digits", *arguments, "-o", "out")
        assert contents(tmp_path) == {}


def test_no_mix_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing takes less than the dense network, or no layer can have a pattern, a line says so; no training."""
    pytest.importorskip("torch")
    words = ("optimize", "digits", "--epochs", 4, "--pattern", "kernel", "-o", tmp_path / "out")
    monkeypatch.setattr(run, "spread", lambda mixes, shares: mixes[:1])  # dense alone
    assert complaint(*words).startswith("digits: none of kernel takes less than the dense network by so much that it")
    monkeypatch.setattr(run, "choices_of", lambda *given: {})
    assert complaint(*words) == "digits: no layer can have one of kernel"
