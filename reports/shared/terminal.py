"""What reaches the terminal: text without the control characters that names from files and arguments may hold."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from accel.errors import printable


def clean(text: str) -> str:
    """Return `text` with every character that is not printable written as an escape; ends of lines and tabs stay."""
    return printable(text, kept="\n\t")


class CleanStream:
    """A text stream that writes what it is given cleaned; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write `text`, which may begin with a return to the start of the line, as a line does that shows progress."""
        start = "\r" if text.startswith("\r") else ""
        return self.stream.write(start + clean(text.removeprefix("\r")))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the `lines`."""
        for line in lines:
            self.write(line)


def raw(stream: TextIO) -> TextIO:
    """Return the stream itself, for those who write control characters and clean their text on their own."""
    return stream.stream if isinstance(stream, CleanStream) else stream


@contextmanager
def clean_streams() -> Iterator[None]:
    """Let standard output and standard error be clean while the block runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (CleanStream(raw(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
