"""Settlement: executes what liquidity providers and the insurance fund's stakers asked for, sweeps fees, and sees to
markets without prices.

A request is executed once it is mature and the prices allow it, and its escrow is given back once it has lapsed. Nobody
pays for any of it: it is the protocol's own errand, and anyone's who waits for his request.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Block, Call, Reverted, Signer
from plimsoll.core.units import WAD
from plimsoll.keepers.dead_markets import (
    DECLARE,
    Left,
    Leftovers,
    SettleAccount,
    Silences,
    TakeStep,
    due_accounts,
    due_steps,
    is_closed,
    read_silences,
)
from plimsoll.keepers.runner import Fields, Figure, Log, shown
from plimsoll.risk.oracle import OPEN
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.history import Follower, occurrences, topics_of
from plimsoll.sdk.snapshots import MarketSnapshot, read_markets

POOL, FUND = "LiquidityPool", "InsuranceFund"
GAS_PERCENT = 150
MAX_ACTIONS = 32
RETRY_SECONDS = 15
"""Of the chain, after the contracts refused."""

_ASKED = ("DepositRequested", "RedeemRequested")
_ENDED = ("RequestExecuted", "RequestLapsed")


@dataclass(frozen=True, slots=True)
class Pending:
    """A request of a vault that nobody has executed. Unix seconds."""

    vault: str
    id: int
    is_redeem: bool
    maturity: int
    deadline: int

    @property
    def key(self) -> tuple[str, int]:
        return self.vault, self.id


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`now`: the newest block's time, Unix seconds. `fees`: by market what waits to be swept, WAD dollars."""

    now: int
    requests: tuple[Pending, ...]
    markets: Mapping[int, MarketSnapshot]
    fees: Mapping[int, int]
    retry_at: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """From when on, Unix seconds, something is tried again that was refused."""
    silences: Silences = field(default_factory=lambda: Silences({}))
    left: tuple[Left, ...] = ()
    """In accounts, by markets that are closed."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Execute a mature request, or give a lapsed one's escrow back."""

    request: Pending
    is_lapsed: bool
    event: ClassVar[str] = "settled"

    @property
    def key(self) -> tuple[str, int]:
        return self.request.key

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"request:{self.request.vault}:{self.request.id}",)

    def describe(self) -> Fields:
        do = "give back" if self.is_lapsed else "execute request"
        kind = "redeem" if self.request.is_redeem else "deposit"
        return {"do": do, "vault": self.request.vault, "request": self.request.id, "kind": kind}

    def call(self, contracts: Contracts) -> Call:
        return contracts.of(self.request.vault).prepare("executeRequest", self.request.id)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Pay a market's fees to the fund and the treasury; WAD dollars."""

    market_id: int
    fees: int
    event: ClassVar[str] = "settled"

    @property
    def key(self) -> tuple[str, int]:
        return "sweep", self.market_id

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"sweep:{self.market_id}",)

    def describe(self) -> Fields:
        return {"do": "sweep", "market": self.market_id, "fees": shown(self.fees)}

    def call(self, contracts: Contracts) -> Call:
        return contracts.market.prepare("sweep", self.market_id)


Decision = Execute | Sweep | TakeStep | SettleAccount


def decide(snapshot: Snapshot, min_sweep: int, shutdown: str = DECLARE) -> list[Decision]:
    """What can be done now: steps of a shutdown, as far as that setting allows, requests in their order, sweeps of
    `min_sweep` and more (WAD dollars), and accounts with something left in a closed market.
    """
    found: list[Decision] = [*due_steps(snapshot.now, snapshot.silences, snapshot.markets, shutdown)]
    found += [
        Execute(one, snapshot.now > one.deadline)
        for one in sorted(snapshot.requests, key=lambda one: (one.vault, one.id))
        if _is_due(one, snapshot)
    ]
    found += [Sweep(market_id, fees) for market_id, fees in sorted(snapshot.fees.items()) if fees >= min_sweep > 0]
    found += due_accounts(snapshot.left)
    return [one for one in found if snapshot.retry_at.get(one.key, 0) <= snapshot.now][:MAX_ACTIONS]


def _is_due(request: Pending, snapshot: Snapshot) -> bool:
    if snapshot.now > request.deadline:
        return True
    if snapshot.now < request.maturity:
        return False
    return request.vault != POOL or all(_is_priced(one, request.maturity) for one in snapshot.markets.values())


def _is_priced(market: MarketSnapshot, maturity: int) -> bool:
    """Whether the pool's shares can be valued as far as this market goes."""
    if not market.skew:
        return True
    newest = market.newest
    return newest is not None and newest.published_at >= maturity and newest.state == OPEN and market.is_fresh()


