"""The zoo: trained networks that are shipped, and their architectures."""

from accel.interchange.zoo.catalog import (
    CATALOGUE,
    DENSE,
    SUFFIX,
    error_rates,
    file_name,
    is_file,
    load,
    names,
    patterns,
)

__all__ = ["CATALOGUE", "DENSE", "SUFFIX", "error_rates", "file_name", "is_file", "load", "names", "patterns"]
