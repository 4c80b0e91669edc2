"""The commands of the table, as click knows them."""

import click

from reports.cli import LINES, app


def command(name: str) -> click.Command:
    """Return the command of that name."""
    found = app.get_command(click.Context(app), name)
    assert found
    return found


def leaves() -> list[tuple[str, click.Command]]:
    """Return every command that does something, with the words that call it."""
    found = []
    for name in LINES:
        one = command(name)
        inner = one.commands if isinstance(one, click.Group) else {}
        found += [(f"{name} {x}", y) for x, y in inner.items()] if inner else [(name, one)]
    return found
