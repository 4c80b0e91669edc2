import hashlib
import http.server
import io
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.shell_completion import ShellComplete
from support.commandline import complaint, contents, espalier, espalier_process

from accel.errors import EspalierError
from accel.interchange import zoo
from accel.interchange.data import fetch
from reports.cli import app
from reports.shared.progress import bar
from reports.workflow.parsing import parse_bits, parse_memory, parse_patterns

SERVED = {"train.gz": b"images", "test.bin": bytes(1000)}


class TestInfo:
    def test_info(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Versions, processors, every network of the zoo with its patterns, and the data directory."""
        monkeypatch.setenv("ESPALIER_DATA", "/some/where")
        done = espalier("info")
        assert (done.status, done.err) == (0, "")
        lines = done.out.splitlines()
        assert {line.split()[0] for line in lines} >= {"espalier-hw", "numpy", "numba", "amaranth", "python"}
        assert f"numpy {np.__version__}" in lines
        for name in zoo.names():
            assert f"zoo: {name} ({', '.join(zoo.patterns(name))})" in lines
        assert "digits" in zoo.names()
        assert lines[-1] == "data: /some/where"

    def test_no_data_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no data directory is set, that is said."""
        monkeypatch.delenv("ESPALIER_DATA", raising=False)
        assert espalier("info").out.endswith("data: ESPALIER_DATA is not set\n")

    @pytest.mark.parametrize("words", [[], ["report"], ["size"], ["quantize"], ["run"], ["data", "fetch"]])
    def test_help(self, words: list[str]) -> None:
        """Each command explains itself, with an example."""
        done = espalier(*words, "--help")
        assert (done.status, done.err) == (0, "")
        assert f"Usage: espalier {' '.join(words)}".strip() in done.out
        assert not words or f"Example: espalier {' '.join(words)} " in done.out

    def test_bare(self) -> None:
        """The bare command shows its help, and says by its status that it did nothing."""
        done = espalier()
        assert (done.status, done.err) == (2, "")
        assert done.out.rstrip() == espalier("--help").out.rstrip()

    def test_version(self) -> None:
        """The version is that of the distribution."""
        assert espalier("--version").out == "espalier, version 0.1.0\n"


class TestFetch:
    @pytest.fixture
    def server(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """Serve SERVED on this machine only; their sums are those of `mnist`."""
        (tmp_path / "served").mkdir()
        for name, data in SERVED.items():
            (tmp_path / "served" / name).write_bytes(data)
        for variable in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(variable, "127.0.0.1")

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(tmp_path / "served"))

            def log_message(self, *_: object) -> None:
                """Keep the requests out of the test's output."""

        sums = {name: hashlib.sha256(data).hexdigest() for name, data in SERVED.items()}
        monkeypatch.setitem(fetch.SOURCES, "mnist", fetch.Source("http://127.0.0.1:1/", sums))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
            thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield f"http://127.0.0.1:{running.server_address[1]}"
            running.shutdown()
            thread.join()

    def test_fetch(self, server: str, tmp_path: Path) -> None:
        """The files arrive in the data set's folder, whose name is printed; a pipe gets no progress."""
        done = espalier("data", "fetch", "mnist", "--data-dir", tmp_path / "data", "--base-url", server)
        assert (done.status, done.out, done.err) == (0, f"{tmp_path / 'data' / 'mnist'}\n", "")
        assert contents(tmp_path / "data") == {"mnist": None, **{f"mnist/{k}": v for k, v in SERVED.items()}}

    def test_wrong_bytes(self, server: str, tmp_path: Path) -> None:
        """One wrong byte and the command refuses; nothing stays."""
        (tmp_path / "served" / "test.bin").write_bytes(bytes(999) + b"x")
        line = complaint("data", "fetch", "mnist", "--data-dir", tmp_path / "data", "--base-url", server)
        assert line.startswith(f"{server}/test.bin: ")
        assert contents(tmp_path / "data") == {}

    def test_nobody_answers(self, server: str, tmp_path: Path) -> None:
        """Nor where nobody answers at the public address."""
        line = complaint("data", "fetch", "mnist", "--data-dir", tmp_path / "data")
        assert line == "cannot download http://127.0.0.1:1/train.gz: Connection refused"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class TestProgress:
    @pytest.mark.slow
    def test_quiet_in_a_pipe(self, tmp_path: Path) -> None:
        """A real process whose streams are pipes writes nothing on the error stream, even if colours are forced."""
        arguments = ("--bits", 8, "--patterns", "dense", "--images", 5, "--out", tmp_path)
        done = espalier_process("report", "digits", *arguments, FORCE_COLOR="1", TTY_COMPATIBLE="1")
        assert (done.status, done.err) == (0, "")
        assert "Written to" in done.out

    @pytest.mark.parametrize("stream", [io.StringIO, Terminal])
    def test_bar(self, monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]) -> None:
        """On a terminal the bar shows what runs and what is known; names in it are text, not markup."""
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", stream())
        with bar("net[/x] on mnist", 2) as shown:
            shown.advance("kernel [b]: 1 %")
            shown.advance("kernel [/c]: 2 %")
        text = sys.stderr.getvalue()
        assert ("net[/x] on mnist" in text) is ("[/c]: 2 %" in text) is (stream is Terminal)
        assert bool(text) is (stream is Terminal)


