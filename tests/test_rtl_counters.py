"""Counters of what memories read and write: equal to the closed form, layer by layer; another design is noticed."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from support.rtl_layers import ARRAY, CHAINS, FORMATS, PACKED, TABLED, TABLES, random_job

from accel.array import DEPTHS, MacArray
from accel.demand import array_for
from accel.errors import EspalierError
from reports.workflow.access_counts import rows_of
from rtl import simulators
from rtl.assemble import assemble
from rtl.core.accelerator import Core
from rtl.core.entries import Entries
from rtl.counters import COUNTS, KINDS, Moment, Sample, counts_of
from rtl.emit import Job, emit
from rtl.simulate import Run, simulate

WIDE = replace(ARRAY, output_lanes=2, pixel_lanes=8)
BARE = replace(ARRAY, **dict.fromkeys(ARRAY.features, False))
Chains = tuple[tuple[str, ...], ...]


def counted(job: Job, array: MacArray, **how: Any) -> list[Run]:
    """Run a job with counters; its codes and cycles are as without them."""
    runs = simulate(job.program, array, job.codes, formats=FORMATS, counted=True, **how)
    for run, codes in zip(runs, job.outputs, strict=True):
        assert (run.codes == codes).all()
        assert run.cycles - run.stalls == job.cycles
    return runs


def differing(job: Job, array: MacArray, runs: list[Run]) -> set[str]:
    """Return the memories whose counts are not those of the closed form."""
    counts = [run.counts for run in runs if run.counts is not None]
    assert len(counts) == len(job.codes)
    return {row.memory for row in rows_of(job.program, array, counts) if not row.equal}


class TestInAmaranth:
    @pytest.mark.parametrize(
        ("array", "chain", "seed"),
        [
            (ARRAY, ("point", "depthwise", "point"), 1),
            (ARRAY, ("residual", "halve"), 2),
            (PACKED, ("conv", "linear"), 3),
            (TABLED, ("conv", "table", "halve"), 4),
        ],
        ids=["depthwise", "residual", "streamed", "tables"],
    )
    def test_a_program(self, array: MacArray, chain: tuple[str, ...], seed: int) -> None:
        """Each memory reads and writes in each layer what the closed form says, also while the output is held back."""
        rng = np.random.default_rng(seed)
        job = random_job(rng, array, [chain])
        assert differing(job, array, counted(job, array, ready=0.7, rng=rng)) == set()

    @pytest.mark.slow
    @pytest.mark.parametrize("array", [replace(ARRAY, pixel_lanes=1), WIDE, BARE], ids=["one lane", "wide", "bare"])
    @pytest.mark.parametrize("seed", range(3))
    def test_other_arrays(self, array: MacArray, seed: int) -> None:
        """So it is on one pixel lane, on many, and on an array without any feature."""
        job = random_job(np.random.default_rng(seed), array)
        assert differing(job, array, counted(job, array)) == set()


def all_banks(core: Core, m: Module) -> None:
    """Read every bank of signals in each step."""
    m.d.comb += core.activations.read_all.eq(1)


def all_weights(core: Core, m: Module) -> None:
    """Read every bank of weights in each cycle."""
    m.d.comb += core.weights.wanted.eq(-1)


class TestAnotherDesign:
    """Negative control: designs that give the same codes in the same cycles, and read more."""

    @pytest.mark.parametrize(("careless", "memory"), [(all_banks, "signals"), (all_weights, "weights")])
    def test_banks_that_never_rest(
        self, careless: Callable[[Core, Module], None], memory: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Banks that are read where nobody wants their words."""
        careful = Core._connect_fetch

        def connected(core: Core, m: Module) -> None:
            careful(core, m)
            careless(core, m)

        job = random_job(np.random.default_rng(5), ARRAY, [("conv", "conv")])
        monkeypatch.setattr(Core, "_connect_fetch", connected)
        assert differing(job, ARRAY, counted(job, ARRAY)) == {memory}

    def test_lists_that_are_read_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A decoder that reads beyond a layer's last list."""

        def endless(entries: Entries, m: Module, *_: Signal) -> None:
            m.d.comb += entries.lists.eq(1)

        job = random_job(np.random.default_rng(6), ARRAY, [("conv",)])
        monkeypatch.setattr(Entries, "_build_groups", endless)
        assert differing(job, ARRAY, counted(job, ARRAY)) == {"entries"}


