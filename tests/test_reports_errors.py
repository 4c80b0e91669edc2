"""Bad input: one line that says what was wrong and what would be right, exit status 2, and nothing left behind."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from support.commandline import complaint, contents, espalier, idx, untrained_lenet5, write_mnist

from accel.errors import EspalierError
from accel.fixedpoint import FixedFormat
from accel.interchange import zoo
from accel.interchange.data import datasets
from accel.pruned import PrunedNetwork
from accel.quantize import Widths, lower
from accel.sparsity import LayerMask
from reports.commands import info

Break = Callable[[bytes], bytes]

IMAGES, LABELS = "mnist/t10k-images-idx3-ubyte", "mnist/t10k-labels-idx1-ubyte"
SMALL = ("--bits", 4, "--patterns", "dense", "--images", 5)  # a report that would take a second


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a Program for MNIST, one for digits, and a small MNIST; nobody may change it."""
    folder = tmp_path_factory.mktemp("made")
    write_mnist(folder)
    for name, network in (("lenet5", untrained_lenet5()), ("digits", zoo.load("digits"))):
        images = datasets.load(network.data, "train", folder).take(16).pixels()
        lower(network, Widths(4, 4), images).save(folder / f"{name}.espalier")
    return folder


@pytest.fixture
def mnist(made: Path, tmp_path: Path) -> Path:
    """Return a data directory with a copy of the MNIST test files, to be damaged."""
    (tmp_path / "mnist").mkdir()
    for name in (IMAGES, LABELS):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    return tmp_path


