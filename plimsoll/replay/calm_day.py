"""A market maker's day in the reference model: `python -m plimsoll.replay.calm_day`.

The bot's own `decide` quotes into the matching engine's book; seeded takers come, and what crosses is matched by the
model's entry points, margin, fees and funding included. Every `STEP` seconds: a price, the bot, perhaps a taker.

- A noise taker opens a position, or closes one that he opened before, and takes the book's price where it is no worse
  than his own limit: the index and up to `PATIENCE` beyond it, for a fill at once and at a price that he knows. Else he
  goes to the pool.
- An informed taker knows the index a minute (`ahead` steps) from now and takes what will have been worth more than he
  pays, fee included; else he stays away.

Takers send fill-or-kill orders. The result splits the profit into what the quotes were away from the index (spread),
what the index moved against the fills in the same time (adverse selection), what it moved after that (inventory),
fees and funding; the parts add up to the change of equity to the wei.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache

from rich.console import Console
from rich.table import Table

from plimsoll.book.book import Book, Limits, Resting
from plimsoll.core import ids
from plimsoll.core.errors import UserError, run_command
from plimsoll.core.orders import Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD, WAD_PER_BPS, format_percent, format_usd, format_usd_short, format_wad
from plimsoll.keepers.engine import Standing
from plimsoll.keepers.market_maker import LayOff, Place, Pull, Snapshot, decide
from plimsoll.keepers.quoting import Quoting, View, Volatility
from plimsoll.replay.calm_prices import STEP, Day, calm_day, made_up_day, require_calmest_day
from plimsoll.risk.config import MarketParams, RequestParams
from plimsoll.risk.matching import BAND_BPS, MakerFill, Match
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.scenario.draws import Draws
from plimsoll.sdk.signing import order_hash

MARKET = 1
SCALE = 333_333 * WAD
POOL_USD, MAKER_USD, TAKER_USD = 20_000_000, 100_000, 20_000
AHEAD = 6
"""Steps: a minute."""
ARRIVAL_PERCENT = 30
"""In how many steps of a hundred a taker comes."""
CLOSE_PERCENT = 50
"""How many noise takers of a hundred close a position, where there is one."""
PATIENCE = 12 * WAD_PER_BPS
SIZES = Decimal(1_500), Decimal(10_000)
"""Dollars, log-uniform."""
DEFAULT_SHARE = 20
SHARES = (0, 10, 20, 30, 40, 50, 60, 80, 100)

_MAKER, _PROVIDER, _OPERATOR, _TAKERS = 0x3A4E, 0xB0B, 0xE19E, 1 << 20
_TOKEN = 10**6


@dataclass
class Result:
    """A day. Dollars are WAD; costs are positive where they cost. `checked`: dust of the ledger and its bounds."""

    informed_percent: int
    pnl: int = 0
    spread: int = 0
    adverse: int = 0
    inventory: int = 0
    fees: int = 0
    funding: int = 0
    laid_off: int = 0
    """What laying off cost beside the index, fees included."""
    volume: int = 0
    max_inventory: int = 0
    """Dollars, the largest of either sign."""
    last_base: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def parts(self) -> int:
        """What should be the profit."""
        return self.spread - self.adverse + self.inventory - self.fees - self.funding - self.laid_off

    def as_json(self, day: str) -> str:
        """One line; dollars as numbers with two decimals, written without a float."""
        dollars = {
            "pnl_usd": self.pnl,
            "spread_captured_usd": self.spread,
            "adverse_selection_usd": self.adverse,
            "inventory_usd": self.inventory,
            "fees_paid_usd": self.fees,
            "funding_usd": self.funding,
            "laid_off_usd": self.laid_off,
            "volume_usd": self.volume,
            "max_inventory_usd": self.max_inventory,
        }
        fields = [f'"{name}": {format_wad(value, grouped=False)}' for name, value in dollars.items()]
        counts = [f'"{name}": {self.counts[name]}' for name in ("fills", "informed_fills", "to_pool", "refused")]
        return (
            "{" + ", ".join([f'"day": "{day}"', f'"informed_percent": {self.informed_percent}', *fields, *counts]) + "}"
        )


@dataclass(frozen=True, slots=True)
class _Taker:
    account: int
    base: int
    limit: int
    is_informed: bool


@dataclass(frozen=True, slots=True)
class _Fill:
    """The maker's part: base, and the index and step at which it was."""

    base: int
    index: int
    step: int


