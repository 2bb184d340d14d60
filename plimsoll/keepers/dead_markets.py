"""The end of a market without prices: whether to take its next step, and what a closed one left in accounts.

Any price that is recorded ends a declaration, so that declaring does no harm and starts the clock for those who can't
leave otherwise. Closing is for good and at the last price, however wrong that is by then: it takes a person's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from plimsoll.chain.transactions import Block, Call
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.keepers.runner import Fields, account_shown, shown
from plimsoll.risk.oracle import OPEN
from plimsoll.risk.shutdown import HALTED
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import Posted, decode_all
from plimsoll.sdk.history import Follower, occurrences, topics_of
from plimsoll.sdk.shutdown import FUNCTIONS, STEPS, Standing, read_standings
from plimsoll.sdk.snapshots import MarketSnapshot
from plimsoll.sdk.words import markets_in

OFF, DECLARE, CLOSE = "off", "declare", "close"
SETTINGS: Mapping[str, Sequence[str]] = {OFF: (), DECLARE: STEPS[:1], CLOSE: STEPS}
"""Which steps a keeper takes by itself."""
MIN_LEFT = WAD
"""WAD dollars: less isn't worth the gas, which somebody with many accounts would have us spend."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a closed market left of a position, WAD dollars."""

    account: int
    market_id: int
    value: int


@dataclass(frozen=True, slots=True)
class TakeStep:
    """Declare a silent market dead, confirm that, close it. `last_price_at` in Unix seconds."""

    market_id: int
    step: str
    last_price_at: int
    event: ClassVar[str] = "shutdown"

    @property
    def key(self) -> tuple[str, int]:
        return self.step, self.market_id

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"shutdown:{self.market_id}",)

    def describe(self) -> Fields:
        return {"do": f"{self.step} dead", "market": self.market_id, "last_price_at": self.last_price_at}

    def call(self, contracts: Contracts) -> Call:
        return contracts.liquidator.prepare(FUNCTIONS[self.step], self.market_id)


@dataclass(frozen=True, slots=True)
class SettleAccount:
    """Turn what a closed market left in an account into cash; WAD dollars."""

    account: int
    market_id: int
    value: int
    event: ClassVar[str] = "settled"

    @property
    def key(self) -> tuple[str, int]:
        return f"settle {self.account:x}", self.market_id

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"settle:{self.account:x}:{self.market_id}",)

    def describe(self) -> Fields:
        where = {"account": account_shown(self.account), "market": self.market_id}
        return {"do": "settle account", **where, "value": shown(self.value)}

    def call(self, contracts: Contracts) -> Call:
        return contracts.market.prepare("settle", self.account, self.market_id)


@dataclass(frozen=True, slots=True)
class Silences:
    """Where markets with a price stand, by id, and whether the sequencer has been back for long enough."""

    standings: Mapping[int, Standing]
    is_open: bool = True


def setting_named(text: str) -> str:
    """Raises UserError."""
    if text not in SETTINGS:
        raise UserError(f"shutdown: {text!r} is none of {', '.join(SETTINGS)}")
    return text


def is_closed(market: MarketSnapshot) -> bool:
    return market.configuration.halt_until == HALTED and not market.long and not market.short


def due_steps(now: int, silences: Silences, markets: Mapping[int, MarketSnapshot], setting: str) -> Iterable[TakeStep]:
    """Of those that the setting allows; a market in which nobody has a position needs no end. `now`: Unix seconds."""
    for market_id, standing in sorted(silences.standings.items()):
        market, step = markets[market_id], standing.next_step
        if step not in SETTINGS[setting] or now < standing.opens_at or not (market.long or market.short):
            continue
        if step == DECLARE or silences.is_open:
            yield TakeStep(market_id, step, standing.last_price_at)


def due_accounts(left: Iterable[Left]) -> Iterable[SettleAccount]:
    """Those for whom it is worth it, the largest first. One that owes more than it has is the backstop's: refused."""
    for one in sorted(left, key=lambda one: (-abs(one.value), one.account, one.market_id)):
        if abs(one.value) >= MIN_LEFT:
            yield SettleAccount(one.account, one.market_id, one.value)


def read_silences(contracts: Contracts, markets: Mapping[int, MarketSnapshot], block: Block) -> Silences:
    """Of all markets that ever had a price."""
    newest = {one.market_id: one.newest.published_at for one in markets.values() if one.newest is not None}
    [state] = contracts.chain.read([contracts.oracle.prepare("sequencerState")], block=block.number)
    return Silences(read_standings(contracts, newest, block), int(state) == OPEN)


class Leftovers:
    """Accounts that a closed market still counts for; nothing is followed before the first is closed."""

    def __init__(self, contracts: Contracts) -> None:
        self.contracts = contracts
        vault = contracts.vault
        topics = topics_of(vault.name, ["Posted"])
        self._follower = Follower(contracts.chain, [vault.address], topics, from_block=contracts.from_block)
        self._restarts = 0
        self._markets: dict[int, list[int]] = {}
        """That count for an account."""
        self._values: dict[tuple[int, int], int] = {}
        """What is left, by account and market: nothing moves it any more."""

    def read(self, markets: Mapping[int, MarketSnapshot], block: Block) -> tuple[Left, ...]:
        closed = {one.market_id for one in markets.values() if is_closed(one)}
        if not closed:
            return ()
        self._follow(block)
        places = [(account, one) for account, held in self._markets.items() for one in held if one in closed]
        self._read_values([one for one in places if one not in self._values], block)
        return tuple(Left(*place, self._values[place]) for place in places if place in self._values)

    def _follow(self, block: Block) -> None:
        logs = self._follower.poll(block.number)
        if self._follower.restarts != self._restarts:
            self._restarts = self._follower.restarts
            self._markets.clear()
            self._values.clear()
        for record in decode_all(occurrences([self.contracts.vault], logs)):
            if isinstance(record, Posted):
                for market_id in self._markets.pop(record.account, ()):
                    self._values.pop((record.account, market_id), None)
                if held := markets_in(record.unpacked.markets):
                    self._markets[record.account] = held

    def _read_values(self, places: Sequence[tuple[int, int]], block: Block) -> None:
        calls = [self.contracts.market.prepare("position", *place) for place in places]
        positions = self.contracts.chain.read(calls, block=block.number)
        for place, (base, quote, owed) in zip(places, positions, strict=True):
            if not base:
                self._values[place] = quote - owed
