"""Notes on standard error; some wait until it is sure that a command begins, for a refusal is one line."""

import sys

from reports.shared import wordiness

_waiting: list[str] = []


def say(text: str) -> None:
    """Say `text` on standard error, unless nobody wants to hear it."""
    if not wordiness.is_quiet():
        print(f"note: {text}", file=sys.stderr)


def later(text: str) -> None:
    """Say `text` on standard error once the command shows something, or ends well."""
    _waiting.append(text)


def tell() -> None:
    """Say what is waiting."""
    while _waiting:
        say(_waiting.pop(0))


def drop() -> None:
    """Forget what is waiting: the command was refused."""
    _waiting.clear()