class CalmDay:
    """One run. After `run`, `protocol` is as the day left it."""

    def __init__(
        self,
        day: Day,
        informed_percent: int = DEFAULT_SHARE,
        *,
        seed: int = 1,
        terms: Quoting | None = None,
        ahead: int = AHEAD,
    ) -> None:
        """Raises UserError for a share that is none."""
        if not 0 <= informed_percent <= 100:
            raise UserError(f"informed flow: {informed_percent}% is not between 0 and 100")
        self.day = day
        self.ahead = ahead
        self.terms = terms or Quoting(lay_off_beyond=90_000 * WAD)
        self.result = Result(informed_percent)
        self.protocol = Protocol(pool_params=RequestParams(weights_bps={MARKET: 10_000}), order_hash=order_hash)
        self.maker = ids.pack(_MAKER)
        self._draws = Draws(seed, "takers")
        self._book = Book()
        self._orders: dict[bytes, Order] = {}
        self._salt = 0
        self._volatility = Volatility()
        self._holders: list[int] = []
        self._recent: deque[_Fill] = deque()
        self._due: LayOff | None = None
        self._base = 0
        self._started_with = 0
        self._now = day.start
        self._index = day.prices[0]
        # sums of (base × price), WAD²
        self._spread = self._moves = self._adverse = self._laid_off = 0
        self._open_market()

    def run(self) -> Result:
        for step, price in enumerate(self.day.prices):
            self._record(step, price)
            self._lay_off()
            self._quote()
            if self._draws.below(100) < ARRIVAL_PERCENT:
                self._arrive(step)
        self._finish()
        return self.result

    # --- the market ----------------------------------------------------------------------------------------------

    def _open_market(self) -> None:
        """A pool with its deposit, a maker with his; the day begins after."""
        protocol, before = self.protocol, self.day.start - 100
        protocol.list_market(SCALE, MarketParams(), now=before)
        protocol.deposit(ids.pack(_PROVIDER), POOL_USD * _TOKEN)
        request = protocol.request_deposit(
            protocol.pool, POOL_USD * _TOKEN, ids.pack(_PROVIDER), _PROVIDER, now=before, sender=_PROVIDER
        )
        protocol.record_price(MARKET, self._index, 0, self.day.start - 20)
        protocol.execute_request(protocol.pool, request, now=self.day.start - 20)
        protocol.deposit(self.maker, MAKER_USD * _TOKEN)
        self._started_with = protocol.equity(self.maker, self.day.start - 20)

    def _record(self, step: int, price: int) -> None:
        self._moves += self._base * (price - self._index)
        if step:
            self._volatility = self._volatility.after(self._index, price, STEP)
        self._now, self._index = self.day.start + step * STEP, price
        self.protocol.record_price(MARKET, price, 0, self._now)
        while self._recent and self._recent[0].step + self.ahead <= step:
            fill = self._recent.popleft()
            self._adverse -= fill.base * (price - fill.index)

    # --- the maker -----------------------------------------------------------------------------------------------

    def _quote(self) -> None:
        for action in decide(self._snapshot(), self.terms):
            match action:
                case Pull():
                    for hash_ in action.hashes:
                        self._book.remove(hash_)
                        del self._orders[hash_]
                    self.result.counts["pulled"] += len(action.hashes)
                case Place():
                    self._rest(action)
                case LayOff():
                    self._due = action

    def _snapshot(self) -> Snapshot:
        protocol, params = self.protocol, self.protocol.state.markets[MARKET].rules.params
        standing = []
        for hash_, order in list(self._orders.items()):
            resting = self._book.get(hash_)
            if resting is None or order.expiry < self._now:
                self._book.remove(hash_)
                del self._orders[hash_]
            else:
                standing.append(Standing(order, resting.left if resting.is_buy else -resting.left))
        view = View(
            index=self._index,
            volatility=self._volatility.over(self.terms.horizon),
            base=self._base,
            equity=protocol.equity(self.maker, self._now),
            fee=params.maker_bps * WAD_PER_BPS,
            min_notional=params.min_position_usd * WAD,
            tick=WAD // 100,
            lot=WAD // 10_000,
        )
        return Snapshot(
            now=self._now,
            view=view,
            published_at=self._now,
            max_price_age=params.max_price_age,
            is_open=True,
            health=protocol.health(self.maker, self._now),
            standing=tuple(standing),
            is_laying_off=self._due is not None,
        )

    def _rest(self, quote: Place) -> None:
        order = self._order(self.maker, quote.base, quote.price, TimeInForce.POST_ONLY, quote.expiry)
        hash_ = order_hash(order)
        self._orders[hash_] = order
        self._book.insert(Resting(hash_, _MAKER, order.is_buy, quote.price, abs(quote.base), self._salt, quote.expiry))
        self.result.counts["quoted"] += 1

    def _lay_off(self) -> None:
        """What was placed at the last record is executed at this one."""
        if self._due is None:
            return
        due, self._due = self._due, None
        fee = self.protocol.state.markets[MARKET].order_params.execution_fee
        owed = self._owed()
        try:
            done = self.protocol.trade(
                self.maker,
                MARKET,
                due.base,
                now=self._now,
                sender=_OPERATOR,
                acceptable=due.acceptable_price,
                reduce_only=True,
                execution_fee=fee,
            )
        except Refusal as error:
            self.result.counts[error.name] += 1
            return
        self.result.funding += owed
        self._base += done.size
        paid = done.fee + done.surcharge + done.execution_fee
        self._laid_off += paid * WAD - (done.size * self._index + done.quote * WAD)
        self.result.counts["lay_offs"] += 1

    def _owed(self) -> int:
        """What the next fill takes out of the maker's cash for funding."""
        return self.protocol.position(self.maker, MARKET, self._now)[2]

    # --- the takers ----------------------------------------------------------------------------------------------

    def _arrive(self, step: int) -> None:
        if self._draws.below(100) < self.result.informed_percent:
            taker = self._informed(step)
            if taker is None:
                self.result.counts["stayed_away"] += 1
                return
        else:
            taker = self._noise()
        if not self._take(taker, step) and not taker.is_informed:
            self._to_pool(taker)
        if taker.account not in self._holders and self.protocol.markets_bitmap(taker.account):
            self._holders.append(taker.account)

    def _noise(self) -> _Taker:
        sign = 1 if self._draws.below(2) else -1
        patience = self._draws.below(PATIENCE + 1)
        account, base = self._newcomer(), 0
        closes = self._draws.below(100) < CLOSE_PERCENT
        size = self._size()
        if closes and self._holders:
            account = self._holders.pop(self._draws.below(len(self._holders)))
            base = -self.protocol.position(account, MARKET, self._now)[0]
        base = base or sign * size
        limit = self._index * (WAD + (patience if base > 0 else -patience)) // WAD
        return _Taker(account, base, limit, False)

    def _informed(self, step: int) -> _Taker | None:
        """Whoever gains, fee included, if the index is what he knows it to be."""
        later = self.day.prices[min(step + self.ahead, len(self.day.prices) - 1)]
        fee = self.protocol.state.markets[MARKET].rules.params.taker_bps * WAD_PER_BPS
        size, account = self._size(), self._newcomer()
        for is_buy in (True, False):
            best = self._book.best(not is_buy)
            limit = later * (WAD - fee) // WAD if is_buy else later * (WAD + fee) // WAD
            if (
                best is not None
                and best.last_second >= self._now
                and (best.price < limit if is_buy else best.price > limit)
            ):
                size = min(size, best.left)
                return _Taker(account, size if is_buy else -size, limit, True)
        return None

    def _size(self) -> int:
        dollars = int(self._draws.log_uniform(*SIZES))
        return dollars * WAD * WAD // self._index // 10**14 * 10**14

    def _newcomer(self) -> int:
        self._salt += 1
        return ids.pack(_TAKERS + self._salt)

    def _take(self, taker: _Taker, step: int) -> bool:
        """Whether the book filled all of it."""
        distance = self._index * BAND_BPS // 10_000
        order = self._order(taker.account, taker.base, taker.limit, TimeInForce.FILL_OR_KILL, self._now + 60)
        incoming = Resting(
            order_hash(order), taker.account >> 96, order.is_buy, taker.limit, abs(taker.base), self._salt
        )
        limits = Limits(self._now, (self._index - distance, self._index + distance))
        found = self._book.match(incoming, TimeInForce.FILL_OR_KILL, limits)
        if not found.fills:
            return False
        self._fund(taker.account)
        owed = self._owed()
        makers = [MakerFill(self._orders[fill.maker], _MAKER, fill.base) for fill in found.fills]
        try:
            done = self.protocol.match_batch(order, taker.account >> 96, makers, now=self._now, sender=_OPERATOR)
        except Refusal:
            # as the engine would: whoever is refused is out of the book
            for fill in found.fills:
                self._book.remove(fill.maker)
            self.result.counts["refused"] += 1
            return False
        self.result.funding += owed
        for one in done:
            if isinstance(one, Match):
                self._filled(one, step)
        self.result.counts["informed_fills"] += taker.is_informed
        return True

    def _filled(self, match: Match, step: int) -> None:
        """The maker has the opposite of what the taker got."""
        result = self.result
        base, quote = -match.base, -match.quote
        self._base += base
        self._spread += base * self._index + quote * WAD
        self._recent.append(_Fill(base, self._index, step))
        result.fees += match.maker_fee
        result.volume += abs(quote)
        result.counts["fills"] += 1
        result.max_inventory = max(result.max_inventory, abs(self._base) * self._index // WAD)

    def _to_pool(self, taker: _Taker) -> None:
        self._fund(taker.account)
        try:
            self.protocol.trade(taker.account, MARKET, taker.base, now=self._now, sender=_OPERATOR)
        except Refusal as error:
            self.result.counts[error.name] += 1
        else:
            self.result.counts["to_pool"] += 1

    def _fund(self, account: int) -> None:
        if not self.protocol.cash_of(account):
            self.protocol.deposit(account, TAKER_USD * _TOKEN)

    def _order(self, account: int, base: int, price: int, in_force: TimeInForce, expiry: int) -> Order:
        self._salt += 1
        return Order(
            account, MARKET, OrderKind.LIMIT, base, price, time_in_force=in_force, expiry=expiry, salt=self._salt
        )

    def _finish(self) -> None:
        """Value everything at the last price. Raises AssertionError where the ledger's sums don't hold."""
        result = self.result
        result.funding += self._owed()
        for fill in self._recent:
            self._adverse -= fill.base * (self._index - fill.index)
        self.protocol.check_sums(self._now)
        assert self.protocol.position(self.maker, MARKET, self._now)[0] == self._base
        result.pnl = self.protocol.equity(self.maker, self._now) - self._started_with
        result.spread, result.adverse = self._spread // WAD, self._adverse // WAD
        result.laid_off = self._laid_off // WAD
        result.inventory = (self._moves + self._adverse) // WAD
        result.last_base = self._base


def simulate(
    day: Day,
    informed_percent: int = DEFAULT_SHARE,
    *,
    seed: int = 1,
    terms: Quoting | None = None,
    ahead: int = AHEAD,
) -> Result:
    """A day with so many of a hundred takers informed."""
    return CalmDay(day, informed_percent, seed=seed, terms=terms, ahead=ahead).run()


# --- the command line --------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """A table of several shares of informed flow; the last line is the default share's result as JSON."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m plimsoll.replay.calm_day",
        description="A market maker's calm day, in the reference model alone.",
    )
    parser.add_argument(
        "--day", choices=("auto", "made-up", "data"), default="auto", help="whose prices; auto: data where calm"
    )
    parser.add_argument("--days", type=int, metavar="N", default=1, help="so many seeds, and what they have in common")
    parser.add_argument("--seed", type=int, metavar="N", default=1, help="of the takers, and of made-up prices")
    parser.add_argument("--ahead", type=int, metavar="SECONDS", default=AHEAD * STEP, help="what the informed foresee")
    parser.add_argument("--informed", type=int, metavar="PERCENT", help="this share of takers alone")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.ahead < STEP:
        raise UserError(f"ahead: {options.ahead} s is less than the {STEP} s of a step")
    day = _day(options.day, options.seed)
    chosen = DEFAULT_SHARE if options.informed is None else options.informed
    shares = SHARES if options.informed is None else (chosen,)
    results = {share: simulate(day, share, seed=options.seed, ahead=options.ahead // STEP) for share in shares}
    _print_table(day, results)
    if options.days > 1:
        _print_days({share: [_seeded(options, share, seed) for seed in range(options.days)] for share in shares})
    print(results[chosen].as_json(day.name))
    return 0


@cache
def _day(kind: str, seed: int) -> Day:
    if kind == "data":
        return require_calmest_day()
    return made_up_day(seed) if kind == "made-up" else calm_day(seed)


def _seeded(options: argparse.Namespace, share: int, offset: int) -> int:
    """The profit with the seed so much further on."""
    seed = options.seed + offset
    return simulate(_day(options.day, seed), share, seed=seed, ahead=options.ahead // STEP).pnl


def _print_days(profits: Mapping[int, Sequence[int]]) -> None:
    table = Table(title="profit over the seeds")
    for name in ("informed", "mean", "worst", "best", "days in profit"):
        table.add_column(name, justify="right", no_wrap=True)
    for share, found in profits.items():
        figures = (sum(found) // len(found), min(found), max(found))
        won = sum(one > 0 for one in found)
        table.add_row(f"{share}%", *(format_usd(one, 0) for one in figures), f"{won} of {len(found)}")
    Console(width=140).print(table)


def _print_table(day: Day, results: Mapping[int, Result]) -> None:
    table = Table(title=f"{day.name}: the price moved {format_percent(day.moved)}")
    for name in ("informed", "profit", "spread", "adverse", "inventory", "fees", "funding", "laid off"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("fills", "by informed", "volume", "most held"):
        table.add_column(name, justify="right", no_wrap=True)
    for share, one in results.items():
        costs = (one.fees, one.funding, one.laid_off)
        table.add_row(
            f"{share}%",
            *(format_usd(value, 0) for value in (one.pnl, one.spread, -one.adverse, one.inventory)),
            *(format_usd(-value, 2 if value == one.funding else 0) for value in costs),
            str(one.counts["fills"]),
            str(one.counts["informed_fills"]),
            format_usd_short(one.volume),
            format_usd_short(one.max_inventory),
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    sys.exit(main())
