"""A folder of work in progress: it says which run it is of, so that no other goes on in it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from accel.digest import digest_of
from accel.errors import EspalierError
from accel.interchange.data.datasets import Dataset
from accel.records import parse_json, sealed, unsealed
from reports.shared import output
from reports.shared.schema import saved

RUN = "run.json"


def open_work(folder: Path, options: Mapping[str, object], splits: Iterable[Dataset]) -> None:
    """Make the folder, or see to it that it is of a run with these options and images.

    Raises
    ------
    EspalierError
        The folder is of another run, which the line describes, or cannot be written.
    """
    run = {name: str(value) for name, value in options.items()}
    run["data"] = digest_of(*(part for split in splits for part in (split.images, split.labels)))
    path = folder / RUN
    with output.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    known = saved(path, lambda text: unsealed(parse_json(text)), run)
    differing = [name for name in run if known.get(name) != run[name]]
    if differing:
        raise EspalierError(
            f"checkpoint {folder} is of another run (other {', '.join(differing)}): "
            "delete it to start anew, or name another folder"
        )
    output.write_json(path, sealed(run))
