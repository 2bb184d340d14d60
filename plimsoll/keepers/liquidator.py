"""The liquidator: closes out unhealthy accounts, absorbs bankrupt ones, takes positions over where it has capital, and
deleverages a market whose pool could not pay.

What an action would do is forecast by the reference model on a copy of the chain's state, one action after the other,
so that a batch respects the cap of a window; then every action is simulated on the chain before it is sent. A
close-out beyond the cap waits for the next window, and whatever the contracts refused waits for the next record.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from plimsoll.chain.contracts import decode_logs
from plimsoll.chain.transactions import Block, Call, Receipt, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.keepers.accounts import AccountTracker
from plimsoll.keepers.outcomes import told
from plimsoll.keepers.runner import Fields, Log, account_shown, shown
from plimsoll.risk import liquidation
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import State
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import decode_all
from plimsoll.sdk.snapshots import AccountSnapshot, MarketSnapshot, model_state, read_accounts, read_markets

T = TypeVar("T")

MAX_ACTIONS = 128
"""In one round, which is to say one block: what more there is comes in the next."""
GAS_PERCENT = 200
"""Of the estimate: the actions sent before it in the same block may change what it has to do."""
MAX_HALVINGS = 6


@dataclass(frozen=True, slots=True)
class Capital:
    """What the keeper may take over with: into which account, up to which notional in all and from which profit on.

    `min_profit_bps` of the notional taken, discount less taker fee.
    """

    account: int
    max_notional: int
    min_profit_bps: int = 10


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Unhealthy accounts and all that a forecast needs.

    `refused`: (account, market, 0 for absorb) → `record_of` it when the contracts refused.
    """

    now: int
    """The newest block's time, Unix seconds: what simulations see, too."""
    keeper: int
    """The keeper's address."""
    markets: Mapping[int, MarketSnapshot]
    accounts: tuple[AccountSnapshot, ...]
    refused: Mapping[tuple[int, int], int]
    taker: AccountSnapshot | None = None
    """The account that takes over, where there is capital."""

    def record_of(self, key: tuple[int, int]) -> int:
        """Counts the records that an action of that key rests on: its market's, or all of the account's."""
        account, market_id = key
        held = [one.market_id for found in self.accounts if found.account == account for one in found.positions]
        newest = [self.markets[one].newest for one in ([market_id] if market_id else held)]
        return sum(one.sequence for one in newest if one is not None)

    def is_refused(self, key: tuple[int, int]) -> bool:
        """Whether the contracts refused it at the present record."""
        return key in self.refused and self.refused[key] == self.record_of(key)


@dataclass(frozen=True, slots=True)
class CloseOut:
    """Close a chunk against the pool; the forecast size and reward (without what is paid for gas), WAD."""

    account: int
    market_id: int
    size: int
    reward: int

    @property
    def key(self) -> tuple[int, int]:
        return self.account, self.market_id

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"account:{self.account:x}",)

    def describe(self) -> Fields:
        return {
            "do": "close out",
            "account": account_shown(self.account),
            "market": self.market_id,
            "size": shown(self.size),
            "reward": shown(self.reward),
        }


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Take `base` (with the position's sign) into an account of the keeper's; the forecast profit, WAD dollars."""

    account: int
    market_id: int
    base: int
    to_account: int
    profit: int

    @property
    def key(self) -> tuple[int, int]:
        return self.account, self.market_id

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"account:{self.account:x}",)

    def describe(self) -> Fields:
        return {
            "do": "take over",
            "account": account_shown(self.account),
            "market": self.market_id,
            "base": shown(self.base),
            "profit": shown(self.profit),
        }


@dataclass(frozen=True, slots=True)
class Absorb:
    """Hand a bankrupt account's positions to the pool."""

    account: int

    @property
    def key(self) -> tuple[int, int]:
        return self.account, 0

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"account:{self.account:x}",)

    def describe(self) -> Fields:
        return {"do": "absorb", "account": account_shown(self.account)}


@dataclass(frozen=True, slots=True)
class Deleverage:
    """Close what of a side the pool could not pay any more."""

    market_id: int

    @property
    def key(self) -> tuple[int, int]:
        return 0, self.market_id

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"deleverage:{self.market_id}",)

    def describe(self) -> Fields:
        return {"do": "deleverage", "market": self.market_id}


Liquidation = CloseOut | TakeOver | Absorb
Decision = Liquidation | Deleverage


