"""A market's sources as a publisher has them: which of them it signs for, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eth_account import Account
from eth_account.signers.local import LocalAccount

from plimsoll.core.errors import UserError
from plimsoll.keepers.prices import PriceSource
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.sources import Signing, Source, read_sources, signed_item, signings


@dataclass(frozen=True, slots=True)
class Feed:
    """A market's sources in the aggregator's order, and how those that are ours are signed, by their feed ids."""

    sources: tuple[Source, ...]
    signings: Mapping[bytes, Signing]

    @property
    def pulls(self) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if not source.is_push)

    @property
    def pushes(self) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if source.is_push)

    @property
    def ours(self) -> tuple[Source, ...]:
        """The pull sources that we sign for."""
        return tuple(source for source in self.pulls if source.feed_id in self.signings)

    def item(self, market_id: int, quotes: Mapping[str, int], timestamp: int) -> bytes:
        """One item of priceData: what the named sources say; of the others whatever they hold is read."""
        return signed_item(self.pulls, self.signings, quotes, timestamp)

    def payload(self, source: Source, price: int, timestamp: int) -> bytes:
        return self.signings[source.feed_id](price, timestamp)


def feeds_of(
    contracts: Contracts, names: Mapping[int, str], keys: Iterable[str], stream_keys: Iterable[str] = ()
) -> dict[int, Feed]:
    """The feeds that these keys sign for, by market id; `names` are the feeds' ("ETH/USD").

    Ours are the beacon of each of `keys`, and the stream of that name, which all of `stream_keys` sign together.

    Raises UserError for a key that is none, and where no key belongs to any market.
    """
    beacons = [_signer(key, "beacon") for key in keys]
    stream = [_signer(key, "stream") for key in stream_keys]
    found = {}
    for market_id, sources in read_sources(contracts.oracle, contracts.addresses, list(names)).items():
        feed = Feed(tuple(sources), signings(names[market_id], beacons, stream))
        if feed.ours:
            found[market_id] = feed
    if not found:
        count = len(beacons) + len(stream)
        raise UserError(f"publisher: none of the {count} keys signs for a source of {', '.join(names.values())}")
    return found


def said(source: PriceSource, now: int, names: Iterable[str]) -> dict[str, Mapping[int, int]]:
    """What each named source says now, by market id. One that can't be asked is silent, and stops no other."""
    found: dict[str, Mapping[int, int]] = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = source.prices(now, name)
        except (OSError, ValueError, UserError):
            found[name] = {}
    return found


def quotes(feed: Feed, market_id: int, words: Mapping[str, Mapping[int, int]]) -> dict[str, int]:
    """The prices of those of a market's sources that are ours and say one."""
    return {one.name: price for one in feed.ours if (price := words.get(one.name, {}).get(market_id)) is not None}


class SignedPrices:
    """Prices signed when somebody asks for one."""

    def __init__(self, feeds: Mapping[int, Feed], source: PriceSource) -> None:
        self.feeds = dict(feeds)
        self.source = source

    def item(self, market_id: int, now: int) -> bytes | None:
        """One item of priceData as of `now`, Unix seconds; None where there is no price or nobody to sign it."""
        feed = self.feeds.get(market_id)
        if feed is None:
            return None
        found = quotes(feed, market_id, said(self.source, now, [one.name for one in feed.ours]))
        return feed.item(market_id, found, now) if found else None


def _signer(key: str, what: str) -> LocalAccount:
    try:
        account: LocalAccount = Account.from_key(key)
    except Exception:  # eth_account raises many kinds; none of them may show the key
        raise UserError(f"{what} key: not 0x and 64 hexadecimal digits of a valid key") from None
    return account
