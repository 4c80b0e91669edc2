"""The page of the study: the search's versions and the uniform Programs in one table."""

from collections.abc import Iterator, Sequence

from reports.optimize.page import answer
from reports.optimize.results import Asked, Results
from reports.shared import markdown
from reports.shared.words import kib, percent
from reports.studies.optimize.uniform import Uniform

HEAD = """# Pruned and quantised at once: {title} on {array} lanes

    {command} --data-dir DIR -o FOLDER
    python -m reports.studies.optimize FOLDER

search patterns, ratios and widths of each layer within the limits, and put what was found beside the Programs of
[the study of trained networks](../../trained/README.md), which have one word length. Memory is that of the array that
is just large enough: words are as wide as the widest layer's, so that the 8 bits which that study leaves to the first
and the last layer, as is usual in the literature, widen all. Everything is chosen by validation images.
"""


def page(results: Results, uniform: Sequence[Uniform]) -> str:
    """Return the page."""
    asked = results.asked
    sram = "" if asked.memory_bits is None else f" --sram {_kib(asked)}"
    title = asked.network if asked.memory_bits is None else f"{asked.network} in {_kib(asked)}"
    command = (
        f"espalier optimize {asked.network}{sram} --array {asked.array} --max-error {asked.max_error} "
        f"--epochs {asked.epochs} --bfloat16"
    )
    head = HEAD.format(title=title, array=asked.array, command=command)
    most = "" if asked.memory_bits is None else f", {kib(asked.memory_bits)} KiB of memories"
    wanted = f"Asked for: at most {percent(asked.limit)} errors on {asked.validation_images:,} validation images{most}."
    heads = "Program | validation error | test error | cycles | memory, KiB |"
    table = markdown.table(heads, "lrrrrl", _rows(results, uniform))
    parts = [head, wanted, answer(results), _against(results, uniform), table]
    return "\n\n".join(part.strip("\n") if part is not head else part.rstrip() for part in parts) + "\n"


def name_of(asked: Asked) -> str:
    """Return the name of the folder of a search."""
    return asked.network if asked.memory_bits is None else f"{asked.network}-{_kib(asked)}"


def _kib(asked: Asked) -> str:
    assert asked.memory_bits is not None  # those who ask have looked
    return f"{asked.memory_bits / 8192:g}KiB"


def _against(results: Results, uniform: Sequence[Uniform]) -> str:
    """Return how what was chosen stands beside the uniform Programs."""
    asked = results.asked
    fit = [x for x in uniform if x.error_rates["validation"] <= asked.limit]
    small = [x for x in fit if asked.memory_bits is None or x.memory_bits <= asked.memory_bits]
    words = (
        f"Of {len(uniform)} uniform Programs {len(fit)} err as little as asked for on validation images, and "
        f"{len(small)} of these are within the memory."
    )
    if results.chosen is None:
        return words
    chosen = results.versions[results.chosen]
    alike = [x for x in uniform if x.error_rates["validation"] <= chosen.error_rate]
    beaten = [x for x in alike if x.memory_bits > chosen.memory_bits and x.cycles > chosen.cycles]
    return (
        f"{words} {len(alike)} err no more than what was chosen, of which {len(beaten)} take more memory and more "
        "cycles than it."
    )


def _rows(results: Results, uniform: Sequence[Uniform]) -> Iterator[Sequence[str]]:
    """Yield the rows of the table: the search's versions, then the others."""
    for place, x in enumerate(results.versions):
        chosen = place == results.chosen
        test = percent(results.test_error_rates["chosen"]) if chosen else ""
        mark = "chosen" if chosen else "" if x.fits else "beyond a limit"
        name = f"{x.mix}; {x.widths}"
        yield name, percent(x.error_rate), test, f"{x.cycles:,}", kib(x.memory_bits), mark
    for y in uniform:
        rates = (percent(y.error_rates[split]) for split in ("validation", "test"))
        yield f"uniform: {y.name}", *rates, f"{y.cycles:,}", kib(y.memory_bits), ""  # nothing is chosen
