"""Contracts that take over on credit, and do what they like before their margin is judged.

taker = Caller.deploy(core, dollars=100)
taker.inside(Step(core.vault, core.vault.withdraw.encode(taker.account, 1, ANYONE)))   # while it is called back
outcomes = taker.run(taker.take_over(victim, 10 * WAD))                                # all in one transaction
assert [str(one) for one in outcomes] == ["MarginVault_InsufficientMargin", "ok"]

A step that fails stops nothing: the contract goes on, as an attacker's would, and says in a log what came of it. What
it says inside of a call that is undone is lost with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.core import ETH, Core, account_id, actor
from tests.support.evm import ANYONE, Contract, Receipt, known
from tests.unit.audit.hostile import assemble

JUMPDEST, LOG1 = b"\x5b", b"\xa1"
STOPS, BURNS_GAS = b"\0", b"\xfe"
DATA = b"\1"
"""What the callback is asked for with: anything."""


@dataclass(frozen=True)
class Step:
    target: Contract
    data: bytes
    value: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a step was answered with."""

    success: bool
    data: bytes

    def __str__(self) -> str:
        """The name of the error, "no data" without one, or "ok"."""
        if self.success:
            return "ok"
        return self.error[0] if self.data else "no data"

    @property
    def error(self) -> tuple[str, tuple[Any, ...]]:
        """Its name and values."""
        assert not self.success, "it succeeded"
        decoded = known().registry.decode_error(self.data)
        assert decoded is not None, f"unknown error 0x{self.data.hex()}"
        return decoded


def reverts_with(data: bytes) -> bytes:
    """An end of the callback: with that as the revert's data, at most 32 bytes."""
    word = int.from_bytes(data.ljust(32, b"\0"), "big")
    return assemble("$word PUSH0 MSTORE $size PUSH0 REVERT", word=word, size=len(data))


def _code(outer: tuple[Step, ...], inner: tuple[Step, ...], end: bytes, liquidator: str) -> bytes:
    """Called by the liquidator: the inner steps and `end`. Called by anybody else: the outer ones.

    The steps' data comes last: before a place that is jumped to, it could be read as an instruction that contains it.
    """

    def branch(inside: int) -> bytes:
        return assemble("CALLER $liquidator EQ $inside JUMPI", liquidator=int(liquidator, 16), inside=inside)

    size = len(_step(outer[0], 0))
    inside = len(branch(0)) + len(outer) * size + len(STOPS)
    at = inside + len(JUMPDEST) + len(inner) * size + len(end)
    calls = list[bytes]()
    for step in (*outer, *inner):
        calls.append(_step(step, at))
        at += len(step.data)
    code = [branch(inside), *calls[: len(outer)], STOPS, JUMPDEST, *calls[len(outer) :], end]
    return b"".join([*code, *(step.data for step in (*outer, *inner))])


def _step(step: Step, offset: int) -> bytes:
    call = """
        $size $offset PUSH0 CODECOPY
        PUSH0 PUSH0 $size PUSH0 $value $target GAS CALL
        RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY RETURNDATASIZE PUSH0
    """
    target = int(step.target.address, 16)
    return assemble(call, size=len(step.data), offset=offset, value=step.value, target=target) + LOG1


@dataclass
class Caller:
    """A contract with an account, for which it takes over unless told otherwise."""

    core: Core
    address: str
    last: Receipt | None = None
    _inner: tuple[Step, ...] = ()
    _end: bytes = field(default=STOPS)

    @classmethod
    def deploy(cls, core: Core, dollars: int = 0, name: str = "caller") -> Caller:
        caller = cls(core, actor(name))
        core.track(caller.account)
        if dollars:
            core.fund_account(caller.account, dollars)
        return caller

    @property
    def account(self) -> int:
        return account_id(self.address)

    @property
    def receipt(self) -> Receipt:
        assert self.last is not None, "it was not run"
        return self.last

    def inside(self, *steps: Step, end: bytes = STOPS) -> None:
        """What to do when called back, and how to end."""
        self._inner, self._end = steps, end

    def take_over(
        self, victim: int, base: int, account: int | None = None, data: bytes = DATA, market: int = ETH
    ) -> Step:
        """Into its own account, or that one."""
        to = self.account if account is None else account
        return self.call(self.core.liquidator, "takeOver", victim, market, base, to, data, [])

    def call(self, target: Contract, function: str, *args: object) -> Step:
        return Step(target, getattr(target, function).encode(*args))

    def run(self, *steps: Step, gas: int | None = None) -> list[Outcome]:
        """Do all that in one transaction; what came of each, those of the callback in between as they happened."""
        evm = self.core.evm
        evm.set_code(self.address, _code(steps, self._inner, self._end, self.core.liquidator.address))
        output = evm.call_raw(ANYONE, self.address, b"", gas=gas)
        self.last = Receipt(evm, evm.last_result, output, None)
        return [Outcome(any(log["topics"][0]), log["data"]) for log in self.last.events("?", self.address)]
