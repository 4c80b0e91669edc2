"""`espalier compare` for who programs: explorations, or the folders that they were written to."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from accel.errors import EspalierError
from reports.compare.comparison import Comparison
from reports.explore.results import Results
from reports.shared.journal import RESULTS
from reports.shared.schema import saved
from reports.workflow.delivery import PROGRAM

Saved = str | os.PathLike[str]
TELLING: tuple[Callable[[Results], str], ...] = (  # what explorations may be called by, if it tells them apart
    lambda results: results.network,
    lambda results: results.means.name,
    lambda results: results.data,
)


def compare(*results: Results | Saved, names: Sequence[str] | None = None) -> Comparison:
    """Return explorations side by side: what was asked of each, what differs in that, what each recommends.

    Parameters
    ----------
    results : Results, str or PathLike
        Two or more: what `explore` returned, a folder that `espalier explore -o` wrote, or its results.json.
    names : sequence of str, optional
        What they are called; by default by what tells them apart: folder, network, technology, data or number.

    Raises
    ------
    EspalierError
        There are fewer than two, one is there twice, or a file holds no exploration.
    """
    places = [None if isinstance(one, Results) else Path(one) for one in results]
    paths = [path for path in places if path is not None]
    if len(results) < 2:
        told = f" ({paths[0]})" if paths else ""
        raise EspalierError(f"a comparison takes two explorations or more, got {len(results)}{told}")
    check_apart(paths)
    found = [one if isinstance(one, Results) else saved(file_of(one), Results.from_json) for one in results]
    called = tuple(names) if names is not None else tuple(_names(found, paths))
    return Comparison(called, tuple(found), tuple(_folder(path) for path in places))


def file_of(place: Saved) -> Path:
    """Return the file of results that a path means.

    Raises
    ------
    EspalierError
        It is a folder without one.
    """
    path = Path(place)
    if not path.is_dir():
        return path
    if not (path / RESULTS).exists():
        raise EspalierError(f"{path}: holds no {RESULTS}; expected a folder that `espalier explore -o` wrote")
    return path / RESULTS


def check_apart(paths: Iterable[Path]) -> None:
    """Raise EspalierError if two paths mean the same exploration, whatever they are called."""
    seen: dict[str, Path] = {}
    for path in paths:
        real = os.path.realpath(file_of(path))
        if real in seen:
            raise EspalierError(f"{path}: is the same exploration as {seen[real]}; name another")
        seen[real] = path


def folder_of(path: Path) -> Path | None:
    """Return the folder of an exploration; None where a file of another name was given, which may lie anywhere."""
    return path if path.is_dir() else path.parent if path.name == RESULTS else None


def _folder(path: Path | None) -> str:
    """Return where the Program that is recommended lies, or nothing."""
    folder = folder_of(path) if path is not None else None
    return str(folder) if folder is not None and (folder / PROGRAM).is_file() else ""


def _names(found: Sequence[Results], paths: Sequence[Path]) -> list[str]:
    by_folder = [Path(os.path.abspath(folder_of(path) or path.with_suffix(""))).name for path in paths]
    proposals = [by_folder, [str(path) for path in paths]] if len(paths) == len(found) else []
    proposals += [[name(one) for one in found] for name in TELLING]
    numbers = [str(number) for number in range(1, len(found) + 1)]
    return next((names for names in proposals if len({*names}) == len(found)), numbers)