class Settlement:
    """The job. State: pending requests from the two vaults' events, and what closed markets left in accounts."""

    name = "settlement"

    def __init__(
        self, contracts: Contracts, signer: Signer | None, *, min_sweep: int = 100 * WAD, shutdown: str = DECLARE
    ) -> None:
        """`min_sweep`: WAD dollars of a market's fees from which on they are swept; 0 for never.

        `shutdown`: one of `dead_markets.SETTINGS`, how far it goes by itself with a market without prices.
        """
        self.contracts = contracts
        self.signer = signer
        self.min_sweep = min_sweep
        self.shutdown = shutdown
        self._leftovers = Leftovers(contracts)
        self._last: Snapshot | None = None
        self._vaults = {name: contracts.of(name) for name in (POOL, FUND)}
        self._followers = {name: self._follow(one) for name, one in self._vaults.items()}
        self._restarts = dict.fromkeys(self._vaults, 0)
        self._pending: dict[tuple[str, int], Pending] = {}
        self._retry_at: dict[tuple[str, int], int] = {}
        self._said: set[tuple[str, int]] = set()
        self._now = 0

    def _follow(self, vault: Deployed) -> Follower:
        contracts = self.contracts
        topics = topics_of(vault.name, (*_ASKED, *_ENDED))
        return Follower(contracts.chain, [vault.address], topics, from_block=contracts.from_block)

    def check(self) -> Fields:
        return {name.lower(): one.address for name, one in self._vaults.items()} | {"shutdown": self.shutdown}

    def observe(self, block: Block) -> Snapshot:
        self._now = block.timestamp
        for name, vault in self._vaults.items():
            self._read(name, vault, block)
        markets = read_markets(self.contracts, block)
        calls = [self.contracts.market.prepare("unsweptFees", one) for one in markets]
        fees = self.contracts.chain.read(calls, block=block.number)
        self._last = Snapshot(
            now=block.timestamp,
            requests=tuple(self._pending.values()),
            markets=markets,
            fees={one: sum(both) for one, both in zip(markets, fees, strict=True)},
            retry_at=dict(self._retry_at),
            silences=read_silences(self.contracts, markets, block),
            left=self._leftovers.read(markets, block),
        )
        return self._last

    def _read(self, name: str, vault: Deployed, block: Block) -> None:
        follower = self._followers[name]
        logs = follower.poll(block.number)
        if follower.restarts != self._restarts[name]:
            self._restarts[name] = follower.restarts
            self._pending = {key: one for key, one in self._pending.items() if one.vault != name}
        for one in occurrences([vault], logs):
            key = name, int(one["requestId"])
            if one.name in _ASKED:
                is_redeem = one.name == "RedeemRequested"
                self._pending[key] = Pending(name, key[1], is_redeem, one["maturity"], one["deadline"])
            else:
                self._pending.pop(key, None)

    def decide(self, snapshot: Snapshot) -> list[Decision]:
        return decide(snapshot, self.min_sweep, self.shutdown)

    def figures(self) -> Iterable[Figure]:
        """How long each market has had no price, and how far its shutdown is; of none that is closed."""
        if self._last is None:
            return
        for market_id, standing in self._last.silences.standings.items():
            if not is_closed(self._last.markets[market_id]):
                of = {"market": str(market_id)}
                silent = max(0, self._last.now - standing.last_price_at)
                yield Figure("market_silent_seconds", "Without a price that anybody recorded.", silent, of)
                stage = 2 if standing.confirmed_at else int(bool(standing.declared_at))
                yield Figure("market_dead", "1 once it is declared dead, 2 once that is confirmed.", stage, of)

    def act(self, actions: Sequence[Decision], log: Log, stop: threading.Event) -> None:
        """Those that the chain would accept now are sent together, in order."""
        assert self.signer is not None
        chain = self.contracts.chain
        calls = [action.call(self.contracts) for action in actions]
        going: list[tuple[Decision, Call]] = []
        for action, call, gas in zip(actions, calls, chain.estimates(calls, sender=self.signer.address), strict=True):
            if isinstance(gas, Reverted):
                self._refuse(action, gas, log)
            else:
                going.append((action, Call(call.to, call.data, gas=gas * GAS_PERCENT // 100, label=call.label)))
        if stop.is_set():
            return
        receipts = self.signer.send_many([call for _, call in going])
        for (action, _), receipt in zip(going, receipts, strict=True):
            if receipt.ok:
                log(action.event, **action.describe(), tx=receipt.tx_hash, gas=receipt.gas_used)
            else:
                self._refuse(action, chain.why(receipt), log, tx=receipt.tx_hash)

    def _refuse(self, action: Decision, error: Reverted, log: Log, **fields: str) -> None:
        """Not again for some seconds; said once, and every time that it cost something."""
        self._retry_at[action.key] = self._now + RETRY_SECONDS
        if fields or action.key not in self._said:
            self._said.add(action.key)
            log("failed" if fields else "refused", **action.describe(), reason=error.reason, **fields)
