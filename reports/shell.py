"""The command line as a whole: whatever goes wrong ends in one line on standard error, and in a status."""

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

from accel.errors import EspalierError, one_line, reason
from reports.cli import app
from reports.shared import terminal


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: bad input ends in one line on standard error and with 2."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where nothing can be written it says so at length
    words = sys.argv[1:] if arguments is None else list(arguments)
    with terminal.clean_streams(), warnings.catch_warnings():
        warnings.showwarning = _note
        try:
            for word in words:
                _check_text(word)
            status = app.main(words, prog_name="espalier", standalone_mode=False)
            sys.stdout.flush()  # what cannot be written is told here, not by Python at its end
        except click.exceptions.NoArgsIsHelpError as error:  # a bare `espalier` asks for help
            print(error.format_message())
            status = 2
        except click.ClickException as error:
            status = _complain(error.format_message())
        except (EspalierError, MemoryError, RecursionError, UnicodeEncodeError) as error:
            status = _complain(reason(error))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            status = _complain(f"{where}{error.strerror or error}")
            _drop_output()
    return status if isinstance(status, int) else 0


def _check_text(word: str) -> None:
    try:
        word.encode()
    except UnicodeEncodeError as error:
        raise EspalierError(f"{word}: holds bytes that are no UTF-8, which no file of results can name") from error


def _complain(message: str) -> int:
    print(f"espalier: {one_line(message)}", file=sys.stderr)
    return 2


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a warning as a line of ours; where in the code it was raised says nothing to who types commands."""
    print(f"espalier: note: {one_line(message)}", file=sys.stderr)


def _drop_output() -> None:
    """Forget what standard output still holds if it cannot take it: Python would complain of it once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
