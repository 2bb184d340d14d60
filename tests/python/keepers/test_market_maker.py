"""The market maker at work: on the contracts behind a node in this process, with an engine that is made of a dict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plimsoll.chain.rpc import RpcUnavailable
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.keepers.engine import Depth, EngineGone, EngineRefused, Standing, Steps
from plimsoll.keepers.entry import Start, run_market_maker
from plimsoll.keepers.market_maker import MarketMaker
from plimsoll.keepers.quoting import Quoting
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.delegates import scope_of
from plimsoll.sdk.deployments import Deployment
from plimsoll.sdk.order_book import OrderBookClient, OrderStatus
from plimsoll.sdk.signed import SignedOrder
from plimsoll.sdk.signing import Cancel, Domain, recover
from tests.python.keepers.running import Ran, events
from tests.support.core import ETH
from tests.support.deployment import MARKETS, World


class Shelf:
    """An engine that keeps what it is given and matches nothing."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.orders: dict[bytes, SignedOrder] = {}
        self.levels = Depth()
        self.gone = self.stuck = False
        self.refusal: EngineRefused | None = None

    def standing(self, account: int) -> list[Standing]:
        self._answer()
        return [Standing(one.order, one.order.base) for one in self.orders.values() if one.order.account == account]

    def depth(self, market_id: int) -> Depth:
        self._answer()
        return self.levels

    def steps(self, market_id: int) -> Steps:
        self._answer()
        return Steps(WAD // 100, WAD // 1_000, 0)

    def submit(self, signed: SignedOrder) -> None:
        self._answer()
        if self.refusal is not None:
            raise self.refusal
        self.orders[signed.hash] = signed

    def cancel(self, hash_: bytes, signature: bytes) -> None:
        self._answer()
        if self.stuck:
            raise EngineRefused("disk", "the disk is full")
        if (found := self.orders.pop(hash_, None)) is not None:
            assert recover(Cancel(hash_), self.domain, signature) == found.signer(self.domain)

    def _answer(self) -> None:
        if self.gone:
            raise EngineGone("engine: it does not answer")

    @property
    def sides(self) -> dict[str, SignedOrder]:
        return {"bid" if one.order.base > 0 else "ask": one for one in self.orders.values()}


class Setting:
    """A maker with an account, his bot, and its engine."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        self.engine = Shelf(Domain(world.chain.chain_id, world.contracts.order_book.address))
        self.maker = world.trader("maker", 50_000)
        self.account = self.maker.account()
        self.signer = world.signer("maker")
        self.bot = self.start(**options)

    def start(self, signer: Any = None, terms: Quoting | None = None, dry_run: bool = False) -> Ran:
        signer = signer or self.signer
        self.job = MarketMaker(
            self.world.contracts, None if dry_run else signer, self.engine, self.account, ETH, terms=terms
        )
        return Ran(self.world, self.job, signer, dry_run=dry_run)

    @property
    def held(self) -> int:
        """The account's position, WAD."""
        held = self.maker.position("ETH")
        return held.base if held else 0

    def match(self, side: str, taker: Plimsoll, size: int) -> None:
        """A taker, at the quote's price."""
        quote = self.engine.sides[side]
        order = quote.order
        taker_book = OrderBookClient(self.world.contracts, taker.signer)
        crossing = order._replace(account=taker.account(), base=-order.base, time_in_force=0, salt=1)
        taker_book.match(quote, taker_book.signed(crossing), size)


@pytest.fixture
def setting(world: World) -> Setting:
    world.tick(1)
    return Setting(world)


def test_round__nothing_stands__two_quotes_are_signed_and_stand(setting: Setting) -> None:
    assert events(setting.bot.round()) == ["quoted", "quoted"]
    index = setting.world.client().market("ETH").price
    bid, ask = setting.engine.sides["bid"], setting.engine.sides["ask"]
    assert bid.order.acceptable_price < index < ask.order.acceptable_price
    assert bid.order.acceptable_price + ask.order.acceptable_price == 2 * index
    assert {one.signer(setting.engine.domain) for one in (bid, ask)} == {setting.signer.address}
    assert setting.bot.round() == []


def test_round__quotes__are_what_the_contracts_match(setting: Setting) -> None:
    taker = setting.world.trader("taker", 50_000)
    setting.bot.round()
    setting.match("bid", taker, WAD)
    assert setting.held == WAD
    quoted = setting.engine.sides["bid"].order.acceptable_price
    del setting.engine.orders[setting.engine.sides["bid"].hash]
    assert events(setting.bot.round())[-1] == "quoted"
    assert setting.engine.sides["bid"].order.acceptable_price < quoted  # long now, and quoting lower


def test_round__restart__finds_its_quotes_in_the_engine(setting: Setting) -> None:
    setting.bot.round()
    assert setting.start().round() == []
    assert len(setting.engine.orders) == 2


def test_round__index_moves__quotes_follow(setting: Setting) -> None:
    setting.bot.round()
    before = set(setting.engine.orders)
    price = setting.world.client().market("ETH").price
    setting.world.tick(2, {ETH: price * 1_001 // 1_000})
    lines = setting.bot.round()
    assert events(lines) == ["pulled", "pulled", "quoted", "quoted"]
    assert not before & set(setting.engine.orders)
    assert setting.engine.sides["bid"].order.acceptable_price > price * 9_999 // 10_000


def test_round__index_too_old__quotes_are_pulled(setting: Setting) -> None:
    setting.bot.round()
    setting.world.evm.timestamp += 14
    setting.world.evm.block_number += 1
    lines = setting.bot.round()
    assert [line["why"] for line in lines] == ["index is stale"] * 2
    assert setting.engine.orders == {}
    setting.world.tick(1)
    assert events(setting.bot.round()) == ["quoted", "quoted"]


def test_round__refused_by_the_engine__is_said_once_and_tried_again(setting: Setting) -> None:
    setting.engine.refusal = EngineRefused("insufficient_margin", "the account has too little")
    lines = setting.bot.round()
    assert [(line["event"], line["reason"]) for line in lines] == [("refused", "the account has too little")]
    assert setting.bot.round() == []
    setting.engine.refusal = None
    assert events(setting.bot.round()) == ["quoted", "quoted"]


def test_round__engine_gone__owner_revokes_all_on_the_chain(setting: Setting) -> None:
    setting.bot.round()
    setting.engine.gone = True
    assert events(setting.bot.round()) == ["failed"]
    setting.world.tick(4)
    [line] = setting.bot.round()
    assert (line["event"], line["do"]) == ("sent", "revoke")
    assert OrderBookClient(setting.world.contracts).counter_of(setting.account) == 1
    with pytest.raises(EngineGone):  # nothing of its stands any more, and it can't work
        setting.bot.round()
    setting.engine.gone = False
    setting.engine.orders.clear()
    assert events(setting.bot.round()) == ["quoted", "quoted"]
    assert {one.order.counter for one in setting.engine.orders.values()} == {1}


def test_round__engine_gone__delegate_cancels_each_on_the_chain(setting: Setting) -> None:
    bot = setting.start(signer=delegate(setting))
    assert events(bot.round()) == ["quoted", "quoted"]
    quotes = list(setting.engine.orders)
    setting.engine.gone = True
    bot.round()
    setting.world.tick(4)
    assert events(bot.round()) == ["sent"]
    book = OrderBookClient(setting.world.contracts)
    assert {book.commitment(one).status for one in quotes} == {OrderStatus.SPENT}
    assert book.counter_of(setting.account) == 0


def test_round__engine_keeps_what_it_should_let_go__is_revoked_too(setting: Setting) -> None:
    setting.bot.round()
    setting.engine.stuck = True
    price = setting.world.client().market("ETH").price
    setting.world.tick(2, {ETH: price * 1_001 // 1_000})
    [line] = setting.bot.round()
    assert (line["event"], line["do"]) == ("failed", "pull")
    assert "the disk is full" in line["reason"]
    setting.world.tick(4)
    [line] = setting.bot.round()
    assert (line["event"], line["do"]) == ("sent", "revoke")


def test_round__delegate__signs_what_the_contracts_match_until_his_budget_ends(setting: Setting) -> None:
    bot, taker = setting.start(signer=delegate(setting, budget=21_000)), setting.world.trader("taker", 50_000)
    assert events(bot.round()) == ["quoted", "quoted"]
    setting.match("ask", taker, WAD)
    assert setting.held == -WAD
    setting.engine.orders.clear()
    assert events(bot.round()) == ["quoted"]  # what is left of the day carries one side only


@pytest.mark.parametrize("may_match", [None, False])
def test_check__stranger_or_delegate_who_may_not_match__is_refused(setting: Setting, may_match: bool | None) -> None:
    signer = setting.world.signer("bot") if may_match is None else delegate(setting, may_match=may_match)
    setting.start(signer=signer)
    with pytest.raises(UserError, match="neither the account's owner's nor a delegate's"):
        setting.job.check()


def test_check__owner__says_for_whom(setting: Setting) -> None:
    assert setting.job.check() == {"account": f"{setting.account:#066x}", "market": ETH, "as_owner": True}


def test_withdraw__at_the_end__nothing_stands(setting: Setting) -> None:
    setting.bot.round()
    setting.bot.stop.set()
    assert setting.bot.runner.run() == 0
    assert setting.engine.orders == {}
    assert events(setting.bot.new()) == ["started", "pulled", "pulled", "stopped"]


def test_withdraw__node_lost__nothing_stands(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    setting.bot.round()
    answers = iter([RpcUnavailable("it is away")])
    block = setting.world.chain.block

    def away() -> Any:
        for error in answers:
            raise error
        setting.bot.stop.set()
        return block()

    monkeypatch.setattr(setting.world.chain, "block", away)
    monkeypatch.setattr(setting.job, "check", dict)
    setting.bot.runner.run(1)
    assert setting.engine.orders == {}
    assert [line.get("why") for line in setting.bot.new() if line["event"] == "pulled"] == ["node", "node"]


def test_withdraw__engine_gone_too__is_said_and_remembered(setting: Setting) -> None:
    setting.bot.round()
    setting.engine.gone = True
    setting.job.withdraw("stopped", setting.bot.runner.log)
    [line] = setting.bot.new()
    assert (line["event"], len(line["orders"])) == ("failed", 2)
    setting.engine.gone = False
    setting.job.withdraw("stopped", setting.bot.runner.log)
    assert setting.engine.orders == {}


def test_round__dry_run__says_and_gives_nothing_to_the_engine(setting: Setting) -> None:
    bot = setting.start(dry_run=True)
    lines = bot.round()
    assert [(line["event"], line["do"]) for line in lines] == [("would", "quote"), ("would", "quote")]
    assert setting.engine.orders == {}
    assert bot.round() == []


def test_round__inventory_beyond_the_limit__is_laid_off_once(setting: Setting) -> None:
    terms = replace(Quoting(), lay_off_beyond=2_000 * WAD)
    bot, taker = setting.start(terms=terms), setting.world.trader("taker", 50_000)
    bot.round()
    setting.match("bid", taker, 2 * WAD)
    lines = bot.round()
    assert [line["event"] for line in lines if line["do"] == "lay off"] == ["sent"]
    assert [line for line in bot.round() if line.get("do") == "lay off"] == []


def test_round__others_quotes__are_not_crossed(setting: Setting) -> None:
    index = setting.world.client().market("ETH").price
    setting.engine.levels = Depth(asks=((index - index // 1_000, WAD),))
    setting.bot.round()
    assert setting.engine.sides["bid"].order.acceptable_price == index - index // 1_000 - WAD // 100
    # one's own are no reason to move
    mine = setting.engine.sides["bid"].order
    setting.engine.levels = Depth(bids=((mine.acceptable_price, mine.base),), asks=setting.engine.levels.asks)
    assert setting.bot.round() == []


def delegate(setting: Setting, *, budget: int = 10**6, may_match: bool = True) -> Any:
    """A bot's key that may trade ETH for the account."""
    signer = setting.world.signer("bot")
    until = setting.world.chain.block().timestamp + 86_400
    owner = OrderBookClient(setting.world.contracts, setting.signer)
    owner.set_delegate(signer.address, scope_of([ETH], until, budget, may_match=may_match))
    return signer


@pytest.mark.parametrize(
    ("market", "account", "reason"),
    [
        ("ETH/USD", None, "without a key it must be told"),
        ("DOGE", "0x" + "11" * 20 + "00" * 12, "DOGE"),
        ("ETH/USD", "me", "me"),
    ],
)
def test_run_market_maker__cannot_start__says_why_in_a_line(
    setting: Setting, market: str, account: str | None, reason: str
) -> None:
    contracts = setting.world.contracts
    deployment = Deployment(Path("d.json"), "test", 901, "0x", 0, contracts.addresses, MARKETS)
    start = Start(deployment, contracts, None, dry_run=True)
    with pytest.raises(UserError, match=reason):
        run_market_maker(start, "http://127.0.0.1:1", market, account, Quoting())
