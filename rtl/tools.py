"""Programs that synthesise, from a Python package or the system, and what they said."""

import re
import shutil
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from accel.errors import EspalierError
from rtl import children


def find(tool: str, extra: str) -> str:
    """Return the path of a tool that the extra `extra` installs: beside Python, where pip puts it, or elsewhere.

    Raises
    ------
    EspalierError
        It is not there.
    """
    path = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    if path is None:
        raise EspalierError(f"{tool} is not installed: pip install 'espalier-hw[{extra}]'")
    return path


def version_of(tool: str) -> str:
    """Return the name of a tool, with the version of the Python package of that name if there is one."""
    with suppress(metadata.PackageNotFoundError):
        return f"{tool} {metadata.version(tool)}"
    return tool


def run_tool(folder: Path, tool: str, extra: str, *arguments: str) -> str:
    """Run a tool of the extra `extra` in `folder`, where its log stays; return what it said.

    Raises
    ------
    EspalierError
        It is not installed, or fails.
    """
    command = [find(tool, extra), *arguments]
    done = children.run(command, folder)
    said = done.stdout + done.stderr
    (folder / f"{tool}.log").write_text(said)
    if done.returncode:  # the exit status, because quiet tools swallow their errors
        errors = re.findall(r"\bERROR: ?(.*)$", said, re.MULTILINE)
        raise EspalierError(f"{tool} failed with status {done.returncode}: {errors[0] if errors else 'see its log'}")
    return said
