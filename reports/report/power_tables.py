"""Energy and power of an image, for a terminal: a table by layer and part, and what else is to be said."""

from rich.table import Table

from reports.shared.console import plain_table
from reports.workflow.power import CLOCK, LEAKAGE, MEMORIES, SHELL, SRAM_LEAKAGE, Power, origins

LEAKS = "leaks"  # cells and memories together
HEADS = {"lanes": "lanes", "lists, fetch": "fetch", "drain": "drain", SHELL: SHELL}
HEADS |= {MEMORIES: "memory", CLOCK: CLOCK, LEAKS: LEAKS}


def table_of(power: Power) -> Table:
    """Return nanojoules of an image: a line for each window and one for all, then milliwatts of all."""
    windows = [row.window for row in power.windows]
    lines = [[window, *_numbers(power, window)] for window in windows]
    watts = [_shown(1e-6 * joules / power.seconds()) for joules in _nanojoules(power, None)]
    lines += [["all, nJ", *_numbers(power, None)], ["all, mW", *watts]]
    table = plain_table(["layer", *HEADS.values(), "sum"], lines)
    table.title = f"{power.program}, {power.pattern}: nJ of one image"
    return table


def _numbers(power: Power, window: str | None) -> list[str]:
    return [_shown(joules) for joules in _nanojoules(power, window)]


def _shown(number: float) -> str:
    """Return a number with three digits that count, or all that it has before the point."""
    return f"{number:,.{0 if number >= 99.95 else 1 if number >= 9.995 else 2 if number >= 0.9995 else 3}f}"


def _nanojoules(power: Power, window: str | None) -> list[float]:
    parts = {part: 1e9 * power.joules(window, part) for part in power.parts}
    parts[LEAKS] = parts.get(LEAKAGE, 0) + parts.get(SRAM_LEAKAGE, 0)
    return [*(parts.get(part, 0.0) for part in HEADS), 1e9 * power.joules(window)]


def sentences_of(power: Power) -> list[str]:
    """Return what stands below the table: power and energy, what was compared, where each number comes from."""
    array = f"{power.array.output_lanes}x{power.array.pixel_lanes}"
    cycles = sum(row.cycles for row in power.windows)
    images = f"{power.images} image{'s' * (power.images > 1)}"
    return [
        f"{1e3 * power.watts():.3f} mW, {1e9 * power.joules():,.1f} nJ an image: {array} at "
        f"{power.clock_hertz / 1e6:g} MHz in cells of {power.library}, {cycles:,} cycles, loading included",
        f"{images} in gates, {power.rows:,} output rows compared with golden, 0 differences",
        *origins(power),
        "not in it: the clock's tree, wires beyond the library's model, glitches",
        f"{power.yosys}, {power.timing}, {power.simulator}",
    ]
