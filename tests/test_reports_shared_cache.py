"""What explorations keep for each other: one place for a user, shared by processes, and a command that tidies it."""

import subprocess
from pathlib import Path

import pytest
from support.commandline import complaint, environment, espalier, program_text

import espalier as esp
from accel.errors import EspalierError
from reports.shared.cache import FILE, VARIABLE, cache_file, opened_cache

ASKED = {
    "max_error": "50%",
    "patterns": "kernel",
    "weight_bits": "6",
    "signal_bits": "6",
    "arrays": "4x4",
    "images": 40,
    "jobs": 1,
}
OPTIONS = [(f"--{name.replace('_', '-')}", str(value)) for name, value in ASKED.items()]
COMMAND = ["explore", "digits", *(word for pair in OPTIONS for word in pair)]


def test_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named comes first, then the environment, then where the system keeps caches."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "env"))
    assert cache_file(tmp_path / "named") == tmp_path / "named" / FILE
    assert cache_file() == tmp_path / "env" / FILE
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "system"))
    assert cache_file().parent.name == "espalier"


def test_no_place(tmp_path: Path) -> None:
    """A folder that cannot be is told in one line."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EspalierError, match="cannot write to "),
        opened_cache(tmp_path / "file" / "cache"),
    ):
        pass


def test_python_and_the_command_share(tmp_path: Path) -> None:
    """`esp.explore` finds what the command does, from what that has kept."""
    found = esp.explore("digits", cache=tmp_path / "cache", **ASKED)
    done = espalier(*COMMAND, "--cache", tmp_path / "cache", "--out", tmp_path / "out", "--csv", tmp_path / "x.csv")
    assert (done.status, done.err) == (0, "")
    assert " results were there, 0 were made in " in done.out
    assert (tmp_path / "out" / "results.json").read_text() == found.to_json()
    assert found.recommended in found.points
    frame = found.to_dataframe()
    assert len(frame) == len(found.points) == 2


def test_an_argument_that_there_is_none_of() -> None:
    """It is told with the nearest one that there is."""
    with pytest.raises(EspalierError, match="unknown argument of explore 'max_eror': did you mean 'max_error'"):
        esp.explore("digits", max_eror="+1%")


@pytest.mark.slow
def test_two_at_once(tmp_path: Path) -> None:
    """Explorations that write the same cache at the same time both end, in the same bytes."""
    words = [*program_text(), *COMMAND, "--weight-bits", "2..8", "--cache", str(tmp_path / "cache"), "--out"]
    runs = [
        subprocess.Popen([*words, str(tmp_path / name)], stdout=subprocess.DEVNULL, env=environment()) for name in "ab"
    ]
    assert [run.wait(120) for run in runs] == [0, 0]
    assert (tmp_path / "a" / "results.json").read_bytes() == (tmp_path / "b" / "results.json").read_bytes()


class TestCommand:
    def test_nothing(self, tmp_path: Path) -> None:
        """Looking makes no cache."""
        done = espalier("cache", "--cache", tmp_path / "none")
        assert (done.status, done.out) == (0, f"{tmp_path / 'none' / FILE}: nothing is kept\n")
        assert not (tmp_path / "none").exists()

    def test_looking_and_forgetting(self, tmp_path: Path) -> None:
        """How much there is, what went, what is left."""
        with opened_cache(tmp_path) as store:
            for key in "ab":
                store.add(key, bytes(1 << 20))
        told = f"{tmp_path / FILE}: 2 results, 2.0 MiB\n"
        assert espalier("cache", "--cache", tmp_path).out == told
        assert espalier("cache", "--cache", tmp_path, "--unused", 1).out == "0 results were forgotten\n" + told
        done = espalier("cache", "--cache", tmp_path, "--most", "1.5MiB")
        assert done.out == f"1 results were forgotten\n{tmp_path / FILE}: 1 results, 1.0 MiB\n"
        assert espalier("cache", "--cache", tmp_path, "--unused", 0).out.endswith(": 0 results, 0.0 MiB\n")

    def test_bad_words(self, tmp_path: Path) -> None:
        """A size that is none, a negative number of days, a file that is no store."""
        assert complaint("cache", "--most", "much").startswith("--most much: expected a size such as 64KiB")
        assert complaint("cache", "--unused", "-1").startswith("Invalid value for '--unused'")
        (tmp_path / FILE).write_text("no store" * 100)
        assert complaint("cache", "--cache", tmp_path).startswith(f"{tmp_path / FILE}: ")
        assert (tmp_path / FILE).read_text() == "no store" * 100
