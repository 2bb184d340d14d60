"""The price sources of a devnet, each by itself: any price from any of them, or silence.

```python
sources = devnet.sources
sources.names("ETH/USD")                             # api3-1, api3-2, datastreams, chainlink, uniswap
sources.record("ETH/USD", 2_600 * WAD)               # all say the same, and it is recorded
sources.record("ETH/USD", {"api3-1": 2_600 * WAD, "datastreams": 1_981 * WAD})    # the others are silent
sources.publish("ETH/USD", {"uniswap": 2_400 * WAD})  # real swaps; nothing is recorded
sources.report_sequencer(is_down=True)
```

Prices are WAD dollars, times Unix seconds. Nothing here waits or moves the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eth_account import Account

from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Call, Receipt, Signer
from plimsoll.core.errors import UserError
from plimsoll.deploy.parameters import Parameters
from plimsoll.devnet.accounts import STREAM_QUORUM, publisher_keys, stream_keys
from plimsoll.devnet.environment import Environment
from plimsoll.sdk.oracle import NOTHING_NEW
from plimsoll.sdk.pools import POOL, PRICE, PoolFeed, out_of_tick
from plimsoll.sdk.sources import ADAPTERS, Signing, Source, read_sources, signed_item, signings, swap_call

GAS_TO_RECORD = 1_000_000
GAS_TO_PUBLISH = 400_000

Prices = int | Mapping[str, int]
"""One price that every source says, or the price of each source by its name; the others are silent."""
Times = int | Mapping[str, int]
"""One publish time, or the time of each source by its name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source says now, as the aggregator reads it; zeros where it says nothing."""

    price: int
    confidence: int
    published_at: int


class Sources:
    """All sources of all markets. Transactions are sent by `signer`, which may be anyone."""

    def __init__(
        self,
        oracle: Deployed,
        addresses: Mapping[str, str],
        environment: Environment,
        parameters: Parameters,
        signer: Signer,
    ) -> None:
        """`addresses` are the deployment's, by contract name."""
        self._chain = oracle.chain
        self._oracle = oracle
        self._environment = environment
        self._signer = signer
        self._ids = {market.name: market.id for market in parameters.markets}
        self._adapters = {
            address: Deployed.of(name, address, oracle.chain) for name, address in addresses.items() if name in ADAPTERS
        }
        found = read_sources(oracle, addresses, list(self._ids.values()))
        self._sources = {name: found[market_id] for name, market_id in self._ids.items()}
        beacons = [Account.from_key(key) for key in publisher_keys()]
        stream = [Account.from_key(key) for key in stream_keys()[:STREAM_QUORUM]]
        self._signings = {name: signings(name, beacons, stream) for name in self._ids}

    # --- what there is ---

    def of(self, market: str) -> list[Source]:
        """A market's sources in the aggregator's order. Raises UserError for a market that isn't listed."""
        if market not in self._sources:
            raise UserError(f"no market {market}; there are {', '.join(self._sources)}")
        return self._sources[market]

    def names(self, market: str, *, push: bool | None = None) -> tuple[str, ...]:
        """Their names; `push` False for those that set the price, True for those that bound it."""
        return tuple(one.name for one in self.of(market) if push in (None, one.is_push))

    def source(self, market: str, name: str) -> Source:
        """Raises UserError for a name that no source of the market has."""
        for one in self.of(market):
            if one.name == name:
                return one
        raise UserError(f"{market} has no source {name}; it has {', '.join(self.names(market))}")

    def readings(self, market: str) -> dict[str, Reading]:
        """What each says now, as the aggregator reads it."""
        pulls, pushes = self._oracle.call("readings", self._ids[market])
        return {
            source.name: Reading(one.price, one.confidence, one.publishedAt)
            for source, one in zip(self.of(market), [*pulls, *pushes], strict=True)
        }

    # --- saying something ---

    def payload(self, market: str, source: str, price: int, at: int, *, signing: Signing | None = None) -> bytes:
        """A pull source's signed price; by whoever `signing` is, where it is given."""
        return (signing or self._signings[market][self.source(market, source).feed_id])(price, at)

    def item(self, market: str, prices: Prices, at: Times) -> bytes:
        """One item of `priceData`: what pull sources sign; push sources are passed over."""
        named = self._named(market, prices)
        return signed_item(self.of(market), self._signings[market], named, at)

    def publish(self, market: str, prices: Prices, at: Times | None = None) -> list[Receipt]:
        """Tell each named source its price, and record nothing: signed prices at the vendors, push feeds, swaps.

        `at` is the publish time, the newest block's without it; swaps are of their block. Raises Reverted, UserError.
        """
        return self._signer.send_many(self.publish_calls(market, prices, at), check=True)

    def record(self, market: str, prices: Prices, at: Times | None = None) -> Receipt:
        """Tell push sources theirs, then record what the pull sources sign, in one block where that is possible.

        Returns the record's receipt. Raises Reverted where the aggregator refuses.
        """
        at = self._now() if at is None else at
        update = self._oracle.prepare("update", [self.item(market, prices, at)], gas=GAS_TO_RECORD)
        return self._signer.send_many([*self.bound_calls(market, prices, at), update], check=True)[-1]

    def publish_calls(self, market: str, prices: Prices, at: Times | None = None) -> list[Call]:
        """The transactions of `publish`."""
        at = self._now() if at is None else at
        named = self._named(market, prices)
        calls = []
        for adapter in dict.fromkeys(one.adapter for one in self.of(market) if not one.is_push and one.name in named):
            group = [one for one in self.of(market) if one.adapter == adapter and not one.is_push]
            payloads = [
                self.payload(market, one.name, named[one.name], _time(at, one.name))
                if one.name in named
                else NOTHING_NEW
                for one in group
            ]
            gas = GAS_TO_PUBLISH * len(group)
            calls.append(self._adapters[adapter].prepare("read", [one.feed_id for one in group], payloads, gas=gas))
        return calls + self.bound_calls(market, prices, at)

    def bound_calls(self, market: str, prices: Prices, at: Times) -> list[Call]:
        """The transactions that move the named push feeds and pools; swaps start from the pools' present prices."""
        named = self._named(market, prices)
        calls = []
        for source in self.of(market):
            if not source.is_push or source.name not in named:
                continue
            if source.kind == "chainlink":
                calls.append(self._environment.push_call(market, named[source.name], _time(at, source.name)))
            else:
                calls.append(self._swap(source, named[source.name]))
        return calls

    def report_missing(self, market: str, source: str) -> Receipt:
        """Say in public that a pull source is silent; after `silentAfter` seconds records go without it."""
        place = self.source(market, source).index
        call = self._oracle.prepare("reportMissing", self._ids[market], place, gas=300_000)
        return self._signer.send_many([call], check=True)[0]

    def report_sequencer(self, *, is_down: bool, at: int | None = None) -> Receipt:
        """Have L1 say that the sequencer is down, or up, since a time. Only where the bridge's messenger is a mock."""
        call = self._environment.sequencer_call(is_down, self._now() if at is None else at)
        return self._signer.send_many([call], check=True)[0]

    # --- parts ---

    def _named(self, market: str, prices: Prices) -> Mapping[str, int]:
        names = self.names(market)
        if isinstance(prices, int):
            return dict.fromkeys(names, prices)
        for name in prices:
            self.source(market, name)
        return prices

    def _swap(self, source: Source, price: int) -> Call:
        feed = PoolFeed.of(source.feed_id)
        current = Deployed(POOL, feed.pool, self._chain).call("slot0")[PRICE]
        if not current:
            raise UserError(f"the pool {feed.pool} has no price yet")
        return swap_call(self._environment.trader, feed.pool, current, out_of_tick(current, feed.sqrt_price(price)))

    def _now(self) -> int:
        return self._chain.block().timestamp


def _time(at: Times, name: str) -> int:
    return at if isinstance(at, int) else at[name]
