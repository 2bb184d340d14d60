"""Flash take-overs: the position first, the margin afterwards, and in between nothing is filled but matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from plimsoll.core.orders import Scope
from plimsoll.sdk.signing import digest
from tests.support.core import (
    BTC,
    ETH,
    ETH_PRICE,
    FILL_OR_KILL,
    KEEPER,
    LIMIT_ORDER,
    MAX_PRICE,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import ANYONE, ZERO_ADDRESS, Contract, Evm, Revert, reverts
from tests.support.signed import Signed, as_order
from tests.unit.liquidation.conftest import SetEquity, Weaken, bankrupt, sick, take
from tests.unit.liquidation.flash_takers import BURNS_GAS, Caller, Step, reverts_with
from tests.unit.liquidation.reference import TakeOver, holding, take_over, terms
from tests.unit.orders.matched import Sums, sums
from tests.unit.orders.reference import EXECUTION_FEE, FILLED, QUEUED, WAITING, hash_of, status

OWNER = actor("flash owner")
TAKER = actor("taker")
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
SIZE = 100 * WAD
NOTHING_OF_IT = bytes.fromhex("ffffffff")
MAGIC = bytes.fromhex("1626ba7e")
PENDING = "PerpMarket_FlashPending"
Makers = list[tuple[Any, bytes, int]]


@pytest.fixture
def signed(core: Core) -> Signed:
    return Signed(core)


@pytest.fixture
def flash(core: Core) -> Contract:
    return deploy_flash_taker(core)


def deploy_flash_taker(core: Core, owner: str = OWNER) -> Contract:
    flash = core.evm.deploy("FlashTaker", core.liquidator, core.order_book, core.vault, owner)
    core.track(account_id(flash))
    return flash


def makers_of(signed: Signed, sign: int, parts: Sequence[tuple[int, int]]) -> Makers:
    """A maker each, of a size and at a price, who takes what a taker of `sign` has to give away."""
    return [
        signed.fill(signed.limit(signed.trader(f"maker {number}", 100_000), ETH, sign * size, price))
        for number, (size, price) in enumerate(parts)
    ]


def run(core: Core, flash: Contract, victim: int, base: int, makers: Makers, sender: Any = OWNER) -> Any:
    limit = 1 if base > 0 else 2 * ETH_PRICE
    return flash.run(victim, ETH, base, limit, makers, [], sender=sender)


def own_order(core: Core, flash: Contract, base: int, number: int = 1) -> dict[str, Any]:
    """What the flash taker signs to get rid of `base`."""
    return core.order(
        account_id(flash),
        ETH,
        -base,
        kind=LIMIT_ORDER,
        acceptable=1 if base > 0 else 2 * ETH_PRICE,
        reduce_only=True,
        time_in_force=FILL_OR_KILL,
        expiry=core.evm.timestamp,
        salt=number,
    )


def earned(expected: TakeOver, matches: Sequence[Sums]) -> int:
    """What is left of a take-over of which everything was matched."""
    return -expected.quote - expected.fee + sum(match.quote - match.taker_fee for match in matches)


def everything(core: Core) -> list[Any]:
    """What a call that was undone left as it was."""
    accounts = core.known_accounts()
    return [
        [core.vault.balanceOf(account) for account in accounts],
        [core.market.position(account, ETH) for account in accounts],
        core.market.openInterest(ETH),
        core.market.unsweptFees(ETH),
        core.liquidator.counters(ETH),
        core.token.balanceOf(core.vault),
    ]


# --- the example: no capital ---

PARTS = {
    "one maker": [(SIZE, 0)],
    "one maker, worse": [(SIZE, -5 * WAD)],
    "one maker, better": [(SIZE, 3 * WAD)],
    "two makers": [(60 * WAD, 0), (40 * WAD, -7 * WAD)],
    "three makers, odd": [(33333333333333333333, 1), (50 * WAD, -1 - WAD), (16666666666666666667, 7)],
}
"""Sizes, and what the maker's price is better for the flash taker than the index."""


