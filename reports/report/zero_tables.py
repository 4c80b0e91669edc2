"""What zeros of signals and weights make needless, layer by layer, for the terminal."""

from rich.table import Table

from reports.shared.columns import COLUMNS, TEXT
from reports.workflow.zeros import Zeros

NOT_OURS = "an estimate: our hardware has no such gates; cycles are the same"
NAMES = ("name", "reads", "signal_density", "map_densities", "weights", "nonzero_weights", "macs", "effective_macs")
ENERGIES = ("joules", "gated_joules")


def zeros_table(zeros: Zeros) -> Table:
    """Return a row for each layer with weights; of the densities of its maps the lowest and the highest."""
    table = Table(title=f"{zeros.network}: what is not zero, on average of {_images(zeros)}")
    for column in (COLUMNS[name] for name in (*NAMES, *(ENERGIES if zeros.joules is not None else ()))):
        table.add_column(column.heading(), justify="left" if column.form == TEXT else "right")
    for x in zeros.layers:
        maps = "..".join(f"{100 * density:.0f}" for density in (min(x.map_densities), max(x.map_densities)))
        words = x.name, x.reads, f"{x.signal_density:.1%}", f"{maps} %", f"{x.weights:,}", f"{x.nonzero_weights:,}"
        table.add_row(*words, *_work(x.macs, x.effective_macs), *_energies(x.joules, x.gated_joules))
    table.add_section()
    weights = [sum(getattr(x, name) for x in zeros.layers) for name in ("weights", "nonzero_weights")]
    counts = [*(f"{count:,}" for count in weights), *_work(zeros.macs, zeros.effective_macs)]
    table.add_row("all", "", "", "", *counts, *_energies(zeros.joules, zeros.gated_joules))
    return table


def zeros_line(zeros: Zeros) -> str:
    """Return how many MACs are effective, and what gates would spare."""
    share = zeros.effective_macs / zeros.macs
    line = f"zeros: {zeros.effective_macs:,.0f} of {zeros.macs:,} MACs are effective ({share:.1%}), {_images(zeros)}"
    if zeros.joules is None or zeros.gated_joules is None:
        return line
    energies = f"{1e9 * zeros.gated_joules:,.1f} of {1e9 * zeros.joules:,.1f} nJ"
    return f"{line}; lanes that hold still at a zero would take {energies} ({NOT_OURS})"


def _images(zeros: Zeros) -> str:
    return f"{zeros.images:,} training image{'s' if zeros.images > 1 else ''} of {zeros.data}"


def _work(macs: int, effective: float) -> tuple[str, str]:
    return f"{macs:,}", f"{effective:,.0f}"


def _energies(*joules: float | None) -> list[str]:
    return [f"{1e9 * x:,.1f}" for x in joules if x is not None]