class TestParsing:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [("3..8", (3, 4, 5, 6, 7, 8)), ("4..4", (4,)), ("8,4", (4, 8)), ("8,8", (8,)), ("2..16", tuple(range(2, 17)))],
    )
    def test_bits(self, text: str, expected: tuple[int, ...]) -> None:
        """A range includes both ends; a list is sorted and each width is there once."""
        assert parse_bits(text) == expected

    @pytest.mark.parametrize(
        "text", ["", "x", "8..3", "3-8", "3..", "3,", ",3", "1..8", "3..17", "0", "-3", "3.5", " 3", "9" * 5000]
    )
    def test_bits_refused(self, text: str) -> None:
        """Anything else is refused, with the option's name and what would be right."""
        with pytest.raises(EspalierError, match=r"^--bits .*within 2\.\.16, such as 3\.\.8, or a list, such as 3,4,8"):
            parse_bits(text)

    @pytest.mark.parametrize(
        ("text", "bits"),
        [("1b", 1), ("1B", 8), ("1KiB", 8_192), ("64 KiB", 524_288), ("1.5KiB", 12_288), ("2MiB", 16_777_216)],
    )
    def test_memory(self, text: str, bits: int) -> None:
        """B is a bit, B a byte, KiB 1024 bytes, MiB 1024 KiB."""
        assert parse_memory(text) == bits

    @pytest.mark.parametrize("text", ["", "64", "KiB", "64kB", "64KB", "-1KiB", "1e3B", ".5KiB", "9" * 400 + "KiB"])
    def test_memory_refused(self, text: str) -> None:
        """No unit, another unit or another number is refused, with the option's name and what would be right."""
        with pytest.raises(EspalierError, match=r"^--sram .*expected a size such as 64KiB"):
            parse_memory(text)

    @pytest.mark.parametrize(
        ("text", "labels"), [("dense", ["dense"]), ("kernel, 2:4", ["kernel", "2:4"]), (" a+b ,c ", ["a+b", "c"])]
    )
    def test_patterns(self, text: str, labels: list[str]) -> None:
        """Commas separate, blanks around them mean nothing, the order stays."""
        assert parse_patterns(text) == labels

    @pytest.mark.parametrize("text", ["", " ", ",", "dense,", ",dense", "dense,,kernel"])
    def test_patterns_refused(self, text: str) -> None:
        """A label that is missing is refused rather than taken for all, or for none."""
        with pytest.raises(EspalierError, match=r"^--patterns .*: expected names with commas between them"):
            parse_patterns(text)


class TestCompletion:
    @pytest.mark.parametrize(
        ("words", "incomplete", "found"),
        [
            (["explore", "--goal"], "ef", ["efficient"]),
            (["explore", "--backend"], "", ["loky", "dask"]),
            (["report", "--metric"], "a", ["agreement", "auc"]),
            (["verify", "--simulator"], "i", ["iverilog"]),
            (["quantize", "--rule"], "m", ["max"]),
            (["quantize", "--rounding"], "RND_C", ["RND_CONV"]),
            (["export", "--format"], "q", ["qcdq", "qlinear", "qonnx"]),
            (["run", "--split"], "t", ["train", "test"]),
            (["report"], "lenet-300-100-", ["lenet-300-100-fashion", "lenet-300-100-"]),  # or a file of that beginning
            (["report", "--data"], "fash", ["fashion-mnist", "fash"]),
        ],
    )
    def test_words(self, words: list[str], incomplete: str, found: list[str]) -> None:
        """The Tab key knows the words that an option or argument takes."""
        complete = ShellComplete(app, {}, "espalier", "_ESPALIER_COMPLETE")
        items = [x.value for x in complete.get_completions(words, incomplete)]
        assert sorted(items) == sorted(found)
