"""The commands that build a design which a page shows: with names in braces for what is its own."""

import shlex

from reports.workflow.layer_bits import OPTION

PROGRAM, PRUNED = "design.espalier", "pruned.espalier"


def building(
    network: str, pattern: str, data: str | None, *, layers: str = "", made: bool = False, **more: object
) -> str:
    r"""Return the commands, a line each, in which names in braces stand for bits and lanes.

    Parameters
    ----------
    network : str
        A zoo name or a file.
    pattern : str
        Of the zoo's version, or to prune a dense network to.
    data : str or None
        As `--data` has it.
    layers : str
        Bits of single layers, as `reports.workflow.layer_bits` writes them.
    made : bool
        Whether the network is pruned first, with the options `more`, of which those that are None are left out.

    >>> for line in building("digits", "kernel", None).splitlines():
    ...     print(line.removeprefix("espalier ").replace(" --", "\n  --"))
    quantize digits
      --pattern kernel
      --weight-bits {weight_bits}
      --signal-bits {signal_bits}
      --lanes {output_lanes}x{pixel_lanes} -o design.espalier
    verify design.espalier
      --array {output_lanes}x{pixel_lanes}
    """
    images = [] if data is None else ["--data", data]
    chosen, lines = ["--pattern", pattern], []
    if made:
        options = [word for name, value in more.items() if value is not None for word in (f"--{name}", str(value))]
        lines.append(shlex.join(["espalier", "prune", network, *chosen, *options, *images, "-o", PRUNED]))
        network, chosen = PRUNED, []
    own = f" {OPTION} {shlex.quote(layers)}" if layers else ""
    bits = f"--weight-bits {{weight_bits}} --signal-bits {{signal_bits}}{own} --lanes {{output_lanes}}x{{pixel_lanes}}"
    lines.append(
        f"{shlex.join(['espalier', 'quantize', network, *chosen])} {bits} {shlex.join([*images, '-o', PROGRAM])}"
    )
    lines.append(
        f"{shlex.join(['espalier', 'verify', PROGRAM])} --array {{output_lanes}}x{{pixel_lanes}}"
        f"{' ' * bool(images)}{shlex.join(images)}"
    )
    return "\n".join(lines)
