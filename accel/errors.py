"""The one exception that a user's input can cause, and the one place that turns what decoders raise into it."""

import contextlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator


class EspalierError(ValueError):
    """Input that cannot be used: the message is one line that says what was wrong, where, and what would be right."""


MOST_SHOWN = 1000  # characters of a message that quotes a file

# what decoders (numpy, zipfile, zlib, json, tomllib) and records raise for bytes that nobody of ours wrote
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


@contextlib.contextmanager
def decoding(where: object, what: str = "was cut or changed", and_system: bool = False) -> Iterator[None]:
    """Turn whatever a decoder raises into an EspalierError of one line: `where`, what happened, and which error it was.

    An EspalierError passes, in one line. So does an OSError, unless `and_system` says that the decoder seeks where a
    file tells it to, which the system may refuse.
    """
    try:
        yield
    except EspalierError as error:
        if len(str(error).splitlines()) <= 1:
            raise
        raise EspalierError(one_line(error)) from error
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and not and_system:
            raise
        reason = "it asks for too much memory" if isinstance(error, MemoryError) else one_line(type(error).__name__)
        raise EspalierError(f"{where}: {what} ({reason})") from error


def one_line(text: object) -> str:
    r"""Return `text` in one line of at most 1,000 characters that a terminal shows, whatever the names in it hold.

    >>> print(one_line("a\n\x1b[31mred"))
    a \x1b[31mred
    """
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(str(text).split()))
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]} ..."
