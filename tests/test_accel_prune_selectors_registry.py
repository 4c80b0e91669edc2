from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.networks import Array, Sketch, chain, images_for, residual

from accel.errors import EspalierError
from accel.network import Network
from accel.prune import (
    SEARCHES,
    SELECTORS,
    Evaluator,
    Genome,
    Magnitude,
    ParticleFilter,
    Progress,
    Space,
    Trial,
    chooser,
    selector,
)
from accel.prune.selectors.activation_sum import activation_sums
from accel.prune.selectors.particle_filter import importance, resample
from accel.sparsity import LayerMask, parse_pattern

Masks = Mapping[str, LayerMask]
PLANTED = {  # for a convolution of 4 maps, 3 of them read, with kernels of 2 x 2: pattern and ratio
    "kernel": 0.5,  # 924 masks
    "kernel@2": 0.5,  # two groups of maps: 20 masks
    "feature-map": 0.5,
    "ikss": 0.5,
    "ikss-rest": 0.25,
    "block-4": 0.3,
    "2:4": 0.0,  # the pattern's own ratio: a half
}


class StopError(Exception):
    """Somebody pressed Control-C."""


def same(left: Masks, right: Masks) -> bool:
    """Return whether two selections are the same."""
    return left.keys() == right.keys() and all(np.array_equal(left[name].kept, right[name].kept) for name in left)


def distance(planted: Masks) -> Callable[[Masks], float]:
    """Return the error rate of a world in which only `planted` is right: the share of the weights that differ."""
    return lambda masks: float(np.mean([(masks[name].kept != planted[name].kept).mean() for name in planted]))


def network_of_one(seed: int = 0) -> Network:
    """Return a network whose second convolution has 4 x 3 kernels of 2 x 2."""
    sketch = Sketch(1, 6, 6, seed=seed)
    sketch.conv("conv1", 3)
    sketch.relu("relu1")
    sketch.conv("conv2", 4, kernel=2)
    sketch.relu("relu2")
    sketch.flatten()
    sketch.linear("fc3", 5)
    return sketch.network("planted")


def problem(seed: int = 0, pattern: str = "irregular") -> tuple[Space, Evaluator]:
    """Return the space of a network that makes no mistake before anything is pruned."""
    network = residual(seed)
    images = images_for(network, 300)
    labels = network.scores(images).argmax(axis=1)
    return Space.of(network, pattern), Evaluator(network, images, labels)


