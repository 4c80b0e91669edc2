"""The one exception that a user's input can cause, and the one place that makes it, in a line, of all others."""

import contextlib
import errno
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator


class EspalierError(ValueError):
    r"""Input that cannot be used: the message is one line that says what was wrong, where, and what would be right.

    >>> print(EspalierError("no layer \x1b[31m of\nthis name"))
    no layer \x1b[31m of this name
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(message))  # whatever names from files it quotes


MOST_SHOWN = 1000  # characters of a message
_LEFT_OUT = " ... "

# what bytes and values that nobody of ours wrote make of decoders (numpy, zipfile, zlib, json, tomllib, gzip, Pillow)
# and of whoever takes what they say
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,  # a way of compressing that no one uses here
    RecursionError,
    RuntimeError,  # zipfile's, of an encrypted member
    SyntaxError,  # numpy's, of a header that is no literal
    TypeError,
    ValueError,  # codecs and JSON, too
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_SEEKS = (None, errno.EINVAL)  # numbers of OSErrors that are the file's fault: a decoder's own, or a seek to nowhere


@contextlib.contextmanager
def reading(where: str | os.PathLike[str], what: str = "", also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn whatever damage makes of the block into one line.

    Parameters
    ----------
    where : str or path
        A file, or a place in one: the line begins with it.
    what : str
        What the line says of an error that means nothing to a user, such as a decoder's KeyError, whose name follows;
        without it the error speaks for itself.
    also : tuple of types
        Exceptions of a decoder's own.

    Raises
    ------
    EspalierError
        The block stumbled.
    OSError
        As the block raised it, if it is the system's.

    Examples
    --------
    >>> with reading("a.json"):
    ...     raise RecursionError
    Traceback (most recent call last):
        ...
    accel.errors.EspalierError: a.json: is nested too deeply
    """
    caught: tuple[type[Exception], ...] = (*DAMAGE, *also, OSError)
    try:
        yield
    except caught as error:
        if isinstance(error, OSError) and error.errno not in _SEEKS:
            raise
        said = isinstance(error, EspalierError | MemoryError | RecursionError)
        text = f"{what} ({type(error).__name__})" if what and not said else reason(error)
        raise EspalierError(f"{os.fspath(where)}: {text}") from error


def reason(error: BaseException) -> str:
    """Return what an error means to who gave us a file or a word."""
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    if isinstance(error, MemoryError):
        return "takes more memory than there is"
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}"
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object[:80]}: a name holds bytes that are no UTF-8; rename the file"
    if isinstance(error, EspalierError) or type(error) is ValueError:
        return str(error)
    return f"{type(error).__name__}: {error}"


def one_line(text: object) -> str:
    r"""Return `text` in one line that a terminal shows, whatever it quotes; where it is long, the middle is left out.

    >>> print(one_line("a\n\x1b[31mred"))
    a \x1b[31mred
    """
    line = printable(" ".join(str(text).split()))
    half = (MOST_SHOWN - len(_LEFT_OUT)) // 2
    return line if len(line) <= MOST_SHOWN else line[:half] + _LEFT_OUT + line[-half:]


def printable(text: str, kept: str = "") -> str:
    r"""Return `text` with every character that is not printable written as an escape, except those `kept`.

    >>> print(printable("caf\u00e9 \x1b[2J \u202e \udcff"))
    café \x1b[2J \u202e \udcff
    """
    if text.isprintable():
        return text
    return "".join(x if x.isprintable() or x in kept else x.encode("unicode_escape").decode() for x in text)
