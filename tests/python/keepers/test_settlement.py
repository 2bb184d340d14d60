"""Settlement: what it decides, and what it does with requests and fees on the contracts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plimsoll.core.units import WAD
from plimsoll.keepers.settlement import (
    FUND,
    MAX_ACTIONS,
    POOL,
    RETRY_SECONDS,
    Execute,
    Pending,
    Settlement,
    Snapshot,
    Sweep,
    decide,
)
from plimsoll.risk.oracle import DOUBTFUL
from plimsoll.sdk.snapshots import MarketSnapshot
from tests.python.keepers.made_up import BTC, ETH, NOW, market
from tests.python.keepers.running import Ran, events
from tests.support.core import account_id, actor, owner_of
from tests.support.deployment import World

REQUEST = Pending(POOL, 1, False, NOW - 5, NOW + 600)


def snapshot(*requests: Pending, markets: Any = (), fees: Any = None, **options: Any) -> Snapshot:
    found: list[MarketSnapshot] = list(markets) or [market(), market(BTC)]
    return Snapshot(NOW, requests, {one.market_id: one for one in found}, fees or {}, **options)


# --- decide --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maturity", "deadline", "done"),
    [
        (NOW + 1, NOW + 9, None),
        (NOW, NOW + 9, False),
        (NOW - 9, NOW, False),
        (NOW - 9, NOW - 1, True),
    ],
)
def test_decide__request__is_executed_once_mature_and_given_back_once_lapsed(
    maturity: int, deadline: int, done: bool | None
) -> None:
    request = replace(REQUEST, vault=FUND, maturity=maturity, deadline=deadline)
    decisions = decide(snapshot(request), 0)
    assert [one.is_lapsed for one in decisions if isinstance(one, Execute)] == ([] if done is None else [done])


@pytest.mark.parametrize(
    ("given", "can"),
    [
        ({"long": WAD, "age": 5}, True),
        ({"long": WAD, "age": 6}, False),  # the record is from before the request's maturity
        ({"long": WAD, "price": None}, False),
        ({"long": WAD, "state": DOUBTFUL}, False),
        ({"price": None}, True),  # a market without a position of the pool needs no price
        ({"age": 500}, True),
    ],
)
def test_decide__pool_request__waits_for_prices_of_what_the_pool_holds(given: dict[str, Any], can: bool) -> None:
    markets = [market(), market(BTC, **given)]
    assert bool(decide(snapshot(REQUEST, markets=markets), 0)) == can
    assert decide(snapshot(replace(REQUEST, vault=FUND), markets=markets), 0)
    assert decide(snapshot(replace(REQUEST, deadline=NOW - 1), markets=markets), 0)


def test_decide__record_too_old_to_be_used__waits() -> None:
    request = replace(REQUEST, maturity=NOW - 100)
    fresh = market(long=WAD).params.max_price_age
    assert decide(snapshot(request, markets=[market(long=WAD, age=fresh)]), 0)
    assert not decide(snapshot(request, markets=[market(long=WAD, age=fresh + 1)]), 0)


def test_decide__fees__are_swept_from_the_minimum_on() -> None:
    fees = {ETH: 100 * WAD, BTC: 100 * WAD - 1}
    assert decide(snapshot(fees=fees), 100 * WAD) == [Sweep(ETH, 100 * WAD)]
    assert decide(snapshot(fees=fees), 0) == []


def test_decide__refused_before__waits_for_its_time() -> None:
    retry = {REQUEST.key: NOW + 1, ("sweep", ETH): NOW}
    fees = {ETH: WAD}
    assert decide(snapshot(REQUEST, fees=fees, retry_at=retry), WAD) == [Sweep(ETH, WAD)]


def test_decide__many__in_their_order_and_no_more_than_fit() -> None:
    requests = [replace(REQUEST, id=number, vault=vault) for number in range(30, 0, -1) for vault in (POOL, FUND)]
    decisions = decide(snapshot(*requests), 0)
    assert len(decisions) == MAX_ACTIONS
    assert [one.key for one in decisions[:3]] == [(FUND, 1), (FUND, 2), (FUND, 3)]


# --- act -----------------------------------------------------------------------------------------------------------


class Vaults:
    """Requests of a provider with money, whose events the node knows."""

    def __init__(self, world: World, dollars: int = 50_000) -> None:
        self.world = world
        self.account = account_id(actor("provider"))
        world.core.fund_account(self.account, dollars)

    def ask(self, vault: Any, dollars: int) -> int:
        core = self.world.core
        request = core.request_deposit(vault, self.account, core.amount(dollars))
        self.world.node.record(None)
        return request

    def redeem(self, vault: Any) -> int:
        core = self.world.core
        request = core.request_redeem(vault, self.account, vault.balanceOf(owner_of(self.account)))
        self.world.node.record(None)
        return request

    def wait(self, vault: Any, request: int, *, lapse: bool = False) -> None:
        found = vault.request(request)
        self.world.tick((found.deadline + 1 if lapse else found.maturity) - self.world.evm.timestamp)


@pytest.fixture
def vaults(world: World) -> Vaults:
    return Vaults(world)


def start(world: World, **options: Any) -> Ran:
    signer = world.signer("keeper")
    return Ran(world, Settlement(world.contracts, signer, **options), signer)


@pytest.mark.parametrize("which", ["pool", "fund"])
def test_act__entry_and_exit__are_executed_when_mature(world: World, vaults: Vaults, which: str) -> None:
    core = world.core
    vault = getattr(core, which)
    keeper = start(world)
    request = vaults.ask(vault, 1_000)
    assert keeper.round() == []
    vaults.wait(vault, request)
    [line] = keeper.round()
    assert (line["event"], line["do"], line["kind"], line["request"]) == (
        "settled",
        "execute request",
        "deposit",
        request,
    )
    assert vault.balanceOf(owner_of(vaults.account)) > 0
    vaults.wait(vault, vaults.redeem(vault))
    [line] = keeper.round()
    assert (line["do"], line["kind"]) == ("execute request", "redeem")
    assert vault.balanceOf(owner_of(vaults.account)) == 0
    assert keeper.round() == []


def test_act__lapsed__is_given_back(world: World, vaults: Vaults) -> None:
    cash = world.core.cash(vaults.account)
    request = vaults.ask(world.core.pool, 1_000)
    vaults.wait(world.core.pool, request, lapse=True)
    keeper = start(world)
    assert [line["do"] for line in keeper.round()] == ["give back"]
    assert world.core.cash(vaults.account) == cash


def test_act__refused_by_the_chain__is_said_once_and_tried_again_later(world: World, vaults: Vaults) -> None:
    """Two rounds see it due; somebody else was faster, and the events of that are late."""
    request = vaults.ask(world.core.fund, 1_000)
    vaults.wait(world.core.fund, request)
    keeper = start(world)
    world.core.fund.executeRequest(request)
    sent = len(world.node.sent)
    [line] = keeper.round()
    assert (line["event"], line["reason"]) == ("refused", f"RequestVault_Unknown(requestId={request})")
    world.tick(RETRY_SECONDS - 1)
    assert keeper.round() == []
    world.tick(1)
    assert keeper.round() == []  # asked again, and said no more
    assert len(world.node.sent) == sent


def test_act__fees__are_swept(world: World) -> None:
    trader = world.trader("trader", 100_000)
    world.open(trader, "ETH", "100")
    waiting = sum(world.core.market.unsweptFees(ETH))
    assert waiting > 0
    assert events(start(world, min_sweep=waiting + 1).round()) == []
    [line] = start(world, min_sweep=waiting).round()
    assert (line["do"], line["market"]) == ("sweep", ETH)
    assert sum(world.core.market.unsweptFees(ETH)) == 0


def test_act__reorganised__reads_all_requests_again(world: World, vaults: Vaults) -> None:
    request = vaults.ask(world.core.fund, 1_000)
    keeper = start(world)
    assert keeper.round() == []
    world.node.forked_at, world.node.forks = world.evm.block_number, 1
    vaults.wait(world.core.fund, request)
    assert events(keeper.round()) == ["settled"]
