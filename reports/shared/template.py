"""Pages for a browser: one file each that needs no network, its figures inside it."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from reports.shared.browsing import Browsing, plotly

SHARED = "reports.shared"


def filled(package: str, figures: Mapping[str, bytes], browsing: Browsing, **contents: Any) -> bytes:
    """Return ``page.html`` of a package, filled in.

    Parameters
    ----------
    package : str
        Where the template lies.
    figures : mapping of file name to content
        Those that are SVG stand in the page, which knows them by their names without ending.
    browsing : Browsing
        Every design.
    contents
        Whatever else the template shows.
    """
    loader = ChoiceLoader([PackageLoader(package, "."), PackageLoader(SHARED, ".")])
    environment = Environment(loader=loader, autoescape=select_autoescape(), undefined=StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    names = {name: name.removesuffix(".svg") for name in figures if name.endswith(".svg")}
    inline = {name: _inline(figures[file], name) for file, name in names.items()}
    program = (resources.files(SHARED) / "points.js").read_text(encoding="utf-8")
    shown = {"points": browsing.record(), "points_script": program, "plotly": plotly()}
    return environment.get_template("page.html").render(figures=inline, **shown, **contents).encode()


def _inline(svg: bytes, name: str) -> str:
    """Return an SVG without its XML prologue, to stand inside HTML, with a name for who does not see it."""
    text = svg.decode()
    label = f'<svg role="img" aria-label="{name.replace("_", " ")}"'
    return label + text[text.index("<svg") + len("<svg") :]
