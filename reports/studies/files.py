"""What studies share: where their files lie, how pages and figures write rates, and how pages show figures."""

from collections.abc import Iterable, Mapping
from pathlib import Path

POINTS = Path("checkpoints", "points.jsonl")  # below the folder of the study; work in progress, not a result


def folder_of(network: str, out: Path | None, what: str = "") -> Path:
    """Return where the study of a network lies if nothing else is asked for; `what` tells one of several apart."""
    return out or Path("study", "-".join(filter(None, (Path(network).stem, what))))


def picture(name: str, captions: Mapping[str, str], figures: Iterable[str]) -> str:
    """Return a figure with its caption, or nothing if it is not among the file names `figures`."""
    return f"![{captions[name]}]({name}.png)\n\n*{captions[name]}*" if f"{name}.png" in figures else ""
