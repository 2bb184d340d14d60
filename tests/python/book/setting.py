"""A market at $1,000, traders with keys, and the reference model in the place of the chain."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from plimsoll.book.admission import Signed, signed
from plimsoll.book.book import Level
from plimsoll.book.engine import Engine, Work
from plimsoll.book.facts import AccountFacts, Facts, MarketFacts, Terms
from plimsoll.book.records import BookOrder, Sent
from plimsoll.book.settle import Gone, Mined, Simulated
from plimsoll.chain.transactions import Reverted
from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.risk.config import MarketParams
from plimsoll.risk.matching import MakerFill, Match
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk import signing
from tests.python.risk.setting import ETH, NOW, PRICE, UNIT, deployed

__all__ = ["ETH", "NOW", "PRICE", "UNIT"]

DOMAIN = signing.Domain(901, "0x" + "11" * 20)
GTT, POST_ONLY, IOC, FOK = TimeInForce
OPERATOR = 0x5001
CENT = WAD // 100

VALUES = {
    "OrderBook_Expired": ("expiry",),
    "OrderBook_WrongCounter": ("account", "counter"),
    "OrderBook_UnknownOrder": ("hash",),
    "OrderBook_Overfilled": ("hash", "left"),
    "OrderBook_NotPermitted": ("account", "caller"),
    "OrderBook_BudgetExceeded": ("account", "delegate", "left", "wanted"),
    "OrderBook_FillOrKill": ("hash", "matched"),
    "OrderBook_NothingMatched": ("takerHash",),
    "OrderBook_OutsideBand": ("price", "indexPrice"),
    "OrderBook_TooSmall": ("notional", "minimum"),
    "PerpMarket_StalePrice": ("marketId", "publishedAt"),
    "PerpMarket_OpeningHalted": ("marketId", "state", "haltUntil"),
    "PerpMarket_NothingToReduce": ("account", "marketId"),
    "PerpMarket_InsufficientMargin": ("account", "available", "required"),
    "PerpMarket_BelowMinimumPosition": ("notional", "minimum"),
    "PerpMarket_OpenInterestLimit": ("openInterest", "limit"),
    "PerpMarket_LessHealthy": ("account", "equity", "required"),
}
"""Names of the values of what the model refuses with, as the contracts have them."""


@cache
def trader(number: int) -> LocalAccount:
    """The key of a trader."""
    account: LocalAccount = Account.from_key(number.to_bytes(32, "big"))
    return account


def account_of(number: int, index: int = 0) -> int:
    return ids.pack(trader(number).address, 0, index)


def order(
    number: int,
    size: int,
    cents: int,
    *,
    time_in_force: TimeInForce = GTT,
    salt: int = 0,
    **fields: Any,
) -> Order:
    """A limit order of a trader: `size` whole units (negative to sell), `cents` over $1,000."""
    given = {"account": account_of(number), "market_id": ETH, "salt": salt} | fields
    price = PRICE + cents * CENT
    kind, base = given.pop("kind", OrderKind.LIMIT), given.pop("base", size * WAD)
    return Order(kind=kind, base=base, acceptable_price=price, time_in_force=time_in_force, **given)


def signed_by(number: int, made: Order) -> Signed:
    return signed(made, signing.sign(made, DOMAIN, trader(number)), DOMAIN)


class Desk:
    """An engine on facts that a protocol's model gives. Salts count up, so that no two orders are the same."""

    def __init__(self, facts: Facts, engine: Engine | None = None) -> None:
        self.facts = facts
        self.engine = engine or Engine(facts, clock=lambda: facts.now * 1_000)
        self.salt = 0

    def submit(self, number: int, size: int, cents: int, **fields: Any) -> BookOrder:
        self.salt += 1
        return self.engine.submit(signed_by(number, order(number, size, cents, salt=self.salt, **fields)))

    def submit_quickly(self, number: int, size: int, cents: int) -> BookOrder:
        """As if it was signed; for many."""
        self.salt += 1
        made = order(number, size, cents, salt=self.salt)
        return self.engine.submit(Signed(made, b"", signing.order_hash(made), b"", made.account >> 96))

    @property
    def depth(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Bids and asks: (cents over $1,000, whole units)."""
        bids, asks = self.engine.book(ETH).depth(1_000)
        return [whole(level) for level in bids], [whole(level) for level in asks]


def whole(level: Level) -> tuple[int, int]:
    return (level.price - PRICE) // CENT, level.size // WAD


def facts_of(protocol: Protocol, traders: Iterable[int] = (), now: int = NOW) -> Facts:
    """What a watcher of this protocol would know."""
    facts = Facts(DOMAIN, now=now, block=1)
    learn(facts, protocol, [account_of(number) for number in traders])
    return facts


def learn(facts: Facts, protocol: Protocol, accounts: Iterable[int]) -> None:
    """Read markets and accounts anew."""
    state = protocol.state
    for market in state.markets.values():
        state.accrue(market, facts.now)
        facts.markets[market.id] = MarketFacts(market, state.cash_of(market.pool_account), Terms(CENT, WAD // 10_000))
    for account in accounts:
        held = {market_id: protocol.position(account, market_id, facts.now) for market_id in state.markets}
        positions = {market_id: position for market_id, position in held.items() if position[0]}
        facts.accounts[account] = AccountFacts(
            state.cash_of(account),
            protocol.reserved_of(account),
            protocol.counter_of(account),
            positions,
            facts.now,
        )


def market(traders: Iterable[int] = (), *params: MarketParams, dollars: int = 1_000_000) -> Protocol:
    """A protocol whose orders are hashed as the contracts do, and traders with cash."""
    protocol = deployed(*params)
    protocol.order_hash = signing.order_hash
    for number in traders:
        protocol.deposit(account_of(number), dollars * UNIT)
    return protocol


def desk(*traders: int, dollars: int = 1_000_000) -> Desk:
    """An engine for traders with so much each, and nothing behind it."""
    return Desk(facts_of(market(traders, dollars=dollars), traders))


def reverted(refusal: Refusal) -> Reverted:
    """A refusal of the model as the chain would name it."""
    return Reverted(b"", refusal.name, dict(zip(VALUES[refusal.name], refusal.values, strict=True)))


class ModelChain:
    """A chain that is the reference model: a `Matcher`, and a mempool in which transactions can be held or lost."""

    def __init__(self, protocol: Protocol, facts: Facts) -> None:
        self.protocol = protocol
        self.facts = facts
        self.nonce = 0
        self.mempool: dict[int, Sent] = {}
        self.mined: dict[str, Mined] = {}
        self.holds = False
        """Whether what is sent stays in the mempool."""
        self.simulations = 0
        self.sends = 0

    def simulate(self, works: Sequence[Work]) -> list[Simulated]:
        self.simulations += 1
        with self.protocol.simulated():
            return [self._simulated(work) for work in works]

    def _simulated(self, work: Work) -> Simulated:
        try:
            outcomes = self._run(_call(work))
        except Refusal as refusal:
            if refusal.name in ("OrderBook_NothingMatched", "OrderBook_FillOrKill") and (skips := self._alone(work)):
                return Simulated(skips=skips)
            return Simulated(reverts=reverted(refusal))
        return Simulated(
            skips={
                match.id: reverted(outcome)
                for match, outcome in zip(work.matches, outcomes, strict=True)
                if isinstance(outcome, Refusal)
            }
        )

    def _alone(self, work: Work) -> dict[int, Reverted]:
        """What is wrong with each maker, as a trace of the call would say; without the taker's fill or kill."""
        taker, signer, fills = _call(work)
        if taker.time_in_force == FOK:
            return {}
        skips = {}
        for match, fill in zip(work.matches, fills, strict=True):
            with self.protocol.simulated():
                try:
                    self.protocol.match_orders(
                        fill.order, fill.signer, taker, signer, fill.base, now=self.facts.now, sender=OPERATOR
                    )
                except Refusal as refusal:
                    skips[match.id] = reverted(refusal)
        return skips

    def sign(self, works: Sequence[Work]) -> list[Sent]:
        found = []
        for place, work in enumerate(works):
            raw = pickle.dumps((self.nonce + place, _call(work)))
            found.append(Sent(f"0x{sha256(raw).hexdigest()}", self.nonce + place, raw, work.taker.hash))
        return found

    def abandon(self) -> None:
        pass

    def send(self, sent: Sequence[Sent]) -> None:
        self.sends += 1
        for one in sent:
            if one.nonce >= self.nonce:
                self.mempool.setdefault(one.nonce, one)
        if not self.holds:
            self.mine()

    def mine(self) -> None:
        while (one := self.mempool.pop(self.nonce, None)) is not None:
            self.nonce += 1
            _, call = pickle.loads(one.raw)
            self.mined[one.tx_hash] = self._mined(call)

    def replace(self) -> None:
        """Another transaction took the next nonce."""
        self.mempool.pop(self.nonce, None)
        self.nonce += 1

    def _mined(self, call: _Call) -> Mined:
        try:
            outcomes = self._run(call)
        except Refusal as refusal:
            return Mined(reverted=reverted(refusal))
        return Mined(
            makers=tuple(
                (signing.order_hash(fill.order), fill.base if isinstance(outcome, Match) else reverted(outcome))
                for fill, outcome in zip(call[2], outcomes, strict=True)
            )
        )

    def outcome(self, sent: Sent) -> Mined | Gone | None:
        found = self.mined.get(sent.tx_hash)
        return found if found is not None or self.nonce <= sent.nonce else Gone()

    def _run(self, call: _Call) -> list[Match | Refusal]:
        taker, signer, fills = call
        return self.protocol.match_batch(taker, signer, fills, now=self.facts.now, sender=OPERATOR)


_Call = tuple[Order, int, list[MakerFill]]


def _call(work: Work) -> _Call:
    fills = [
        MakerFill(maker.order, maker.signer, match.base) for maker, match in zip(work.makers, work.matches, strict=True)
    ]
    return work.taker.order, work.taker.signer, fills


def state_of(engine: Engine) -> tuple[Any, ...]:
    """All that must survive a restart, in a form that can be compared."""
    live = [one for one in engine.orders.values() if one.is_live]
    matches = [match for _, found in engine.pending.takers() for match in found]
    matches += [match for tx_hash in engine.sent for match in engine.pending.sent(tx_hash)]
    return (
        sorted((o.sequence, o.hash, o.order, o.signature, o.left, o.pending, o.filled, o.end, o.reason) for o in live),
        [[(one.hash, one.left, one.sequence) for one in engine.book(market_id)] for market_id in engine.facts.markets],
        [engine.book(market_id).depth(10_000) for market_id in engine.facts.markets],
        sorted((m.id, m.maker, m.taker, m.base, m.price, int(m.state), m.tx_hash) for m in matches),
        sorted(engine.sent.values()),
        sorted((key, value) for key, value in engine.open._sides.items()),
        sorted(engine.open._counts.items()),
        (engine._sequence, engine._match_id),
    )
