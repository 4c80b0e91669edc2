"""The registers in hardware do what the map says: random accesses against a model that reads the map anew."""

from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from support.bus_model import Model

from rtl.bus.bank import Bank
from rtl.bus.registers import CLEAR, COUNT, DATA, PULSE, READ, REGISTERS, TAKE, WRITE, fields

ACCESSES = 400


def differences(bits: int, wrong: int = 0) -> int:
    """Return how often the bank differs from the model, whose registers are read `wrong` places beside."""
    rng, bank, model = np.random.default_rng(bits), Bank(bits), Model(bits)
    found = 0

    def drawn(size: int) -> int:
        return int.from_bytes(rng.bytes(8), "little") & ((1 << size) - 1)

    async def bench(ctx: Any) -> None:
        nonlocal found
        for _ in range(ACCESSES):
            place, writes = int(rng.integers(len(REGISTERS) + 2)), bool(rng.integers(2))
            data, strobes, refused = drawn(bits), drawn(bits // 8), bool(rng.integers(8) == 0)
            for _, register, field in fields():
                port = register.port(field)
                if field.access in (READ, TAKE) and register.name != "ID":
                    model.given[port] = drawn(field.bits or bits)
                    ctx.set(getattr(bank, port), model.given[port])
            for name, value in {"place": place, "write": writes, "read": not writes, "data": data}.items():
                ctx.set(getattr(bank.access, name), value)
            ctx.set(bank.access.bytes, strobes)
            ctx.set(bank.refuse, refused)
            mask = sum(0xFF << 8 * byte for byte in range(bits // 8) if strobes >> byte & 1)
            for at, register, field in fields():
                port, hit = register.port(field), at == place
                if field.access is PULSE:
                    found += ctx.get(getattr(bank, port)) != (hit and writes and data & mask) >> field.lowest & 1
                if field.access in (DATA, TAKE):
                    now = ctx.get(getattr(bank, f"{register.name.lower()}_now"))
                    found += now != (hit and writes == (field.access is DATA))
                if field.access is WRITE:
                    found += ctx.get(getattr(bank, port)) != model.kept[port]
            found += ctx.get(bank.written) != data & mask
            answer, nowhere = model.read(place + wrong)
            found += not writes and ctx.get(bank.access.answer) != answer
            found += ctx.get(bank.access.error) != (nowhere or refused)
            if writes:
                model.write(place, data, strobes)
            happens(ctx, place if writes else -1)
            await ctx.tick()

    def happens(ctx: Any, written: int) -> None:
        for at, register, field in fields():
            port, now = register.port(field), bool(rng.integers(4) == 0)
            if field.access is CLEAR:
                ctx.set(getattr(bank, port), now)
            if field.access is COUNT:
                now = now and at != written  # a write goes first
                ctx.set(getattr(bank, f"{port}_counts"), now)
            if field.access in (CLEAR, COUNT) and now:
                model.happens(port)

    simulator = Simulator(bank)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("bits", [32, 64])
def test_every_access(bits: int) -> None:
    """Values, strobes, pulses and errors, while events set and count fields in the same cycles."""
    assert differences(bits) == 0


def test_another_register_is_seen() -> None:
    """Control: a model that reads the next register differs."""
    assert differences(32, wrong=1) > ACCESSES // 4
