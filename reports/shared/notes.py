"""Notes that wait until it is sure that a command begins: of one that is refused there is one line, why."""

import sys

_waiting: list[str] = []


def later(text: str) -> None:
    """Say `text` on standard error once the command shows something, or ends well."""
    _waiting.append(text)


def tell() -> None:
    """Say what is waiting."""
    while _waiting:
        print(f"note: {_waiting.pop(0)}", file=sys.stderr)


def drop() -> None:
    """Forget what is waiting: the command was refused."""
    _waiting.clear()
