"""Flash take-overs: the position first, the margin afterwards, and in between nothing is filled but matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
    OPEN,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import ANYONE, ZERO_ADDRESS, Contract, Evm, reverts
from tests.support.signed import Signed, as_order
from tests.unit.liquidation.conftest import SetEquity, Weaken, sick, take
from tests.unit.liquidation.flash_takers import BURNS_GAS, Caller, Step, reverts_with
from tests.unit.liquidation.reference import TakeOver, holding, take_over, terms
from tests.unit.orders.matched import Sums, sums
from tests.unit.orders.reference import EXECUTION_FEE, FILLED, hash_of, status

OWNER = actor("flash owner")
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
SIZE = 100 * WAD
NOTHING_OF_IT = bytes.fromhex("ffffffff")
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


# --- the lock: what a callback may not do ---


def steps_of(core: Core, caller: Caller, victim: int) -> dict[str, Step]:
    """What a callback tries that would fill something, each of it possible if it came before or after."""
    queued, waiting = (
        core.order(victim, ETH, -WAD, reduce_only=True),
        core.order(victim, ETH, -WAD, kind=LIMIT_ORDER, acceptable=1, reduce_only=True),
    )
    broke = core.trader("broke", 1_000_000)
    core.open(broke, ETH, 10 * WAD)
    core.open(victim, ETH, SIZE)
    for order in (queued, waiting):
        core.place(order)
    core.tick(2)
    _, required = core.market.healthOf(victim)
    bystander = core.trader("bystander", 50_000_000)
    for account, equity in ((victim, required // 2), (broke, -WAD)):
        found, _ = core.market.healthOf(account)
        core.vault.post([(account, equity - found, 0, 0), (bystander, found - equity, 0, 0)], sender=core.pool)
    return {
        "flash": caller.take_over(victim, 10 * WAD),
        "take over": caller.take_over(victim, 10 * WAD, data=b""),
        "liquidate": caller.call(core.liquidator, "liquidate", victim, ETH, []),
        "absorb": caller.call(core.liquidator, "absorb", broke, []),
        "queued order": caller.call(core.order_book, "execute", queued, []),
        "queued orders": caller.call(core.order_book, "executeBatch", [queued], []),
        "waiting order": caller.call(core.order_book, "execute", waiting, []),
    }


FILLS = ["flash", "take over", "liquidate", "absorb", "queued order", "queued orders", "waiting order"]


@pytest.fixture
def caller(core: Core) -> Caller:
    """With capital enough for whatever it takes."""
    return Caller.deploy(core, 100_000)


@pytest.fixture
def victim(core: Core) -> int:
    return core.trader("trader", 1_000_000)


@pytest.mark.parametrize("fill", FILLS)
def test_flash__anything_that_fills_inside__is_refused_and_works_right_after(
    core: Core, caller: Caller, victim: int, fill: str
) -> None:
    """The lock is gone as soon as the take-over succeeded, in the same transaction."""
    step = steps_of(core, caller, victim)[fill]
    caller.inside(step)
    outcomes = caller.run(caller.take_over(victim, 50 * WAD), *([] if fill == "flash" else [step]))
    assert outcomes[0].error == (PENDING, ())
    assert [one.success for one in outcomes[1:]] == [True] * (1 if fill == "flash" else 2)
    assert core.market.position(caller.account, ETH)[0] >= 50 * WAD
    core.check_sums()


def test_flash__all_of_them_one_after_the_other__none_opens_the_lock(core: Core, caller: Caller, victim: int) -> None:
    steps = list(steps_of(core, caller, victim).values())
    caller.inside(*steps, *reversed(steps))
    outcomes = caller.run(caller.take_over(victim, 50 * WAD))
    assert [str(one) for one in outcomes] == [PENDING] * 14 + ["ok"]
    assert core.market.position(caller.account, ETH)[0] == 50 * WAD
    core.check_sums()


@pytest.mark.parametrize("fill", FILLS[1:])
def test_flash__that_failed__leaves_no_lock_to_who_caught_it(
    core: Core, caller: Caller, victim: int, fill: str
) -> None:
    step = steps_of(core, caller, victim)[fill]
    caller.inside(end=reverts_with(b"no"))
    outcomes = caller.run(caller.take_over(victim, 50 * WAD), step)
    assert (outcomes[0].success, outcomes[0].data) == (False, b"no")
    assert str(outcomes[1]) == "ok"
    core.check_sums()


def test_flash__after_one_that_failed__works_in_the_same_transaction(core: Core, weaken: Weaken) -> None:
    """The first is of more than the margin is for, the second is not."""
    account, caller = sick(core, weaken), Caller.deploy(core)
    core.post(caller.account, flash_needs(core, account, 50 * WAD))
    outcomes = caller.run(caller.take_over(account, 60 * WAD), caller.take_over(account, 50 * WAD))
    assert [str(one) for one in outcomes] == ["PerpMarket_InsufficientMargin", "ok"]
    core.check_sums(dust_bound=2 * core.unit)


def test_flash__two_in_one_transaction__are_two(core: Core, weaken: Weaken, caller: Caller) -> None:
    account = sick(core, weaken)
    outcomes = caller.run(caller.take_over(account, 30 * WAD), caller.take_over(account, 30 * WAD))
    assert [str(one) for one in outcomes] == ["ok", "ok"]
    assert core.market.position(caller.account, ETH)[0] == 60 * WAD
    core.check_sums()


def test_flash__the_markets_own_doors__are_closed_as_ever(core: Core, weaken: Weaken, caller: Caller) -> None:
    account = sick(core, weaken)
    exchange = {
        "marketId": ETH,
        "from": account,
        "to": caller.account,
        "base": WAD,
        "quote": 0,
        "fromFee": 0,
        "toFee": 0,
        "payee": ZERO_ADDRESS,
        "payment": 0,
        "fromReduceOnly": False,
        "toReduceOnly": False,
        "newest": 0,
        "isFlash": False,
    }
    caller.inside(
        caller.call(core.market, "endFlash", caller.account),
        caller.call(core.market, "exchange", exchange),
        caller.call(core.market, "closeAgainstSide", account, ETH, WAD),
        caller.call(core.market, "chargePool", ETH, WAD, WAD),
        caller.call(core.liquidator, "liquidate", account, ETH, []),
    )
    outcomes = caller.run(caller.take_over(account, 50 * WAD))
    assert [one.error for one in outcomes[:4]] == [("PerpMarket_NotModule", (caller.address,))] * 4
    assert [str(one) for one in outcomes[4:]] == [PENDING, "ok"]
    core.check_sums()


def test_flash__accrue_and_deleverage__are_refused(core: Core, weaken: Weaken, caller: Caller) -> None:
    account = sick(core, weaken)
    caller.inside(
        caller.call(core.market, "accrue", ETH),
        caller.call(core.liquidator, "deleverage", ETH, []),
        caller.call(core.market, "sweep", ETH),
    )
    outcomes = caller.run(caller.take_over(account, 50 * WAD))
    assert [str(one) for one in outcomes] == [PENDING, PENDING, "ok", "ok"]
    assert core.market.position(caller.account, ETH)[0] == 50 * WAD
    core.check_sums()


# --- what it may do with its account ---


def deposit_steps(core: Core, caller: Caller, amount: int) -> list[Step]:
    """With tokens of its own, brought when they are needed."""
    core.token.mint(caller.address, amount)
    return [
        caller.call(core.token, "approve", core.vault, amount),
        caller.call(core.vault, "deposit", caller.account, amount),
    ]


def flash_needs(core: Core, account: int, size: int) -> int:
    """Cash that a take-over of that size asks for, of an account without anything else."""
    fee = take_over(holding(core, account, ETH), size).fee
    return terms(core, ETH).initial(abs(size)) + fee


def test_flash__margin_brought_inside__is_enough_and_a_unit_less_is_not(core: Core, weaken: Weaken) -> None:
    caller, account = Caller.deploy(core), sick(core, weaken)
    needed = flash_needs(core, account, 50 * WAD)
    units = -(-needed // core.unit)
    caller.inside(*deposit_steps(core, caller, units - 1))
    (outcome,) = caller.run(caller.take_over(account, 50 * WAD))
    required = terms(core, ETH).initial(50 * WAD)
    value = required + (units - 1) * core.unit - needed
    assert outcome.error == ("PerpMarket_InsufficientMargin", (caller.account, value, required))
    caller.inside(*deposit_steps(core, caller, units))
    assert str(caller.run(caller.take_over(account, 50 * WAD))[-1]) == "ok"
    core.check_sums()


@pytest.mark.parametrize("kind", ["liquidate", "absorb"])
def test_flash__itself_for_the_reward__is_refused(core: Core, weaken: Weaken, kind: str) -> None:
    """Without capital its account is unhealthy, or bankrupt, as long as it is called back."""
    caller, account = Caller.deploy(core), sick(core, weaken, health=WAD * (60 if kind == "liquidate" else 99) // 100)
    itself = (
        caller.call(core.liquidator, "liquidate", caller.account, ETH, [])
        if kind == "liquidate"
        else caller.call(core.liquidator, "absorb", caller.account, [])
    )
    caller.inside(itself, *deposit_steps(core, caller, core.amount(20_000)))
    outcomes = caller.run(caller.take_over(account, 50 * WAD))
    assert [str(one) for one in outcomes] == [PENDING, "ok", "ok", "ok"]
    assert core.market.position(caller.account, ETH)[0] == 50 * WAD
    core.check_sums()


def test_flash__absorb_own_account_with_caps_used_up__is_refused(
    core: Core, set_equity: SetEquity, weaken: Weaken
) -> None:
    """In a draft closing against the other side did not respect the lock, and all of it went there: out of a position
    without margin, a fee that others paid, and a price without impact; 27 % of every short was closed."""
    short = core.trader("short", 5_000_000)
    core.open(short, ETH, -400 * WAD)
    account, broke = core.trader("trader", 1_000_000), core.trader("broke", 2_000_000)
    core.open(account, ETH, SIZE)
    core.open(broke, ETH, 300 * WAD)
    core.tick(1)
    set_equity(broke, -WAD)
    weaken(account, WAD * 99 // 100)
    core.liquidator.absorb(broke, [], sender=KEEPER)
    caller = Caller.deploy(core)
    caller.inside(
        caller.call(core.liquidator, "absorb", caller.account, []), *deposit_steps(core, caller, core.amount(50_000))
    )
    held = core.market.position(short, ETH)[0]
    outcomes = caller.run(caller.take_over(account, SIZE))
    assert [str(one) for one in outcomes] == [PENDING, "ok", "ok", "ok"]
    assert core.market.position(short, ETH)[0] == held
    core.check_sums(base_dust=10**6)


@pytest.mark.parametrize("what", ["withdraw", "transfer", "request"])
def test_flash__taking_money_out_inside__what_is_beyond_initial_margin_and_no_unit_more(
    core: Core, weaken: Weaken, what: str
) -> None:
    account = sick(core, weaken)
    caller = Caller.deploy(core)
    core.post(caller.account, flash_needs(core, account, 50 * WAD) + 7 * core.unit)
    second = core.track(account_id(caller.address, 0, 1))

    def out(amount: int) -> Step:
        if what == "withdraw":
            return caller.call(core.vault, "withdraw", caller.account, amount, ANYONE)
        if what == "transfer":
            return caller.call(core.vault, "transfer", caller.account, second, amount)
        return caller.call(core.pool, "requestDeposit", amount, caller.address, caller.address)

    caller.inside(out(8), out(7), out(1))
    outcomes = caller.run(caller.take_over(account, 50 * WAD))
    refusal = "RequestVault_InsufficientMargin" if what == "request" else "MarginVault_InsufficientMargin"
    assert outcomes[0].error == (refusal, (7, 8))
    assert outcomes[2].error == (refusal, (0, 1))
    assert [str(one) for one in outcomes[1::2]] == ["ok", "ok"]
    assert core.cash(caller.account) == terms(core, ETH).initial(50 * WAD)
    core.check_sums(dust_bound=2 * core.unit)


def test_flash__a_pools_request_inside__waits_for_the_end(core: Core, weaken: Weaken, caller: Caller) -> None:
    account = sick(core, weaken)
    provider = core.trader("alice", 50_000)
    request = core.request_deposit(core.pool, provider, core.amount(50_000))
    core.tick(core.pool.request(request).maturity - core.evm.timestamp)
    weaken(account, WAD // 2)
    execute = caller.call(core.pool, "executeRequest", request)
    caller.inside(execute)
    assert [str(one) for one in caller.run(caller.take_over(account, 50 * WAD), execute)] == [PENDING, "ok", "ok"]
    assert core.pool.balanceOf(owner_of(provider)) > 0
    core.check_sums()


# --- the judgement ---


@SIDES
@pytest.mark.parametrize("health", [60, 99])
def test_flash__callback_that_does_nothing__is_judged_as_if_it_had_opened(
    core: Core, weaken: Weaken, sign: int, health: int
) -> None:
    """LQ-02: the discount is a gain, and counts for nothing; a wei less is too little."""
    caller, account = Caller.deploy(core), sick(core, weaken, sign * SIZE, WAD * health // 100)
    expected = take_over(holding(core, account, ETH), sign * 50 * WAD)
    required = terms(core, ETH).initial(50 * WAD)
    core.post(caller.account, required + expected.fee - 1)
    flash, before = caller.take_over(account, sign * 50 * WAD), everything(core)
    (outcome,) = caller.run(flash)
    assert outcome.error == ("PerpMarket_InsufficientMargin", (caller.account, required - 1, required))
    assert everything(core) == before
    core.post(caller.account, 1)
    assert str(caller.run(flash)[0]) == "ok"
    assert core.market.position(caller.account, ETH) == (sign * 50 * WAD, -expected.quote, 0)
    assert core.cash(caller.account) == required
    core.check_sums(dust_bound=2 * core.unit)


@SIDES
@pytest.mark.parametrize("reserved", [0, WAD])
def test_flash__that_leaves_no_position__may_not_leave_a_debt(
    core: Core, weaken: Weaken, set_equity: SetEquity, sign: int, reserved: int
) -> None:
    """Nor less cash than is reserved. It was close to that before: his opposite is closed at the index."""
    account, caller = sick(core, weaken, sign * SIZE), Caller.deploy(core, 500_000)
    core.open(caller.account, ETH, -sign * 50 * WAD)
    core.tick(1)
    weaken(account, WAD * 60 // 100)
    expected = take_over(holding(core, account, ETH), sign * 50 * WAD)
    bystander = core.trader("bystander")
    h = holding(core, caller.account, ETH)
    end = h.cash + h.quote - expected.quote - expected.fee
    core.vault.post(
        [(caller.account, reserved - end - 1, reserved, 0), (bystander, end + 1 - reserved, 0, 0)], sender=core.pool
    )
    flash = caller.take_over(account, sign * 50 * WAD)
    assert caller.run(flash)[0].error == ("PerpMarket_InsufficientMargin", (caller.account, -1, 0))
    core.vault.post([(caller.account, 1, 0, 0), (bystander, -1, 0, 0)], sender=core.pool)
    assert str(caller.run(flash)[0]) == "ok"
    assert (core.cash(caller.account), core.market.position(caller.account, ETH)) == (reserved, (0, 0, 0))
    core.check_sums()


def test_flash__that_shrinks__needs_initial_margin_where_a_plain_one_does_not(
    core: Core, weaken: Weaken, set_equity: SetEquity
) -> None:
    account, caller = sick(core, weaken), Caller.deploy(core, 500_000)
    core.open(caller.account, ETH, -80 * WAD)
    core.tick(1)
    weaken(account, WAD * 99 // 100)
    _, required = core.market.healthOf(caller.account)
    set_equity(caller.account, required // 2)
    flash = caller.take_over(account, 40 * WAD)
    assert str(caller.run(flash)[0]) == "PerpMarket_InsufficientMargin"
    assert str(caller.run(caller.take_over(account, 40 * WAD, data=b""))[0]) == "ok"
    core.check_sums()


def test_flash__another_market_of_his_without_a_fresh_price__is_refused(
    core: Core, weaken: Weaken, caller: Caller
) -> None:
    """Even where he shrinks, which a plain take-over allows."""
    core.open(caller.account, BTC, WAD)
    core.open(caller.account, ETH, -50 * WAD)
    account = sick(core, weaken)
    published = core.oracle.price(BTC)[2]
    core.evm.advance(16)
    core.record(ETH)
    weaken(account, WAD // 2)
    (outcome,) = caller.run(caller.take_over(account, 50 * WAD))
    assert outcome.error == ("PerpMarket_StalePrice", (BTC, published))
    assert str(caller.run(caller.take_over(account, 50 * WAD, data=b""))[0]) == "ok"


def price_item(core: Core, price: int) -> bytes:
    """What the oracle's mock records."""
    return b"".join(word.to_bytes(32, "big") for word in (ETH, price, 0, core.evm.timestamp, OPEN))