@SIDES
@pytest.mark.parametrize("name", PARTS)
def test_flash_taker__without_capital__earns_the_discount_less_fees_and_concession(
    core: Core, signed: Signed, weaken: Weaken, flash: Contract, sign: int, name: str
) -> None:
    """LQ-02: to the wei. The execution fee of its own order comes back to it: it is the one who matched."""
    victim = sick(core, weaken, sign * SIZE)
    parts = [(size, ETH_PRICE + sign * better) for size, better in PARTS[name]]
    makers = makers_of(signed, sign, parts)
    expected = take_over(holding(core, victim, ETH), sign * SIZE)
    matches = [sums(-sign * size, price) for size, price in parts]
    concession = (sign * SIZE * ETH_PRICE // WAD) - sum(match.quote for match in matches)
    win = earned(expected, matches)
    assert win == expected.discount - expected.fee - sum(match.taker_fee for match in matches) - concession > 0
    interest = core.market.openInterest(ETH)

    receipt = run(core, flash, victim, sign * SIZE, makers)

    assert receipt.event("TakenOver")["discount"] == expected.discount
    assert [event["executionFee"] for event in receipt.events("OrdersMatched")] == [EXECUTION_FEE] + [0] * (
        len(parts) - 1
    )
    assert core.token.balanceOf(OWNER) == win // core.unit
    assert core.vault.balanceOf(account_id(flash)) == win % core.unit
    assert core.market.position(account_id(flash), ETH) == (0, 0, 0)
    for (order, _, size), match in zip(makers, matches, strict=True):
        assert core.market.position(order["account"], ETH) == (sign * size, -match.quote, 0)
        assert core.cash(order["account"]) == 100_000 * WAD - match.maker_fee
        assert status(core, order) == FILLED
    assert core.market.openInterest(ETH) == interest
    core.check_sums()


@pytest.mark.parametrize("decimals", [8, 18])
def test_flash_taker__with_other_tokens__leaves_less_than_a_unit(evm: Evm, decimals: int) -> None:
    core = deploy_core(evm, decimals=decimals)
    flash, signed, victim = deploy_flash_taker(core), Signed(core), core.trader("trader", 20_000)
    core.open(victim, ETH, SIZE)
    core.tick(1, {ETH: ETH_PRICE - 110 * WAD})
    price = ETH_PRICE - 111 * WAD
    expected = take_over(holding(core, victim, ETH), SIZE)
    win = earned(expected, [sums(-SIZE, price)])
    run(core, flash, victim, SIZE, makers_of(signed, 1, [(SIZE, price)]))
    assert core.token.balanceOf(OWNER) == win // core.unit
    assert core.cash(account_id(flash)) == win % core.unit
    core.check_sums()


@SIDES
@pytest.mark.parametrize("size", [SIZE, 40 * WAD, 3 * SIZE], ids=["all", "a part", "more than there is"])
def test_flash_taker__victim__is_left_as_by_a_plain_take_over(
    core: Core, signed: Signed, weaken: Weaken, flash: Contract, taker: int, sign: int, size: int
) -> None:
    victim = sick(core, weaken, sign * SIZE)
    makers = makers_of(signed, sign, [(min(size, SIZE), ETH_PRICE)])

    def left() -> tuple[Any, ...]:
        return core.market.position(victim, ETH), core.vault.balanceOf(victim), core.market.equity(victim)

    with core.evm.isolated():
        plain = take(core, victim, sign * size, taker).event("TakenOver").args
        after = left()
    event = run(core, flash, victim, sign * size, makers).event("TakenOver").args
    assert event == {**plain, "toAccount": account_id(flash)}
    assert left() == after
    core.check_sums()


def test_flash_taker__again__signs_another_order(core: Core, signed: Signed, weaken: Weaken, flash: Contract) -> None:
    victim = sick(core, weaken)
    makers = makers_of(signed, 1, [(50 * WAD, ETH_PRICE), (50 * WAD, ETH_PRICE)])
    for maker in makers:
        run(core, flash, victim, 50 * WAD, [maker])
    assert core.market.position(victim, ETH) == (0, 0, 0)
    core.check_sums()


@SIDES
@pytest.mark.parametrize("fault", ["signature", "expired", "no margin", "outside the band"])
def test_flash_taker__one_maker_fails__all_of_it_is_undone(
    core: Core, signed: Signed, weaken: Weaken, flash: Contract, sign: int, fault: str
) -> None:
    """Fill or kill."""
    victim = sick(core, weaken, sign * SIZE)
    (first,) = makers_of(signed, sign, [(60 * WAD, ETH_PRICE)])
    poor = signed.trader("poor", 100_000 if fault != "no margin" else 1_000)
    price = ETH_PRICE * (10_000 + sign * 26) // 10_000 if fault == "outside the band" else ETH_PRICE
    order = signed.limit(poor, ETH, sign * 40 * WAD, price, expiry=core.evm.timestamp - (fault == "expired"))
    signature = signed.order(order)
    second = (order, bytes(65) if fault == "signature" else signature, 40 * WAD)
    before = everything(core)
    hash_ = hash_of(core, own_order(core, flash, sign * SIZE))
    with reverts("OrderBook_FillOrKill", hash_, 60 * WAD):
        run(core, flash, victim, sign * SIZE, [first, second])
    assert everything(core) == before
    core.check_sums()


def test_flash_taker__makers_for_less_than_it_took__all_of_it_is_undone(
    core: Core, signed: Signed, weaken: Weaken, flash: Contract
) -> None:
    victim = sick(core, weaken)
    makers = makers_of(signed, 1, [(90 * WAD, ETH_PRICE)])
    before = everything(core)
    with reverts("OrderBook_FillOrKill", hash_of(core, own_order(core, flash, SIZE)), 90 * WAD):
        run(core, flash, victim, SIZE, makers)
    with reverts("OrderBook_NothingMatched", hash_of(core, own_order(core, flash, SIZE))):
        run(core, flash, victim, SIZE, [])
    assert everything(core) == before
    core.check_sums()


@SIDES
def test_flash_taker__a_wei_short_of_fees_and_concession__all_of_it_is_undone(
    core: Core, signed: Signed, weaken: Weaken, flash: Contract, sign: int
) -> None:
    """Near health the discount is less than the fees. The last match is judged with the execution fee paid, and before
    it came back: it may not leave a debt."""
    victim = sick(core, weaken, sign * SIZE, WAD * 99 // 100)
    price = ETH_PRICE - sign * WAD
    makers = makers_of(signed, sign, [(SIZE, price)])
    loss = -earned(take_over(holding(core, victim, ETH), sign * SIZE), [sums(-sign * SIZE, price)])
    assert loss > 0
    core.post(account_id(flash), loss + EXECUTION_FEE - 1)
    before = everything(core)
    with reverts("OrderBook_NothingMatched", hash_of(core, own_order(core, flash, sign * SIZE))):
        run(core, flash, victim, sign * SIZE, makers)
    assert everything(core) == before
    core.post(account_id(flash), 1)
    run(core, flash, victim, sign * SIZE, makers)
    assert core.token.balanceOf(OWNER) == EXECUTION_FEE // core.unit
    core.check_sums(dust_bound=2 * core.unit)


def test_flash_taker__run_by_anybody_else__is_refused(
    core: Core, signed: Signed, weaken: Weaken, flash: Contract
) -> None:
    victim = sick(core, weaken)
    with reverts("OwnableUnauthorizedAccount", ANYONE):
        run(core, flash, victim, SIZE, [], sender=ANYONE)


@pytest.mark.parametrize("sender", [ANYONE, OWNER])
def test_flash_taker__callback_from_anybody_else__is_refused(core: Core, flash: Contract, sender: str) -> None:
    with reverts("FlashTaker_NotLiquidator", sender):
        flash.onTakeOver(0, ETH, WAD, -WAD, account_id(flash), b"", sender=sender)


def test_flash_taker__its_word__is_good_only_inside(
    core: Core, signed: Signed, weaken: Weaken, flash: Contract
) -> None:
    """Nobody matches an order of it before or after: neither the one that it will sign, nor one that it did."""
    victim = sick(core, weaken)
    order, makers = own_order(core, flash, SIZE), makers_of(signed, 1, [(SIZE, ETH_PRICE)])
    made, signature, _ = makers[0]
    with reverts("OrderBook_NotPermitted", account_id(flash), ZERO_ADDRESS):
        core.order_book.matchOrders(made, signature, order, b"", SIZE)
    run(core, flash, victim, SIZE, makers)
    assert status(core, order) == FILLED
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.order_book.matchBatch(order, b"", makers)
    for said in (bytes(32), hash_of(core, order), digest(as_order(order), signed.domain)):
        assert flash.isValidSignature(said, b"") == NOTHING_OF_IT


def test_flash_taker__its_word__ends_with_the_match_in_the_same_transaction(
    core: Core, signed: Signed, weaken: Weaken
) -> None:
    """What it would have said yes to inside, as its owner's contract asks right after."""
    owner = Caller.deploy(core)
    flash = deploy_flash_taker(core, owner.address)
    victim = sick(core, weaken)
    makers = makers_of(signed, 1, [(SIZE, ETH_PRICE)])
    approved = digest(as_order(own_order(core, flash, SIZE)), signed.domain)
    outcomes = owner.run(
        owner.call(flash, "run", victim, ETH, SIZE, 1, makers, []),
        owner.call(flash, "isValidSignature", approved, b""),
        owner.call(flash, "isValidSignature", bytes(32), b""),
    )
    assert [one.success for one in outcomes] == [True] * 3
    assert [one.data[:4] for one in outcomes[1:]] == [NOTHING_OF_IT] * 2
    core.check_sums()
