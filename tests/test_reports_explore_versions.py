"""Which versions are explored, and how those that nobody shipped are made."""

import importlib.util
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from accel.digest import digest_of
from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data.datasets import load
from accel.pruned import PrunedNetwork
from reports.explore.versions import Making, Version, control_of, made, problem_of, versions_of, with_controls
from reports.workflow import retrain
from reports.workflow.images import Images
from reports.workflow.load import DEFAULT_PATTERNS
from reports.workflow.prune import prune
from reports.workflow.sources import source_of

SOURCE = source_of("digits", zoo.load("digits"), None, None)


def making(**values: Any) -> Making:
    """Return how digits by kernels at 0.5 are made, without retraining."""
    dense = digest_of(zoo.load("digits").to_bytes())
    return Making(
        **{"dense": dense, "pattern": "kernel", "ratio": 0.5, "epochs": 0, "recipe": "", "training": None} | values
    )


class TestControls:
    def test_as_many_trainings(self) -> None:
        """Beside what is pruned and retrained stands the dense network, retrained as often: once for each stage."""
        versions = versions_of("digits", ["kernel", "feature-map+kernel"], (0.5,))
        found = with_controls(versions)
        assert [v.name for v in found[:3]] == ["dense", "dense, retrained", "dense, retrained 2 times"]
        assert found[3:] == versions[1:]
        by_name = {v.name: control_of(v) for v in versions if v.made}
        assert by_name == {"kernel 0.5": "dense, retrained", "feature-map+kernel 0.5": "dense, retrained 2 times"}
        assert with_controls(versions_of("digits", None, ())) == versions_of("digits", None, ())  # nothing is made

    def test_retrained_alone(self) -> None:
        """A label that prunes nothing retrains so many times, and changes nothing but weights."""
        dense = zoo.load("digits")
        made = prune(dense, "dense", retrain=lambda x: replace(x, data=f"{x.data}, again"), rounds=2)
        assert (made.pattern, made.data, made.masks) == ("dense", "digits, again, again", {})
        assert prune(dense, "dense").data == dense.data  # negative control


class TestVersionsOf:
    def test_the_zoo(self) -> None:
        """All that is shipped, dense first."""
        assert [v.name for v in versions_of("digits", None, ())] == zoo.patterns("digits")
        assert zoo.patterns("digits")[0] == "dense"

    def test_ratios(self) -> None:
        """Ratios add versions of every pattern that leaves the ratio open, after the one that is shipped."""
        found = versions_of("digits", ["kernel", "2:4"], (0.5, 0.7))
        assert [v.name for v in found] == ["dense", "kernel", "kernel 0.5", "kernel 0.7", "2:4"]
        assert [v.made for v in found] == [False, False, True, True, False]

    def test_a_pattern_that_is_not_shipped(self) -> None:
        """It is made if a ratio says how; else the nearest that is shipped is told."""
        assert [v.name for v in versions_of("digits", ["block-8"], (0.5,))] == ["dense", "block-8 0.5"]
        with pytest.raises(EspalierError, match="unknown pattern of digits in the zoo 'block-8'"):
            versions_of("digits", ["block-8"], ())
        with pytest.raises(EspalierError, match="krnel"):
            versions_of("digits", ["krnel"], (0.5,))

    def test_files(self, tmp_path: Path) -> None:
        """A dense file is pruned by the usual patterns; a pruned one is what it is."""
        dense, pruned = tmp_path / "dense.espalier", tmp_path / "pruned.espalier"
        zoo.load("digits").save(dense)
        zoo.load("digits", "kernel").save(pruned)
        assert [v.name for v in versions_of(str(dense), None, ())] == [*DEFAULT_PATTERNS]
        assert all(v.made for v in versions_of(str(dense), None, ())[1:])
        assert versions_of(str(pruned), None, ()) == (Version("kernel"),)
        for patterns, ratios in ((["ikss"], ()), (None, (0.5,))):
            with pytest.raises(EspalierError, match="is pruned already"):
                versions_of(str(pruned), patterns, ratios)


class TestMade:
    def test_as_pruned_by_hand(self) -> None:
        """What is made is what `prune` gives, and errs as often."""
        dense = zoo.load("digits")
        found = made(making(), dense.to_bytes(), SOURCE)
        assert problem_of(found) is None
        assert found == prune(dense, "kernel", {"kernel": 0.5}).to_bytes()
        assert found != prune(dense, "kernel", {"kernel": 0.6}).to_bytes()  # negative control

    def test_retrained(self) -> None:
        """With epochs it is retrained by the zoo's recipe, on one thread, the same each time."""
        if importlib.util.find_spec("torch") is None:
            pytest.skip("retraining needs PyTorch (extra train)")
        dense, images = zoo.load("digits"), Images.of(load("digits", "train").take(100))
        how = making(epochs=1, recipe=str(retrain.recipe("digits", 1)), training=images)
        found = made(how, dense.to_bytes(), SOURCE)
        assert found == made(how, dense.to_bytes(), SOURCE)
        kept = PrunedNetwork.from_bytes(found)
        plain = PrunedNetwork.from_bytes(made(making(), dense.to_bytes(), SOURCE))
        assert (kept.masks["conv2"].kept == plain.masks["conv2"].kept).all()
        assert (kept.network["conv2"].weight != plain.network["conv2"].weight).any()  # type: ignore[union-attr]

    def test_nothing_left(self) -> None:
        """A version that cannot be is a result too: the others are explored without it."""
        found = made(making(pattern="feature-map", ratio=0.99), zoo.load("digits").to_bytes(), SOURCE)
        problem = problem_of(found)
        assert problem is not None
        assert "\n" not in problem
        assert len(problem) > 10

    def test_other_images(self) -> None:
        """A worker with other training images refuses."""
        images = replace(Images.of(load("digits", "train").take(100)), digest="0" * 16)
        pytest.importorskip("torch", reason="retraining needs PyTorch (extra train)")
        with pytest.raises(EspalierError, match="other images"):
            made(making(epochs=1, training=images), zoo.load("digits").to_bytes(), SOURCE)

    def test_key(self) -> None:
        """Every field is part of the key."""
        images = Images.of(load("digits", "train"))
        changed = {"dense": "x", "pattern": "ikss", "ratio": 0.6, "epochs": 1, "recipe": "x", "training": images}
        changed |= {"trainings": 2, "method": 0}
        assert changed.keys() == {field.name for field in fields(Making)}
        assert len({making().key, *(replace(making(), **{n: v}).key for n, v in changed.items())}) == 9