class TestTheHelper:
    """Negative control for all that follows: what is no proper complaint does not pass for one."""

    @pytest.mark.parametrize("arguments", [["info"], ["size", "digits"], []])
    def test_done_is_no_complaint(self, arguments: list[str]) -> None:
        """A command that does its work, or shows its help, is no complaint."""
        with pytest.raises(AssertionError):
            complaint(*arguments)

    def test_a_traceback_is_no_complaint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor is an error of the software itself, which is not hidden as one of the user's."""

        def broken(schemas: None) -> NoReturn:
            raise ZeroDivisionError

        monkeypatch.setattr(info.command, "callback", broken)
        with pytest.raises(ZeroDivisionError):
            espalier("info")

    def test_two_lines_are_no_complaint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor are two lines, one of them a stray one."""

        def chatty(schemas: None) -> NoReturn:
            print("a stray line", file=sys.stderr)
            raise EspalierError("then an error")

        monkeypatch.setattr(info.command, "callback", chatty)
        assert espalier("info").err == "a stray line\nespalier: then an error\n"
        with pytest.raises(AssertionError):
            complaint("info")


class TestDataFiles:
    def refusal(self, made: Path, data_dir: Path) -> str:
        """Return the line with which `run` refuses the data, having written nothing."""
        before = contents(data_dir)
        record = data_dir / "record.json"
        line = complaint("run", made / "lenet5.espalier", "--data-dir", data_dir, "--json", record)
        assert contents(data_dir) == before
        return line

    def test_sound(self, made: Path, mnist: Path) -> None:
        """Negative control: the copies are sound."""
        assert espalier("run", made / "lenet5.espalier", "--data-dir", mnist).status == 0

    @pytest.mark.parametrize("name", [IMAGES, LABELS])
    def test_missing(self, made: Path, mnist: Path, name: str) -> None:
        """A missing file is named, with the command that downloads it."""
        (mnist / name).unlink()
        line = self.refusal(made, mnist)
        assert line == f"{mnist / name}: no such file (with or without .gz); `espalier data fetch mnist` downloads it"

    @pytest.mark.parametrize(
        ("name", "damage", "words"),
        [
            (IMAGES, lambda data: data[:-1], "the file is cut short: the header says 20 x 28 x 28 = 15680 bytes"),
            (IMAGES, lambda data: data[:16], "the file is cut short"),
            (IMAGES, lambda data: data[:10], "ends within the IDX header of 16 bytes"),
            (IMAGES, lambda data: b"", "not an IDX file"),
            (IMAGES, lambda data: data + b"\0", "bytes follow the last element"),
            (IMAGES, lambda data: b"PNG" + data, "expected [00 00 08] and the dimension count"),
            (IMAGES, lambda data: data[:2] + b"\x0d" + data[3:], "element type is 0x0d, expected 0x08"),
            (IMAGES, lambda data: idx(np.zeros(20)), "number of IDX dimensions is 1, expected 3"),
            (IMAGES, lambda data: idx(np.zeros((20, 28, 27))), "images are 28 x 27, expected 28 x 28"),
            (IMAGES, lambda data: gzip.compress(data)[:-9], "the gzip stream is damaged or cut short"),
            (LABELS, lambda data: data[:-1], "the file is cut short: the header says 20 = 20 bytes"),
            (LABELS, lambda data: idx(np.zeros(19)), "holds 19 labels; counts must be equal"),
            (LABELS, lambda data: idx(np.arange(20)), "label of image 10 is 10, expected 0..9"),
        ],
    )
    def test_damaged(self, made: Path, mnist: Path, name: str, damage: Break, words: str) -> None:
        """A damaged file is named, with what was expected of it."""
        (mnist / name).write_bytes(damage((mnist / name).read_bytes()))
        line = self.refusal(made, mnist)
        assert str(mnist / name) in line
        assert words in line

    def test_another_data_set(self, made: Path, mnist: Path) -> None:
        """A Program does not run on images of another shape, and both shapes are told."""
        line = complaint("run", made / "digits.espalier", "--data", "mnist", "--data-dir", mnist)
        assert line == f"{made / 'digits.espalier'}: takes images of shape (1, 8, 8), those of mnist have (1, 28, 28)"

    def test_a_network_for_another_data_set(self, tmp_path: Path) -> None:
        """Nor is a network measured on images of another shape."""
        untrained_lenet5(data="digits").save(tmp_path / "n.espalier")
        for command in (("report", *SMALL, "--out", tmp_path / "out"), ("size",), ("quantize", "-o", tmp_path / "p")):
            line = complaint(*command, tmp_path / "n.espalier")
            assert line.endswith("n.espalier: takes images of shape (1, 28, 28), those of digits have (1, 8, 8)")
        assert set(contents(tmp_path)) == {"n.espalier"}

    def test_a_network_that_names_no_data_set(self, tmp_path: Path) -> None:
        """A network that does not say what it was trained on is named; a Program can be told."""
        path = tmp_path / "n.espalier"
        untrained_lenet5(data="").save(path)
        for command in (("report",), ("quantize", "-o", tmp_path / "p")):  # `size` needs no images
            line = complaint(*command, path)
            assert line.startswith(f"{path}: does not say which data set it was trained on; name one with --data (")
        lower(untrained_lenet5(data=""), Widths(4, 4), np.zeros((1, 1, 28, 28), np.float32)).save(path)
        line = complaint("run", path)
        assert line.startswith(f"{path}: does not say which data set it was made for; name one with --data (")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--data", "mnits"], "unknown data set 'mnits': did you mean 'mnist'? (known: digits, mnist, "),
            (["--split", "tset"], "unknown split 'tset': did you mean 'test'? (known: train, validation, test)"),
            (["--images", "351"], "digits (test): count must be 1..350, got 351"),
            (["--images", "0"], "Invalid value for '--images': 0 is not in the range x>=1."),
            (["--threads", "0"], "Invalid value for '--jobs': 0 is not in the range 1<=x<=10000."),
        ],
    )
    def test_options_of_run(self, made: Path, arguments: list[str], words: str) -> None:
        """An option that asks for what is not there is named with what there is."""
        assert complaint("run", made / "digits.espalier", *arguments).startswith(words)


class TestFiles:
    @pytest.mark.parametrize("kept", [0, 1, 7, 8, 13, 14, 500, -33, -32, -1])
    @pytest.mark.parametrize("command", ["run", "size", "report", "quantize"])
    def test_cut(self, made: Path, tmp_path: Path, command: str, kept: int) -> None:
        """A file that was cut, wherever, is named, and that it was cut or is none of ours."""
        path = tmp_path / "cut.espalier"
        path.write_bytes((made / "digits.espalier").read_bytes()[:kept])
        line = complaint(command, path, *(["-o", tmp_path / "p"] if command in ("quantize", "report") else []))
        short = 0 <= kept < 8
        assert line.startswith(f"{path}: {'is not an Espalier file' if short else 'was cut or changed'}")
        assert set(contents(tmp_path)) == {"cut.espalier"}

    @pytest.mark.parametrize("at", [0, 7, 8, 10, 14, 300, -1000, -33, -32, -1])
    def test_one_byte_changed(self, made: Path, tmp_path: Path, at: int) -> None:
        """A file of which one byte was changed, wherever, is refused before anything is made of it."""
        path = tmp_path / "changed.espalier"
        data = bytearray((made / "digits.espalier").read_bytes())
        path.write_bytes(data)
        assert espalier("run", path, "--images", 1).status == 0  # negative control: as it was
        data[at] ^= 1
        path.write_bytes(data)
        for command in ("run", "size"):
            line = complaint(command, path)
            assert line.startswith(f"{path}: {'is not an Espalier file' if at in (0, 7) else 'was cut or changed'}")

    def test_another_kind(self, made: Path, tmp_path: Path) -> None:
        """A network where a Program belongs, and the other way round, is told apart."""
        path = tmp_path / "network.espalier"
        zoo.load("digits").save(path)
        line = complaint("run", path)
        assert line == (
            f"{path}: holds a network, expected a program; "
            f"`espalier quantize {path} -o program.espalier` makes one of it"
        )
        for command in (("report",), ("quantize", "-o", tmp_path / "p")):
            line = complaint(*command, made / "digits.espalier")
            assert line == (
                f"{made / 'digits.espalier'}: holds a program, expected a network; "
                "give the network that it was made of, a Program has its word lengths already"
            )

    def test_no_file_of_ours(self, tmp_path: Path) -> None:
        """Any other file is told by how it begins."""
        (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n...")
        line = complaint("run", tmp_path / "x.png")
        assert line.startswith(f"{tmp_path / 'x.png'}: is not an Espalier file: it starts with b'\\x89PNG")
        assert line.endswith("expected b'ESPALIER'")

    @pytest.mark.parametrize("command", ["run", "size", "report"])
    def test_missing(self, tmp_path: Path, command: str) -> None:
        """A file that is not there is named."""
        assert complaint(command, tmp_path / "a.espalier") == f"{tmp_path / 'a.espalier'}: No such file or directory"
        assert "is a directory" in complaint(command, tmp_path).lower()

    def test_a_mask_that_breaks_its_pattern(self, tmp_path: Path) -> None:
        """A mask that is not of the pattern it claims is refused, with the place where it breaks."""
        path = tmp_path / "mask.espalier"
        kept = np.ones((32, 16, 9), bool)
        kept[3, 5] = False
        self.write(path, kept)
        assert espalier("size", path).status == 0  # negative control: a whole kernel may go
        kept[7, 2, 4] = False
        self.write(path, kept)
        for command in (("report", "--out", tmp_path / "out"), ("size",), ("quantize", "-o", tmp_path / "p")):
            line = complaint(*command, path)
            assert line.startswith(f"{path}: ")
            assert line.endswith("mask breaks the pattern kernel: kernel (output 7, input 2) is pruned in part")
        assert set(contents(tmp_path)) == {"mask.espalier"}

    def write(self, path: Path, kept: Any) -> None:
        """Write digits with a mask of conv2 that says it is of the pattern kernel, unchecked."""
        mask = object.__new__(LayerMask)
        for name, value in (("pattern", "kernel"), ("kept", kept)):
            object.__setattr__(mask, name, value)
        PrunedNetwork(zoo.load("digits").network, {"conv2": mask}, "kernel", "digits").save(path)


class TestOptions:
    @pytest.mark.parametrize("bits", ["0", "1", "17", "65", "99", "3..99", "0..8", "8,99"])
    def test_widths_of_a_report(self, tmp_path: Path, bits: str) -> None:
        """Word lengths that no Program has are refused with the option, before any work."""
        line = complaint("report", "digits", "--bits", bits, "--out", tmp_path / "out")
        assert line.startswith(f"--bits {bits}: expected a range within 2..16, such as 3..8")
        assert contents(tmp_path) == {}

    @pytest.mark.parametrize("width", [-1, 0, 17, 65, 99, 10**30])
    @pytest.mark.parametrize(("option", "lowest"), [("--weight-bits", 2), ("--signal-bits", 1), ("--input-bits", 1)])
    def test_widths(self, tmp_path: Path, option: str, lowest: int, width: int) -> None:
        """So are single ones."""
        line = complaint("quantize", "digits", option, width, "-o", tmp_path / "p")
        assert line == f"{option[2:].replace('-', '_')} must be {lowest}..16, got {width}"
        assert contents(tmp_path) == {}

    def test_widths_at_the_limits(self, tmp_path: Path) -> None:
        """Negative control: the widths at the limits are accepted."""
        for bits in ((2, 1, 1), (16, 16, 16)):
            words = zip(("--weight-bits", "--signal-bits", "--input-bits"), bits, strict=True)
            arguments = [word for pair in words for word in pair]
            assert espalier("quantize", "digits", *arguments, "--power-of-two", "-o", tmp_path / "p").status == 0

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["report", "digts"], "unknown network 'digts': did you mean 'digits'? (known: "),
            (["size", "digts"], "unknown network 'digts': did you mean 'digits'?"),
            (["quantize", "digts", "-o", "x"], "unknown network 'digts': did you mean 'digits'?"),
            (
                ["report", "digits", "--patterns", "dense,krnel"],
                "unknown pattern of digits in the zoo 'krnel': did you",
            ),
            (
                ["size", "digits", "--pattern", "ikks"],
                "unknown pattern of digits in the zoo 'ikks': did you mean 'ikss'?",
            ),
            (
                ["report", "digits", "--patterns", "dense,"],
                "--patterns dense,: expected names with commas between them",
            ),
            (["report", "digits", "--patterns", ""], "--patterns : expected names with commas between them"),
            (["size", "digits", "--weigt-bits", "3"], "No such option '--weigt-bits'"),
            (
                ["size", "digits", "--sram", "64kB"],
                "--sram 64kB: expected a size such as 64KiB, 1.5MiB, 4096B or 32768b",
            ),
            (
                ["size", "digits", "--weight-bits", "x"],
                "Invalid value for '--weight-bits': 'x' is not a valid integer.",
            ),
            (["size"], "Missing argument 'NETWORK'."),
            (["run"], "Missing argument 'PROGRAM'."),
            (["quantize", "digits"], "Missing option '--out' / '-o'."),
            (["size", "digits", "kernel"], "Got unexpected extra argument (kernel)"),
            (["sise", "digits"], "No such command 'sise'."),
            (["report", "digits", "--array", "8"], "--array 8: expected output lanes x pixel lanes, such as 8x8"),
            (["report", "digits", "--array", "8x3"], "pixel_lanes must be a power of two, got 3"),
            (["report", "digits", "--technology", "ecp5"], "unknown technology 'ecp5': did you mean 'ecp5-"),
            (["report", "digits", "--dram-bandwidth", "-1GB/s"], "--dram-bandwidth -1GB/s: expected a bandwidth above"),
            (["report", "digits", "--clock", "0MHz"], "--clock 0MHz: expected a frequency above 0"),
            (["report", "digits", "--sram", "0b"], "sram_bits must be a positive number, got 0"),
            (["report", "digits", "--images", "351"], "digits (test): count must be 1..350, got 351"),
            (["report", "digits", "--images", "many"], "Invalid value for '--images'"),
            (["quantize", "digits", "--rounding", "RMD", "-o", "x"], "unknown rounding 'RMD': "),
            (["quantize", "digits", "--overflow", "sat", "-o", "x"], "unknown overflow 'sat': "),
            (["data", "fetch", "cifar"], "unknown data set to fetch 'cifar': did you mean 'cifar-10'?"),
            (["data", "fetch", "digits"], "digits is part of espalier: there is nothing to fetch"),
        ],
    )
    def test_words(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str) -> None:
        """A word that means nothing is told with the nearest that does, or with all; nothing is written."""
        monkeypatch.chdir(tmp_path)
        assert complaint(*arguments).startswith(words)
        assert contents(tmp_path) == {}

    @pytest.mark.parametrize("mode", ["RMD", "rnd"])
    def test_modes(self, mode: str) -> None:
        """An unknown rounding is told with all that HLS has."""
        line = complaint("quantize", "digits", "--rounding", mode, "-o", "x")
        assert "(known: RND, RND_ZERO, RND_MIN_INF, RND_INF, RND_CONV, TRN, TRN_ZERO)" in line
        assert FixedFormat(8, 8).rounding.name in line

    def test_patterns_of_a_file(self, made: Path, tmp_path: Path) -> None:
        """A file is pruned by any pattern that exists, if it is not pruned already."""
        path = tmp_path / "n.espalier"
        untrained_lenet5().save(path)
        arguments = ("--data-dir", made, "--out", tmp_path / "out")
        line = complaint("report", path, "--patterns", "krnel", *arguments)
        assert line.startswith("unknown pattern 'krnel': expected one of dense, feature-map, kernel, ")
        zoo.load("digits", "kernel").save(path)
        for command, option in (("report", "--patterns"), ("size", "--pattern")):
            line = complaint(command, path, option, "ikss")
            assert "is pruned already (kernel)" in line
        line = complaint("size", made / "digits.espalier", "--pattern", "ikss")
        assert line.startswith(f"{made / 'digits.espalier'}: is a Program, whose pattern and word lengths are its own")
        assert set(contents(tmp_path)) == {"n.espalier"}
