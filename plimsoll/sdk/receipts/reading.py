"""What a receipt needs of a chain: the protocol's events of a block, and the ledger's words before and after it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll.chain.rpc import RpcError
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.risk.market import Declaration
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import Absorbed, ClosedAgainstSide, Filled, Happened, Liquidated, Traded, decode_all
from plimsoll.sdk.history import ROOMS, occurrences
from plimsoll.sdk.receipts.words import (
    BALANCE,
    CONFIG,
    Facts,
    Key,
    Words,
    end_keys,
    market_keys,
    meaningful,
    position_keys,
)
from plimsoll.sdk.words import markets_in, unpack_balance, unpack_record

_ACCOUNTS = ("account", "to_account", "maker_account", "taker_account")


@dataclass(frozen=True, slots=True)
class Ground:
    """The ledger at the end of a block: words, and what isn't kept in words."""

    block: int
    words: Words
    facts: Facts


def events_of(contracts: Contracts, block: int) -> list[Happened]:
    """The protocol's events of one block, in order."""
    rooms = [contracts.of(room) for room in ROOMS]
    logs = contracts.chain.logs([room.address for room in rooms], from_block=block, to_block=block)
    return decode_all(occurrences(rooms, logs))


def read_ground(contracts: Contracts, block: int, records: Sequence[Happened]) -> Ground:
    """The ledger at the end of a block, as far as these events of the next one concern it.

    Raises UserError where the node has forgotten it.
    """
    facts = _facts(contracts, block)
    words = read_words(contracts, [Key(BALANCE, (one,)) for one in _accounts(contracts, facts, records)], block)
    words |= read_words(contracts, list(market_keys(facts.newest)), block)
    holdings = {
        (key.of[0], market_id): None
        for key, word in words.items()
        if key.kind == BALANCE
        for market_id in markets_in(unpack_balance(word).markets)
    }
    holdings |= {
        (one.account, one.market_id): None for one in records if isinstance(one, Filled | Traded | ClosedAgainstSide)
    }
    words |= meaningful(read_words(contracts, list(position_keys(holdings)), block))
    words |= read_words(contracts, list(end_keys(words)), block)
    return Ground(block, words, facts)


def _accounts(contracts: Contracts, facts: Facts, records: Iterable[Happened]) -> list[int]:
    """Whose cash there is to know: everyone's whom the events name, the keepers', the fund's and the pool's."""
    found = {ids.pack(facts.fund): None}
    found |= {ids.pack(facts.pool, market_id): None for market_id in facts.newest}
    for record in records:
        found |= {getattr(record, name): None for name in _ACCOUNTS if hasattr(record, name)}
        if isinstance(record, Liquidated | Absorbed):
            found[ids.pack(record.keeper)] = None
    return list(found)


def read_words(contracts: Contracts, keys: Sequence[Key], block: int) -> dict[Key, int]:
    """Storage at the end of a block. Raises UserError where the node has forgotten it."""
    requests: list[tuple[str, Sequence[Any]]] = [
        ("eth_getStorageAt", [_room(contracts, key), f"0x{key.slot:064x}", hex(block)]) for key in keys
    ]
    answers = _asked(contracts, block, lambda: contracts.chain.rpc.batch(requests))
    return {key: int(answer, 16) for key, answer in zip(keys, answers, strict=True)}


def traced_words(contracts: Contracts, tx_hash: str, keys: Collection[Key]) -> dict[Key, int] | None:
    """Those words that a transaction touched, as they were just before it; None where the node can't trace."""
    try:
        found = contracts.chain.rpc.call("debug_traceTransaction", tx_hash, {"tracer": "prestateTracer"})
    except RpcError:
        return None
    if not isinstance(found, dict):
        return None
    storage = {
        address.lower(): {int(slot, 16): int(word, 16) for slot, word in (one.get("storage") or {}).items()}
        for address, one in found.items()
        if isinstance(one, dict)
    }
    words = {}
    for key in keys:
        word = storage.get(_room(contracts, key).lower(), {}).get(key.slot)
        if word is not None and key.kind != CONFIG:
            words[key] = word
    return words


def _facts(contracts: Contracts, block: int) -> Facts:
    chain, market, oracle, liquidator = contracts.chain, contracts.market, contracts.oracle, contracts.liquidator

    def read() -> Facts:
        count = market.call("marketCount", block=block)
        market_ids = range(1, count + 1)
        newest = chain.read([oracle.prepare("newest", one) for one in market_ids], block=block)
        counters = chain.read([liquidator.prepare("counters", one) for one in market_ids], block=block)
        declared = chain.read([liquidator.prepare("declaration", one) for one in market_ids], block=block)
        return Facts(
            pool=int(contracts.addresses["LiquidityPool"], 16),
            fund=int(contracts.addresses["InsuranceFund"], 16),
            token_decimals=contracts.token_decimals,
            gas_market=liquidator.call("gasMarket", block=block),
            newest={one: unpack_record(word) for one, word in zip(market_ids, newest, strict=True)},
            counters={one: tuple(found) for one, found in zip(market_ids, counters, strict=True)},
            declarations={
                one: Declaration(*found) for one, found in zip(market_ids, declared, strict=True) if found.declaredAt
            },
        )

    facts: Facts = _asked(contracts, block, read)
    return facts


def _asked(contracts: Contracts, block: int, ask: Any) -> Any:
    try:
        return ask()
    except RpcError as error:
        raise UserError(
            f"{contracts.chain.uri}: does not say what stood in block {block} ({error.message}); a receipt needs "
            "a node that keeps old state (an archive node)"
        ) from None


def _room(contracts: Contracts, key: Key) -> str:
    return contracts.vault.address if key.in_vault else contracts.market.address
