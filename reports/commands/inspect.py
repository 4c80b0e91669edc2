"""What `espalier inspect` does: the layers of a file, and which patterns the zeros of each already are."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from accel import archive, pruned
from accel.cost import cost_of
from accel.errors import EspalierError
from accel.files import opened
from accel.interchange.data.datasets import NAMES
from accel.interchange.onnx.reading.found_patterns import Found, found_dense, found_patterns
from accel.interchange.onnx.reading.model import import_model
from accel.layers import Shape, Weighted
from accel.program import KIND, Program
from accel.program_layers import MacLayer
from accel.pruned import PrunedNetwork
from reports.commands.options import MODEL, json_option
from reports.commands.places import Command
from reports.shared import console as shared_console
from reports.shared import output
from reports.shared.words import kib

MOST_SHOWN = 3  # patterns of a layer, the one with the fewest bits first


@click.command("inspect", cls=Command)
@click.argument("model", type=MODEL)
@json_option
def command(model: Path, json_file: Path | None) -> None:
    """Say what an ONNX file, a network or a Program holds, and which patterns the zeros of each layer already are.

    What of a file of Espalier's can be done with it is said too. Of an ONNX file shapes of weights are enough.

    Example: espalier inspect model.onnx
    """
    output.check_place(json_file)
    thing, notes = _loaded(model)
    rows = _network_rows(thing) if isinstance(thing, PrunedNetwork) else _program_rows(thing)
    originals = (thing.network if isinstance(thing, PrunedNetwork) else thing).original_names or {}
    rows = [row | ({"original_name": originals[x]} if (x := row["layer"]) in originals else {}) for row in rows]
    name = thing.network.name if isinstance(thing, PrunedNetwork) else thing.name
    kind = "network" if isinstance(thing, PrunedNetwork) else "Program"
    if json_file:
        output.write_json(json_file, {"file": str(model), "kind": kind, "name": name, "layers": rows, "notes": notes})
    console = shared_console.console()
    console.print(_table(f"{kind} {name}", rows))
    for line in _about(model, thing):
        console.print(line)
    for note in notes:
        console.print(f"note: {note}")


def _loaded(path: Path) -> tuple[PrunedNetwork | Program, Sequence[str]]:
    """Return what a file holds, which its first bytes tell."""
    with opened(path) as file:
        ours = file.read(len(archive.MAGIC)) == archive.MAGIC
    if not ours:
        found = import_model(path, valued=False)
        return found.result, found.notes
    kind = archive.kind_of(path)
    if kind == KIND:
        return Program.load(path), ()
    if kind == pruned.KIND:
        return PrunedNetwork.load(path), ()
    raise EspalierError(f"{path}: holds a {kind}, expected a network or a program")


def _about(path: Path, thing: PrunedNetwork | Program) -> list[str]:
    """Return what the file is, in a line, and in another what comes next."""
    data = f", made with {thing.data}" if thing.data else ""
    option = "" if not thing.data or thing.data in NAMES else f" --data {thing.data}"
    if isinstance(thing, PrunedNetwork):
        shape = " x ".join(map(str, thing.network.input_shape))
        weights = f"{thing.kept_weights:,} of {sum(thing.dense_weights.values()):,} weights"
        what = f"{path}: a network of real numbers, {thing.pattern}, {weights}, images of {shape}{data}"
        if thing.shapes_alone:
            return [f"{what}, whose values are not in the file", f"Next: espalier size {path}"]
        file = path if path.suffix != ".onnx" else "FILE"
        return [what, f"Next: espalier report {file}{option}, or espalier quantize {file}{option} -o program.espalier"]
    shape, cost = " x ".join(map(str, thing.input_shape)), cost_of(thing)
    widths = sorted({layer.weight_bits for layer in thing.mac_layers})
    bits = f"{widths[0]}{f' to {widths[-1]}' if len(widths) > 1 else ''}-bit weights"
    what = (
        f"{path}: a Program (integers), {thing.pattern}, {bits}, {kib(cost.memory_bits)} KiB, images of {shape}{data}"
    )
    return [what, f"Next: espalier run {path}{option}, or espalier verify {path} --array 8x8{option}"]


def _network_rows(pruned: PrunedNetwork) -> list[dict[str, Any]]:
    network, rows = pruned.network, []
    for layer in network.layers:
        row = _row(layer.name, type(layer).__name__, network.shapes[layer.name])
        if isinstance(layer, Weighted):
            shape = layer.lowered_shape
            row |= _weights(shape, (found_dense(shape),) if pruned.shapes_alone else found_patterns(layer.weight))
        rows.append(row)
    return rows


def _program_rows(program: Program) -> list[dict[str, Any]]:
    rows = []
    for layer in program.layers:
        signal = program.signals[layer.name]
        row = _row(layer.name, type(layer).__name__, program.shapes[layer.name])
        row |= {"signal": str(signal.format), "step": signal.step}
        if isinstance(layer, MacLayer):
            found = found_patterns(layer.matrix.reshape(layer.shape), layer.weight_bits)
            row |= _weights(layer.shape, found) | {"weight_bits": layer.weight_bits}
        rows.append(row)
    return rows


def _row(name: str, kind: str, shape: Shape) -> dict[str, Any]:
    return {"layer": name, "kind": kind, "output": list(shape)}


def _weights(shape: tuple[int, int, int], found: Sequence[Found]) -> dict[str, Any]:
    return {"weights": list(shape), "patterns": [asdict(pattern) for pattern in found]}


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=title)
    for name in ("layer", "kind", "output", "outputs x maps x taps", "signal", "patterns: density"):
        table.add_column(name)
    for row in rows:
        patterns = row.get("patterns", ())[:MOST_SHOWN]
        found = ", ".join(f"{x['pattern']} {x['density']:.1%} ({x['encoding']})" for x in patterns)
        sizes = "x".join(map(str, row.get("weights", ())))
        table.add_row(row["layer"], row["kind"], "x".join(map(str, row["output"])), sizes, row.get("signal", ""), found)
    return table
