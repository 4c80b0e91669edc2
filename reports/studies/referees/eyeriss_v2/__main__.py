"""Hold effective MACs against the cycles of Eyeriss v2's PE, and write the page.

    git clone https://github.com/Accelergy-Project/micro22-sparseloop-artifact
    python -m reports.studies.referees.eyeriss_v2 micro22-sparseloop-artifact

The artifact (Wu et al., Sparseloop, MICRO 2022) has no licence: what it holds is read where it was cloned to, and not
kept here.
"""

from collections.abc import Sequence
from pathlib import Path

import click

from accel.files import write_whole
from reports.shared import markdown, output
from reports.studies.referees.eyeriss_v2.masks import Compared, compared, read

HERE = Path(__file__).parent
HEAD = """# Eyeriss v2's PE

    git clone https://github.com/Accelergy-Project/micro22-sparseloop-artifact
    python -m reports.studies.referees.eyeriss_v2 micro22-sparseloop-artifact

holds effective MACs against the cycles of one PE of Eyeriss v2, which skips zeros of weights and of signals: the ground
truth of Sparseloop's figure 12, of layers of a pruned MobileNet with the masks that belong to it. The masks are
weights and signals of a Program that the engine runs. They come from the artifact, which has no licence, and are not
kept here. *MACs* are of kept weights alone, which is what zeros of signals leave out.

"""


def page(found: Sequence[Compared]) -> str:
    """Return README.md."""
    equal = sum(x.effective_macs == x.cycles for x in found)
    heads = "layer | outputs x maps x pixels | MACs | effective MACs | cycles there | MACs over cycles"
    rows = []
    for x in found:
        numbers = f"{x.macs:,}", f"{x.effective_macs:,}", f"{x.cycles:,}", f"{x.macs / x.cycles - 1:+.0%}"
        rows.append([x.name, " x ".join(map(str, x.shape)), *numbers])
    table = markdown.table(heads, "llrrrr", rows)
    return f"{HEAD}**{equal} of {len(found)} layers are equal to the cycle.**\n\n{table}\n"


@click.command()
@click.argument("checkout", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where the page goes.")
def main(checkout: Path, out: Path) -> None:
    """Hold effective MACs against the ground truth in a CHECKOUT of the artifact, and write the page."""
    found = [compared(layer) for layer in read(checkout)]
    with output.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "README.md", page(found).encode())


if __name__ == "__main__":
    main()
