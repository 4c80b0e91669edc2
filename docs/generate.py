"""Pages that are made when the documentation is built, so that no fact stands twice.

The reference of the packages follows from the modules that there are, the list of columns from the tables; the array,
maintaining, the changelog and the results are the files that stand beside what they describe. A link from one of those
to a file without a page of its own becomes that file's path.
"""

import json
import re
from pathlib import Path, PurePosixPath

import mkdocs_gen_files

from accel.demand import NOT_ON_ARRAY
from accel.interchange.onnx.reading import table
from accel.interchange.onnx.reading.operators import WITHOUT_LAYER
from reports.commands.schemas import schemas
from reports.shared.columns import COLUMNS

ROOT = Path(__file__).parents[1]
PACKAGES = ("espalier", "accel", "sim", "rtl")
STUDIES = ROOT / "reports" / "studies"
MOUNTED = {  # a page, and the file that it is
    "concepts/array.md": "rtl/README.md",
    "maintaining.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
LINK = re.compile(r"(!?)\[([^]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def mounts() -> dict[str, Path]:
    """Return the file of every page that is a file of the repository; studies are found, whichever there are."""
    studies = {f"results/{_page_of(path.parent)}.md": path for path in sorted(STUDIES.rglob("README.md"))}
    named = {page: ROOT / name for page, name in MOUNTED.items()}
    return named | {page: path for page, path in studies.items() if path not in named.values()}


def _page_of(folder: Path) -> str:
    """Return the name of the page of a folder of studies."""
    return "index" if folder == STUDIES else folder.relative_to(STUDIES).as_posix().replace("/", "-")


def mount(page: str, source: Path, pages: dict[Path, str]) -> None:
    """Write a page that is a file: links lead to other pages, pictures come along, of other files the path is told."""

    def target(match: re.Match[str]) -> str:
        picture, text, link, anchor = match.groups()
        if ":" in link:
            return match[0]
        path = (source.parent / link).resolve()
        if path.is_dir():
            path /= "README.md"
        inside = path.relative_to(ROOT).as_posix()
        if path in pages:
            there = relative(pages[path], page)
        elif path.suffix in (".png", ".svg"):
            copied = f"files/{inside}"
            with mkdocs_gen_files.open(copied, "wb") as file:
                file.write(path.read_bytes())
            there = relative(copied, page)
        else:
            return f"`{inside}`" if text.strip("`") in (inside, link) else f"{text} (`{inside}`)"
        return f"{picture}[{text}]({there}{anchor or ''})"

    with mkdocs_gen_files.open(page, "w") as file:
        file.write(LINK.sub(target, source.read_text(encoding="utf-8")))


def relative(there: str, page: str) -> str:
    """Return the link to a page or file of the site from another page of it."""
    up = len(PurePosixPath(page).parts) - 1
    return "../" * up + there


def columns() -> None:
    """Write what every column of tables and results counts, from where the tables have it."""
    lines = ["# Columns of tables and results", "", "By their names in `results.json` and `results.csv`.", ""]
    lines += ["| name | heading | what is counted |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {column.heading()} | {column.about} |" for name, column in COLUMNS.items()]
    with mkdocs_gen_files.open("columns.md", "w") as file:
        file.write("\n".join(lines) + "\n")


def files() -> None:
    """Write the JSON Schema of every kind of file of results, and the page that lists them."""
    lines = ["# Files of results", "", "Every `results.json` says its `format` and `version`, and carries a SHA-256 of"]
    lines += ["what it says. Lists hold records with names. What each field is has a JSON Schema (draft 2020-12), made"]
    lines += ["from the dataclasses that read the file; `espalier info --schemas FOLDER` writes them too.", ""]
    lines += ["| format | version | what | schema |", "| --- | --- | --- | --- |"]
    for name, schema in schemas().items():
        with mkdocs_gen_files.open(f"schemas/{name}", "w") as file:
            file.write(json.dumps(schema, indent=1) + "\n")
        kind, version = (schema["properties"][field]["const"] for field in ("format", "version"))
        lines.append(f"| `{kind}` | {version} | {schema['description']} | [{name}](schemas/{name}) |")
    with mkdocs_gen_files.open("files.md", "w") as file:
        file.write("\n".join(lines) + "\n")


def operators() -> None:
    """Write which ONNX operators are read, from which files and how far they go, what the others are, and why not."""
    begin = "What `espalier import` reads. What is read runs; the array has none of these layers:"
    lines = ["# ONNX operators", "", begin, ""]
    lines += [f"- `{kind.__name__}`{reason}" for kind, reason in NOT_ON_ARRAY.items()]
    lines += ["", "| operator | imported from files of | float | engine | array | what is read |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for row in table.operators():
        kinds = " and ".join(kind for kind, read in (("floats", row.floats), ("integers", row.integers)) if read)
        lines.append(f"| `{row.name}` | {kinds} | {'yes' if row.floats else ''} | yes | {row.array} | {row.about} |")
    lines += ["", "## Operators that are not read", "", "| operator | why, and the way around it |", "| --- | --- |"]
    lines += [f"| `{name}` | {reason} |" for name, reason in sorted(WITHOUT_LAYER.items())]
    with mkdocs_gen_files.open("operators.md", "w") as file:
        file.write("\n".join(lines) + "\n")


def reference() -> None:
    """Write a page for each package, with all of its public modules, and the list that the navigation is made from."""
    nav = mkdocs_gen_files.Nav()
    for package in PACKAGES:
        for init in sorted((ROOT / package).rglob("__init__.py")):
            folder = init.parent
            dotted = ".".join(folder.relative_to(ROOT).parts)
            modules = [path.stem for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")]
            page = f"{dotted}.md"
            with mkdocs_gen_files.open(f"api/{page}", "w") as file:
                file.write(f"# {dotted}\n\n")
                for name in (dotted, *(f"{dotted}.{module}" for module in modules)):
                    package = "    options: {members: false, show_root_heading: false, show_root_toc_entry: false}\n"
                    members = package if name == dotted != "espalier" else ""
                    file.write(f"::: {name}\n{members}\n")
            nav[dotted] = page
    with mkdocs_gen_files.open("api/SUMMARY.md", "w") as file:
        file.writelines(nav.build_literate_nav())


PAGES = mounts()
FOUND = {path: page for page, path in PAGES.items()}
for page, source in PAGES.items():
    mount(page, source, FOUND)
columns()
operators()
files()
reference()
