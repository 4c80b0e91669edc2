"""The page of the study of silicon: README.md, from saved results alone."""

from collections.abc import Iterable, Iterator, Sequence

from accel.cost.technology import EnergyTable
from reports.shared import markdown
from reports.studies.files import picture
from reports.studies.silicon.definition import (
    BITS,
    CALIBRATING,
    CLOCK,
    KERNEL,
    PATTERNS,
    SHAPE,
    SHAPES,
    STEPS_FROM,
    Task,
    of_shape,
)
from reports.studies.silicon.estimated import (
    GROUPS,
    NARROW,
    SCALE,
    SHIPPED,
    WIDE,
    Compared,
    calibrated,
    compared_with,
    errors,
    scaled,
)
from reports.studies.silicon.figures import CAPTIONS
from reports.studies.silicon.results import Results, Run

LIMIT = 0.3  # of what an estimate may be off before its table is calibrated
HOW = f"""The first test image of each network runs on the gates of an array, in SkyWater's cells of 130 nm (typical,
25 C, 1.8 V) at {CLOCK / 1e6:g} MHz; every output and every cycle equals golden's, else there is no number. Yosys
maps, Verilator runs the gates, OpenSTA makes energy of how often each net changes, as [`espalier
power`](../../../docs/howto/silicon.md#power) does. Memories are macros that OpenRAM made ([their
figures](../../../docs/sky130-sram.toml)) and accesses to them are counted. Left out: the clock's tree, wires,
glitches. Networks are quantised after training by {STEPS_FROM} training images; bits are of weights and signals, the
image has 8. All networks and patterns of a word length share one array, whose memories are large enough for each.

    python -m reports.studies.silicon run --liberty sky130_fd_sc_hd__tt_025C_1v80.lib.gz --work build/silicon

runs what is missing, one file in `--work` for each run, and goes on where it was stopped."""
FITTED_ON = ", ".join(task.pattern for task in CALIBRATING)
ESTIMATE = f"""The estimate counts the same events and takes the energy of each from a table. *Scaled* is the table of
45 nm times {SCALE:.1f} (Stillmaker and Baas, Integration 58, 2017: 130 nm at 1.8 V over 45 nm at 0.9 V); it has the
clock of lanes, and nothing of control and fetch. *Calibrated* is `{SHIPPED}` as it is shipped
(`accel/cost/technologies.toml`): where the scaled table is off by more than {LIMIT:.0%}, five factors, least squares
of relative errors over the layers of digits on {SHAPE} at {BITS[0]} bits ({FITTED_ON}), set it right. All other runs
are held out. Measured memories are accesses times the macros that they are built of; both tables take the mean of
reads and writes, and the macros that `accel.cost` would choose. What lanes and drains take follows how many bits of
their operands change, which no count tells: these groups are farther off than the sum."""


