"""The search gives what looking at every combination gives, and nothing that another combination beats."""

from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.together.search import Family, Key, best


class Item(NamedTuple):
    """A design made up: words of two memories, cycles, errors."""

    one: int
    other: int
    cycles: int
    errors: int


class Whole(NamedTuple):
    """What items cost together: the largest of each memory, of which every word counts; the rest adds up."""

    memory: int
    cycles: int
    errors: int


Stages = list[list[Item]]
ITEMS = st.builds(Item, *[st.integers(1, 6)] * 3, st.integers(0, 2))
STAGES = st.lists(st.lists(ITEMS, min_size=1, max_size=5), min_size=1, max_size=3)


def together(items: tuple[Item, ...], extra: int) -> Whole:
    """Return what items cost on arrays that take `extra` words more."""
    memory = max(x.one for x in items) + max(x.other for x in items) + extra
    return Whole(memory, sum(x.cycles for x in items), sum(x.errors for x in items))


def key(whole: Whole) -> Key:
    """Return memory x cycles, then everything else."""
    return (whole.memory * whole.cycles, whole.errors, whole.memory, whole.cycles)


def floor(stage: list[Item]) -> Item:
    """Return what no item of a stage goes below."""
    return Item(*map(min, zip(*stage, strict=True)))


def family(stages: Stages, extra: int, most: int, costed: list[tuple[Item, ...]]) -> Family[Item, Whole]:
    """Return the combinations of at most so much memory; those that are costed are noted."""
    floors = [floor(stage) for stage in stages]

    def bound(begun: tuple[Item, ...]) -> Key | None:
        whole = together((*begun, *floors[len(begun) :]), extra)
        return key(whole) if whole.memory <= most else None

    def exact(chosen: tuple[Item, ...]) -> tuple[Key, Whole] | None:
        costed.append(chosen)
        whole = together(chosen, extra)
        return (key(whole), whole) if whole.memory <= most else None

    return Family(stages, bound, exact)


@given(st.lists(STAGES, min_size=1, max_size=3), st.integers(2, 14))
@settings(max_examples=200, deadline=None)
def test_as_by_looking_at_all(tables: list[Stages], most: int) -> None:
    """The best of all families, or none where none meets the limit; no other is as good in all and better in one."""
    costed: list[tuple[Item, ...]] = []
    found = best(family(stages, extra, most, costed) for extra, stages in enumerate(tables))
    every = [together(items, extra) for extra, stages in enumerate(tables) for items in product(*stages)]
    able = [whole for whole in every if whole.memory <= most]
    assert found == min(able, key=key, default=None)
    assert found is None or not any(
        other != found and all(a <= b for a, b in zip(other, found, strict=True)) for other in able
    )


def test_few_are_costed() -> None:
    """Of 1,000 combinations one is costed where the bound is exact: the best."""
    stages = [[Item(1, 1, cycles, 0) for cycles in range(1, 11)]] * 3
    costed: list[tuple[Item, ...]] = []
    assert best([family(stages, 0, 99, costed)]) == Whole(2, 3, 0)
    assert len(costed) == 1


def test_a_bound_that_is_none() -> None:
    """Negative control: a bound above what follows leads astray."""
    stages = [[Item(1, 1, 1, 0), Item(1, 1, 2, 0)]]
    right = family(stages, 0, 99, [])
    wrong = Family(stages, lambda begun: (99.0,) if begun and begun[0].cycles == 1 else right.bound(begun), right.exact)
    assert (best([right]), best([wrong])) == (Whole(2, 1, 0), Whole(2, 2, 0))


@pytest.mark.parametrize("stages", [[[]], [[Item(1, 1, 1, 0)], []]])
def test_nothing_to_choose(stages: Stages) -> None:
    """A stage without items leaves no combination."""
    assert best([Family(stages, lambda begun: (0.0,), lambda chosen: ((0.0,), chosen))]) is None
