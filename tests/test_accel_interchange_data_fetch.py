import gzip
import hashlib
import http.server
import io
import logging.handlers
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pooch
import pytest

from accel.errors import EspalierError
from accel.interchange.data import fetch as module
from accel.interchange.data.datasets import FOLDERS, NAMES
from accel.interchange.data.fetch import SOURCES, Source, fetch

FILES = {"train.gz": gzip.compress(b"images"), "test.bin": bytes(range(256)) * 1000}
BATCHES = {"data_batch_1.bin": b"one", "test_batch.bin": b"two"}


def sha256(data: bytes) -> str:
    """Return the sum that a source would list for `data`."""
    return hashlib.sha256(data).hexdigest()


def tar(members: dict[str, bytes | str]) -> bytes:
    """Return a gzipped tar; a member whose value is text is a symbolic link to that name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, value in members.items():
            entry = tarfile.TarInfo(name)
            if isinstance(value, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, value
                archive.addfile(entry)
            else:
                entry.size = len(value)
                archive.addfile(entry, io.BytesIO(value))
    return packed.getvalue()


class Server:
    """What the loopback server serves, and what it was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, bytes] = {}
        self.missing_bytes = 0  # how many bytes to hold back of what Content-Length promises
        self.asked: list[str] = []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Run an HTTP server on this machine only; proxies of the environment are not for it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            data = state.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) - state.missing_bytes])

        def log_message(self, *_: object) -> None:
            """Keep the requests out of the test's output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state = Server(f"http://127.0.0.1:{running.server_address[1]}/")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def mnist(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Let `mnist` be two small files that the server has."""
    server.files = {f"/{name}": data for name, data in FILES.items()}
    sums = {name: sha256(data) for name, data in FILES.items()}
    monkeypatch.setitem(SOURCES, "mnist", Source(server.url, sums))
    return server


def serve_cifar(server: Server, monkeypatch: pytest.MonkeyPatch, archive: bytes) -> None:
    """Let `cifar-10` be `archive`, with the right sum of it."""
    server.files = {"/cifar.tar.gz": archive}
    sums = {name: sha256(data) for name, data in BATCHES.items()}
    monkeypatch.setitem(SOURCES, "cifar-10", Source(server.url, sums, ("cifar.tar.gz", sha256(archive))))


def sound_tar() -> bytes:
    """Return an archive that holds the batches as the original does."""
    return tar({f"cifar-10-batches-bin/{name}": data for name, data in BATCHES.items()})


