"""What the chain says, read from a node: markets at every block, accounts when something happened to them, and events
that end orders or match them without us.

Reading blocks and changes nothing; what was read is applied by the engine's own thread.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from plimsoll.book.admission import Signed
from plimsoll.book.engine import Engine
from plimsoll.book.facts import ACCOUNT_SECONDS, AccountFacts, DelegateFacts, Facts, MarketFacts, Terms
from plimsoll.chain.transactions import Block
from plimsoll.core.errors import UserError
from plimsoll.core.units import SECONDS_PER_DAY
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import (
    AllCancelled,
    DelegateSet,
    Happened,
    OrderCancelled,
    OrderPlaced,
    OrdersMatched,
    Posted,
    decode_all,
    scope_from,
)
from plimsoll.sdk.history import Follower, occurrences, topics_of
from plimsoll.sdk.order_book import OrderBookClient, OrderStatus
from plimsoll.sdk.signing import Cancel
from plimsoll.sdk.snapshots import MarketSnapshot, read_accounts, read_markets

ENDS = ("OrderPlaced", "OrderCancelled", "AllCancelled", "OrdersMatched", "DelegateSet")
MAX_ACCOUNTS = 50_000
"""Known at once, without those that have open orders."""
WALLET_SECONDS = 600
"""After which it is asked again who is a wallet and what it calls its signature."""
_ENDED = (OrderStatus.QUEUED, OrderStatus.WAITING, OrderStatus.SPENT)

Pair = tuple[int, int]
"""An account and its delegate."""


@dataclass(slots=True)
class Learned:
    """Answers about accounts and signers."""

    accounts: dict[int, AccountFacts] = field(default_factory=dict)
    delegates: dict[Pair, DelegateFacts] = field(default_factory=dict)
    wallets: dict[int, bool] = field(default_factory=dict)
    words: dict[bytes, bool] = field(default_factory=dict)

    def apply(self, facts: Facts) -> None:
        facts.accounts.update(self.accounts)
        facts.delegates.update(self.delegates)
        facts.wallets.update(self.wallets)
        facts.words.update(self.words)


@dataclass(slots=True)
class News:
    """What is new at a block."""

    block: Block
    markets: Mapping[int, MarketSnapshot]
    records: Sequence[Happened]
    learned: Learned
    commitments: Mapping[bytes, tuple[OrderStatus, int]]
    """(status, what was matched) of live orders that something happened to."""


class Watcher:
    """One deployment."""

    def __init__(self, contracts: Contracts, terms: Mapping[int, Terms] | None = None) -> None:
        """`terms` by market id; the smallest order is the smallest position where there are none."""
        self.contracts = contracts
        self.chain = contracts.chain
        self.terms = dict(terms or {})
        self.book = OrderBookClient(contracts)
        self._orders = self._follower(contracts.order_book.address, contracts.order_book.name, ENDS)
        self._entries: Follower | None = None
        self._restarts = 0
        self._seen = ""
        self._later: list[bytes] = []
        self._forgotten_at = 0

    def _follower(self, address: str, name: str, events: Iterable[str], from_block: int | None = None) -> Follower:
        start = self.contracts.from_block if from_block is None else from_block
        return Follower(self.chain, [address], topics_of(name, events), from_block=start)

    # --- reading: beside the engine ----------------------------------------------------------------------------------

    def poll(self, facts: Facts, live: Container[bytes], open_accounts: Iterable[int]) -> News | None:
        """What is new since the last call; None without a new block. `live`: hashes to read anew if they are matched.

        Raises UserError where the chain is not the one that it was.
        """
        block = self.chain.block()
        if block.hash == self._seen:
            return None
        vault = self.contracts.vault
        if self._entries is None:
            self._entries = self._follower(vault.address, vault.name, ["Posted"], block.number)
        logs = self._orders.poll(block.number) + self._entries.poll(block.number)
        if self._orders.restarts:
            raise UserError(f"{self.chain.uri}: its chain is shorter than it was; was the node restarted?")
        records = decode_all(occurrences([self.contracts.order_book, vault], logs))
        touched = {one.account for one in records if isinstance(one, Posted | AllCancelled | DelegateSet)}
        old = {one for one in open_accounts if self._is_old(facts, one, block.timestamp)}
        known = {one for one in touched if one in facts.accounts} | old
        pairs = [pair for pair in list(facts.delegates) if pair[0] in touched]
        matched = {key for one in records if isinstance(one, OrdersMatched) for key in (one.maker_hash, one.taker_hash)}
        news = News(
            block,
            read_markets(self.contracts, block),
            records,
            Learned(self.read_accounts(known, block), self._read_delegates(pairs, block)),
            self.read_commitments([one for one in matched if one in live], block),
        )
        self._seen = block.hash
        return news

    @staticmethod
    def _is_old(facts: Facts, account: int, now: int) -> bool:
        """Whether it is time to read it again before it counts as unknown."""
        found = facts.accounts.get(account)
        return found is None or now - found.read_at > ACCOUNT_SECONDS // 2

    def read_accounts(self, accounts: Iterable[int], block: Block | None = None) -> dict[int, AccountFacts]:
        """Cash, positions and counters."""
        wanted, at = list(accounts), block or self.chain.block()
        if not wanted:
            return {}
        snapshots = read_accounts(self.contracts, at, wanted)
        book = self.contracts.order_book
        counters = self.chain.read([book.prepare("counterOf", one) for one in wanted], block=at.number)
        return {
            account: AccountFacts(
                cash=snapshots[account].cash,
                reserved=snapshots[account].reserved,
                counter=counter,
                positions={one.market_id: (one.base, one.quote, one.owed) for one in snapshots[account].positions},
                read_at=at.timestamp,
            )
            for account, counter in zip(wanted, counters, strict=True)
        }

    def read_commitments(self, hashes: Iterable[bytes], block: Block) -> dict[bytes, tuple[OrderStatus, int]]:
        """(status, base matched) of orders."""
        wanted = list(hashes)
        book = self.contracts.order_book
        found = self.chain.read([book.prepare("commitment", one) for one in wanted], block=block.number)
        return {one: (OrderStatus(word.status), word.amount) for one, word in zip(wanted, found, strict=True)}

    def _read_delegates(self, pairs: Sequence[Pair], block: Block) -> dict[Pair, DelegateFacts]:
        book, day = self.contracts.order_book, block.timestamp // SECONDS_PER_DAY
        calls = [book.prepare("delegation", account, f"0x{delegate:040x}") for account, delegate in pairs]
        found = self.chain.read(calls, block=block.number)
        return {
            pair: DelegateFacts(scope_from(scope._asdict()), used, day)
            for pair, (scope, used) in zip(pairs, found, strict=True)
        }

    def learn(self, several: Sequence[Signed], facts: Facts) -> Learned:
        """What it takes to judge these orders."""
        block = self.chain.block()
        accounts = {one.order.account for one in several if facts.account(one.order.account) is None}
        learned = Learned(self.read_accounts(accounts, block))
        pairs = []
        for one in several:
            if one.recovered == one.owner:
                continue
            owner = f"0x{one.owner:040x}"
            is_wallet = facts.wallets.get(one.owner)
            if is_wallet is None:
                is_wallet = learned.wallets[one.owner] = bool(self.chain.code(owner))
            if is_wallet and one.word not in facts.words:
                said = self.book.signer_of(one.order.account, one.order, one.signature)
                learned.words[one.word] = said is not None and int(said, 16) == one.owner
            if one.recovered is not None and (one.order.account, one.recovered) not in facts.delegates:
                pairs.append((one.order.account, one.recovered))
        learned.delegates = self._read_delegates(pairs, block)
        return learned

    def is_owners_word(self, account: int, message: Cancel, signature: bytes) -> bool:
        """Whether the account's owner calls a signature his own."""
        found = self.book.signer_of(account, message, signature)
        return found is not None and int(found, 16) == account >> 96

    # --- applying: the engine's thread -------------------------------------------------------------------------------

    def apply(self, news: News, engine: Engine) -> None:
        """Bring facts and orders up to the block."""
        facts = engine.facts
        facts.now, facts.block = news.block.timestamp, news.block.number
        pool = int(self.contracts.addresses["LiquidityPool"], 16)
        for market_id, snapshot in news.markets.items():
            terms = self.terms.get(market_id)
            if terms is None:
                terms = Terms(min_notional=snapshot.configuration.rules.min_position)
            facts.markets[market_id] = MarketFacts(snapshot.model(pool), snapshot.pool_cash, terms)
        self._forget(facts, engine)
        news.learned.apply(facts)
        for record in news.records:
            self._apply_record(record, engine)
        for hash_, (status, matched) in news.commitments.items():
            facts.matched[hash_] = matched
            if status == OrderStatus.SPENT:
                engine.end_on_chain(hash_, "cancelled, or immediate or cancel")
        self._later = engine.reconcile([*self._later, *news.commitments])
        engine.expire()

    def _apply_record(self, record: Happened, engine: Engine) -> None:
        facts = engine.facts
        if isinstance(record, OrderPlaced | OrderCancelled):
            facts.spent.add(record.hash)
            engine.end_on_chain(record.hash, "placed" if isinstance(record, OrderPlaced) else "cancelled")
        elif isinstance(record, AllCancelled):
            engine.change_counter(record.account, record.counter)
        elif isinstance(record, OrdersMatched):
            for hash_ in (record.maker_hash, record.taker_hash):
                if hash_ not in engine.orders:  # of live ones the commitment is read
                    facts.matched[hash_] = facts.matched.get(hash_, 0) + abs(record.base)

    def _forget(self, facts: Facts, engine: Engine) -> None:
        if len(facts.accounts) > MAX_ACCOUNTS:
            kept = set(engine.open.accounts())
            facts.accounts = {account: one for account, one in facts.accounts.items() if account in kept}
            facts.delegates = {pair: one for pair, one in facts.delegates.items() if pair[0] in kept}
        if facts.now - self._forgotten_at > WALLET_SECONDS:
            self._forgotten_at = facts.now
            facts.wallets, facts.words = {}, {}

    def check_live(self, engine: Engine) -> None:
        """After a start: what happened to live orders while nobody watched. Blocks; before anything else runs."""
        block = self.chain.block()
        for hash_, (status, matched) in self.read_commitments(list(engine.orders), block).items():
            engine.facts.matched[hash_] = matched
            if status in _ENDED:
                engine.end_on_chain(hash_, "ended while the engine was down")
        self._later = engine.reconcile([*self._later, *engine.orders])
        for account, facts in self.read_accounts(engine.open.accounts(), block).items():
            engine.facts.accounts[account] = facts
            engine.change_counter(account, facts.counter)
