"""The end of a market through the SDK: each step in its time, and everyone out with what he has."""

from __future__ import annotations

import io
import json

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.devnet.boot import Devnet
from plimsoll.keepers.dead_markets import CLOSE
from plimsoll.keepers.runner import Log, Runner
from plimsoll.keepers.settlement import Settlement
from plimsoll.risk.shutdown import CLOSING_SECONDS, DEAD_ORACLE_SECONDS, DECLARE_SECONDS
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.shutdown import read_standing, settle_all, take_step, unsettled

pytestmark = pytest.mark.node

ETH = 1


def client_of(devnet: Devnet, name: str) -> Plimsoll:
    names = {market.name: market.id for market in devnet.parameters.markets}
    return Plimsoll(devnet.chain, devnet.manifest.addresses, devnet.signers[name], markets=names)


def holders(devnet: Devnet) -> tuple[Plimsoll, Plimsoll]:
    """Alice with 3 ETH long, Bob with 2 short."""
    alice, bob = client_of(devnet, "alice"), client_of(devnet, "bob")
    for trader, size in ((alice, "3"), (bob, "-2")):
        trader.deposit("10_000")
        placed = trader.place_market("ETH", size)
        devnet.advance(2)
        devnet.record()
        devnet.contract("OrderBook").transact(devnet.signers["keeper"], "execute", placed.order, [])
    return alice, bob


def test_take_step__each_in_its_time__everyone_gets_out(devnet: Devnet) -> None:
    alice, bob = holders(devnet)
    keeper = devnet.signers["keeper"]
    assert [one.contracts.market.call("position", one.account(), ETH)[0] for one in (alice, bob)] != [0, 0]

    with pytest.raises(UserError, match="the next step for market 1 is to declare it"):
        take_step(alice.contracts, keeper, ETH, "confirm")
    with pytest.raises(UserError, match="not before"):
        take_step(alice.contracts, keeper, ETH, "declare")
    waits = (("declare", DECLARE_SECONDS + 2), ("confirm", DEAD_ORACLE_SECONDS), ("close", CLOSING_SECONDS))
    for step, seconds in waits:
        devnet.advance(seconds)
        assert read_standing(alice.contracts, ETH).next_step == step
        take_step(alice.contracts, keeper, ETH, step)

    assert alice.contracts.market.call("openInterest", ETH) == (0, 0)
    assert unsettled(bob.contracts, bob.account()) == [ETH]
    assert settle_all(bob.contracts, keeper, bob.account()) == [ETH]
    for trader in (alice, bob):
        before = devnet.token.call("balanceOf", trader.signer.address)
        trader.withdraw("all")  # alice's is settled by it
        assert devnet.token.call("balanceOf", trader.signer.address) - before > devnet.amount(9_900)
        assert trader.contracts.vault.call("balanceOf", trader.account()) >> 224 == 0
        assert int(trader.contracts.vault.call("cashOf", trader.account())) < trader.contracts.token_unit


def test_settlement_keeper__told_to_close__sees_a_market_to_its_end(devnet: Devnet) -> None:
    """It declares, confirms and closes, each in its time, and pays out what is left: one transaction a deed."""
    alice, bob = holders(devnet)
    devnet.prices["ETH/USD"] = devnet.prices["ETH/USD"] * 101 // 100
    devnet.advance(5)
    devnet.record()
    said = io.StringIO()
    keeper = devnet.signers["keeper"]
    job = Settlement(alice.contracts, keeper, min_sweep=0, shutdown=CLOSE)
    runner = Runner(job, devnet.chain, keeper, log=Log("settlement", said))
    nonce = devnet.chain.nonce(keeper.address)
    for seconds in (0, DECLARE_SECONDS + 2, DEAD_ORACLE_SECONDS, CLOSING_SECONDS, 2, 2):
        devnet.advance(seconds)
        runner.round(devnet.chain.block())
    done = [(line["event"], line["do"]) for line in map(json.loads, said.getvalue().splitlines())]
    assert done == [
        *(("shutdown", f"{step} dead") for step in ("declare", "confirm", "close")),
        *[("settled", "settle account")] * 2,
    ]
    assert devnet.chain.nonce(keeper.address) - nonce == 5
    assert alice.contracts.market.call("openInterest", ETH) == (0, 0)
    assert unsettled(alice.contracts, alice.account()) == unsettled(bob.contracts, bob.account()) == []
    won, lost = (int(one.contracts.vault.call("cashOf", one.account())) for one in (alice, bob))
    assert (won > 10_050 * WAD, lost < 9_960 * WAD) == (True, True)


def test_force__nobody_records__settles_at_the_push_sources(devnet: Devnet) -> None:
    """The feed is a percent lower than the last record; half a percent and what a feed may be off go against it."""
    alice = client_of(devnet, "alice")
    alice.deposit("10_000")
    opened = alice.place_market("ETH", "2")
    devnet.advance(2)
    devnet.record()
    devnet.contract("OrderBook").transact(devnet.signers["keeper"], "execute", opened.order, [])
    closing = alice.place(alice.market_order("ETH", "-2", reduce_only=True, slippage_bps=500))
    devnet.advance(100)
    with pytest.raises(UserError, match="silent for a minute"):
        alice.force(closing.hash)
    devnet.advance(60)
    low = devnet.prices["ETH/USD"] * 99 // 100
    devnet.sources.publish("ETH/USD", {"chainlink": low})
    receipt = alice.force(closing.hash)
    assert receipt.status == 1
    assert alice.position("ETH") is None
    fill = alice.fills()[-1]
    assert low * 97 // 100 < fill.price < low * 995 // 1_000