class TestPlanted:
    @pytest.mark.parametrize("pattern", PLANTED)
    def test_the_particle_filter_finds_it(self, pattern: str) -> None:
        """Labels are what the network says under planted masks: they are found among hundreds; others err more."""
        network = network_of_one()
        space = Space(network, {"conv2": parse_pattern(pattern)})
        genome = Genome.of(space, PLANTED[pattern])
        planted = genome.masks(genome.draw(np.random.default_rng(8)))
        images = images_for(network, 400)
        labels = Evaluator(network, images, np.zeros(400, int)).predictions(planted)
        error_rate = Evaluator(network, images, labels)
        assert error_rate(planted) == 0
        rng = np.random.default_rng(1)
        found = SELECTORS["particle-filter"](
            space, PLANTED[pattern], Trial(error_rate=error_rate, generator=rng, budget=400)
        )
        other = SELECTORS["random"](space, PLANTED[pattern], Trial(generator=np.random.default_rng(5)))
        assert error_rate(found) <= 0.01 < error_rate(other)
        if pattern not in ("kernel", "2:4"):  # there, masks that differ in what no class depends on are as good
            assert same(found, planted)

    @pytest.mark.parametrize("pattern", ["kernel", "kernel+ikss"])
    def test_the_particle_filter_comes_near(self, pattern: str) -> None:
        """Where each difference from the planted masks counts, it ends far nearer than the best of as many draws."""
        space = Space(network_of_one(), {"conv2": parse_pattern(pattern)})
        genome = Genome.of(space, 0.5)
        error_rate = distance(genome.masks(genome.draw(np.random.default_rng(8))))
        near, far = (
            error_rate(
                SELECTORS[name](
                    space, 0.5, Trial(error_rate=error_rate, generator=np.random.default_rng(1), budget=300)
                )
            )
            for name in SEARCHES
        )
        assert near <= far / 2
        assert far > 0

    @pytest.mark.parametrize("name", [name for name in SELECTORS if name != "activation-sum"])
    def test_groups_of_kernels(self, name: str) -> None:
        """Every selector that chooses other units than maps keeps half of the groups, whole; another keeps others."""
        space = Space(network_of_one(), {"conv2": parse_pattern("kernel@3")})  # groups of 3 maps and of 1
        right = Genome.of(space, 0.5).masks(Genome.of(space, 0.5).draw(np.random.default_rng(4)))
        trial = Trial(error_rate=distance(right), generator=np.random.default_rng(0), budget=60)
        kept = SELECTORS[name](space, 0.5, trial)["conv2"].kept
        assert kept.shape == (4, 3, 4)
        assert kept[::3, :, 0].sum() == 3
        assert (kept[:3] == kept[:1]).all()
        assert (kept == kept[:, :, :1]).all()
        if SELECTORS[name].searches:
            assert (kept == right["conv2"].kept).all()

    def test_best_of_n_finds_it(self) -> None:
        """Of the six ways to keep two maps of four, 100 draws meet the planted one."""
        space = Space(network_of_one(), {"conv2": parse_pattern("feature-map")})
        genome = Genome.of(space, 0.5)
        for seed in range(6):
            planted = genome.masks(genome.draw(np.random.default_rng(seed)))
            rng = np.random.default_rng(1)
            found = SELECTORS["best-of-n"](space, 0.5, Trial(error_rate=distance(planted), generator=rng, budget=100))
            assert same(found, planted)

    @pytest.mark.parametrize("name", ["magnitude", "activation-sum"])
    def test_maps_that_say_nothing_go(self, name: str) -> None:
        """Maps 1 and 2 of conv2 have tiny weights and no bias to speak of."""
        network = network_of_one()
        weight = np.array(network["conv2"].weight)  # type: ignore[attr-defined]
        weight[[1, 2]] *= 1e-3
        bias = np.float32([1, 0, 0, 1])
        layers = [
            type(x)(**{**vars(x), "weight": weight, "bias": bias}) if x.name == "conv2" else x for x in network.layers
        ]
        network = Network("planted", network.input_shape, tuple(layers))
        space = Space.of(network, "feature-map")
        masks = SELECTORS[name](space, 0.5, Trial(images=images_for(network)))
        assert masks["conv2"].kept[:, 0, 0].tolist() == [True, False, False, True]


class TestSearches:
    @pytest.mark.parametrize("name", SELECTORS)
    def test_the_same_seed(self, name: str) -> None:
        """The same seed gives the same masks; whatever draws gives others for another seed."""
        network = residual()
        images = images_for(network, 60)
        evaluator = Evaluator(network, images, network.scores(images).argmax(axis=1))
        space = Space.of(network, "feature-map")

        def trial(generator: np.random.Generator) -> Trial:
            return Trial(error_rate=evaluator, generator=generator, budget=9, images=images)

        first, again, other = (SELECTORS[name](space, 0.5, trial(np.random.default_rng(s))) for s in (1, 1, 7))
        assert same(first, again)
        assert same(first, other) != SELECTORS[name].draws

    @pytest.mark.slow
    def test_better_than_random(self) -> None:
        """At 100 evaluations each, on average over four seeds: filter < best of N < random, before any retraining."""
        space, evaluator = problem(pattern="kernel")

        def rate(name: str) -> float:
            rngs = map(np.random.default_rng, range(4))
            found = (
                SELECTORS[name](space, 0.5, Trial(error_rate=evaluator, generator=rng, budget=100)) for rng in rngs
            )
            return float(np.mean([evaluator(masks) for masks in found]))

        filtered, best, drawn = rate("particle-filter"), rate("best-of-n"), rate("random")
        assert filtered < best < drawn

    @pytest.mark.parametrize("name", SEARCHES)
    @pytest.mark.parametrize("budget", [1, 19, 20, 45])
    def test_the_budget_is_spent_exactly(self, name: str, budget: int) -> None:
        """As many evaluations as were asked for, each told; the best that was judged is kept, the first of equals."""
        space, evaluator = problem()
        judged: list[tuple[float, Masks]] = []
        told: list[Progress] = []

        def error_rate(masks: Masks) -> float:
            judged.append((evaluator(masks), masks))
            return judged[-1][0]

        rng = np.random.default_rng(0)
        trial = Trial(error_rate=error_rate, generator=rng, budget=budget, progress=told.append)
        masks = SELECTORS[name](space, 0.5, trial)
        assert len(judged) == budget
        assert same(masks, min(judged, key=lambda pair: pair[0])[1])
        bests = np.minimum.accumulate([rate for rate, _ in judged])
        assert told == [Progress(n + 1, budget, best) for n, best in enumerate(bests)]

    def test_magnitude_may_be_a_particle(self) -> None:
        """With that start the filter is never worse than magnitude."""
        space, evaluator = problem()
        trial = Trial(error_rate=evaluator, generator=np.random.default_rng(0), budget=1)
        masks = ParticleFilter(start="magnitude")(space, 0.7, trial)
        assert same(masks, SELECTORS["magnitude"](space, 0.7))


