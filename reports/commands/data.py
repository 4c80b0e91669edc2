"""`espalier data`: data sets downloaded."""

import sys

import click

from accel.interchange.data import fetch as downloads
from reports.commands.options import data_dir_option, option
from reports.commands.places import Group


@click.group("data", cls=Group)
def command() -> None:
    """Get data sets."""


@command.command("fetch")
@click.argument("name")
@option("--base-url", help="Address of a mirror to download from.")
@data_dir_option
def fetch(name: str, data_dir: str | None, base_url: str | None) -> None:
    """Download mnist, fashion-mnist or cifar-10 and check the SHA-256.

    Example: espalier data fetch mnist --data-dir data
    """
    print(downloads.fetch(name, data_dir, base_url, progress=sys.stderr.isatty()))
