"""A module of PyTorch, without a file between."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from accel.errors import EspalierError
from accel.interchange.onnx.reading.model import ImportedNetwork, ImportedProgram, import_model


def from_torch(module: Any, example: Any, *, name: str = "", **asked: Any) -> ImportedNetwork | ImportedProgram:
    """Return the network of a PyTorch module, as `import_model` reads it from the ONNX file that PyTorch writes.

    Parameters
    ----------
    module : torch.nn.Module
    example : torch.Tensor (1, maps, height, width)
        An image as the module takes it, or whatever else it takes in place of one.
    name : str, optional
        Of the network; that of the module's class by default.
    asked
        Everything else as `import_model` has it, such as ``data="mnist"``.

    Raises
    ------
    EspalierError
        PyTorch is not there or cannot write the module, the example is not one image, or a node is none that a network
        has.
    """
    from accel.train.exported import onnx_of

    if len(getattr(example, "shape", ())) < 2 or example.shape[0] != 1:
        shape = tuple(getattr(example, "shape", ()))
        raise EspalierError(f"example: one image in a batch of its own is expected, (1, ...), got the shape {shape}")
    written = onnx_of(module, example)
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"{name or type(module).__name__.lower()}.onnx"
        file.write_bytes(written)
        try:
            return import_model(file, **asked)
        except EspalierError as error:  # whose file nobody has seen
            raise EspalierError(str(error).replace(f"{file}: ", f"{file.stem}: ", 1)) from error