class TestParticles:
    def test_importance(self) -> None:
        """exp(-beta * rate), normalised: a rate that is ln(2) / beta lower weighs twice as much; no sum is zero."""
        weights = importance(np.array([0.3, 0.3 + np.log(2) / 50, 0.3]), 50)
        assert weights == pytest.approx([0.4, 0.2, 0.4])
        assert importance(np.array([0.9, 0.9]), 1e4).tolist() == [0.5, 0.5]

    @pytest.mark.parametrize("seed", range(5))
    def test_resampling_is_systematic(self, seed: int) -> None:
        """Each is taken as often as its weight says, rounded down or up."""
        weights = np.array([0.5, 0.26, 0.2, 0.04, 0.0])
        counts = np.bincount(resample(weights, 10, np.random.default_rng(seed)), minlength=5)
        assert counts.sum() == 10
        assert (np.abs(counts - 10 * weights) < 1).all()


class TestResume:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", SEARCHES)
    @pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937])
    def test_a_stopped_search_goes_on(self, name: str, bits: Any, tmp_path: Path) -> None:
        """Stopped before the first, in the middle or at the last evaluation, it ends where an uninterrupted one does.

        So does the random generator; and what was written is not judged again.
        """
        space, evaluator = problem()

        def search(stop: int, path: Path | None) -> tuple[Masks, Any, int]:
            rng, calls = np.random.Generator(bits(5)), 0

            def error_rate(masks: Masks) -> float:
                nonlocal calls
                calls += 1
                if calls > stop:
                    raise StopError
                return evaluator(masks)

            masks = SELECTORS[name](space, 0.5, Trial(error_rate=error_rate, generator=rng, budget=30, checkpoint=path))
            return masks, rng.random(), calls

        expected = search(30, None)
        for stop in (0, 1, 19, 20, 24, 29):
            path = tmp_path / f"{stop}.search"
            with pytest.raises(StopError):
                search(stop, path)
            masks, drawn, calls = search(30, path)
            assert same(masks, expected[0])
            assert drawn == expected[1]
            assert calls <= 30 - stop + 19  # at most what was judged of one generation
            assert search(0, path)[1:] == (drawn, 0)  # a finished one has nothing left to do
        assert sorted(path.suffix for path in tmp_path.iterdir()) == [".search"] * 6  # and no temporary file

    @pytest.mark.parametrize(
        ("changed", "what"),
        [
            ({"ratio": 0.4}, "ratio"),
            ({"budget": 4}, "budget"),
            ({"seed": 1}, "seed"),
            ({"space": problem(1)[0]}, "network"),
            ({"space": Space.of(residual(), "2:4")}, "patterns"),
            ({"name": "particle-filter"}, "selector, settings"),
        ],
    )
    def test_another_search_is_refused(self, changed: dict[str, Any], what: str, tmp_path: Path) -> None:
        """A checkpoint goes on only with what it was begun with."""
        asked = {"name": "best-of-n", "space": problem()[0], "ratio": 0.5, "budget": 3, "seed": 0}

        def search(name: str, space: Space, ratio: float, budget: int, seed: int) -> Masks:
            rng = np.random.default_rng(seed)
            path = tmp_path / "a.search"
            trial = Trial(error_rate=lambda _: 0.5, generator=rng, budget=budget, checkpoint=path)
            return SELECTORS[name](space, ratio, trial)

        search(**asked)  # type: ignore[arg-type]
        with pytest.raises(EspalierError, match=rf"a\.search is of another search \(other {what}\): delete it"):
            search(**{**asked, **changed})  # type: ignore[arg-type]

    @pytest.mark.parametrize("content", [b"", b"nothing of ours", b"ESPALIER" + bytes(60)])
    def test_a_damaged_checkpoint(self, content: bytes, tmp_path: Path) -> None:
        """A file that is no checkpoint is refused in one line, and stays as it was."""
        space, evaluator = problem()
        path = tmp_path / "x.search"
        path.write_bytes(content)
        with pytest.raises(EspalierError, match=r"x\.search"):
            SELECTORS["best-of-n"](
                space, 0.5, Trial(error_rate=evaluator, generator=np.random.default_rng(0), budget=2, checkpoint=path)
            )
        assert path.read_bytes() == content
        with pytest.raises(EspalierError, match="there is no folder"):
            SELECTORS["best-of-n"](
                space,
                0.5,
                Trial(error_rate=evaluator, generator=np.random.default_rng(0), checkpoint=tmp_path / "no" / "x"),
            )


