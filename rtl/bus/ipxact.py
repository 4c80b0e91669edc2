"""The register map in IP-XACT (IEEE 1685-2014), which PeakRDL makes of its SystemRDL."""

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from rtl.fusesoc import NAME

FILE = "registers.ipxact.xml"
INSTALL = 'pip install "espalier-hw[ipxact]"'


def is_there() -> bool:
    """Return whether PeakRDL is installed."""
    return all(find_spec(name) for name in ("systemrdl", "peakrdl_ipxact"))


def ipxact(systemrdl: str) -> bytes:
    """Return a component of IP-XACT whose memory map is the address map of a text in SystemRDL; PeakRDL is there."""
    from peakrdl_ipxact import IPXACTExporter
    from systemrdl import RDLCompiler

    with TemporaryDirectory() as folder:
        source, made = Path(folder, "registers.rdl"), Path(folder, FILE)
        source.write_text(systemrdl)
        compiler = RDLCompiler()
        compiler.compile_file(str(source))
        exporter = IPXACTExporter(vendor="espalier-hw", library="espalier", version=NAME.rpartition(":")[2])
        exporter.export(compiler.elaborate().top, str(made))
        return made.read_bytes()
