"""MACs of a layer counted from the words of its index alone."""

from accel.program import Program
from accel.program_layers import MacLayer
from support.masks import group_of


def closed_form_macs(layer: MacLayer, pixels: int) -> int:
    """Return the MACs of a layer for one image: output pixels times what the words of its index say is kept."""
    M, C, T = layer.shape
    K, words = C * T, {index.name: index.words.tolist() for index in layer.index}
    if layer.encoding == "none":
        return pixels * M * K
    if layer.encoding == "by groups":
        return pixels * M * K // int(layer.pattern.removeprefix("groups-"))
    if layer.encoding == "zero runs":
        full = 2 ** next(index.word_bits for index in layer.index if index.name == "runs") - 1
        return pixels * sum(run < full for run in words["runs"])
    if layer.encoding == "n:m positions":
        return pixels * len(words["positions"])
    if "strides" in words:
        # the taps offset, offset + stride, ... below T, or the others; stored are stride - 1 and offset
        named = [len(range(b, T, a + 1)) for a, b in zip(words["strides"], words["offsets"], strict=True)]
        taps = [T - count if layer.pattern.endswith("rest") else count for count in named]
        if not layer.pattern.startswith("kernel"):
            return pixels * M * sum(taps)
        return pixels * sum(rows * taps[c] for rows, c in kept_kernels(layer, words))
    if layer.pattern.startswith("block-"):
        size = int(layer.pattern.removeprefix("block-"))
        across = -(-K // size)
        if "flags" in words:
            blocks = [divmod(block, across) for block, flag in enumerate(words["flags"]) if flag]
        else:
            rows = [sum(end <= i for end in words["ends"]) for i in range(len(words["columns"]))]
            blocks = list(zip(rows, words["columns"], strict=True))
        # a block at the edge holds only the weights inside the matrix
        return pixels * sum(min(size, M - row * size) * min(size, K - column * size) for row, column in blocks)
    if layer.encoding.startswith("kernel"):
        return pixels * sum(rows * T for rows, _ in kept_kernels(layer, words))
    return pixels * (sum(words["flags"]) if "flags" in words else words["ends"][-1])  # single weights


def kept_kernels(layer: MacLayer, words: dict[str, list[int]]) -> list[tuple[int, int]]:
    """Return, for each flag that is set or entry of a list, how many outputs its group has, and its input map."""
    M, C, _ = layer.shape
    group = group_of(layer.pattern) if layer.pattern.startswith("kernel") else 1
    if "flags" in words:
        kept = [divmod(kernel, C) for kernel, flag in enumerate(words["flags"]) if flag]
    else:
        kept = [(sum(end <= i for end in words["ends"]), c) for i, c in enumerate(words["columns"])]
    return [(min(group, M - row * group), c) for row, c in kept]


def output_pixels(of: Program, layer: MacLayer) -> int:
    """Return how often the window of `layer` fits its padded input."""
    if layer.window is None:
        return 1
    (top, left, bottom, right), window = layer.window.padding, layer.window
    _, height, width = of.shapes[layer.inputs[0]]
    down = (height + top + bottom - window.kernel[0]) // window.stride[0] + 1
    return down * ((width + left + right - window.kernel[1]) // window.stride[1] + 1)
