"""A training run on disk: written whole after each epoch, continued only by the same run."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accel.digest import digest_of, network_parts
from accel.errors import EspalierError
from accel.files import write_whole
from accel.pruned import Groups, PrunedNetwork
from accel.train.recipe import Recipe

Fingerprint = dict[str, str]


def fingerprint(
    pruned: PrunedNetwork,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    groups: Groups | None = None,
) -> Fingerprint:
    """Return, in words or digests, everything that decides how a training goes: equal when it is the same training."""
    masks = [part for name, mask in sorted(pruned.masks.items()) for part in (name, mask.kept)]
    return {name: repr(value) for name, value in asdict(recipe).items()} | {
        "network": digest_of(*network_parts(pruned.network)),
        "masks": digest_of(*masks),
        "groups": digest_of(*(part for item in sorted((groups or {}).items()) for part in item)),
        "data": digest_of(images, labels),
    }


@dataclass(frozen=True)
class Checkpoint:
    """The file of one training run.

    Parameters
    ----------
    path : Path
        In a folder that is there.
    run : dict of str to str
        The `fingerprint` of the training.
    """

    path: Path
    run: Fingerprint

    def __post_init__(self) -> None:
        if not self.path.parent.is_dir():
            raise EspalierError(f"checkpoint {self.path}: there is no folder {self.path.parent}")

    def write(self, epochs: int, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write the state after `epochs` epochs.

        What an epoch draws and its learning rates follow from the recipe and the epoch's number, so neither a random
        state nor a schedule is part of it.
        """
        state = {"run": self.run, "epochs": epochs, "module": module.state_dict(), "optimizer": optimizer.state_dict()}
        data = io.BytesIO()
        torch.save(state, data)
        write_whole(self.path, data.getvalue())

    def restore(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Load what is in the file, if it is there, and return the epochs done by then.

        Raises
        ------
        EspalierError
            The file is no checkpoint, or of another training.
        """
        if not self.path.exists():
            return 0
        state = self._read()
        names = {**self.run, **state["run"]}  # a training of another kind may be said in words that this one has not
        differing = [name for name in names if state["run"].get(name) != self.run.get(name)]
        if differing:
            raise EspalierError(
                f"checkpoint {self.path} is of another training (other {', '.join(differing)}): "
                "delete it to start anew, or name another file"
            )
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        return state["epochs"]

    def _read(self) -> dict[str, Any]:
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise EspalierError(f"checkpoint {self.path} cannot be read: {error.strerror}") from error
        try:
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            return {name: state[name] for name in ("epochs", "module", "optimizer")} | {"run": dict(state["run"])}
        except Exception as error:  # whatever a file that is cut, changed or of another program makes of the reader
            raise EspalierError(
                f"checkpoint {self.path} cannot be read: it is cut, changed or something else"
            ) from error