class TestVotes:
    def test_sums_are_of_what_is_read(self) -> None:
        """After batch norm and ReLU; of tied layers together; by absolute value where no ReLU follows."""
        network = residual()
        images = images_for(network, 300)  # more than a batch
        values = network.forward(images)
        sums = activation_sums(network, images, ["conv1", "conv2"])
        expected = values["relu1"].sum(axis=(2, 3)) + np.abs(values["norm3"]).sum(axis=(2, 3))
        assert np.allclose(sums["conv1"], expected, rtol=1e-4)
        assert np.allclose(sums["conv2"], values["relu2"].sum(axis=(2, 3)), rtol=1e-4)

    def test_votes_count_images(self) -> None:
        """Map 0 is silent on two images of three and loud on one: by votes it goes, by its sum it would stay."""
        sketch = Sketch(2, 1, 1)
        sketch.conv("conv1", 2, kernel=1)
        sketch.linear("fc2", 2, source=sketch.flatten())
        network = sketch.network().with_weights({"conv1": np.float32([[[[1]], [[0]]], [[[0]], [[1]]]])})
        layers = [type(x)(**{**vars(x), "bias": np.zeros(2)}) if x.name == "conv1" else x for x in network.layers]
        network = Network("votes", network.input_shape, tuple(layers))
        images: Array = np.float32([[0, 0.1], [0, 0.1], [1, 0.1]]).reshape(3, 2, 1, 1)
        space = Space.of(network, "feature-map", spare=["fc2"])
        masks = SELECTORS["activation-sum"](space, 0.5, Trial(images=images))
        assert masks["conv1"].kept[:, 0, 0].tolist() == [False, True]
        flipped = SELECTORS["activation-sum"](space, 0.5, Trial(images=images[:, ::-1]))
        assert flipped["conv1"].kept[:, 0, 0].tolist() == [True, False]


