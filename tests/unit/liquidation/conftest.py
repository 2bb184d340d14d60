"""A core, and accounts in it whose equity is set to the wei."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.core import ETH, WAD, Core, actor, deploy_core
from tests.support.evm import Evm, Receipt

SetEquity = Callable[[int, int], None]


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm)


@pytest.fixture
def bystander(core: Core) -> int:
    """Whoever cash is moved from and to where a test needs an account to have an exact sum."""
    return core.trader("bystander", 50_000_000)


@pytest.fixture
def set_equity(core: Core, bystander: int) -> SetEquity:
    """`set_equity(account, equity)`: makes the equity of health so much, WAD dollars; the ledger still adds up."""

    def set_it(account: int, equity: int) -> None:
        found, _ = core.market.healthOf(account)
        postings = [(account, equity - found, 0, 0), (bystander, found - equity, 0, 0)]
        core.vault.post(postings, sender=core.pool)

    return set_it


def bankrupt(core: Core, set_equity: SetEquity, bases: dict[int, int], equity: int = 0) -> int:
    """An account with these positions, market to base, and that equity, WAD dollars."""
    account = core.trader("trader", 5_000_000)
    for market, base in bases.items():
        core.open(account, market, base)
    core.tick(1)
    set_equity(account, equity)
    return account


Weaken = Callable[[int, int], int]


@pytest.fixture
def weaken(core: Core, set_equity: SetEquity) -> Weaken:
    """`weaken(account, health)`: sets the equity to ⌊maintenance × health⌋, WAD; returns that equity."""

    def weaken_it(account: int, health: int) -> int:
        _, required = core.market.healthOf(account)
        equity: int = required * health // WAD
        set_equity(account, equity)
        return equity

    return weaken_it


BASEFEE, NUMBER, PUSH1, PUSH32 = 0x48, 0x43, 0x60, 0x7F

SetBaseFee = Callable[[int], None]


@pytest.fixture
def set_base_fee(core: Core) -> SetBaseFee:
    """`set_base_fee(wei)`. The EVM here has none, so the liquidator's BASEFEE is made a NUMBER, which is set."""
    code = bytearray(core.evm.code(core.liquidator))
    found, at = [], 0
    while at < len(code) - 2 - int.from_bytes(code[-2:], "big"):  # without the metadata at its end
        if code[at] == BASEFEE:
            found.append(at)
        at += code[at] - PUSH1 + 2 if PUSH1 <= code[at] <= PUSH32 else 1
    assert found, "the liquidator does not read the base fee"
    for place in found:
        code[place] = NUMBER
    core.evm.set_code(core.liquidator, bytes(code))

    def set_it(wei: int) -> None:
        core.evm.block_number = wei

    return set_it


@pytest.fixture
def taker(core: Core) -> int:
    return core.trader("taker", 100_000)


def sick(core: Core, weaken: Weaken, base: int = 100 * WAD, health: int = WAD * 60 // 100) -> int:
    """A trader's position in ETH at that health, WAD."""
    account = core.trader("trader", 1_000_000)
    core.open(account, ETH, base)
    weaken(account, health)
    return account


def take(core: Core, account: int, base: int, taker: int, market: int = ETH) -> Receipt:
    """As the taker."""
    receipt: Receipt = core.liquidator.takeOver(account, market, base, taker, b"", [], sender=actor("taker"))
    return receipt
