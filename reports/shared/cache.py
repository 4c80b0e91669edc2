"""Where results lie that several runs share: one store for each user, unless they say another place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from reports.shared import output
from reports.shared.store import VERSION, Store, opened

VARIABLE = "ESPALIER_CACHE"
FILE = f"results-{VERSION}.sqlite"  # each release that keeps them otherwise has its own


def cache_file(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the file of the store: in `folder`, else where the environment says, else where the system keeps caches.

    >>> cache_file("somewhere").name == FILE
    True
    """
    named = folder or os.environ.get(VARIABLE)
    return (Path(named) if named else user_cache_path("espalier")) / FILE


@contextmanager
def opened_cache(folder: str | os.PathLike[str] | None = None) -> Iterator[Store]:
    """Give the store, made if it is not there, its folder too.

    Raises
    ------
    EspalierError
        It is something else, damaged, or cannot be read or written; the line names it.
    """
    path = cache_file(folder)
    with output.writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with opened(path) as store:
        yield store