def page(results: Results, figures: Iterable[str]) -> str:
    """Return README.md; `figures` are file names."""
    parts = [
        "# What Programs take in silicon",
        "    python -m reports.studies.silicon page",
        HOW,
        f"**{headline(results)}**",
        "## Arrays, dense and sparse",
        _arrays(results),
        *_lists(results),
        "## Patterns and word lengths",
        *(picture(name, CAPTIONS, figures) for name in CAPTIONS),
        _patterns(results),
        "## The estimate",
        ESTIMATE,
        _groups(results),
        _table(calibrated(results), scaled()),
        _missing(results),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def headline(results: Results) -> str:
    """Return what the pruned network takes of the dense one's energy, and how far off the estimate is."""
    sparse, _, dense = (results.run(task) for task in of_shape(SHAPE))
    held = held_out(results, calibrated(results))
    told = []
    if dense and sparse:
        share = sparse.joules() / dense.joules()
        told.append(
            f"digits on {SHAPE} at {BITS[0]} bits: {microjoules(sparse)} µJ an image with `{KERNEL}` and lists, "
            f"{microjoules(dense)} µJ dense without, {share:.1%}"
        )
    if held:
        middle, _ = errors(held)
        told.append(f"the calibrated estimate is off by {middle:.1%} (median) of {len(held)} runs held out")
    return "; ".join(told)


def held_out(results: Results, table: EnergyTable) -> list[Compared]:
    """Return the runs that a table was not calibrated on."""
    return [one for one in _compared(results, table) if not one.fitted]


def microjoules(run: Run) -> str:
    """Return the energy of an image."""
    return f"{1e6 * run.joules():.2f}"


def _compared(results: Results, table: EnergyTable) -> list[Compared]:
    return [compared_with(table, run, results) for run in results.runs]


def _arrays(results: Results) -> str:
    heads = "array | build | runs | cells, mm² | NAND2 | FF | SRAM, mm² | MHz | cycles | mW | µJ an image"
    rows = []
    for shape in SHAPES:
        for task in reversed(of_shape(shape)):
            build, run = results.build(*task.build), results.run(task)
            if build and run:
                built = [
                    "sparse" if task.lists else "dense",
                    f"{task.network}, {task.pattern}",
                    f"{build.area / 1e6:.4f}",
                ]
                built += [f"{build.gate_equivalents:,.0f}", f"{build.flip_flops:,}", f"{build.macro_um2 / 1e6:.2f}"]
                spent = [f"{build.mhz:.1f}", f"{run.cycles:,}", f"{1e3 * _watts(run):.2f}", microjoules(run)]
                rows.append([shape, *built, *spent])
    return markdown.table(heads, "lllrrrrrrrr", rows)


def _lists(results: Results) -> Iterator[str]:
    rows = []
    for shape in SHAPES:
        pruned, idle, dense = (results.run(task) for task in of_shape(shape))
        sparse, plain = (results.build(shape, BITS[0], lists) for lists in (True, False))
        if pruned and dense and sparse and plain:
            pairs = (sparse.area, plain.area), (sparse.macro_um2, plain.macro_um2), (sparse.mhz, plain.mhz)
            cells = [f"{mine / other - 1:+.1%}" for mine, other in pairs]
            cells.append(f"{_watts(idle) / _watts(dense) - 1:+.1%}" if idle else "not run")
            saved = pruned.cycles / dense.cycles, pruned.joules() / dense.joules()
            rows.append([shape, *cells, *(f"{ratio - 1:+.1%}" for ratio in saved)])
    if rows:
        yield (
            "What lists cost the dense network, the sparse build over the dense one, and what they save: cycles and "
            f"energy of `{KERNEL}` on the sparse build over the dense network on the dense one."
        )
        yield markdown.table("array | cells | SRAM | MHz | mW | cycles | energy an image", "lrrrrrr", rows)


def _watts(run: Run) -> float:
    return run.joules() / (run.cycles / CLOCK)


def _patterns(results: Results) -> str:
    heads = ["network", "bits", "pattern", "cycles", *GROUPS, "all, nJ", "scaled", "", "calibrated", ""]
    before, after = scaled(), calibrated(results)
    rows = []
    shown = [run for run in results.runs if run.shape == SHAPE and run.lists]
    for run in sorted(shown, key=lambda run: (run.network, run.bits, PATTERNS.index(run.pattern))):
        one, other = compared_with(before, run, results), compared_with(after, run, results)
        cells = [run.network, f"{run.bits}", run.pattern, f"{run.cycles:,}"]
        cells += [nano(joules) for joules in [*one.measured.values(), run.joules()]]
        for found in (one, other):
            cells += [nano(sum(found.estimated.values())), f"{found.error():+.1%}"]
        rows.append(cells)
    told = f"Nanojoules an image on {SHAPE}, measured on the netlist by groups, and as estimated by both tables."
    table = markdown.table(" | ".join(heads), "lll" + "r" * (len(heads) - 3), rows)
    return f"{told}\n\n{table}" if rows else ""


def _groups(results: Results) -> str:
    before, after = _compared(results, scaled()), _compared(results, calibrated(results))
    held = [one for one in after if not one.fitted]
    rows = []
    for group in (*GROUPS, None):
        parts = before, [one for one in after if one.fitted], held
        rows.append([group or "all", *(_error(part, group) for part in parts)])
    counts = f"{len(after) - len(held)} runs are fitted on, {len(held)} held out"
    table = markdown.table("group | scaled | calibrated, fitted on | calibrated, held out", "lrrr", rows)
    return f"Errors of the estimate, median and worst; {counts}.\n\n{table}"


def _error(compared: Sequence[Compared], group: str | None) -> str:
    if not compared:
        return "-"
    middle, worst = errors(compared, group)
    return f"{middle:.1%}, {worst:.1%}"


def _table(after: EnergyTable, before: EnergyTable) -> str:
    rows = [
        [f"multiplication, {bits} bits", f"{before.multiply.at(bits):.4g}", f"{after.multiply.at(bits):.4g}"]
        for bits in (*NARROW, *WIDE)
    ]
    rows.append(["addition, 8 bits", f"{before.add.at(8):.4g}", f"{after.add.at(8):.4g}"])
    names = {
        "flip_flop": "bit of a lane's registers that changes",
        "clock": "bit of a lane's registers, a cycle",
        "control": "bit of another register, a cycle",
        "fetch": "control and fetch, for each of these bits, a cycle",
        "drain": "a drain, for each bit of a sum, a cycle",
    }
    rows += [[words, f"{getattr(before, name):.4g}", f"{getattr(after, name):.4g}"] for name, words in names.items()]
    return markdown.table("pJ | scaled | calibrated", "lrr", rows)


def _missing(results: Results) -> str:
    missing: list[Task] = results.missing
    if not missing:
        return ""
    return f"Not run yet: {', '.join(f'`{task.name}`' for task in missing)}."


def nano(joules: float) -> str:
    """Return nanojoules, whole from 100 on."""
    number = 1e9 * joules
    return f"{number:,.0f}" if number >= 99.5 else f"{number:.1f}"
