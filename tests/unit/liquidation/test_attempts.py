"""LQ-06: calls of one caller in one transaction; each does what it would have done alone, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import BTC, ETH, ETH_PRICE, KEEPER, RISK, WAD, Core, account_id, actor
from tests.support.evm import Contract, Evm, Halt, Receipt, Revert, error_of, reverts
from tests.unit.liquidation.conftest import SetBaseFee, SetEquity, Weaken, bankrupt
from tests.unit.liquidation.flash_takers import Caller

STRANGER = actor("stranger")
KEEPER_MIN = 2 * WAD
SICK = WAD * 60 // 100
EVENTS = ("Liquidated", "TakenOver", "PositionAbsorbed", "Absorbed", "DebtCovered")


def attempt(core: Core, *calls: bytes, sender: str = KEEPER, gas: int | None = None) -> Receipt:
    receipt: Receipt = core.liquidator.attempt([*calls], sender=sender, gas=gas)
    return receipt


def close_out(core: Core, account: int, market: int = ETH) -> bytes:
    return core.liquidator.liquidate.encode(account, market, [])


def names(receipt: Receipt) -> list[str]:
    """What was answered to each call; the events have to say the same."""
    said = {event["index"]: event["reason"] for event in receipt.events("AttemptFailed")}
    assert said == {index: data for index, data in enumerate(receipt.value) if data}
    return [error_of(data) if data else "" for data in receipt.value]


@pytest.fixture
def crowd(core: Core, weaken: Weaken) -> list[int]:
    """Four accounts at 60 % of their maintenance."""
    accounts = []
    for number, base in enumerate((40 * WAD, -30 * WAD, 20 * WAD, 10 * WAD)):
        account = core.trader(f"trader {number}", 1_000_000)
        core.open(account, ETH, base)
        accounts.append(account)
    for account in accounts:
        weaken(account, SICK)
    return accounts


def mixed(core: Core, crowd: list[int], set_equity: SetEquity) -> tuple[list[bytes], list[str]]:
    """Calls of every kind, three of which are refused."""
    healthy, broke = core.trader("healthy", 1_000_000), core.trader("broke", 1_000_000)
    core.open(healthy, ETH, 5 * WAD)
    core.open(broke, BTC, WAD)
    core.trader("keeper", 1_000_000)
    set_equity(broke, -100 * WAD)
    own = account_id(KEEPER)
    core.track(own)
    core.fund_account(own, 1_000_000)
    calls = [
        close_out(core, crowd[0]),
        close_out(core, healthy),
        core.liquidator.absorb.encode(broke, []),
        core.liquidator.takeOver.encode(crowd[1], ETH, -10 * WAD, own, b"", []),
        core.liquidator.absorb.encode(broke, []),
        core.liquidator.deleverage.encode(ETH, []),
        close_out(core, crowd[2]),
    ]
    refused = {1: "Liquidator_Healthy", 4: "Liquidator_NotBankrupt", 5: "Liquidator_NothingDue"}
    return calls, [refused.get(index, "") for index in range(len(calls))]


def everything(core: Core) -> dict[int, Any]:
    return {
        account: (core.cash(account), *(core.market.position(account, market) for market in (ETH, BTC)))
        for account in core.accounts
    }


def test_attempt__calls_of_every_kind__each_does_what_it_does_alone(
    core: Core, crowd: list[int], set_equity: SetEquity
) -> None:
    calls, expected = mixed(core, crowd, set_equity)
    with core.evm.isolated():
        alone: list[dict[str, Any]] = []
        for call in calls:
            try:
                output = core.evm.call_raw(KEEPER, core.liquidator.address, call)
            except Revert:
                continue
            receipt = Receipt(core.evm, core.evm.last_result, output, None)
            alone += [event.args for event in receipt.logs if event.name in EVENTS]
        after = everything(core)
    receipt = attempt(core, *calls)
    assert names(receipt) == expected
    assert [event.args for event in receipt.logs if event.name in EVENTS] == alone
    assert [event.name for event in receipt.logs if event.name in EVENTS] == [
        *("Liquidated", "PositionAbsorbed", "Absorbed", "DebtCovered", "TakenOver", "Liquidated"),
    ]
    assert everything(core) == after
    core.check_sums()


def test_attempt__same_account_twice__the_second_is_refused_as_healthy(core: Core, crowd: list[int]) -> None:
    receipt = attempt(core, *[close_out(core, crowd[0])] * 3, close_out(core, crowd[2]))
    assert names(receipt) == ["", "Liquidator_Healthy", "Liquidator_Healthy", ""]
    assert len(receipt.events("Liquidated")) == 2


def test_attempt__nothing_to_do__does_nothing(core: Core) -> None:
    assert attempt(core).value == []


def test_attempt__beyond_the_cap_of_a_window__only_those_are_refused(core: Core, weaken: Weaken) -> None:
    """LQ-01: the cap is of the market, not of a transaction."""
    accounts = []
    for number in range(3):
        account = core.trader(f"trader {number}", 10_000_000)
        core.open(account, ETH, 400 * WAD)
        accounts.append(account)
    for account in accounts:
        weaken(account, WAD // 10)
    receipt = attempt(core, *(close_out(core, account) for account in accounts))
    assert names(receipt) == ["", "Liquidator_CapReached", "Liquidator_CapReached"]
    assert abs(receipt.event("Liquidated")["base"]) == core.liquidator.counters(ETH)[1]


def test_attempt__rewards__go_to_who_called(core: Core, crowd: list[int]) -> None:
    own = account_id(KEEPER)
    before = core.cash(own)
    receipt = attempt(core, *(close_out(core, account) for account in crowd))
    paid = [event["reward"] for event in receipt.events("Liquidated")]
    assert len(paid) == 4
    assert min(paid) >= KEEPER_MIN
    assert core.cash(own) - before == sum(paid)
    assert {event["keeper"] for event in receipt.events("Liquidated")} == {KEEPER}


def test_attempt__gas__is_paid_as_for_one_transaction(
    core: Core, crowd: list[int], weaken: Weaken, set_base_fee: SetBaseFee
) -> None:
    """LQ-05: its first part once, to the first call that does anything; what a refused one was paid is undone."""
    core.liquidator.setGasMarket(ETH, sender=RISK)
    core.give_fund(10_000)
    small = []
    for number in range(3):
        account = core.trader(f"small {number}", 1_000_000)
        core.open(account, ETH, WAD * 2 // 5)
        small.append(account)
    for account in small:
        weaken(account, SICK)
    set_base_fee(5 * 10**9)
    twice = [close_out(core, small[0])] * 2
    receipt = attempt(
        core, close_out(core, core.trader("nobody")), *twice, *(close_out(core, one) for one in small[1:])
    )
    assert [bool(one) for one in names(receipt)] == [True, False, True, False, False]
    first, *others = (event["reward"] for event in receipt.events("Liquidated"))
    price = core.oracle.price(ETH)[0]
    assert first == KEEPER_MIN + 125_000 * 5 * 10**9 * price // WAD
    assert others == [KEEPER_MIN + 65_000 * 5 * 10**9 * price // WAD] * 2
    core.check_sums()


# --- what an attacker would try ---


def test_attempt__ether__is_refused(core: Core, crowd: list[int], evm: Evm) -> None:
    """Calls in it would each believe that it came with them."""
    evm.set_balance(KEEPER, WAD)
    with reverts(None):
        core.liquidator.attempt([close_out(core, crowd[0])], sender=KEEPER, value=1)


def test_attempt__ether_that_lies_in_the_contract__is_not_spent(core: Core, crowd: list[int], evm: Evm) -> None:
    evm.set_balance(core.liquidator.address, WAD)
    assert names(attempt(core, close_out(core, crowd[0]))) == [""]
    assert evm.balance(core.liquidator.address) == WAD


def test_attempt__of_what_only_a_role_may__is_refused_as_without(core: Core) -> None:
    call = core.liquidator.setGasMarket.encode(BTC)
    assert names(attempt(core, call, sender=STRANGER)) == ["AccessManagedUnauthorized"]
    assert core.liquidator.gasMarket() == 0
    assert names(attempt(core, call, sender=RISK)) == [""]
    assert core.liquidator.gasMarket() == BTC


def test_attempt__take_over_into_another_s_account__is_refused(core: Core, crowd: list[int], taker: int) -> None:
    call = core.liquidator.takeOver.encode(crowd[0], ETH, 10 * WAD, taker, b"", [])
    assert names(attempt(core, call, sender=STRANGER)) == ["OrderBook_NotPermitted"]


def test_attempt__attempts_within__count_for_themselves(core: Core, crowd: list[int]) -> None:
    inner = core.liquidator.attempt.encode([close_out(core, crowd[0]), close_out(core, crowd[0])])
    receipt = attempt(core, inner, close_out(core, crowd[2]))
    assert receipt.value == [b"", b""]
    assert len(receipt.events("Liquidated")) == 2
    assert [event["index"] for event in receipt.events("AttemptFailed")] == [1]


@pytest.mark.parametrize("call", [b"", b"\xff\xff\xff\xff"], ids=["nothing", "unknown"])
def test_attempt__no_such_function__undoes_the_batch(core: Core, crowd: list[int], call: bytes) -> None:
    with reverts("Attempts_WithoutReason", 1):
        attempt(core, close_out(core, crowd[0]), call)


def test_attempt__too_little_gas_for_all__does_nothing(core: Core, crowd: list[int]) -> None:
    """Never some of them as if the others had been refused: a call that ran out of gas says nothing about itself."""
    calls = [close_out(core, account) for account in crowd]
    with core.evm.isolated():
        enough = attempt(core, *calls).gas_used
    before = everything(core)
    done = set()
    for percent in range(20, 200, 5):
        with core.evm.isolated():
            try:
                done.add(len(attempt(core, *calls, gas=enough * percent // 100).events("Liquidated")))
            except (Revert, Halt):
                assert everything(core) == before
    assert done == {len(calls)}


def test_attempt__gas_that_ends_anywhere_in_a_bankrupt_account_s_markets__does_nothing(
    core: Core, crowd: list[int], set_equity: SetEquity
) -> None:
    """What is absorbed runs in a part of the market's that it delegates to, whose end has a reason of its own."""
    others = [core.list_market(ETH_PRICE, 333_333 * WAD) for _ in range(3)]
    core.pool.setWeights([2_000] * 5, sender=RISK)
    core.enter(core.pool, account_id(actor("provider")), 200_000_000)
    broke = bankrupt(core, set_equity, dict.fromkeys((ETH, BTC, *others), WAD), -100 * WAD)
    calls = [close_out(core, crowd[0]), core.liquidator.absorb.encode(broke, [])]
    before, done = everything(core), []
    for gas in range(100_000, 1_500_000, 5_000):
        with core.evm.isolated():
            try:
                receipt = attempt(core, *calls, gas=gas)
            except (Revert, Halt):
                assert everything(core) == before
            else:
                done.append((len(receipt.events("Liquidated")), len(receipt.events("PositionAbsorbed"))))
    assert done
    assert set(done) == {(1, 5)}


def test_attempt__in_the_callback_of_a_take_over__is_refused_like_its_calls(core: Core, crowd: list[int]) -> None:
    caller = Caller.deploy(core, dollars=100_000)
    caller.inside(caller.call(core.liquidator, "attempt", [close_out(core, crowd[2])]))
    inside, outside = caller.run(caller.take_over(crowd[0], 10 * WAD))
    assert (str(inside), str(outside)) == ("ok", "ok")
    (failed,) = caller.receipt.events("AttemptFailed")
    assert error_of(failed["reason"]) == "PerpMarket_FlashPending"
    assert not caller.receipt.events("Liquidated")


def test_attempt__take_over_with_a_callback_within__is_one_like_any(core: Core, crowd: list[int]) -> None:
    """The caller is called back before the next call of the batch, which is made after its margin was judged."""
    caller = Caller.deploy(core, dollars=100_000)
    batch: list[Contract | bytes] = [caller.take_over(crowd[0], 10 * WAD).data, close_out(core, crowd[2])]
    assert [str(one) for one in caller.run(caller.call(core.liquidator, "attempt", batch))] == ["ok"]
    assert len(caller.receipt.events("TakenOver")) == len(caller.receipt.events("Liquidated")) == 1
    core.check_sums()
