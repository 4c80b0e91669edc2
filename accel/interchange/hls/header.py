"""A Program as a C++ header for people who write HLS: types, weights, index lists and loop bounds of each layer.

The header holds data and no functions: how loops are cut, unrolled and pipelined is what HLS is written for. Types are
`accel.interchange.hls.types`'s, as ``ap_fixed`` or, where ESPALIER_AC_FIXED is defined, as ``ac_fixed``.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.interchange.hls.types import Constants, Types, ac_fixed
from accel.layers import Shape
from accel.network import INPUT
from accel.program import Program
from accel.program_layers import (
    AddLayer,
    AvgPoolLayer,
    ClipLayer,
    MacLayer,
    MaxPoolLayer,
    MulLayer,
    ProgramLayer,
    TableLayer,
)
from accel.window import Window

LINE = 110
ENDINGS = ("_t", "_weight_t", "_bias_t", "_accumulator_t", "_multiplier_t", "_offset_t")
# what C++ keeps for itself, of the words that somebody may call a layer or a network
TAKEN = re.compile(
    r"auto|bool|break|case|catch|char|class|const|continue|default|delete|do|double|else|enum|explicit|"
    r"export|extern|false|float|for|friend|goto|if|inline|int|long|mutable|namespace|new|operator|private|"
    r"protected|public|register|return|short|signed|sizeof|static|std|struct|switch|template|this|throw|"
    r"true|try|typedef|typename|union|unsigned|using|virtual|void|volatile|while"
)
NEST = """\
// A layer of weights runs like this; without a list of units or taps, all of them are visited:
//
//   next = 0
//   for group in 0 .. groups - 1:                      // of group_outputs outputs; the last may reach past `outputs`
//     accumulator[lane] = biases[group * group_outputs + lane]
//     for unit in units_kept[unit_ends[group - 1]] .. units_kept[unit_ends[group] - 1]:
//       for tap in taps_kept[tap_ends[unit - 1]] .. taps_kept[tap_ends[unit] - 1]:
//         column = unit * unit_columns + tap           // past maps * taps: skip its group_outputs weights
//         signal = input[column / taps], at the row and column of the kernel that column % taps is; 0 in the padding
//         for lane in 0 .. group_outputs - 1:
//           accumulator[lane] += weights[next++] * signal
//     output = accumulator                             // relu: of negative sums 0; times multipliers where they are
"""


def header(program: Program) -> str:
    """Return the header of a Program.

    Raises
    ------
    EspalierError
        Two layers would have one name in C++, or a step has no type.
    """
    types, names = Types(program), _identifiers(program)
    space = identifier(program.name)
    guard = f"ESPALIER_{space.upper()}_H"
    listed = [*_typedefs(program, types, names)]
    lines = [
        f"// {space}, pruned by {' '.join(program.pattern.split())}: types, weights, index lists, loop bounds for HLS.",
        f"// Written by espalier export. {_meaning(types)}",
        "//",
        *NEST.splitlines(),
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#ifdef ESPALIER_AC_FIXED",
        *_branch("ac_fixed.h", space, [(name, ac_fixed(form)) for name, form in listed]),
        "#else",
        *_branch("ap_fixed.h", space, [(name, str(form)) for name, form in listed]),
        "#endif",
        "",
        f"namespace {space} {{",
    ]
    for layer in program.layers:
        lines += ["", *_layer(program, types, layer, names)]
    return "\n".join([*lines, "", f"}}  // namespace {space}", "", "#endif", ""])


def identifier(name: str) -> str:
    """Return a name as C++ takes it.

    >>> identifier("cifar-quick"), identifier("2of4"), identifier("int")
    ('cifar_quick', 'n2of4', 'nint')
    """
    word = re.sub(r"\W", "_", name, flags=re.ASCII)
    word = re.sub(r"__+", "_", word).strip("_") or "n"
    return f"n{word}" if word[0].isdigit() or TAKEN.fullmatch(word) else word


def _identifiers(program: Program) -> dict[str, str]:
    """Return what C++ calls every tensor; a layer is a namespace of that name, beside its types."""
    names = {name: identifier(name) for name in program.shapes}
    taken: dict[str, str] = {}
    for name, word in names.items():
        for made in (word, *(f"{word}{ending}" for ending in ENDINGS)):
            if made in taken:
                raise EspalierError(f"{name}: C++ would call it {made!r}, a name of {taken[made]}; rename the layer")
            taken[made] = name
    return names


def _meaning(types: Types) -> str:
    if types.real:
        return "Steps are powers of two: types hold real values, assignments requantise."
    return "Types hold codes; code * step is the real value, and multipliers requantise."


def _typedefs(program: Program, types: Types, names: dict[str, str]) -> Iterator[tuple[str, FixedFormat]]:
    yield f"{names[INPUT]}_t", types.signal(program.input_signal)
    for layer in program.layers:
        name = names[layer.name]
        if isinstance(layer, MacLayer):
            yield f"{name}_weight_t", types.weights(layer).form
            yield f"{name}_bias_t", types.biases(layer).form
        if isinstance(layer, MacLayer | AvgPoolLayer | AddLayer):
            yield f"{name}_accumulator_t", types.accumulator(layer)
            if (multipliers := types.multipliers(layer)) is not None:
                yield f"{name}_multiplier_t", multipliers.form
            if (offsets := types.offsets(layer)) is not None:
                yield f"{name}_offset_t", offsets.form
        yield f"{name}_t", types.signal(program.signals[layer.name])


def _branch(include: str, space: str, listed: Iterable[tuple[str, str | None]]) -> Iterator[str]:
    yield f"#include <{include}>"
    yield f"namespace {space} {{"
    for name, text in listed:
        yield f"typedef {text} {name};" if text else f"#error {name}: ac_fixed has no such overflow"
    yield "}"


def _layer(program: Program, types: Types, layer: ProgramLayer, names: dict[str, str]) -> Iterator[str]:
    name, sources = names[layer.name], [names[source] for source in layer.inputs]
    kind, step = type(layer).__name__.removesuffix("Layer"), program.signals[layer.name].step
    output = "x".join(map(str, program.shapes[layer.name]))
    yield f"// {kind} of {' and '.join(sources)}; gives {output} of {name}_t, whose step is {step!r}"
    yield f"namespace {name} {{"
    yield from _shape("input", program.shapes[layer.inputs[0]])
    yield from _shape("output", program.shapes[layer.name])
    match layer:
        case MacLayer():
            yield from _mac(types, layer, name)
        case MaxPoolLayer():
            yield from _window(layer.window)
        case AvgPoolLayer():
            yield from _window(layer.window)
            yield from _requantized(types, layer, name)
        case AddLayer():
            yield f"const int addend_weights[2] = {{{', '.join(map(str, types.addends(layer)))}}};"
            yield from _requantized(types, layer, name)
        case TableLayer():
            raise EspalierError(f"{layer.name}: the header has no tables of functions")
        case MulLayer():
            raise EspalierError(f"{layer.name}: the header has no product of signals")
        case ClipLayer() if layer.lowest:
            raise EspalierError(f"{layer.name}: the header has no bounds below zero, got {layer.lowest}")
        case ClipLayer():
            form = types.signal(program.signals[layer.name])
            bound = np.array(min(layer.highest, form.max_code))
            yield f"const {name}_t highest = {Constants(form, bound).words()[0]};"
    yield f"}}  // namespace {name}"


def _mac(types: Types, layer: MacLayer, name: str) -> Iterator[str]:
    outputs, maps, taps = layer.shape
    nest = layer.nest
    yield f"// {layer.pattern}, {nest.stored_words} words of weights"
    yield f"const int outputs = {outputs}, maps = {maps}, taps = {taps};"
    if layer.window is not None:
        yield from _window(layer.window)
    yield f"const int groups = {len(nest.outer)}, group_outputs = {nest.group_rows};"
    yield f"const int units = {len(nest.inner)}, unit_columns = {nest.unit_columns};"
    if any(len(units) != len(nest.inner) for units in nest.outer):
        yield from _lists("unit", nest.outer)
    if any(len(kept) != nest.unit_columns for kept in nest.inner):
        yield from _lists("tap", nest.inner)
    yield from _array(f"{name}_weight_t", "weights", types.weights(layer).words())
    yield from _array(f"{name}_bias_t", "biases", types.biases(layer).words())
    yield from _requantized(types, layer, name)


def _requantized(types: Types, layer: MacLayer | AvgPoolLayer | AddLayer, name: str) -> Iterator[str]:
    yield f"const bool relu = {'true' if layer.relu else 'false'};"
    if (multipliers := types.multipliers(layer)) is not None:
        yield from _array(f"{name}_multiplier_t", "multipliers", multipliers.words())
    if (offsets := types.offsets(layer)) is not None:
        yield "// output = accumulator * multiplier + offset; relu: of negative sums 0, without an offset"
        yield from _array(f"{name}_offset_t", "offsets", offsets.words())


def _shape(what: str, shape: Shape) -> Iterator[str]:
    names = ("maps", "rows", "columns") if len(shape) == 3 else ("words",)
    yield f"const int {', '.join(f'{what}_{name} = {size}' for name, size in zip(names, shape, strict=True))};"


def _window(window: Window) -> Iterator[str]:
    for what, (down, across) in (("kernel", window.kernel), ("stride", window.stride)):
        yield f"const int {what}_rows = {down}, {what}_columns = {across};"
    top, left, bottom, right = window.padding
    yield f"const int pad_top = {top}, pad_left = {left}, pad_bottom = {bottom}, pad_right = {right};"


def _lists(what: str, lists: Iterable[NDArray[np.int64]]) -> Iterator[str]:
    kept = [*lists]
    yield from _array("int", f"{what}_ends", [str(end) for end in np.cumsum([len(x) for x in kept])])
    words = [str(word) for part in kept for word in part.tolist()]
    yield from _array("int", f"{what}s_kept", words or ["0"])


def _array(kind: str, name: str, words: Sequence[str]) -> Iterator[str]:
    """Yield an array; one of no words has a zero, which C++ asks for and no loop reads."""
    words = words or ["0"]
    yield f"const {kind} {name}[{len(words)}] = {{"
    yield from textwrap.wrap(
        ", ".join(words), LINE, initial_indent="  ", subsequent_indent="  ", break_long_words=False
    )
    yield "};"
