"""What is to be done after a stop: a command that keeps its work says so, and the line that ends it tells it on."""

import shlex
import sys

_advice: list[str] = []


def same_command() -> None:
    """From now on, a stop loses nothing that is finished: the same command goes on."""
    _advise(f"the same command goes on where it was: {shlex.join(['espalier', *sys.argv[1:]])}")


def with_option(option: str) -> None:
    """From now on, a stop loses what was done, as `option` was not given, which keeps it."""
    _advise(f"nothing was kept; with {option} the same command would go on where it was")


def advice() -> str:
    """Return what is to be said of a stop; nothing if no command has begun that could go on."""
    return _advice[-1] if _advice else ""


def _advise(text: str) -> None:
    _advice[:] = [text]
