"""The command `espalier cache`: what explorations keep for each other, and how to be rid of it."""

from pathlib import Path
from typing import Any

import click

from reports.commands.options import cache_option, option
from reports.commands.places import Command
from reports.shared.cache import cache_file, opened_cache
from reports.workflow.parsing import parse_memory


@click.command("cache", cls=Command)
@option("--unused", type=click.IntRange(0), help="Forget what nobody asked for in so many days; 0: everything.")
@option("--most", help="Forget what nobody asked for the longest, until no more than so much is left, such as 500MiB.")
@cache_option
def command(unused: int | None, most: str | None, cache: Path | None, **_: Any) -> None:
    """Say how much explorations have kept, or forget some of it.

    Pruned and retrained networks and their error rates are kept for every exploration that needs the same; what is
    forgotten is made again when it is needed.

    Example: espalier cache
    Example: espalier cache --unused 30 --most 500MiB
    """
    most_bytes = None if most is None else parse_memory(most, "--most") // 8
    if not cache_file(cache).exists():
        print(f"{cache_file(cache)}: nothing is kept")
        return
    with opened_cache(cache) as store:
        if unused is not None or most_bytes is not None:
            print(f"{store.forget(unused, most_bytes):,} results were forgotten")
        count, held = store.size()
        print(f"{store.path}: {count:,} results, {held / (1 << 20):.1f} MiB")