@pytest.mark.parametrize("move", [-WAD, WAD])
def test_flash__price_recorded_inside__is_what_margin_is_judged_by(core: Core, weaken: Weaken, move: int) -> None:
    """Up for a long: the gain counts for nothing, and initial margin is that of the higher price."""
    account, caller = sick(core, weaken), Caller.deploy(core)
    core.evm.advance(1)
    expected = take_over(holding(core, account, ETH), 50 * WAD)
    needed = replace(terms(core, ETH), price=ETH_PRICE + move).initial(50 * WAD)
    result = 50 * (ETH_PRICE + move) - expected.quote
    core.post(caller.account, needed + expected.fee - min(0, result) - 1)
    caller.inside(caller.call(core.oracle, "update", [price_item(core, ETH_PRICE + move)]))
    flash = caller.take_over(account, 50 * WAD)
    assert caller.run(flash)[0].error == ("PerpMarket_InsufficientMargin", (caller.account, needed - 1, needed))
    core.post(caller.account, 1)
    assert [str(one) for one in caller.run(flash)] == ["ok", "ok"]
    core.check_sums(dust_bound=3 * core.unit)


def test_flash__deleveraging_that_a_price_inside_makes_due__waits_for_the_end(
    core: Core, weaken: Weaken, caller: Caller
) -> None:
    other = core.trader("other", 2_000_000)
    core.open(other, ETH, 300 * WAD)
    account = sick(core, weaken)
    core.tick(1)
    weaken(account, WAD // 2)
    capital, _ = core.market.poolCapital(ETH)
    core.vault.post(
        [(core.pool_account(ETH), 410_000 * WAD - capital, 0, 0), (other, capital - 410_000 * WAD, 0, 0)],
        sender=core.pool,
    )
    core.evm.advance(1)
    up = price_item(core, ETH_PRICE * 102 // 100)
    caller.inside(caller.call(core.liquidator, "deleverage", ETH, [up]))
    assert [str(one) for one in caller.run(caller.take_over(account, 50 * WAD))] == [PENDING, "ok"]
    assert core.market.position(caller.account, ETH)[0] == 50 * WAD
    core.record(ETH, ETH_PRICE * 102 // 100)
    core.liquidator.deleverage(ETH, [])
    assert 0 < core.market.position(caller.account, ETH)[0] < 50 * WAD
    core.check_sums(base_dust=10**3)


# --- callbacks that fail ---


def test_flash__callback_that_reverts__hands_its_reason_on(core: Core, weaken: Weaken, caller: Caller) -> None:
    account = sick(core, weaken)
    before = everything(core)
    caller.inside(end=reverts_with(b"not today"))
    (outcome,) = caller.run(caller.take_over(account, 50 * WAD))
    assert (outcome.success, outcome.data) == (False, b"not today")
    assert everything(core) == before
    core.check_sums()


def test_flash__callback_that_burns_all_gas__leaves_enough_for_another_take_over(
    core: Core, weaken: Weaken, caller: Caller
) -> None:
    """A 64th of it, for who caught it; the lock is gone with what was undone."""
    account = sick(core, weaken)
    before = everything(core)
    caller.inside(end=BURNS_GAS)
    with core.evm.isolated():
        outcomes = caller.run(caller.take_over(account, 50 * WAD), gas=10_000_000)
        assert (outcomes[0].success, outcomes[0].data) == (False, b"")
        assert everything(core) == before
    outcomes = caller.run(caller.take_over(account, 50 * WAD), caller.take_over(account, 50 * WAD, data=b""))
    assert [str(one) for one in outcomes] == ["no data", "ok"]
    core.check_sums()


# --- delegates ---


FOREVER = 2**40 - 1


def allow(core: Core, account: int, caller: Caller, **changes: Any) -> None:
    scope = Scope(0b11, FOREVER, 1_000_000, may_match=False, may_take_over=True)._replace(**changes)
    core.order_book.setDelegate(account, caller.address, scope, sender=owner_of(account))


def test_flash__delegate__is_called_back_itself_and_the_account_is_judged(core: Core, weaken: Weaken) -> None:
    """The owner's money stays where it is, and so does the delegate's."""
    account, delegate = sick(core, weaken), Caller.deploy(core, 100_000)
    alice = core.trader("alice")
    core.post(alice, flash_needs(core, account, 50 * WAD) - 1)
    allow(core, alice, delegate)
    flash = delegate.take_over(account, 50 * WAD, alice)
    required = terms(core, ETH).initial(50 * WAD)
    assert delegate.run(flash)[0].error == ("PerpMarket_InsufficientMargin", (alice, required - 1, required))
    core.post(alice, 1)
    delegate.inside(delegate.call(core.vault, "withdraw", alice, 1, delegate.address))
    outcomes = delegate.run(flash)
    assert outcomes[0].error == ("MarginVault_NotOwner", (alice, delegate.address))
    assert str(outcomes[1]) == "ok"
    assert core.market.position(alice, ETH)[0] == 50 * WAD
    assert core.cash(delegate.account) == 100_000 * WAD
    assert core.order_book.delegation(alice, delegate.address)[1] == 150_000
    core.check_sums(dust_bound=2 * core.unit)


def test_flash__delegate_who_may_not_take_over__is_refused(core: Core, weaken: Weaken) -> None:
    account, delegate, alice = sick(core, weaken), Caller.deploy(core), core.trader("alice", 100_000)
    allow(core, alice, delegate, may_take_over=False)
    (outcome,) = delegate.run(delegate.take_over(account, 50 * WAD, alice))
    assert outcome.error == ("OrderBook_NotPermitted", (alice, delegate.address))


def test_flash__matched_by_a_delegate_for_an_account_with_a_key__needs_no_capital(
    core: Core, signed: Signed, weaken: Weaken
) -> None:
    """The owner signs the order beforehand; here the matcher is not the account, and keeps the execution fee."""
    account, delegate = sick(core, weaken), Caller.deploy(core)
    alice = signed.trader("alice")
    allow(core, alice, delegate)
    taken = signed.limit(alice, ETH, -50 * WAD, ETH_PRICE, time_in_force=FILL_OR_KILL, reduce_only=True)
    makers = makers_of(signed, 1, [(50 * WAD, ETH_PRICE)])
    win = earned(take_over(holding(core, account, ETH), 50 * WAD), [sums(-50 * WAD, ETH_PRICE)])
    delegate.inside(delegate.call(core.order_book, "matchBatch", taken, signed.order(taken), makers))
    assert [str(one) for one in delegate.run(delegate.take_over(account, 50 * WAD, alice))] == ["ok", "ok"]
    assert core.cash(alice) == win - EXECUTION_FEE
    assert core.cash(delegate.account) == EXECUTION_FEE
    assert core.market.position(alice, ETH) == (0, 0, 0)
    core.check_sums()


def test_flash__part_of_it_matched_without_capital__is_judged_for_the_rest(
    core: Core, signed: Signed, weaken: Weaken
) -> None:
    """Matches of parts are possible, as none leaves it sicker; the rest needs its margin."""
    account, delegate = sick(core, weaken), Caller.deploy(core)
    alice = signed.trader("alice")
    allow(core, alice, delegate)
    taken = signed.limit(alice, ETH, -50 * WAD, ETH_PRICE, reduce_only=True)
    makers = makers_of(signed, 1, [(30 * WAD, ETH_PRICE)])
    expected = take_over(holding(core, account, ETH), 50 * WAD)
    matched = sums(-30 * WAD, ETH_PRICE)
    cash = matched.quote - expected.quote * 30 // 50 - matched.taker_fee - expected.fee - EXECUTION_FEE
    delegate.inside(delegate.call(core.order_book, "matchBatch", taken, signed.order(taken), makers))
    (outcome,) = delegate.run(delegate.take_over(account, 50 * WAD, alice))
    required = terms(core, ETH).initial(20 * WAD)
    assert outcome.error == ("PerpMarket_InsufficientMargin", (alice, cash, required))
    core.post(alice, required - cash)
    assert [str(one) for one in delegate.run(delegate.take_over(account, 50 * WAD, alice))] == ["ok", "ok"]
    assert (core.cash(alice), core.market.position(alice, ETH)[0]) == (required, 20 * WAD)
    core.check_sums(dust_bound=2 * core.unit)
