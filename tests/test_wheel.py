"""The check of wheels sees what is wrong with one."""

from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest
from wheel import MOST_BYTES, NEEDED, problems

GOOD = [f"espalier_hw-1{name[1:]}" if name[0] == "*" else name.replace("*", "") for name in NEEDED]


def packed(path: Path, names: list[str], content: bytes = b"") -> Path:
    """Write a wheel of files that all have the same content."""
    with ZipFile(path, "w", ZIP_STORED) as file:
        for name in names:
            file.writestr(name, content)
    return path


def test_a_good_wheel(tmp_path: Path) -> None:
    """Everything that is needed and nothing else is no problem."""
    assert problems(packed(tmp_path / "x.whl", GOOD)) == []


@pytest.mark.parametrize("missing", GOOD)
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    """Without any one of the files that are needed there is one problem."""
    (line,) = problems(packed(tmp_path / "x.whl", [name for name in GOOD if name != missing]))
    assert line.endswith(": is missing")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tests/archives.py", "no package of ours"),
        ("reports/studies/lenet5/results.json", "repository alone"),
        ("reports/studies/lenet5/accuracy.png", "repository alone"),
        ("rtl/README.md", "repository alone"),
    ],
)
def test_what_does_not_belong_is_named(tmp_path: Path, name: str, reason: str) -> None:
    """Tests, studies' results, pictures and pages stay in the repository."""
    assert any(line.startswith(name) and reason in line for line in problems(packed(tmp_path / "x.whl", [*GOOD, name])))


def test_a_large_wheel_is_refused(tmp_path: Path) -> None:
    """More than `MOST_BYTES` is a problem, which says how many are allowed."""
    (line,) = problems(packed(tmp_path / "x.whl", GOOD, bytes(MOST_BYTES // len(GOOD) + 1)))
    assert line.endswith(f"at most {MOST_BYTES:,} are allowed")
