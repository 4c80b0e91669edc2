from dataclasses import replace

import numpy as np
import pytest

from accel.digest import digest_of, network_parts
from accel.interchange import zoo
from accel.layers import Conv2d

CODES = np.arange(6, dtype=np.int8).reshape(2, 3)


def test_equal_parts() -> None:
    """Equal arrays have equal digests, however they lie in memory."""
    assert digest_of("a", 1, CODES) == digest_of("a", 1, CODES.copy())
    assert digest_of(CODES) == digest_of(np.asfortranarray(CODES))


@pytest.mark.parametrize(
    "other", [CODES.astype(np.uint8), CODES.reshape(3, 2), CODES[:, ::-1], CODES.ravel(), CODES.tolist(), "CODES"]
)
def test_other_parts(other: object) -> None:
    """Another type, shape, order or value is another digest."""
    assert digest_of(CODES) != digest_of(other)


def test_parts_do_not_run_together() -> None:
    """Where one part ends is part of the digest, and so is their order."""
    assert len({digest_of("a", "b"), digest_of("ab"), digest_of("b", "a"), digest_of("a", "b", "")}) == 4


def test_a_network_is_all_that_it_computes() -> None:
    """The same network has the same digest; with another last bit of one weight, or another name, it is another one."""
    network = zoo.load("digits").network
    first, *others = network.layers
    assert isinstance(first, Conv2d)
    weight = first.weight.copy()
    weight[0, 0, 0, 0] = np.nextafter(weight[0, 0, 0, 0], np.float32(1))
    changed = replace(network, layers=(replace(first, weight=weight), *others))
    again, last = zoo.load("digits").network, others[-1]
    named = replace(network, layers=(first, *others[:-1], replace(last, name="last")))
    digests = [digest_of(*network_parts(x)) for x in (network, again, changed, named)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
