"""The page over all studies: what each asks, the command that makes it, what it found, and when.

    python -m reports.studies.index

writes README.md beside this file from the studies' own pages and results. A folder without an entry here is refused.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from accel.errors import EspalierError
from accel.files import read_whole, write_whole
from reports.shared import markdown
from reports.shared.journal import RESULTS
from reports.studies import headlines
from reports.studies.headlines import Headline

FOLDER = Path(__file__).parent
PAGE = "README.md"
COMMAND = re.compile(r"^ {4}(\S.*)$|`((?:espalier|python) [^`]*)`", re.MULTILINE)
When = Callable[[Path], str]  # from the file of results to a day


@dataclass(frozen=True)
class Entry:
    """A study, or a folder of studies that ask the same.

    Parameters
    ----------
    folder : str
    headline : function
        From a folder with results to a sentence.
    asks : str
    results : str
        The file by whose day the study is dated.
    """

    folder: str
    headline: Headline
    asks: str
    results: str = RESULTS


ENTRIES = (
    Entry("lenet5", headlines.report, "How do error, memory and cycles of one network follow from pattern and bits?"),
    Entry("explore", headlines.exploration, "Which design is to be built within a budget?"),
    Entry("question", headlines.question, "Does what is recommended for networks of one's own hold on new images?"),
    Entry("pruning", headlines.pruning, "Which pattern, selector and ratio, and what does each cost in errors?"),
    Entry("bitwidth", headlines.bitwidth, "How many bits does each part of a network need, by which method?"),
    Entry("mlperf_tiny", headlines.mlperf_tiny, "What do the field's small networks take, sparse and in few bits?"),
    Entry("trained", headlines.trained, "How much may go, in how few bits, where training is done for it?"),
    Entry("optimize", headlines.optimization, "What does a search for patterns and bits deliver within limits?"),
    Entry("quantizer", headlines.quantizer, "How near is what onnxruntime quantised to it once it is imported?"),
    Entry("bench", headlines.bench, "How fast is the bit-accurate engine?"),
    Entry("verification", headlines.verification, "Does the hardware compute what the definition says, when it says?"),
    Entry("mutation", headlines.mutation, "Would the tests of the hardware notice an error?", "mutation.json"),
    Entry("flipped_bits", headlines.flipped_bits, "Does a wrong bit in a memory go unnoticed?", "flips.json"),
    Entry("synthesis", headlines.synthesis, "What does an array take on an FPGA, and how fast is it?"),
    Entry("predictor", headlines.predictor, "How far off is what is predicted of an array, to what synthesis says?"),
    Entry("silicon", headlines.silicon, "What do Programs take in gates of 130 nm, and does the estimate say so?"),
    Entry("features", headlines.features, "What does each feature of the array save, and what does it cost?"),
    Entry("memory", headlines.memory, "What do real networks move from and to DRAM, in how much memory?"),
    Entry("published", headlines.published, "Do our counts agree with what others published?", PAGE),
    Entry("referees", headlines.referees, "Do other people's simulators say the same as our closed forms?", PAGE),
)


def index(when: When, folder: Path = FOLDER, entries: tuple[Entry, ...] = ENTRIES) -> str:
    """Return the page over the studies in a folder.

    Raises
    ------
    EspalierError
        A folder with a page has no entry, or an entry no folder.
    """
    pages = sorted(path.parent.relative_to(folder) for path in folder.rglob(PAGE) if path.parent != folder)
    known = {entry.folder for entry in entries}
    for page in pages:
        if page.parts[0] not in known:
            raise EspalierError(f"{folder / page}: has no entry in ENTRIES of reports/studies/index.py")
    parts = [
        "# Studies",
        "    python -m reports.studies.index",
        "makes this page. Each study is a folder with its command, its figures and its numbers; here are what each "
        "asks, the number that says most, and the day of its results. Rises of errors are on test images, over the "
        "dense float network's; where a study has no target, what is told is within "
        f"{100 * headlines.RISE:+g} % on validation images.",
    ]
    for entry in entries:
        inside = [page for page in pages if page.parts[0] == entry.folder]
        if not inside:
            raise EspalierError(f"{folder / entry.folder}: has no {PAGE}, and an entry in ENTRIES")
        parts += _section(entry, folder, inside, when)
    return "\n\n".join(parts) + "\n"


def _section(entry: Entry, folder: Path, pages: list[Path], when: When) -> Iterator[str]:
    """Yield a study: its title, its question, its command, what it found; a row for each where there are several."""
    title, command = _head(folder / pages[0] / PAGE)
    own = pages[0].name == entry.folder
    yield f"## [{title}]({pages[0]}/{PAGE})" if own else f"## {entry.folder.capitalize()}"
    yield entry.asks
    yield f"    {command}"
    found = {page: results for page in pages if (results := folder / page / entry.results).exists()}
    told = {page: (entry.headline(folder / page), when(results)) for page, results in found.items()}
    if own and len(pages) == 1:
        yield from (f"**{words}** ({day})" for words, day in told.values())
        return
    rows = ([f"[{_head(folder / page / PAGE)[0]}]({page}/{PAGE})", words, day] for page, (words, day) in told.items())
    yield markdown.table("study | found | results of", "lll", rows)


def _head(page: Path) -> tuple[str, str]:
    """Return the title of a page and the first command on it."""
    text = read_whole(page, 1 << 20).decode()
    command = COMMAND.search(text)
    if command is None:
        raise EspalierError(f"{page}: says no command")
    return text.splitlines()[0].removeprefix("# "), command[1] or command[2]


def day_of(path: Path) -> str:
    """Return the day on which a file was last committed, as Git has it; nothing where there is none."""
    words = ["git", "log", "-1", "--format=%as", "--", path.name]
    return subprocess.run(words, cwd=path.parent, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    write_whole(FOLDER / PAGE, index(day_of).encode())