# --- decide ------------------------------------------------------------------------------------------------------


def decide(snapshot: Snapshot, capital: Capital | None = None, most: int = MAX_ACTIONS) -> list[Liquidation]:
    """One action an account at most, the sickest first, `most` in all."""
    everyone = [*snapshot.accounts]
    if snapshot.taker is not None and all(one.account != snapshot.taker.account for one in everyone):
        everyone.append(snapshot.taker)
    forecast = _Forecast(snapshot, model_state(snapshot.markets.values(), everyone), capital)
    decisions: list[Liquidation] = []
    for account in sorted(snapshot.accounts, key=lambda one: (one.health, one.account)):
        if len(decisions) == most:
            break
        if (decision := forecast.decide(account)) is not None:
            decisions.append(decision)
    return decisions


def deleveragings(snapshot: Snapshot, decisions: Sequence[Liquidation]) -> list[Deleverage]:
    """What no liquidation does along: each brings its markets up to date first, which deleverages what is due."""
    absorbed = {one.account for one in decisions if isinstance(one, Absorb)}
    seen = {one.market_id for one in decisions if not isinstance(one, Absorb)}
    seen |= {held.market_id for one in snapshot.accounts if one.account in absorbed for held in one.positions}
    return [Deleverage(one) for one in sorted(snapshot.markets) if one not in seen and _is_due(snapshot, one)]


def _is_due(snapshot: Snapshot, market_id: int) -> bool:
    """Whether a market has something to deleverage, at the newest record and accrued to the block."""
    market = snapshot.markets[market_id]
    _, fraction, _ = market.model().due(market.pool_cash)
    return fraction != 0 and not snapshot.is_refused((0, market_id))


class _Forecast:
    """The model's state, in which each decision is carried out at once."""

    def __init__(self, snapshot: Snapshot, state: State, capital: Capital | None) -> None:
        self.snapshot = snapshot
        self.state = state
        self.capital = capital if snapshot.taker is not None else None
        self.taken = sum(one.notional for one in snapshot.taker.positions) if snapshot.taker else 0

    def decide(self, account: AccountSnapshot) -> Liquidation | None:
        if account.health <= 0 and (absorb := self._absorb(account)) is not None:
            return absorb
        for held in sorted(account.positions, key=lambda one: (-one.notional, one.market_id)):
            if not self.snapshot.is_refused((account.account, held.market_id)):
                decision = self._close_out(account.account, held.market_id) or self._take_over(
                    account.account, held.market_id, held.base
                )
                if decision is not None:
                    return decision
        return None

    def _absorb(self, account: AccountSnapshot) -> Absorb | None:
        if self.snapshot.is_refused((account.account, 0)):
            return None
        now, keeper = self.snapshot.now, self.snapshot.keeper
        done = self._try(lambda: liquidation.absorb(self.state, now, keeper, account.account))
        return None if done is None else Absorb(account.account)

    def _close_out(self, account: int, market_id: int) -> CloseOut | None:
        now, keeper = self.snapshot.now, self.snapshot.keeper
        done = self._try(lambda: liquidation.liquidate(self.state, now, keeper, account, market_id))
        return None if done is None else CloseOut(account, market_id, done.size, done.reward)

    def _take_over(self, account: int, market_id: int, held: int) -> TakeOver | None:
        """The largest part that pays, halving from all of it: what the capital can't carry is refused by the model."""
        capital, price = self.capital, self.snapshot.markets[market_id].price
        if capital is None:
            return None
        for base in _halvings(held):
            notional = abs(base) * price // WAD
            if self.taken + notional > capital.max_notional:
                continue
            done = self._try(partial(self._taken, capital, account, market_id, base, notional))
            if done is not None:
                self.taken += notional
                return TakeOver(account, market_id, base, capital.account, done.discount - done.fee)
        return None

    def _taken(self, capital: Capital, account: int, market_id: int, base: int, notional: int) -> liquidation.TakeOver:
        """Raises Refusal where the model refuses, or where it doesn't pay."""
        now, keeper = self.snapshot.now, self.snapshot.keeper
        done = liquidation.take_over(self.state, now, keeper, account, market_id, base, capital.account)
        if (done.discount - done.fee) * 10_000 < notional * capital.min_profit_bps:
            raise Refusal("unprofitable", done.discount, done.fee)
        return done

    def _try(self, action: Callable[[], T]) -> T | None:
        """Carry an action out in the model; None, and nothing changed, where it refuses."""
        point = self.state.journal.begin()
        try:
            done = action()
        except Refusal:
            self.state.journal.rollback(point)
            return None
        self.state.journal.commit()
        return done


