"""Codes that are not zero, counted over images in parts: those of golden's tensors, however many run together."""

import numpy as np
import pytest
from support.programs import every_kind

from accel.errors import EspalierError
from accel.network import INPUT
from sim import golden, nonzeros
from sim.engine import compile_program
from sim.nonzeros import count_nonzeros

RNG = np.random.default_rng(0)
PROGRAM = every_kind(RNG)
CODES = np.where(RNG.random((40, 2, 9, 8)) < 0.5, RNG.integers(0, 256, (40, 2, 9, 8)), 0)


@pytest.mark.parametrize("room", [1, 1 << 25])
def test_golden_counts_the_same(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tensor's places, 16 images at a time or all 40. Negative control: one code more is one count more."""
    monkeypatch.setattr(nonzeros, "ROOM_WORDS", room)
    engine, expected = compile_program(PROGRAM), golden.run(PROGRAM, CODES)
    found = count_nonzeros(engine, CODES, threads=1)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert np.array_equal(found[name], np.count_nonzero(tensor, axis=0)), name
        assert found[name].max() > 0
    place = tuple(np.argwhere(CODES == 0)[-1])
    changed = CODES.copy()
    changed[place] = 1
    more = count_nonzeros(engine, changed, threads=1)[INPUT]
    assert (more - found[INPUT]).sum() == (more - found[INPUT])[place[1:]] == 1


def test_refusals() -> None:
    """Codes that do not fit are refused as a run refuses them; of no images there is nothing."""
    engine = compile_program(PROGRAM)
    with pytest.raises(EspalierError, match="code 256 is outside"):
        count_nonzeros(engine, CODES + 256)
    assert not any(counts.any() for counts in count_nonzeros(engine, CODES[:0]).values())