SWEEPS = {
    "base": (ARRAY, CHAINS, 40, 0),
    "held back": (ARRAY, CHAINS, 40, 90),
    "streamed": (PACKED, CHAINS, 30, 90),
    "tables": (TABLED, TABLES, 30, 0),
    "wide": (WIDE, CHAINS, 30, 0),
    "tall": (replace(ARRAY, output_lanes=8, pixel_lanes=2), CHAINS, 30, 60),
    "bare": (BARE, CHAINS, 30, 60),
}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Debian's package verilator")
@pytest.mark.parametrize("name", SWEEPS)
def test_random_programs_in_verilog(name: str, tmp_path: Path) -> None:
    """Dozens of random Programs on one build: dense and pruned, strided, depthwise, pools, additions, joins, tables."""
    array, chains, count, stall = SWEEPS[name]
    rng = np.random.default_rng(7)
    jobs = [random_job(rng, array, chains) for _ in range(count)]
    for file, content in emit(jobs, array, counted=True).items():
        (tmp_path / file).write_bytes(content)
    simulators.build(tmp_path, "verilator")
    outcome = simulators.run(tmp_path, "verilator", stall)
    assert outcome.errors == 0
    for job, said in zip(jobs, outcome.jobs, strict=True):
        image = assemble(job.program, array)
        counts = counts_of(said.samples, len(job.codes), image.computed, image.owners)
        assert [row for row in rows_of(job.program, array, counts) if not row.equal] == []


def test_hardware_has_no_counters() -> None:
    """What is shipped has none: its Verilog and its testbench's ports are those of a build that counts nothing."""
    job = random_job(np.random.default_rng(0), ARRAY, [("conv",)])
    array = array_for(job.program, 2, 2)
    plain, counting = (emit([job], array, counted=counted) for counted in (False, True))
    port = f"output [{COUNTS.size - 1}:0] counts;".encode()
    assert port not in plain["espalier.v"]
    assert port in counting["espalier.v"]
    assert b".counts(counts)" not in plain["testbench.v"]
    assert b".counts(counts)" in counting["testbench.v"]


def sample(moment: Moment, **words: tuple[int, int]) -> Sample:
    """Return a sample in which some memories have read and written something."""
    return Sample(moment, [count for name in DEPTHS for count in words.get(name, (0, 0))])


class TestCountsOf:
    def test_layers(self) -> None:
        """What was counted between two samples: while the image is loaded, in the first layer, in the second."""
        taps = [(Moment.END, 3), (Moment.TURN, 3), (Moment.TURN, 10), (Moment.END, 12)]
        taps += [(Moment.TURN, 13), (Moment.TURN, 20), (Moment.END, 25)]
        first, second = counts_of([sample(moment, taps=(words, 0)) for moment, words in taps], 2, 2)
        place = list(DEPTHS).index("taps"), KINDS.index("reads")
        assert first[:, *place].tolist() == [0, 7, 2]
        assert second[:, *place].tolist() == [1, 7, 5]
        assert first.sum() == 9  # and nothing else

    def test_units(self) -> None:
        """Streamed words count with the layer of their unit, whenever they come: 5 and 6 with the first."""
        samples = [(Moment.END, 7), (Moment.UNIT, 12), (Moment.TURN, 13), (Moment.UNIT, 18), (Moment.TURN, 18)]
        samples += [(Moment.UNIT, 22), (Moment.TURN, 22), (Moment.UNIT, 27), (Moment.END, 27)]  # one too early
        (found,) = counts_of([sample(moment, weights=(0, words)) for moment, words in samples], 1, 3, [0, 0, 2])
        place = list(DEPTHS).index("weights"), KINDS.index("writes")
        assert found[:, *place].tolist() == [0, 11, 0, 4]

    def test_a_layer_that_never_begins(self) -> None:
        """Negative control: samples that are no image of two layers are refused in a line."""
        samples = [sample(moment) for moment in (Moment.END, Moment.TURN, Moment.END)]
        assert len(counts_of(samples, 1, 1)) == 1
        with pytest.raises(EspalierError, match="counters saw 1 layers and 1 images, expected 2 in each of 1"):
            counts_of(samples, 1, 2)
