"""What each flow costs on a chain: gas of whole transactions of accounts that were used before, and bytes of call data.

Prices are recorded before the transaction, except where the flow says otherwise; oracle flows use API3's real server
with three signers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from plimsoll.devnet.anvil import Anvil, AnvilSettings
from plimsoll.sdk.oracle import Publisher
from tests.gas.vendors import Vendors
from tests.support.anvil_evm import AnvilEvm
from tests.support.core import (
    BTC,
    ETH,
    KEEPER,
    PRICES,
    RISK,
    STOP_LOSS,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import Contract, Receipt
from tests.support.oracle import CONFIG, SIGNER_KEYS, deploy_aggregator, deploy_api3, pull
from tests.support.signed import Signed

START = 1_900_000_000
CEILINGS = {
    "deposit": 65_000,
    "withdraw": 100_000,
    "place_market": 80_000,
    "execute_open": 175_000,
    "execute_increase": 150_000,
    "execute_close": 140_000,
    "cancel": 33_000,
    "liquidate": 160_000,
    "take_over": 180_000,
    "flash_take_over": 450_000,
    "absorb": 180_000,
    "deleverage": 100_000,
    "place_stop": 65_000,
    "place_for": 95_000,
    "match": 230_000,
    "match_new": 270_000,
    "execute_batch_10": 90_000,
    "liquidate_batch_40": 90_000,
    "cancel_all": 35_000,
}
UPDATE_CEILING = 120_000
"""What recording three signed beacons may add to execute_open, and to liquidate."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One flow: gas used by the whole transaction, and its call data."""

    gas: int
    calldata_bytes: int


class Lab:
    """A core with a real oracle on an anvil, and what every flow needs."""

    def __init__(self, evm: AnvilEvm) -> None:
        self.evm = evm
        self.publishers = {market: Publisher.from_keys(SIGNER_KEYS[:3], f"market {market}") for market in (ETH, BTC)}
        self.aggregator = deploy_aggregator(evm)
        adapter = evm.deploy("Api3Adapter", deploy_api3(evm))
        for market, publisher in self.publishers.items():
            sources = [pull(adapter, feed) for feed in publisher.feed_ids]
            self.aggregator.setMarket(market, CONFIG, sources, sender=actor("deployer"))
        self.core: Core = deploy_core(evm, oracle=self.aggregator, fund_dollars=100_000)
        self.prices = dict(PRICES)
        for _ in range(70):  # the ring of records is full from here on
            self.tick()

    def items(self, *markets: int) -> list[bytes]:
        now = self.evm.timestamp
        return [self.publishers[market].item(market, self.prices[market], now) for market in markets]

    def tick(self, seconds: int = 1) -> Receipt:
        self.evm.advance(seconds)
        receipt: Receipt = self.aggregator.update(self.items(ETH, BTC), sender=KEEPER)
        return receipt

    def measure(self, send: Callable[[], Receipt]) -> Measured:
        receipt = send()
        return Measured(receipt.gas_used, self.evm.calldata_bytes)


def measure_all() -> dict[str, Measured]:
    """Every flow by name, in the order of the snapshot."""
    with Anvil(AnvilSettings(timestamp=START - 100)) as anvil:
        return _measure(Lab(AnvilEvm(anvil.rpc, START)))


def _measure(lab: Lab) -> dict[str, Measured]:
    core, flows = lab.core, {}
    book: Contract = core.order_book
    trader = core.trader("trader", 100_000)
    core.trader("keeper", 50_000)
    owner = owner_of(trader)
    core.track(account_id(KEEPER))
    core.fund_account(account_id(KEEPER), 1_000)

    core.token.mint(owner, core.amount(10_000))
    core.token.approve(core.vault, 2**256 - 1, sender=owner)
    flows["deposit"] = lab.measure(lambda: core.vault.deposit(trader, core.amount(1_000), sender=owner))

    def market_order(base: int, account: int = trader, **options: Any) -> dict[str, Any]:
        return core.order(account, ETH, base, **options)

    def place(order: dict[str, Any]) -> Measured:
        return lab.measure(lambda: core.place(order))

    def settle(order: dict[str, Any], data: list[bytes] | None = None) -> Measured:
        lab.evm.advance(2)
        if data is None:
            lab.aggregator.update(lab.items(ETH, BTC), sender=KEEPER)
            data = []
        return lab.measure(lambda: book.execute(order, data, sender=KEEPER))

    # The market, the queue and the keeper have been used before anything is measured.
    warm = core.trader("warm", 50_000)
    for base in (5 * WAD, -2 * WAD):
        order = market_order(base, warm)
        core.place(order)
        settle(order)

    order = market_order(10 * WAD, acceptable=4_000 * WAD)
    flows["place_market"] = place(order)
    flows["execute_open"] = settle(order)
    order = market_order(5 * WAD, acceptable=4_000 * WAD)
    place(order)
    flows["execute_increase"] = settle(order)

    lab.tick()
    flows["withdraw"] = lab.measure(lambda: core.vault.withdraw(trader, core.amount(100), owner, sender=owner))

    limit = market_order(WAD, kind=1, acceptable=2_000 * WAD)
    place(limit)
    flows["cancel"] = lab.measure(lambda: book.cancel(limit, sender=owner))

    order = market_order(-15 * WAD, acceptable=1_000 * WAD, reduce_only=True)
    place(order)
    flows["execute_close"] = settle(order)

    flows["oracle_update"] = _single_update(lab)
    second = core.trader("second", 100_000)
    order = market_order(10 * WAD, second, acceptable=4_000 * WAD)
    place(order)
    lab.evm.advance(2)
    data = lab.items(ETH)
    flows["execute_open_with_update"] = lab.measure(lambda: book.execute(order, data, sender=KEEPER))

    _measure_orders(lab, flows, market_order, place, settle)
    _measure_matches(lab, flows)
    _measure_liquidations(lab, flows, market_order, place, settle)
    _measure_flash(lab, flows, market_order, place, settle)
    _measure_deleverage(lab, flows)
    _measure_small_liquidations(lab, flows, market_order, place, settle)
    flows["oracle_update_vendors"] = _vendors_update(lab)
    return flows


