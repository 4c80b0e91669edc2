"""Made-up results of a study of pruning."""

import json
from dataclasses import replace
from typing import Any

from reports.studies.pruning.definition import Study, Target, Task
from reports.studies.pruning.results import Point, Results

MADE = Study("made", sweep={"feature-map": (0.5,)}, settings=(), epochs=1, targets=(Target(0.5, 0.01),))


def made_task(**values: Any) -> Task:
    """Return a task that nobody will do."""
    task = Task("kernel", {"kernel": 0.5}, "magnitude", 0, 1, 0, 10, 100, ["conv1", "fc5"], "0123", "")
    return replace(task, **values)


def made_point(kept: int, validation: float, test: float, **values: Any) -> Point:
    """Return a retrained point of a network of a convolution of 100 weights and a matrix of 300."""
    layers = {"conv1": [kept, 100], "fc2": [2 * kept, 300]}
    before, after = {"validation": 0.5, "test": 0.5}, {"validation": validation, "test": test}
    return Point(made_task(**values), layers, before, after)


def made_results(*points: Point, seeds: int = 1) -> Results:
    """Return results of which the dense network makes 1 % errors on the validation images, 2 % on the test images."""
    dense = {"validation": 0.01, "test": 0.02, "selection": 0.0}
    images = {"train": 1000, "validation": 100, "test": 200, "selection": 50}
    definition = json.loads(json.dumps(MADE, default=vars))
    return Results("made", "digits", seeds, definition, "Recipe()", dense, images, ("conv1",), 9, points, {})
