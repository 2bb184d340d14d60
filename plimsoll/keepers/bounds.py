"""The push feeds and pools of a development network, read and moved: what others do on a live one.

Push feeds there are set by anyone, and whoever swaps in the pools has tokens of both kinds without end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Call, Chain
from plimsoll.core.units import WAD
from plimsoll.keepers.feeds import Feed
from plimsoll.keepers.publishing import Pool, Push, PushFeed, Swap
from plimsoll.sdk.pools import INDEX, POOL, PRICE, PoolFeed
from plimsoll.sdk.sources import POOL_TRADER, PUSH_FEED, Source, push_call, swap_call

ANSWER, UPDATED_AT = 1, 3
"""Places in latestRoundData."""

Words = Mapping[str, Mapping[int, int]]
"""What each source should say, by its name and the market's id, WAD dollars."""


class Bounds:
    """The push sources of some markets."""

    def __init__(self, chain: Chain, feeds: Mapping[int, Feed], trader: str) -> None:
        """`trader` is the address of who swaps in the pools."""
        self._chain = chain
        self._trader = Deployed(POOL_TRADER, trader, chain)
        sources = [source for feed in feeds.values() for source in feed.pushes]
        self._feeds = [source for source in sources if source.kind == "chainlink"]
        self._pools = [(source, PoolFeed.of(source.feed_id)) for source in sources if source.kind == "uniswap"]

    @property
    def names(self) -> list[str]:
        """Of the sources."""
        return [source.name for source in (*self._feeds, *(source for source, _ in self._pools))]

    @cached_property
    def _decimals(self) -> list[int]:
        return self._chain.read([self._feed(source).prepare("decimals") for source in self._feeds])

    def feeds(self, words: Words, block: int) -> Iterable[PushFeed]:
        """What the push feeds hold."""
        rounds = self._chain.read(
            [self._feed(source).prepare("latestRoundData") for source in self._feeds], block=block
        )
        for source, decimals, answer in zip(self._feeds, self._decimals, rounds, strict=True):
            price = answer[ANSWER] * WAD // 10**decimals
            wanted = words[source.name].get(source.market_id)
            yield PushFeed(source.market_id, source.name, source.contract, price, answer[UPDATED_AT], wanted)

    def pools(self, words: Words, block: int) -> Iterable[Pool]:
        """What the pools' prices are, and when they were last seen to move."""
        contracts = [Deployed(POOL, feed.pool, self._chain) for _, feed in self._pools]
        slots = self._chain.read([one.prepare("slot0") for one in contracts], block=block)
        calls = [one.prepare("observations", slot[INDEX]) for one, slot in zip(contracts, slots, strict=True)]
        newest = self._chain.read(calls, block=block)
        for (source, feed), slot, observation in zip(self._pools, slots, newest, strict=True):
            wanted = words[source.name].get(source.market_id)
            yield Pool(source.market_id, source.name, feed, slot[PRICE], observation[0], wanted)

    def call(self, action: Push | Swap) -> Call:
        """The transaction that does it."""
        if isinstance(action, Push):
            feed = Deployed(PUSH_FEED, action.contract, self._chain)
            return push_call(feed, action.price, action.timestamp)
        return swap_call(self._trader, action.contract, action.current, action.target)

    def _feed(self, source: Source) -> Deployed:
        return Deployed(PUSH_FEED, source.contract, self._chain)
