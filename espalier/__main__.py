"""Where the command begins: how it ends is settled before anything is imported that takes long.

Ctrl-C raises KeyboardInterrupt, so that whoever has begun something puts it away. A second one, or `GRACE_SECONDS`
without an end (compiled code does not hear of signals), ends the process there and then. Either way there is one line
on standard error, and the status that shells expect. A request to terminate is the same with another number.
"""

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 3.0
SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it

_seen: list[int] = []
_told = threading.Lock()


def main() -> None:
    """Run the command line and exit with its status."""
    _listen()
    try:
        from reports.shell import run

        status = run()
    except BaseException:
        if not _seen:
            raise
    if _seen:
        _tell(_seen[0])
        sys.exit()
    sys.exit(status)


def _listen() -> None:
    atexit.register(_last)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` and jobs in the background have it
            signal.signal(number, _raise)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()
    sys.unraisablehook = _unraisable
    threading.excepthook = _of_thread


def _last() -> None:
    """End with the right status when all others have cleaned up: after this, signals are no longer ours."""
    if _seen:
        _end(_seen[0])


def _raise(number: int, _: FrameType | None) -> None:
    _seen.append(number)
    if not _told.locked():
        raise KeyboardInterrupt


def _watch(reader: int) -> None:
    """End the process `GRACE_SECONDS` after the first signal, or with the second, wherever the main thread may be."""
    while (number := os.read(reader, 1)[0]) not in SIGNALS:
        pass
    select.select([reader], [], [], GRACE_SECONDS)
    _end(number)


def _unraisable(problem: "sys.UnraisableHookArgs") -> None:
    """End where the interruption came in a place from which nothing can be raised; Python would print and go on."""
    if _seen and issubclass(problem.exc_type, KeyboardInterrupt):
        _end(_seen[0])
    sys.__unraisablehook__(problem)


def _of_thread(problem: "threading.ExceptHookArgs") -> None:
    """Say nothing of a thread that an interruption took something away from, as loky's its queue."""
    if not _seen:
        threading.__excepthook__(problem)


def _end(number: int) -> NoReturn:
    _tell(number)
    os._exit(128 + number)


def _tell(number: int) -> None:
    """Say why it ends, once."""
    if _told.acquire(blocking=False):
        line = f"espalier: {SIGNALS[signal.Signals(number)]}{_advice()}\n".encode()
        with contextlib.suppress(OSError):
            os.write(2, (SHOW_CURSOR if os.isatty(2) else b"") + line)


def _advice() -> str:
    """Return how to go on, if a command has begun that can; nothing is imported for it."""
    resuming = sys.modules.get("reports.shared.resuming")
    advice = getattr(resuming, "advice", None)  # which a module has not that is being imported
    text = advice() if advice else ""
    return f"; {text}" if text else ""


if __name__ == "__main__":
    main()
