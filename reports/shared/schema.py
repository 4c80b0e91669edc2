"""Results as versioned JSON: how they are written, and what is said of a file that holds something else.

Every kind of results has one `Kind`. Another version is refused, and so is a file whose digest is not that of what it
says, or that does not fit its dataclasses: each in one line that names the place.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from accel.errors import EspalierError, reading
from accel.records import SEAL, parse_json, sealed, text_of, unsealed

Made = TypeVar("Made")


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Parameters
    ----------
    name : str
        Its ``format``.
    version : int
        That is written, and the only one that is read.
    what : str
        What such a file holds, for messages.
    """

    name: str
    version: int
    what: str

    def written(self, head: Mapping[str, Any], **lists: Iterable[Any]) -> str:
        """Return JSON of `head` with a digest of everything and, after it, of lists with an item a line.

        Raises
        ------
        EspalierError
            A number is not finite.
        """
        record = sealed({"format": self.name, "version": self.version, **head, **{x: list(lists[x]) for x in lists}})
        first = {name: record[name] for name in ("format", "version", SEAL, *head)}
        text = json.dumps(first, indent=1).removesuffix("\n}")
        for name in lists:
            rows = ",\n".join(map(json.dumps, record[name]))
            text += f',\n "{name}": [\n{rows}\n]'
        return text + "\n}\n"

    def read(self, text: str, make: Callable[[dict[str, Any]], Made]) -> Made:
        """Return what `make` makes of the fields of a file.

        Raises
        ------
        EspalierError
            The file is of another kind or version, was changed, or `make` stumbles over what it holds.
        """
        with reading(f"not {self.what}"):
            record = parse_json(text)
            if not isinstance(record, dict):
                raise EspalierError("expected an object")
            found = record.get("format"), record.get("version")
            if found != (self.name, self.version):
                raise EspalierError(f"expected {self.name} version {self.version}, got {found[0]} version {found[1]}")
            return make({name: x for name, x in unsealed(record).items() if name not in ("format", "version")})


def saved(path: str | os.PathLike[str], read: Callable[[str], Made], none: Made | None = None) -> Made:
    """Return what `read` reads of the text of a file, or `none` where there is no file; its errors say which.

    Raises
    ------
    EspalierError
        The file cannot be read, or `read` refuses what it says.
    """
    try:
        text = text_of(path)
    except OSError as error:
        if none is not None and isinstance(error, FileNotFoundError):
            return none
        raise EspalierError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    with reading(path):
        return read(text)