def _halvings(base: int) -> Iterator[int]:
    """All of a size, half of it, a quarter, … with its sign."""
    for power in range(MAX_HALVINGS):
        if part := abs(base) >> power:
            yield part if base > 0 else -part


# --- the job -----------------------------------------------------------------------------------------------------


class Liquidator:
    """The job. State: the accounts with positions, from the vault's events; everything else is read each round."""

    name = "liquidator"

    def __init__(self, contracts: Contracts, signer: Signer | None, *, capital: Capital | None = None) -> None:
        """Raises UserError where the capital's account is not the signer's."""
        if capital is not None and (signer is None or capital.account >> 96 != int(signer.address, 16)):
            raise UserError("liquidator: the account to take over into must be the signer's own")
        self.contracts = contracts
        self.signer = signer
        self.capital = capital
        self._tracker = AccountTracker(contracts)
        self._refused: dict[tuple[int, int], int] = {}
        self._last: Snapshot | None = None

    def check(self) -> Fields:
        fields = {"liquidator": self.contracts.liquidator.address, "from_block": self.contracts.from_block}
        if self.capital is not None:
            fields["takes_over_into"] = account_shown(self.capital.account)
        return fields

    def observe(self, block: Block) -> Snapshot:
        unhealthy = list(self._tracker.unhealthy(block))
        taker = self.capital.account if self.capital is not None else None
        markets = read_markets(self.contracts, block)
        wanted = unhealthy if taker is None or not unhealthy or taker in unhealthy else [*unhealthy, taker]
        found = read_accounts(self.contracts, block, wanted)
        self._refused = {key: at for key, at in self._refused.items() if key[0] in found or not key[0]}
        self._last = Snapshot(
            now=block.timestamp,
            keeper=int(self.signer.address, 16) if self.signer is not None else 1,
            markets=markets,
            accounts=tuple(found[account] for account in unhealthy),
            refused=dict(self._refused),
            taker=None if taker is None else found.get(taker),
        )
        return self._last

    def decide(self, snapshot: Snapshot) -> list[Decision]:
        liquidations = decide(snapshot, self.capital)
        return [*liquidations, *deleveragings(snapshot, liquidations)]

    def act(self, actions: Sequence[Decision], log: Log, stop: threading.Event) -> None:
        """Those that the chain would accept now are sent together, in order."""
        assert self.signer is not None
        asked = [self._call(action) for action in actions]
        calls: list[Call] = []
        sent: list[Decision] = []
        estimates = self.contracts.chain.estimates(asked, sender=self.signer.address)
        for action, call, gas in zip(actions, asked, estimates, strict=True):
            if isinstance(gas, Reverted):
                self._refuse(action, gas, log)
                continue
            calls.append(Call(call.to, call.data, gas=gas * GAS_PERCENT // 100, label=call.label))
            sent.append(action)
        if stop.is_set():
            return
        for action, receipt in zip(sent, self.signer.send_many(calls), strict=True):
            if receipt.ok:
                self._report(receipt, log)
            else:
                self._refuse(action, self.contracts.chain.why(receipt), log, receipt)

    def _call(self, action: Decision) -> Call:
        liquidator = self.contracts.liquidator
        if isinstance(action, CloseOut):
            return liquidator.prepare("liquidate", action.account, action.market_id, [])
        if isinstance(action, TakeOver):
            return liquidator.prepare(
                "takeOver", action.account, action.market_id, action.base, action.to_account, b"", []
            )
        if isinstance(action, Deleverage):
            return liquidator.prepare("deleverage", action.market_id, [])
        return liquidator.prepare("absorb", action.account, [])

    def _refuse(self, action: Decision, error: Reverted, log: Log, receipt: Receipt | None = None) -> None:
        """Not again before the next record; said once a record."""
        if self._last is not None:
            self._refused[action.key] = self._last.record_of(action.key)
        tx = {} if receipt is None else {"tx": receipt.tx_hash}
        log("refused" if receipt is None else "failed", **action.describe(), reason=error.reason, **tx)

    def _report(self, receipt: Receipt, log: Log) -> None:
        for event, fields in told(decode_all(decode_logs(receipt.logs, self.contracts.chain.registry))):
            log(event, **fields, tx=receipt.tx_hash)
