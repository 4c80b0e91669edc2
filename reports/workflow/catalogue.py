"""The catalogue of a network of the zoo, as those write it who make its versions."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from accel.files import write_whole
from accel.interchange.zoo import CATALOGUE
from accel.pruned import PrunedNetwork

SEED = 0  # of all that the zoo has


def row(pruned: PrunedNetwork, file: str, error_rates: Mapping[str, float]) -> dict[str, object]:
    """Return what the catalogue says of a version; `error_rates` (0..1) are those of validation and test images."""
    rates = {f"{split}_error_rate": error_rates[split] for split in ("validation", "test")}
    return {"pattern": pruned.pattern, "file": file, "sparsity": round(pruned.sparsity, 6), **rates}


def write(folder: Path, network: str, data: str, script: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the catalogue into the folder of a network; `script` is the command that makes its versions."""
    record = {"network": network, "data": data, "seed": SEED, "script": script, "files": rows}
    write_whole(folder / CATALOGUE, (json.dumps(record, indent=1) + "\n").encode())
