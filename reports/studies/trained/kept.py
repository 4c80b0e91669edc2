"""What is trained and committed: `restore` lays it out where trainings go on, `keep` adds to it.

Networks and Programs lie in ``networks/`` beside this module, each with the record of its training. Networks of floats
that the zoo has, too, lie there alone.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from accel.files import write_whole
from accel.interchange import zoo
from accel.pruned import PrunedNetwork
from reports.studies.trained.definition import Task
from reports.studies.trained.run import Place
from reports.workflow.catalogue import row, write

KEPT = Path(__file__).parent / "networks"
ZOO = Path(zoo.__file__).parent
IN_ZOO = ("resnet8", "resnet20")  # networks of which the zoo has the first seed's versions
SCRIPT = "python -m reports.studies.trained"


def restore(tasks: Iterable[Task], place: Place, kept: Path = KEPT, shipped: Path = ZOO) -> None:
    """Copy to where trainings lie what is kept and not there yet; records last."""
    store = Place(kept, {})
    for task in tasks:
        if store.done(task) and not place.done(task):
            shutil.copyfile(_file(task, store, shipped), place.path(task))
            shutil.copyfile(store.record(task), place.record(task))


def keep(tasks: Iterable[Task], place: Place, kept: Path = KEPT, shipped: Path = ZOO) -> list[str]:
    """Copy what is finished to what is kept and to the zoo; return the names of what was copied."""
    store, found = Place(kept, {}), [task for task in tasks if place.done(task)]
    kept.mkdir(exist_ok=True)
    for task in found:
        path = _file(task, store, shipped)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, place.path(task).read_bytes())
        write_whole(store.record(task), place.record(task).read_bytes())
    for network in {task.network for task in found if _in_zoo(task)}:
        _list(network, [task for task in found if task.network == network and _in_zoo(task)], store, shipped)
    return [task.stem for task in found]


def _in_zoo(task: Task) -> bool:
    return task.network in IN_ZOO and task == Task(task.network, 0, task.pattern)


def _file(task: Task, store: Place, shipped: Path) -> Path:
    """Return where the network or Program of a version is kept."""
    return shipped / task.network / zoo.file_name(task.pattern) if _in_zoo(task) else store.path(task)


def _list(network: str, tasks: Iterable[Task], store: Place, shipped: Path) -> None:
    """Write the catalogue of a network of the zoo."""
    files, data = [], ""
    for task in tasks:
        path, rates = _file(task, store, shipped), json.loads(store.record(task).read_text())["error_rates"]
        pruned = PrunedNetwork.load(path)
        files.append(row(pruned, path.name, rates))
        data = pruned.data
    write(shipped / network, network, data, SCRIPT, files)
