"""A training run on disk: written whole after each epoch, continued only by the same run.

The file is one of `accel.archive`: arrays and a digest of it all. Nothing in it is ever run, and what was cut or
changed is not believed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accel import archive
from accel.digest import digest_of, network_parts
from accel.errors import EspalierError
from accel.network import Network
from accel.pruned import Groups, PrunedNetwork
from accel.train.recipe import Recipe

Fingerprint = dict[str, str]
Arrays = Mapping[str, np.ndarray]
KIND = "training"


def fingerprint(
    pruned: PrunedNetwork,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    groups: Groups | None = None,
    teacher: Network | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
) -> Fingerprint:
    """Return, in words or digests, everything that decides how a training goes: equal when it is the same training."""
    masks = [part for name, mask in sorted(pruned.masks.items()) for part in (name, mask.kept)]
    return {name: repr(value) for name, value in asdict(recipe).items()} | {
        "network": digest_of(*network_parts(pruned.network)),
        "masks": digest_of(*masks),
        "groups": digest_of(*(part for item in sorted((groups or {}).items()) for part in item)),
        "teacher": digest_of(*network_parts(teacher)) if teacher else "",
        "data": digest_of(images, labels),
        "validation": digest_of(*validation) if validation and recipe.best else "",
    }


@dataclass(frozen=True, eq=False)
class State:
    """What a checkpoint holds.

    Parameters
    ----------
    run : mapping of str to str
        The `fingerprint` of the training.
    epochs : int
        That are done.
    module : mapping of str to array
        The state of the network that learns.
    averages : tuple of mapping of str to array
        What the optimizer knows of each parameter, in the parameters' order.
    best : mapping of str to array, optional
        The state of the network in the best epoch so far, where the best is kept.
    best_rate : float, optional
        Its error rate on the validation images.
    """

    run: Mapping[str, str]
    epochs: int
    module: Arrays
    averages: tuple[Arrays, ...]
    best: Arrays | None = None
    best_rate: float | None = None


@dataclass(frozen=True)
class Best:
    """The network of the best epoch so far: its error rate on the validation images, and its state."""

    rate: float
    module: Mapping[str, Any]


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

    def write(
        self, epochs: int, module: torch.nn.Module, optimizer: torch.optim.Optimizer, best: Best | None = None
    ) -> None:
        """Write the state after `epochs` epochs, and the best of them if that is kept.

        What an epoch draws and its learning rates follow from the recipe and the epoch's number, so neither a random
        state nor a schedule is part of it.
        """
        averages = optimizer.state_dict()["state"]
        known = tuple(_arrays(averages.get(index, {})) for index in range(len(_parameters(optimizer))))
        kept = (_arrays(best.module), best.rate) if best else (None, None)
        archive.save(self.path, KIND, State(self.run, epochs, _arrays(module.state_dict()), known, *kept))

    def restore(self, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, Best | None]:
        """Load what is in the file, if it is there, and return the epochs done by then and the best of them.

        Raises
        ------
        EspalierError
            The file is no checkpoint, was cut or changed, or is of another training.
        """
        if not self.path.exists():
            return 0, None
        state = self._read()
        names = {**self.run, **state.run}  # a training of another kind may be said in words that this one has not
        differing = [name for name in names if state.run.get(name) != self.run.get(name)]
        if differing:
            raise EspalierError(
                f"checkpoint {self.path} is of another training (other {', '.join(differing)}): "
                "delete it to start anew, or name another file"
            )
        shapes = _shapes(_arrays(module.state_dict()))
        fitting = all(_shapes(arrays) == shapes for arrays in (state.module, state.best) if arrays is not None)
        if not fitting or not self._fits(state, optimizer):
            raise EspalierError(f"checkpoint {self.path} does not fit the training: delete it to start anew")
        module.load_state_dict(_tensors(state.module))
        averages = {index: _tensors(arrays) for index, arrays in enumerate(state.averages) if arrays}
        optimizer.load_state_dict(optimizer.state_dict() | {"state": averages})
        if state.best is None or state.best_rate is None:
            return state.epochs, None
        return state.epochs, Best(state.best_rate, _tensors(state.best))

    def _fits(self, state: State, optimizer: torch.optim.Optimizer) -> bool:
        shapes = [tuple(parameter.shape) for parameter in _parameters(optimizer)]
        return len(shapes) == len(state.averages) and all(
            array.shape in ((), shape)
            for shape, arrays in zip(shapes, state.averages, strict=True)
            for array in arrays.values()
        )

    def _read(self) -> State:
        try:
            return archive.load(self.path, KIND, (State,))
        except OSError as error:
            raise EspalierError(f"checkpoint {self.path} cannot be read: {error.strerror}") from error
        except EspalierError as error:
            reason = str(error).removeprefix(f"{self.path}: ")
            raise EspalierError(
                f"checkpoint {self.path} cannot be read: {reason}; delete it to start anew, or name another file"
            ) from error


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Return what an optimizer changes, in the order in which it numbers them."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _arrays(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: value.detach().cpu().numpy() for name, value in state.items() if value is not None}


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _shapes(arrays: Arrays) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (array.shape, array.dtype.str) for name, array in arrays.items()}
