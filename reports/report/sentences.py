"""Facts of the cost model in words: how a layer is stored and why, and how signals are held."""

from collections.abc import Sequence

from accel.cost import LayerCost, SignalPlan, Storage
from accel.cost.signals import IN_PLACE, LIVE, PING_PONG
from accel.cost.storage import DENSE


def encoding_reason(layer: LayerCost) -> str:
    """Return why a layer has its encoding: what the others would have taken; nothing where there is no choice to make.

    >>> from accel.cost import Counts
    >>> bits = {"kernel flags": 8, "kernel lists": 9}
    >>> encoding_reason(LayerCost(name="fc", counts=Counts(), encoding="kernel flags", encoding_bits=bits))
    'kernel lists would take 9 bits'
    """
    others = {name: bits for name, bits in (layer.encoding_bits or {}).items() if name != layer.encoding}
    if not others:
        return "the only one of its pattern" if layer.encoding not in ("", "none") else ""
    return "; ".join(f"{name} would take {bits:,} bits" for name, bits in others.items())


def storage_line(ways: Sequence[Storage], weight_bits: int, chosen: str) -> str:
    """Return how the encoding that is stored compares with the others, cheapest first.

    `chosen` is the Program's name of it; "none" is dense.
    """
    name = DENSE if chosen == "none" else chosen
    mine = next(way for way in ways if way.name == name).bits(weight_bits)
    others = sorted((way for way in ways if way.name != name), key=lambda way: way.bits(weight_bits))
    listed = ", ".join(f"{way.name} {way.bits(weight_bits):,}" for way in others)
    return f"{name} {mine:,} bits; {listed}"


def plan_note(plan: SignalPlan) -> str:
    """Return what a plan asks of the hardware, or when it takes most.

    >>> plan_note(SignalPlan(name="in place", bits=2304, parts={}, peak="conv1", in_place=("pool1",)))
    'the peak is conv1; in place: pool1'
    """
    if plan.name == LIVE:
        return f"what the array does; the peak is {plan.peak}"
    if plan.name == PING_PONG:
        return f"{len(plan.parts)} buffers of fixed size, in turn"
    if plan.name == IN_PLACE:
        where = f"in place: {', '.join(plan.in_place)}" if plan.in_place else "nowhere legal"
        return f"the peak is {plan.peak}; {where}"
    return "all layers at once, row by row; all weights resident"