def refusal(name: str, data_dir: Path, base_url: str | None = None) -> str:
    """Return the one line with which `fetch` refuses."""
    with pytest.raises(EspalierError) as caught:
        fetch(name, data_dir, base_url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file under `folder`, hidden ones too, by its path from there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestFiles:
    def test_right_bytes(self, mnist: Server, tmp_path: Path) -> None:
        """The files arrive in the data set's folder, gzipped ones still gzipped, and nothing else stays."""
        assert fetch("mnist", tmp_path) == tmp_path / "mnist"
        assert contents(tmp_path) == {f"mnist/{name}": data for name, data in FILES.items()}
        assert [path.name for path in tmp_path.iterdir()] == ["mnist"]

    def test_the_folder_is_made(self, mnist: Server, tmp_path: Path) -> None:
        """A data directory that is not there yet is made."""
        assert contents(fetch("mnist", tmp_path / "new" / "data")) == FILES

    def test_environment_variable(self, mnist: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """None as data_dir means the folder that ESPALIER_DATA names."""
        monkeypatch.setenv("ESPALIER_DATA", str(tmp_path))
        assert fetch("mnist", None) == tmp_path / "mnist"

    @pytest.mark.parametrize("ending", ["mirror", "mirror/"])
    def test_mirror(self, mnist: Server, tmp_path: Path, ending: str) -> None:
        """base_url, with or without a slash at its end, takes the place of the public address."""
        mnist.files = {f"/mirror/{name}": data for name, data in FILES.items()}
        assert contents(fetch("mnist", tmp_path, mnist.url + ending)) == FILES
        assert mnist.asked == ["/mirror/train.gz", "/mirror/test.bin"]

    def test_what_is_there_is_not_downloaded_again(self, mnist: Server, tmp_path: Path) -> None:
        """A second call asks the server for nothing; after one file is gone, for that file only."""
        fetch("mnist", tmp_path)
        mnist.asked.clear()
        fetch("mnist", tmp_path)
        assert mnist.asked == []
        (tmp_path / "mnist" / "test.bin").unlink()
        fetch("mnist", tmp_path)
        assert mnist.asked == ["/test.bin"]
        assert contents(tmp_path / "mnist") == FILES

    def test_a_file_with_other_bytes_is_left_alone(self, mnist: Server, tmp_path: Path) -> None:
        """A file that is there with another sum is named, and neither replaced nor taken for the data set."""
        (tmp_path / "mnist").mkdir()
        (tmp_path / "mnist" / "test.bin").write_bytes(b"mine")
        message = refusal("mnist", tmp_path)
        assert message.startswith(f"{tmp_path / 'mnist' / 'test.bin'}: is there with SHA-256 {sha256(b'mine')}")
        assert contents(tmp_path) == {"mnist/test.bin": b"mine"}

    def test_result_has_ordinary_permissions(self, mnist: Server, tmp_path: Path) -> None:
        """Others may read the files if the umask lets them: a temporary file's 0600 does not stick."""
        ordinary = tmp_path / "ordinary"
        ordinary.touch()
        path = fetch("mnist", tmp_path) / "test.bin"
        assert path.stat().st_mode == ordinary.stat().st_mode


class TestFailures:
    def test_wrong_bytes(self, mnist: Server, tmp_path: Path) -> None:
        """One wrong bit in the last file is refused, and none of the files stays."""
        data = FILES["test.bin"]
        mnist.files["/test.bin"] = bytes([data[0] ^ 1]) + data[1:]
        message = refusal("mnist", tmp_path)
        assert f"{mnist.url}test.bin" in message
        assert sha256(data) in message
        assert contents(tmp_path) == {}
        assert list(tmp_path.iterdir()) == []

    def test_not_found(self, mnist: Server, tmp_path: Path) -> None:
        """An HTTP error is told with the address and the server's answer; nothing stays."""
        del mnist.files["/test.bin"]
        message = refusal("mnist", tmp_path)
        assert f"{mnist.url}test.bin" in message
        assert "404 Not Found" in message
        assert list(tmp_path.iterdir()) == []

    def test_connection_lost(self, mnist: Server, tmp_path: Path) -> None:
        """A download that ends early is refused; nothing stays."""
        mnist.missing_bytes = 1
        assert f"cannot download {mnist.url}train.gz" in refusal("mnist", tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_nobody_answers(self, mnist: Server, tmp_path: Path) -> None:
        """A refused connection is told in a few words instead of the library's chain of wrappers."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        message = refusal("mnist", tmp_path, f"http://127.0.0.1:{port}/")
        assert message == f"cannot download http://127.0.0.1:{port}/train.gz: Connection refused"
        assert list(tmp_path.iterdir()) == []

    def test_stopped_by_the_user(self, mnist: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An interrupt in the middle leaves nothing."""

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(module, "_install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch("mnist", tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_data_dir_that_cannot_be_made(self, mnist: Server, tmp_path: Path) -> None:
        """A data directory below an ordinary file is refused before anything is downloaded."""
        (tmp_path / "file").touch()
        message = refusal("mnist", tmp_path / "file" / "data")
        assert message.startswith(f"{tmp_path / 'file' / 'data'}: cannot be written")
        assert mnist.asked == []

    def test_a_file_in_the_place_of_the_folder(self, mnist: Server, tmp_path: Path) -> None:
        """So is an ordinary file where the data set's folder should be."""
        (tmp_path / "mnist").touch()
        assert refusal("mnist", tmp_path).startswith(f"{tmp_path / 'mnist'}: is not a folder")
        assert mnist.asked == []

    @pytest.mark.parametrize("url", ["ftp://host/", "host/mnist", "file:///tmp/"])
    def test_address_of_another_kind(self, tmp_path: Path, url: str) -> None:
        """A base URL must be http or https."""
        assert url in refusal("mnist", tmp_path, url)

    def test_names(self, tmp_path: Path) -> None:
        """Digits need no download, and an unknown name suggests the nearest."""
        assert "nothing to fetch" in refusal("digits", tmp_path)
        assert "did you mean 'cifar-10'?" in refusal("cifar", tmp_path)


class TestArchive:
    def test_unpacked(self, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The archive's batches arrive in the folder; the archive itself does not stay."""
        serve_cifar(server, monkeypatch, sound_tar())
        assert fetch("cifar-10", tmp_path) == tmp_path / "cifar-10-batches-bin"
        assert contents(tmp_path) == {f"cifar-10-batches-bin/{name}": data for name, data in BATCHES.items()}
        assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-batches-bin"]
        server.asked.clear()
        fetch("cifar-10", tmp_path)
        assert server.asked == []

    def test_other_members_are_not_unpacked(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Only the expected names are written: no readme, no absolute path, nothing above the folder."""
        outside = tmp_path / "outside"
        members: dict[str, bytes | str] = {
            "cifar-10-batches-bin/readme.html": b"hello",
            "cifar-10-batches-bin/../../escaped": b"bad",
            str(outside): b"bad",
            **{f"cifar-10-batches-bin/{name}": data for name, data in BATCHES.items()},
        }
        serve_cifar(server, monkeypatch, tar(members))
        fetch("cifar-10", tmp_path / "data")
        assert contents(tmp_path) == {f"data/cifar-10-batches-bin/{name}": data for name, data in BATCHES.items()}

    @pytest.mark.parametrize(
        "replacement",
        [{}, {"cifar-10-batches-bin/test_batch.bin": "/etc/hostname"}],
        ids=["missing", "link"],
    )
    def test_member_that_is_missing_or_a_link(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, replacement: dict[str, bytes | str]
    ) -> None:
        """An archive that lacks a batch, or links elsewhere in its place, is refused; nothing stays."""
        serve_cifar(server, monkeypatch, tar({"cifar-10-batches-bin/data_batch_1.bin": b"one", **replacement}))
        message = refusal("cifar-10", tmp_path)
        assert message == "cifar.tar.gz: does not hold an ordinary file cifar-10-batches-bin/test_batch.bin"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("kept", [0.0, 0.5], ids=["nothing", "half"])
    def test_archive_cut_short(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: float
    ) -> None:
        """An archive that ends early is refused, even with the sum that was asked for; nothing stays."""
        archive = sound_tar()
        serve_cifar(server, monkeypatch, archive[: int(len(archive) * kept)])
        assert refusal("cifar-10", tmp_path).startswith("cifar.tar.gz: ")
        assert list(tmp_path.iterdir()) == []

    def test_wrong_bytes(self, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """An archive with another sum is not even opened; nothing stays."""
        serve_cifar(server, monkeypatch, sound_tar())
        server.files["/cifar.tar.gz"] += b"\0"
        assert "nothing was kept" in refusal("cifar-10", tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestTalk:
    def test_quiet(self, mnist: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Without progress nothing is printed or logged, and pooch's log level is as before."""
        logger = pooch.get_logger()
        level = logger.level
        logged = logging.handlers.BufferingHandler(capacity=100)
        logger.addHandler(logged)  # pooch's records do not reach the root logger, where pytest would see them
        try:
            fetch("mnist", tmp_path)
            assert logged.buffer == []
            assert capfd.readouterr() == ("", "")
            assert logger.level == level
            logger.warning("negative control: what pooch logs is seen here")
            assert len(logged.buffer) == 1
        finally:
            logger.removeHandler(logged)

    def test_progress(self, mnist: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """With progress each file's line ends at 100 %, on the error stream only."""
        fetch("mnist", tmp_path, progress=True)
        out, err = capfd.readouterr()
        assert out == ""
        last_states = [line.rsplit("\r", 1)[1] for line in err.removesuffix("\n").split("\n")]
        # 256,000 bytes are 0.24 MiB; the other file has a few bytes
        assert last_states == ["train.gz 100 % of 0.0 MiB", "test.bin 100 % of 0.2 MiB"]


def test_every_data_set_has_a_source() -> None:
    """Every data set but digits can be fetched, and every sum has the 64 hexadecimal digits of SHA-256."""
    assert set(SOURCES) == set(FOLDERS) == set(NAMES) - {"digits"}
    for source in SOURCES.values():
        sums = [*source.files.values(), *([source.archive[1]] if source.archive else [])]
        assert all(len(value) == 64 and int(value, 16) >= 0 for value in sums)
        assert len(set(sums)) == len(sums)
