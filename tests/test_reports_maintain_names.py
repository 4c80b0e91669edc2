"""Every public name says what it is in one line that stands alone."""

import re

import pytest

from reports.maintain.names import PACKAGES, lines_of

# How a line begins or ends that means nothing without the name beside it: a genitive, a pronoun, a lone verb.
STUB = re.compile(r"(Of|Its|Their|It|They|That|Those|All of|The rest|The same)\b|\w+\.$")


def stubs(lines: list[str]) -> list[str]:
    """Return the lines of `lines_of` whose text cannot stand alone."""
    return [line for line in lines if STUB.match(line.partition(": ")[2])]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_line_stands_alone(package: str) -> None:
    """No line of any name needs the name to be understood."""
    lines = list(lines_of(package))
    assert len(lines) > 20
    assert stubs(lines) == []


def test_a_stub_is_seen() -> None:
    """Negative control: genitives, pronouns and a word alone are found, a sentence is not."""
    lines = [
        f"    name: {text}" for text in ("Of one image.", "All of them.", "Count.", "It is frozen.", "A cell: text.")
    ]
    assert stubs(lines) == lines[:-1]
