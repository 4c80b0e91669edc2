"""Images come in beat by beat, each to its place; one whose TLAST is early or late is left out."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from accel.array import MacArray
from rtl.bus.images import Images, beat_bits, code_bits

ARRAY = MacArray(output_lanes=2, pixel_lanes=2, signal_bits=5)
BEATS, PLACES = 6, (0, 40)


@dataclass
class Seen:
    """What the load port and the counters saw."""

    written: list[tuple[int, int]] = field(default_factory=list)  # address and codes
    whole: int = 0
    errors: list[str] = field(default_factory=list)


def packed(codes: tuple[int, ...]) -> int:
    """Return codes side by side, as the load port has them."""
    return sum(code << lane * ARRAY.signal_bits for lane, code in enumerate(codes))


def given(lengths: list[int], run: bool, array: MacArray = ARRAY, by_bus: bool = False) -> tuple[list[Any], Seen]:
    """Offer images of so many beats each, TLAST with their last; images that wait are run at random, or never."""
    rng, dut, seen = np.random.default_rng(len(lengths)), Images(array), Seen()
    codes = [tuple(map(int, rng.integers(0, 1 << ARRAY.signal_bits, 2))) for _ in range(sum(lengths))]
    lasts = np.isin(np.arange(sum(lengths)), np.cumsum(lengths) - 1)

    async def bench(ctx: Any) -> None:
        for name, value in {"beats": BEATS, "place0": PLACES[0], "place1": PLACES[1]}.items():
            ctx.set(getattr(dut, name), value)
        sent, running, idle = 0, False, 0
        while idle < 40:
            offers, goes = sent < len(codes) and rng.random() < 0.7, rng.random() < 0.7
            beat = sum(code << lane * code_bits(array) for lane, code in enumerate(codes[sent])) if offers else 0
            ctx.set(dut.goes, goes)
            ctx.set(dut.word, offers and by_bus and goes and ctx.get(dut.room))
            ctx.set(dut.tvalid, offers and not by_bus)
            ctx.set(dut.data if by_bus else dut.tdata, beat)
            ctx.set(dut.tlast, offers and bool(lasts[sent]))
            starts = run and ctx.get(dut.waiting) and not running and rng.random() < 0.2
            ended = running and rng.random() < 0.2
            running = starts or (running and not ended)
            ctx.set(dut.start, starts)
            ctx.set(dut.ended, ended)
            if ctx.get(dut.offers) and goes:
                seen.written.append((ctx.get(dut.address), ctx.get(dut.codes)))
            seen.errors += [name for name in ("early", "late") if ctx.get(getattr(dut, name))]
            taken = ctx.get(dut.word) if by_bus else offers and ctx.get(dut.tready)
            sent, idle = sent + bool(taken), 0 if taken or running else idle + 1
            seen.whole += starts
            await ctx.tick()
        seen.whole += ctx.get(dut.waiting)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return codes, seen


def places(codes: list[tuple[int, ...]], turns: tuple[int, ...] = PLACES) -> list[tuple[int, int]]:
    """Return where the beats of whole images must go: images in turn, beats one behind the other."""
    at = [(turns[beat // BEATS % len(turns)] + beat % BEATS * ARRAY.pixel_lanes) for beat in range(len(codes))]
    return [(address, packed(beat)) for address, beat in zip(at, codes, strict=True)]


@pytest.mark.parametrize("by_bus", [False, True], ids=["stream", "bus"])
def test_images_go_to_places_in_turn(by_bus: bool) -> None:
    """While others run; codes of 5 bits lie in bytes of the beat."""
    codes, seen = given([BEATS] * 9, run=True, by_bus=by_bus)
    assert (seen.written, seen.whole, seen.errors) == (places(codes), 9, [])
    assert places(codes) != places(codes[::-1])


def test_no_more_than_there_are_places() -> None:
    """Of images that nobody runs two are taken, or one where there is one place."""
    codes, seen = given([BEATS] * 4, run=False)
    assert (seen.written, seen.whole) == (places(codes[: 2 * BEATS]), 2)
    codes, seen = given([BEATS] * 4, run=False, array=MacArray(2, 2, signal_bits=5, overlap=False))
    assert (seen.written, seen.whole) == (places(codes[:BEATS]), 1)


@pytest.mark.parametrize(("length", "error"), [(1, "early"), (BEATS - 1, "early"), (BEATS + 1, "late"), (15, "late")])
def test_an_image_of_another_length_is_left_out(length: int, error: str) -> None:
    """It is told, and never run; its place is the next one's, which begins behind its TLAST."""
    codes, seen = given([BEATS, length, BEATS, BEATS], run=True)
    assert (seen.errors, seen.whole) == ([error], 3)
    rest = codes[:BEATS] + codes[BEATS + length :]
    begun = min(length, BEATS)
    assert seen.written[:BEATS] == places(codes[:BEATS])
    assert seen.written[BEATS + begun :] == places(rest)[BEATS:]


def test_widths() -> None:
    """A code has whole bytes in a beat."""
    arrays = [MacArray(2, 4, signal_bits=bits, accumulator_bits=24) for bits in (1, 8, 9, 16)]
    assert [beat_bits(array) for array in arrays] == [32, 32, 64, 64]
