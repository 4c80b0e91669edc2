"""The C++ referee: an exported header compiled with `tests/support/cpp`, run over codes, every tensor read back."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from accel.interchange.hls.header import identifier
from accel.layers import Shape
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import AddLayer, AvgPoolLayer, FlattenLayer, MacLayer, MaxPoolLayer, ProgramLayer, ReluLayer

Codes = NDArray[np.int64]
CPP = Path(__file__).parent / "cpp"
SECONDS = 300  # that a compiler may take
needs_gpp = pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler: apt-get install g++")


def compiled(header: str, program: Program, folder: Path, *options: str) -> Path:
    """Return the program that g++ makes of a header and the calls of the layers of `program`."""
    (folder / "network.h").write_text(header)
    (folder / "main.cpp").write_text(main(header, program))
    out = folder / "network"
    words = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-variable", *options, f"-I{CPP}"]
    done = subprocess.run(
        [*words, "main.cpp", "-o", out], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def tensors(binary: Path, program: Program, codes: Codes) -> dict[str, Codes]:
    """Return the codes of every layer for the images `codes`."""
    given = np.ascontiguousarray(codes, "<i8").tobytes()
    done = subprocess.run([binary], input=given, capture_output=True, timeout=SECONDS, check=True)
    found, start, flat = {}, 0, np.frombuffer(done.stdout, "<i8").reshape(len(codes), -1)
    for layer in program.layers:
        shape = program.shapes[layer.name]
        found[layer.name] = flat[:, start : start + int(np.prod(shape))].reshape(len(codes), *shape)
        start += int(np.prod(shape))
    assert start == flat.shape[1]
    return found


def main(header: str, program: Program) -> str:
    """Return the C++ that reads the codes of images, calls layer after layer, and writes every tensor."""
    space = identifier(program.name)
    calls, declared = [], []
    for name, shape in program.shapes.items():
        word = identifier(name)
        declared.append(f"  std::vector<{space}::{word}_t> t_{word}({int(np.prod(shape))});")
    for layer in program.layers:
        word = identifier(layer.name)
        calls.append(f"    {call(header, program, layer, f'{space}::{word}')}")
        calls.append(f"    for (auto &x : t_{word}) std::fwrite(&x.code, 8, 1, stdout);")
    first = f"t_{identifier(INPUT)}"
    return "\n".join(
        [
            "#include <cstdio>",
            '#include "network.h"',
            '#include "layers.h"',
            "int main() {",
            *declared,
            "  for (;;) {",
            f"    for (auto &x : {first}) if (std::fread(&x.code, 8, 1, stdin) != 1) return 0;",
            *calls,
            "  }",
            "}",
            "",
        ]
    )


def call(header: str, program: Program, layer: ProgramLayer, space: str) -> str:
    """Return the call of one layer, with what its namespace holds."""
    sources, output = [f"t_{identifier(x)}" for x in layer.inputs], f"t_{identifier(layer.name)}"
    if isinstance(layer, FlattenLayer):
        return f"for (size_t i = 0; i < {output}.size(); ++i) {output}[i] = {sources[0]}[i];"
    if isinstance(layer, ReluLayer):
        return f"relu({sources[0]}, {output});"
    part = header.split(f"namespace {identifier(layer.name)} {{")[1].split("}  // namespace")[0]

    def listed(name: str) -> str:
        return f"{space}::{name}" if f" {name}[" in part else "nullptr"

    maps = place(program.shapes[layer.inputs[0]], space, "input"), place(program.shapes[layer.name], space, "output")
    if isinstance(layer, MaxPoolLayer):
        return f"max_pool({maps[0]}, {maps[1]}, {window(space)}, {sources[0]}, {output});"
    assert isinstance(layer, MacLayer | AvgPoolLayer | AddLayer)
    scales = []
    for name in ("multiplier", "offset"):
        array = f"{space}::{name}s"
        there = f"{array}, sizeof({array}) / sizeof({array}[0])"
        kind = f"{space}_{name if f' {name}s[' in part else 'accumulator'}_t"
        scales.append(f"Listed<{kind}>{{{there if f' {name}s[' in part else 'nullptr, 0'}}}")
    finish = ", ".join([f"{space}::relu", *scales])
    if isinstance(layer, AddLayer):
        return f"add<{space}_accumulator_t>({', '.join(sources)}, {output}, {space}::addend_weights, {finish});"
    if isinstance(layer, AvgPoolLayer):
        places = f"{maps[0]}, {maps[1]}, {window(space)}, {sources[0]}, {output}"
        return f"avg_pool<{space}_accumulator_t>({places}, {finish});"
    nest = ", ".join(
        [
            f"{space}::outputs, {space}::taps, {space}::maps * {space}::taps, {space}::groups, {space}::group_outputs",
            f"{space}::units, {space}::unit_columns",
            *map(listed, ("unit_ends", "units_kept", "tap_ends", "taps_kept")),
        ]
    )
    shown = window(space) if layer.window else "Window{1, 1, 1, 1, 0, 0}"
    arrays = f"{sources[0]}, {output}, {space}::weights, {space}::biases"
    return f"mac<{space}_accumulator_t>({maps[0]}, {maps[1]}, {shown}, Nest{{{nest}}}, {arrays}, {finish});"


def place(shape: Shape, space: str, which: str) -> str:
    """Return the sizes of a tensor as the header names them."""
    if len(shape) == 1:
        return f"Map{{{space}::{which}_words, 1, 1}}"
    return f"Map{{{space}::{which}_maps, {space}::{which}_rows, {space}::{which}_columns}}"


def window(space: str) -> str:
    """Return the window of a layer as the header names it."""
    names = "kernel_rows", "kernel_columns", "stride_rows", "stride_columns", "pad_top", "pad_left"
    return f"Window{{{', '.join(f'{space}::{name}' for name in names)}}}"