def bad_input() -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the selector, what it is given, and what it says."""
    space, _ = problem()
    rng = np.random.default_rng(0)
    for name in SEARCHES:
        usual = {"space": space, "ratio": 0.5, "error_rate": lambda _: 0.5, "generator": rng, "budget": 3}
        yield name, usual | {"budget": 0}, "budget must be at least 1 evaluation, got 0"
        yield name, usual | {"budget": 2.5}, "budget must be at least 1 evaluation, got 2.5"
        yield name, usual | {"error_rate": None}, f"{name}: needs an error rate to judge masks by"
        yield name, usual | {"generator": None}, f"{name}: needs a random generator"
        yield name, usual | {"error_rate": lambda _: 1.5}, r"an error rate must be 0\.\.1, got 1\.5"
        yield name, usual | {"error_rate": lambda _: float("nan")}, r"an error rate must be 0\.\.1, got nan"
    yield "random", {"space": space, "ratio": 0.5}, "random: needs a random generator"
    maps = Space.of(chain(), "feature-map")
    small = np.zeros((3, 1, 4, 4), np.float32)
    votes = "activation-sum: "
    yield "activation-sum", {"space": maps, "ratio": 0.5}, votes + "needs images to sum the activations of"
    yield "activation-sum", {"space": maps, "ratio": 0.5, "images": small}, votes + r"images must be \(N, 2, 8, 8\)"
    yield (
        "activation-sum",
        {"space": space, "ratio": 0.5},
        votes + "chooses feature maps only, and conv2 has the pattern",
    )
    for name in SELECTORS:
        given = {"space": maps, "error_rate": lambda _: 0.5, "generator": rng, "images": images_for(chain())}
        for ratio in (-0.1, 1.0, float("nan")):
            yield name, given | {"ratio": ratio}, "conv2: ratio must be at least 0 and less than 1, got"
        yield name, given | {"ratio": 0.95}, "conv2: pruning 95% as feature-map would remove the whole layer"
        yield name, given | {"ratio": {"conv2": 0.5, "fc3": 0.5, "fc9": 0.5}}, "fc9: has a ratio but is not pruned"


@pytest.mark.parametrize(("name", "given", "message"), [*bad_input()])
def test_bad_input(name: str, given: dict[str, Any], message: str) -> None:
    """What cannot be asked for is said in one line."""
    space, ratio = given.pop("space"), given.pop("ratio")
    with pytest.raises(EspalierError, match=f"^{message}"):
        SELECTORS[name](space, ratio, Trial(**given))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"particles": 1}, "particles must be at least 2, got 1"),
        ({"beta": -1.0}, "beta must be at least 0, got -1.0"),
        ({"mutation": 1.5}, r"mutation must be 0\.\.1, got 1.5"),
        ({"start": "best"}, "start must be one of random, magnitude, got 'best'"),
    ],
)
def test_bad_parameters(options: dict[str, Any], message: str) -> None:
    """Parameters of the filter outside their range are refused."""
    with pytest.raises(EspalierError, match=f"^{message}$"):
        ParticleFilter(**options)


def test_a_score_that_is_none() -> None:
    """Magnitude says which scores there are."""
    with pytest.raises(EspalierError, match=r"^score must be one of sum, mean, got 'max'$"):
        Magnitude(score="max")


def test_an_unknown_selector() -> None:
    """The names there are, are named; all are registered under the names that reports use."""
    assert [*SELECTORS] == ["particle-filter", "best-of-n", "activation-sum", "magnitude", "random"]
    with pytest.raises(EspalierError, match="unknown selector 'best': expected one of particle-filter, best-of-n"):
        selector("best")


def test_tied_maps_need_one_ratio() -> None:
    """Layers whose maps an addition ties cannot lose different shares of them."""
    space = Space.of(residual(), "feature-map", spare=["fc5"])
    ratio = {"conv1": 0.5, "conv2": 0.3, "conv3": 0.25, "conv4": 0.3}
    with pytest.raises(
        EspalierError, match=r"^conv1 and conv3: an addition ties their maps, but the ratios are 0.5 and"
    ):
        SELECTORS["magnitude"](space, ratio)
    assert SELECTORS["magnitude"](space, {**ratio, "conv3": 0.5})["conv3"].kept[:, 0, 0].sum() == 2


def test_a_chooser_has_what_a_selector_needs(tmp_path: Path) -> None:
    """It makes an evaluator for the network of each space, and for each search a checkpoint, named by what it is of."""
    network = residual()
    images = images_for(network, 50)
    labels = network.scores(images).argmax(axis=1)
    choose = chooser("best-of-n", images, labels, np.random.default_rng(0), budget=4, checkpoints=tmp_path)
    rng = np.random.default_rng(0)
    for space in (Space.of(network, "kernel"), Space.of(residual(1), "irregular")):
        evaluator = Evaluator(space.network, images, labels)
        expected = SELECTORS["best-of-n"](space, 0.4, Trial(error_rate=evaluator, generator=rng, budget=4))
        assert same(choose(space, 0.4), expected)
    files = sorted(x.name for x in tmp_path.iterdir())
    assert len(files) == 2
    assert all(name.startswith("search-") for name in files)
    again = chooser("best-of-n", images, labels, np.random.default_rng(0), budget=4, checkpoints=tmp_path)
    _ = again(Space.of(network, "kernel"), 0.4)  # the first search of them once more: it finds its file
    assert sorted(x.name for x in tmp_path.iterdir()) == files
    _ = again(Space.of(network, "kernel"), 0.3)  # negative control: another search has another file
    assert len(list(tmp_path.iterdir())) == 3


def test_a_chooser_takes_a_selector_with_settings() -> None:
    """A selector may have parameters of its own: one that starts from magnitude and may judge once gives magnitude."""
    space, _ = problem()
    images = images_for(space.network, 50)
    choose = chooser(ParticleFilter(start="magnitude"), images, np.zeros(50, int), np.random.default_rng(0), budget=1)
    assert same(choose(space, 0.6), SELECTORS["magnitude"](space, 0.6))
