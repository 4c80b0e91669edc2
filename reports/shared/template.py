"""Pages for a browser: one file each that needs no network, its figures inside it."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def filled(package: str, figures: Mapping[str, bytes], **contents: Any) -> bytes:
    """Return ``page.html`` of a package, filled in.

    Parameters
    ----------
    package : str
        Where the template lies.
    figures : mapping of file name to content
        Those that are SVG stand in the page, which knows them by their names without ending.
    contents
        Whatever else the template shows.
    """
    environment = Environment(
        loader=PackageLoader(package, "."), autoescape=select_autoescape(), undefined=StrictUndefined
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    inline = {name.removesuffix(".svg"): _inline(svg) for name, svg in figures.items() if name.endswith(".svg")}
    return environment.get_template("page.html").render(figures=inline, **contents).encode()


def _inline(svg: bytes) -> str:
    """Return an SVG without its XML prologue, to stand inside HTML."""
    text = svg.decode()
    return text[text.index("<svg") :]
