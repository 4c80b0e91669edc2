"""Downloading the data sets, each file checked against its published SHA-256."""

import contextlib
import logging
import os
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pooch

from accel.errors import EspalierError
from accel.files import write_whole
from accel.interchange.data.datasets import FOLDERS, check_choice, data_folder

TIMEOUT_SECONDS = 30  # of silence, not of the whole download
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Source:
    """Where the files of a data set come from.

    Attributes
    ----------
    base_url
        What the file names are appended to; ends in `/`.
    files
        SHA-256 of each file of the data set, by name.
    archive
        Name and SHA-256 of the gzipped tar that holds them, in a folder of the data set's name; None where the server
        holds the files themselves.
    """

    base_url: str
    files: Mapping[str, str]
    archive: tuple[str, str] | None = None


# MNIST and Fashion-MNIST: sums of the original releases, taken from files that load() was tried on. CIFAR-10: sums as
# other projects publish them (the archive: several; its members: torchvision for Ruby); not checked here on the files.
SOURCES = {
    "mnist": Source(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    "cifar-10": Source(
        "https://www.cs.toronto.edu/~kriz/",
        {
            "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        },
        archive=("cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    ),
}


def fetch(
    name: str,
    data_dir: str | os.PathLike[str] | None,
    base_url: str | None = None,
    progress: bool = False,
) -> Path:
    """Download a data set, in the layout that `datasets.load` reads, and check every byte of it.

    Files that are there with the right sum are kept; what is missing is downloaded into a temporary folder inside
    `data_dir`, checked, and only then, when everything is right, written under its name. A file that is there with
    another sum is somebody's, so it is neither used nor replaced: the call fails.

    Parameters
    ----------
    name
        `mnist`, `fashion-mnist` or `cifar-10`. `digits` is part of the software.
    data_dir
        The folder that holds, or will hold, `mnist/`, `fashion-mnist/` and `cifar-10-batches-bin/`; it is made if need
        be. None means what the environment variable ESPALIER_DATA names.
    base_url
        The address of a mirror: a folder with the same file names. None means the public address.
    progress
        Show on the standard error stream how much of each file has come.

    Returns
    -------
    pathlib.Path
        The folder of this data set.

    Raises
    ------
    EspalierError
        The name is unknown, the server cannot be reached or does not have the file, the bytes that came or those
        already there have another SHA-256, or the folder cannot be written.

    Notes
    -----
    The sums of MNIST and Fashion-MNIST are those of the original releases. The sums of CIFAR-10 are as published by
    others; nobody has checked them here against the original files.
    """
    if name == "digits":
        raise EspalierError("digits is part of espalier: there is nothing to fetch")
    check_choice("data set to fetch", name, tuple(SOURCES))
    source = SOURCES[name]
    base = _with_slash(base_url or source.base_url)
    root = data_folder(data_dir)
    folder = root / FOLDERS[name]
    missing = _missing(folder, source.files)
    if not missing:
        return folder
    with _temporary_folder(root) as temporary:
        if source.archive is None:
            for file in missing:
                _download(base + file, source.files[file], temporary, progress)
        else:
            archive = _download(base + source.archive[0], source.archive[1], temporary, progress)
            _unpack(archive, folder.name, missing, temporary)
        _install(temporary, folder, missing)
    return folder


def _with_slash(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise EspalierError(f"base URL must begin with http:// or https://, got '{url}'")
    return url if url.endswith("/") else url + "/"


def _missing(folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Return the files that are not in `folder`; those that are there must have the right sum."""
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise EspalierError(f"{folder}: is not a folder; move it away to fetch the data set")
    missing = []
    for file, expected in sums.items():
        path = folder / file
        if not os.path.isfile(path):  # Path.is_file() raises where a parent folder cannot be entered
            missing.append(file)
            continue
        try:
            found = pooch.file_hash(str(path), alg="sha256")
        except OSError as error:
            raise EspalierError(f"{path}: cannot be read: {error.strerror or error}") from error
        if found != expected:
            raise EspalierError(
                f"{path}: is there with SHA-256 {found}, expected {expected}; move it away to fetch the published file"
            )
    return missing


@contextlib.contextmanager
def _temporary_folder(root: Path) -> Iterator[Path]:
    """Make a folder inside `root`, so on the same disk, and remove it with all that is in it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        holder = tempfile.TemporaryDirectory(prefix=".fetch-", dir=root, ignore_cleanup_errors=True)
    except OSError as error:
        raise EspalierError(f"{root}: cannot be written: {error.strerror or error}") from error
    with holder as temporary:
        yield Path(temporary)


def _download(url: str, sha256: str, folder: Path, progress: bool) -> Path:
    """Download `url` into `folder` under its own name, and check its sum."""
    file = url.rsplit("/", 1)[1]
    downloader = pooch.HTTPDownloader(
        progressbar=_Progress(file) if progress else False,
        chunk_size=_CHUNK_BYTES,
        timeout=TIMEOUT_SECONDS,
        headers={"Accept-Encoding": "identity"},  # else a server may send a .gz that is unzipped on the way
    )
    try:
        with _quiet_pooch():
            return Path(pooch.retrieve(url, f"sha256:{sha256}", file, folder, downloader=downloader))
    except OSError as error:  # every failure of requests is one too
        raise EspalierError(f"cannot download {url}: {_reason(error)}") from error
    except ValueError as error:  # pooch's word for a wrong sum
        raise EspalierError(f"{url}: what came does not have SHA-256 {sha256}; nothing was kept") from error


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Silence pooch's log lines: errors are raised, and progress is ours to show."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: OSError) -> str:
    """Say in a few words why a download failed.

    An answer of the server says it itself. Otherwise requests wraps the reason several times over, in text of several
    hundred characters; the innermost exception is what happened.
    """
    response = getattr(error, "response", None)
    if response is not None:
        response.close()  # else its connection stays open for as long as the exception lives
        return f"the server answered {response.status_code} {response.reason}"
    cause: BaseException = error
    while inner := (cause.__cause__ or cause.__context__):
        cause = inner
    strerror = cause.strerror if isinstance(cause, OSError) else None
    return strerror or " ".join(str(cause).split()) or type(cause).__name__


def _unpack(archive: Path, inside: str, files: list[str], folder: Path) -> None:
    """Copy `files`, which lie in `inside` in the tar, into `folder`.

    Contents are copied under names of our own and nothing is extracted by the names in the tar, so no entry, whatever
    it is called or links to, can be written anywhere else.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = {entry.name: entry for entry in tar}
            for file in files:
                entry = members.get(f"{inside}/{file}")
                content = tar.extractfile(entry) if entry and entry.isreg() else None
                if content is None:
                    raise EspalierError(f"{archive.name}: does not hold an ordinary file {inside}/{file}")
                with content, (folder / file).open("wb") as target:
                    shutil.copyfileobj(content, target)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise EspalierError(f"{archive.name}: cannot be unpacked: {error}") from error


def _install(source: Path, folder: Path, files: list[str]) -> None:
    """Write `files`, from the folder `source`, into `folder`, each one whole."""
    try:
        folder.mkdir(exist_ok=True)
        for file in files:
            write_whole(folder / file, (source / file).read_bytes())
    except OSError as error:
        raise EspalierError(f"{folder}: cannot be written: {error.strerror or error}") from error


class _Progress:
    """What pooch calls a progress bar: one line on the standard error stream, rewritten at each new percent."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.total = 0  # bytes; pooch sets it, to 0 if the server does not say
        self._bytes = 0
        self._shown = -1

    def update(self, count: int) -> None:
        self._bytes += count
        percent = min(100, 100 * self._bytes // self.total) if self.total else 0
        if percent != self._shown:
            self._shown = percent
            print(f"\r{self.title} {percent:3d} % of {self.total / 2**20:.1f} MiB", end="", file=sys.stderr, flush=True)

    def reset(self) -> None:
        self._bytes = 0

    def close(self) -> None:
        print(file=sys.stderr)
