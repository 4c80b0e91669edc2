"""What `espalier data` does: data sets downloaded."""

import sys

from accel.interchange.data import fetch


def data_fetch(name: str, data_dir: str | None, base_url: str | None) -> None:
    """Download a data set."""
    print(fetch.fetch(name, data_dir, base_url, progress=sys.stderr.isatty()))