def _single_update(lab: Lab) -> Measured:
    lab.evm.advance(1)
    items = lab.items(ETH)
    return lab.measure(lambda: lab.aggregator.update(items, sender=KEEPER))


def _vendors_update(lab: Lab) -> Measured:
    vendors = Vendors(lab.evm)
    for _ in range(70):  # the ring of records is full
        vendors.update()
    return lab.measure(vendors.update)


def _measure_orders(lab: Lab, flows: dict[str, Measured], market_order: Any, place: Any, settle: Any) -> None:
    """A stop, relayed market orders, ten orders of ten accounts that increase positions, and all of an account's."""
    book, signed = lab.core.order_book, Signed(lab.core)
    crowd = [signed.trader(f"crowd {number}", 50_000) for number in range(10)]
    for account in crowd:
        order = market_order(3 * WAD, account)
        place(order)
        settle(order)
    flows["place_stop"] = place(
        market_order(-3 * WAD, crowd[0], kind=STOP_LOSS, acceptable=WAD, trigger=2_700 * WAD, reduce_only=True)
    )

    def place_for(account: int) -> Measured:
        order = market_order(WAD, account, acceptable=4_000 * WAD, expiry=lab.evm.timestamp + 60)
        signature = signed.order(order)
        measured = lab.measure(lambda: book.placeFor(order, signature, sender=KEEPER))
        settle(order)
        return measured

    flows["place_for"] = place_for(signed.trader("relayed", 50_000))
    flows["place_for_with_position"] = place_for(crowd[0])

    orders = [market_order(WAD, account, acceptable=4_000 * WAD) for account in crowd]
    for order in orders:
        place(order)
    lab.tick(2)
    batch = lab.measure(lambda: book.executeBatch(orders, [], sender=KEEPER))
    flows["execute_batch_10"] = Measured(batch.gas // 10, batch.calldata_bytes // 10)

    book.cancelAll(crowd[0], sender=owner_of(crowd[0]))
    flows["cancel_all"] = lab.measure(lambda: book.cancelAll(crowd[0], sender=owner_of(crowd[0])))


def _measure_matches(lab: Lab, flows: dict[str, Measured]) -> None:
    """Two signed orders of two accounts that never traded; two that increase; two of accounts without positions that
    had some before."""
    core, signed = lab.core, Signed(lab.core)
    maker, taker = signed.trader("maker", 100_000), signed.trader("matched", 100_000)

    def match(base: int) -> Measured:
        lab.tick()
        price = lab.prices[ETH]
        made, taken = signed.limit(maker, ETH, -base, price), signed.limit(taker, ETH, base, price)
        arguments = (made, signed.order(made), taken, signed.order(taken), abs(base))
        return lab.measure(lambda: core.order_book.matchOrders(*arguments, sender=KEEPER))

    flows["match_first"] = match(10 * WAD)
    flows["match"] = match(10 * WAD)
    flows["match_close"] = match(-20 * WAD)
    flows["match_new"] = match(10 * WAD)


def _measure_liquidations(lab: Lab, flows: dict[str, Measured], market_order: Any, place: Any, settle: Any) -> None:
    core = lab.core
    victims = [core.trader(f"victim {number}", 3_000, isolated_market=ETH) for number in range(5)]
    taker = core.trader("taker", 200_000)
    for account, base in (*((victim, 15 * WAD) for victim in victims), (taker, 3 * WAD)):
        order = market_order(base, account)
        place(order)
        settle(order)
    lab.prices[ETH] = PRICES[ETH] * 955 // 1_000
    for _ in range(3):
        lab.tick(20)
    core.liquidator.liquidate(victims[3], ETH, [], sender=KEEPER)  # or the market's counters would be new
    flows["liquidate"] = lab.measure(lambda: core.liquidator.liquidate(victims[0], ETH, [], sender=KEEPER))
    lab.evm.advance(20)  # the record is too old to liquidate by, and what may be closed at once has widened again
    data = lab.items(ETH)
    flows["liquidate_with_update"] = lab.measure(
        lambda: core.liquidator.liquidate(victims[4], ETH, data, sender=KEEPER)
    )
    flows["take_over"] = lab.measure(
        lambda: core.liquidator.takeOver(victims[1], ETH, 5 * WAD, taker, b"", [], sender=owner_of(taker))
    )
    lab.prices[ETH] = PRICES[ETH] * 88 // 100
    for _ in range(3):
        lab.tick(20)
    flows["absorb"] = lab.measure(lambda: core.liquidator.absorb(victims[2], [], sender=KEEPER))


def _measure_small_liquidations(
    lab: Lab, flows: dict[str, Measured], market_order: Any, place: Any, settle: Any
) -> None:
    """Positions near the smallest, whose keepers are paid for their gas: one alone, two in one transaction, and forty
    attempts; then absorptions of such positions likewise."""
    core = lab.core
    core.give_pool(20_000_000)
    core.liquidator.setGasMarket(ETH, sender=RISK)
    batcher = lab.evm.deploy("Batcher")
    core.fund_account(account_id(batcher), 10)
    victims = [core.trader(f"small victim {number}", 100, isolated_market=ETH) for number in range(49)]
    for victim in victims:
        order = market_order(WAD * 3 // 5, victim)
        place(order)
        settle(order)
    lab.prices[ETH] = lab.prices[ETH] * 960 // 1_000
    for _ in range(3):
        lab.tick(20)
    core.liquidator.liquidate(victims[0], ETH, [], sender=KEEPER)
    flows["liquidate_small"] = lab.measure(lambda: core.liquidator.liquidate(victims[1], ETH, [], sender=KEEPER))

    def batch(calls: list[bytes]) -> Measured:
        return lab.measure(lambda: batcher.run([core.liquidator.address] * len(calls), calls, sender=KEEPER))

    def second(one: list[bytes], two: list[bytes]) -> Measured:
        alone, pair = batch(one), batch(two)
        return Measured(pair.gas - alone.gas, pair.calldata_bytes - alone.calldata_bytes)

    calls = [core.liquidator.liquidate.encode(account, ETH, []) for account in victims[2:5]]
    flows["liquidate_second"] = second(calls[:1], calls[1:])
    calls = [core.liquidator.liquidate.encode(account, ETH, []) for account in victims[9:]]
    attempts = lab.measure(lambda: core.liquidator.attempt(calls, sender=KEEPER))
    flows["liquidate_batch_40"] = Measured(attempts.gas // len(calls), attempts.calldata_bytes // len(calls))
    lab.prices[ETH] = lab.prices[ETH] * 900 // 1_000
    for _ in range(4):
        lab.tick(20)
    core.liquidator.absorb(victims[5], [], sender=KEEPER)
    calls = [core.liquidator.absorb.encode(account, []) for account in victims[6:9]]
    flows["absorb_second"] = second(calls[:1], calls[1:])


def _measure_flash(lab: Lab, flows: dict[str, Measured], market_order: Any, place: Any, settle: Any) -> None:
    """A flash taker without capital takes a whole position over, matches it against two makers who traded before, and
    pays out; the second time that it does."""
    core, signed = lab.core, Signed(lab.core)
    owner = actor("flash owner")
    flash = lab.evm.deploy("FlashTaker", core.liquidator, core.order_book, core.vault, owner)
    core.track(account_id(flash))
    victims = [core.trader(f"flash victim {number}", 3_000, isolated_market=ETH) for number in range(2)]
    for victim in victims:
        order = market_order(15 * WAD, victim)
        place(order)
        settle(order)
    lab.prices[ETH] = lab.prices[ETH] * 955 // 1_000
    for _ in range(3):
        lab.tick(20)
    price = lab.prices[ETH]
    for victim in victims:
        makers = [
            signed.fill(signed.limit(signed.trader(f"flash maker {number}", 50_000), ETH, size, price))
            for number, size in enumerate((10 * WAD, 5 * WAD))
        ]
        send = partial(flash.run, victim, ETH, 15 * WAD, price, makers, [], sender=owner)
        flows["flash_take_over"] = lab.measure(send)


def _measure_deleverage(lab: Lab, flows: dict[str, Measured]) -> None:
    """The second one, of a market of a few dozen positions, in a block without an accrual before."""
    core = lab.core
    for share in (3, 7):
        lab.tick()
        core.market.accrue(ETH, sender=KEEPER)
        exposure = abs(core.market.skew(ETH)) * lab.prices[ETH] // WAD
        capital = core.market.poolCapital(ETH)[0]
        core.vault.post([(core.pool_account(ETH), exposure // (share + 1) - capital, 0, 0)], sender=core.pool)
        lab.tick()
        flows["deleverage"] = lab.measure(lambda: core.liquidator.deleverage(ETH, [], sender=KEEPER))
