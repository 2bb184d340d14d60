"""A market's price sources as the aggregator has them: their names, how each is signed, and where each is told a price.

A source is named by its vendor, "datastreams"; where a market has several of one vendor they are numbered in their
order, "api3-1" and "api3-2". Prices are WAD dollars, times Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount

from plimsoll.chain.abi import checksum, function_json
from plimsoll.chain.contracts import Deployed, Interface
from plimsoll.chain.transactions import Call
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.sdk.oracle import NOTHING_NEW, beacon_id, beacon_update, price_item, template_id
from plimsoll.sdk.streams import MAX_SIGNERS, StreamPublisher, stream_id

ADAPTERS = {
    "Api3Adapter": "api3",
    "ChainlinkAdapter": "chainlink",
    "DataStreamsAdapter": "datastreams",
    "PythAdapter": "pyth",
    "UniswapV3Adapter": "uniswap",
}
"""Kind of source by the contract that reads it."""
UNKNOWN = "source"

GAS_TO_PUSH = 200_000
GAS_TO_SWAP = 1_000_000
"""Of a pool with liquidity in one range; crossing ranges costs more."""

Signing = Callable[[int, int], bytes]
"""A price (WAD) and a time (Unix seconds) to a signed payload."""


PUSH_FEED = Interface(
    "PushFeed",
    [
        function_json("setAnswer", ["int256", "uint256"], mutability="nonpayable"),
        function_json("decimals", [], ["uint8"]),
        function_json("latestRoundData", [], ["uint80", "int256", "uint256", "uint256", "uint80"]),
    ],
)
"""A push feed of a development network: anyone sets it."""
POOL_TRADER = Interface(
    "PoolTrader", [function_json("swapTo", ["address", "uint160", "uint160"], mutability="nonpayable")]
)
"""Who swaps in pools of tokens that anyone mints."""


@dataclass(frozen=True, slots=True)
class Source:
    """One source of a market. `index` counts the market's pull sources, and its push sources, from 0."""

    market_id: int
    name: str
    kind: str
    adapter: str
    feed_id: bytes
    is_push: bool
    max_age: int
    index: int

    @property
    def contract(self) -> str:
        """The feed or pool that a push source is."""
        return checksum(self.feed_id[12:])


def read_sources(oracle: Deployed, addresses: Mapping[str, str], market_ids: Sequence[int]) -> dict[int, list[Source]]:
    """The sources of markets as they are configured now; `addresses` are the deployment's, by contract name."""
    kinds = {address.lower(): ADAPTERS[name] for name, address in addresses.items() if name in ADAPTERS}
    answers = oracle.chain.read([oracle.prepare("sources", market_id) for market_id in market_ids])
    return {
        market_id: _named(market_id, [(kinds.get(one.adapter.lower(), UNKNOWN), one) for one in found])
        for market_id, found in zip(market_ids, answers, strict=True)
    }


def _named(market_id: int, found: Sequence[tuple[str, Any]]) -> list[Source]:
    kinds = [kind for kind, _ in found]
    pulls = sum(not one.isPush for _, one in found)
    return [
        Source(
            market_id=market_id,
            name=kind if kinds.count(kind) == 1 else f"{kind}-{kinds[: place + 1].count(kind)}",
            kind=kind,
            adapter=one.adapter,
            feed_id=bytes(one.feedId),
            is_push=one.isPush,
            max_age=one.maxAge,
            index=place - pulls if one.isPush else place,
        )
        for place, (kind, one) in enumerate(found)
    ]


def signings(
    feed: str, beacon_signers: Sequence[LocalAccount], stream_signers: Sequence[LocalAccount]
) -> dict[bytes, Signing]:
    """How each source of these signers is signed, by its feed id; `feed` is its readable name, such as "ETH/USD".

    Each of `beacon_signers` has an API3 beacon of its own; all of `stream_signers` sign each Data Streams report
    together. Raises UserError where a report has no room for so many.
    """
    if len(stream_signers) > MAX_SIGNERS:
        raise UserError(f"{len(stream_signers)} signers of a stream; a report has room for {MAX_SIGNERS}")
    template = template_id(feed)
    found: dict[bytes, Signing] = {
        beacon_id(signer.address, template): _beacon(signer, template) for signer in beacon_signers
    }
    if stream_signers:
        found[stream_id(feed)] = StreamPublisher(tuple(stream_signers), stream_id(feed)).payload
    return found


def _beacon(signer: LocalAccount, template: bytes) -> Signing:
    return lambda price, timestamp: beacon_update(signer, template, timestamp, price)


def signed_item(
    sources: Sequence[Source], signs: Mapping[bytes, Signing], prices: Mapping[str, int], times: int | Mapping[str, int]
) -> bytes:
    """One item of `priceData` for the market of these sources: what each pull source says that is named in `prices`, at
    its time or at everyone's; of the others what they hold is read.

    Raises UserError for a pull source that nobody here signs for.
    """
    pulls = [source for source in sources if not source.is_push]
    payloads = []
    for source in pulls:
        price = prices.get(source.name)
        if price is not None and source.feed_id not in signs:
            raise UserError(f"{source.name}: no key here signs for it")
        timestamp = times if isinstance(times, int) else times.get(source.name, 0)
        payloads.append(NOTHING_NEW if price is None else signs[source.feed_id](price, timestamp))
    return price_item(pulls[0].market_id, payloads)


def push_call(feed: Deployed, price: int, updated_at: int) -> Call:
    """Sets a push feed of a development network, rounded down to its decimals."""
    decimals: int = feed.call("decimals")
    return feed.prepare("setAnswer", price * 10**decimals // WAD, updated_at, gas=GAS_TO_PUSH)


def swap_call(trader: Deployed, pool: str, current: int, target: int) -> Call:
    """A swap in a pool from its present sqrtPriceX96 until another."""
    return trader.prepare("swapTo", pool, current, target, gas=GAS_TO_SWAP)
