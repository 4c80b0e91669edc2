"""Numbers as pages and tables write them."""


def on_data(network: str, data: str) -> str:
    """Return what was looked at: a network, and the images if they are not called alike.

    >>> on_data("lenet5", "mnist"), on_data("digits", "digits")
    ('lenet5 on mnist', 'digits')
    """
    return network if network == data else f"{network} on {data}"


def kib(bits: int) -> str:
    """Return `bits` in KiB (1024 bytes), two decimals.

    >>> kib(8 * 1024 * 10)
    '10.00'
    """
    return f"{bits / 8192:.2f}"


def memory_size(banks: int, words: int, width_bits: int) -> str:
    """Return how a memory is built.

    >>> memory_size(8, 392, 8), memory_size(1, 1120, 16)
    ('8 x 392 x 8 bit', '1,120 x 16 bit')
    """
    return f"{f'{banks} x ' if banks > 1 else ''}{words:,} x {width_bits} bit"


def clock_line(clock_hz: float, most_hz: float | None) -> str:
    """Return what is to be said of a clock: a warning above the highest that is known, nothing up to it.

    >>> clock_line(900e6, 118e6)
    'warning: a clock of 900 MHz; in this technology the array is known to run at 118 MHz at most'
    >>> clock_line(100e6, None)
    'clock: 100 MHz as asked; how high the array can go in this technology is not known'
    >>> clock_line(100e6, 118e6)
    ''
    """
    clock = f"{clock_hz / 1e6:g} MHz"
    if most_hz is None:
        return f"clock: {clock} as asked; how high the array can go in this technology is not known"
    if clock_hz <= most_hz:
        return ""
    return f"warning: a clock of {clock}; in this technology the array is known to run at {most_hz / 1e6:g} MHz at most"


def share(part: int, whole: int) -> str:
    """Return what share of a whole a part is; 100 is all of it, and nothing less.

    >>> share(7, 8), share(8, 8), share(9_999_999, 10_000_000)
    ('87.50 %', '100.00 %', '99.99999 %')
    """
    digits = 2
    while 0 < part < whole and round(100 * part / whole, digits) in (0, 100):
        digits += 1
    return f"{100 * part / whole:.{digits}f} %"


def percent(rate: float) -> str:
    """Return a rate, 0..1, as the pages write it.

    >>> percent(0.0067)
    '0.67 %'
    """
    return f"{100 * rate:.2f} %"
