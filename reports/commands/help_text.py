"""How a command's help is laid out: prose is wrapped, an example stays a line that can be copied."""

import inspect
import re

import click

EXAMPLE = "Example: "


class Explained(click.Command):
    """A command whose docstring may end in lines ``Example: espalier ...``."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, its examples below it."""
        prose, examples = split_examples(inspect.cleandoc(self.help or ""))
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(prose)
        for example in examples:
            formatter.write("\n")
            with formatter.indentation():
                formatter.write_text("\b\n" + "\n".join(example_lines(example, formatter.width)))


def split_examples(text: str) -> tuple[str, list[str]]:
    r"""Return a help text without its examples, and these.

    >>> split_examples("Run it.\n\nExample: espalier run a\nExample: espalier run b")
    ('Run it.', ['espalier run a', 'espalier run b'])
    """
    lines = text.splitlines()
    examples = [line.removeprefix(EXAMPLE) for line in lines if line.startswith(EXAMPLE)]
    return "\n".join(line for line in lines if not line.startswith(EXAMPLE)).rstrip(), examples


def example_lines(command: str, width: int) -> list[str]:
    r"""Return an example in lines that fit a terminal; a shell takes them as one, and no option leaves its value.

    >>> print(*example_lines("espalier run lenet5.espalier --data mnist --data-dir data", 46), sep="\n")
    Example: espalier run lenet5.espalier \
        --data mnist --data-dir data
    """
    lines, room = [EXAMPLE.rstrip()], width - len(" \\") - 2  # the help is indented by two
    for part in re.split(r" (?=-)", command):
        if len(lines[-1]) + 1 + len(part) <= room:
            lines[-1] += f" {part}"
        else:
            lines[-1] += " \\"
            lines.append(f"    {part}")
    return lines
