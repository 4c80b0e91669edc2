"""Which release of Espalier this is."""

import tomllib
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "espalier-hw"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def release() -> str:
    """Return the release that is installed; that of the clone where none is, and the clone itself is run."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return str(tomllib.loads(PROJECT.read_text())["project"]["version"])
