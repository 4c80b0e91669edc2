"""Help: an example is a line that can be copied, however narrow the terminal."""

import inspect
import re

import click
import pytest
from support.commands import leaves

from reports.commands.help_text import EXAMPLE, Explained

LEAVES = dict(leaves())


def examples_of(text: str) -> list[str]:
    """Return the examples of a help text as a shell reads them: a line that ends in a backslash goes on."""
    joined = re.sub(r" \\\n +", " ", text)
    return [line.strip().removeprefix(EXAMPLE) for line in joined.splitlines() if line.strip().startswith(EXAMPLE)]


@pytest.mark.parametrize("width", [60, 80, 110])
@pytest.mark.parametrize("words", LEAVES)
def test_examples_are_not_wrapped(words: str, width: int) -> None:
    """Every example of every command comes whole out of the help, in lines that fit."""
    command = LEAVES[words]
    context = click.Context(command, info_name=words, terminal_width=width, max_content_width=width)
    said = inspect.cleandoc(command.help or "")
    shown = command.get_help(context)
    assert examples_of(shown) == examples_of(said)
    assert max(map(len, shown.splitlines())) <= width


def test_an_example_that_is_wrapped_is_seen() -> None:
    """Negative control: click's own help runs the same example into the paragraph, and cuts it."""

    @click.command("work", cls=Explained)
    def ours() -> None:
        """Work.

        Example: espalier work --first 1 --second 2 --third 3 --fourth 4
        """

    theirs = click.Command("work", help=ours.help)
    shown = [x.get_help(click.Context(x, terminal_width=40, max_content_width=40)) for x in (ours, theirs)]
    expected = ["espalier work --first 1 --second 2 --third 3 --fourth 4"]
    assert [examples_of(text) == expected for text in shown] == [True, False]
