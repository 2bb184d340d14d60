"""Whether the liquidations of a transaction were right, from the transaction alone.

The state before is read at the block before; what earlier transactions of the same block did to it is taken from their
events, each of which says what results, and confirmed by the node's trace where it gives one. Each liquidation is then
recomputed with the reference model, and what its events say, and what the accounts got, is compared to the last digit.
At the end of the block all of it is compared with what the contracts store.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from plimsoll.core.errors import UserError
from plimsoll.core.units import SECONDS_PER_HOUR
from plimsoll.risk.config import Gas
from plimsoll.risk.liquidation import asks_for_gas
from plimsoll.risk.state import State
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import Absorbed, Happened, TakenOver
from plimsoll.sdk.gas import read_fee_per_byte
from plimsoll.sdk.receipts.figures import Checked, check, in_words
from plimsoll.sdk.receipts.reading import Ground, events_of, read_ground, read_words, traced_words
from plimsoll.sdk.receipts.steps import Disordered, Main, Step, steps_in
from plimsoll.sdk.receipts.told import Told
from plimsoll.sdk.receipts.words import (
    CONFIG,
    FEES,
    MARKET,
    Facts,
    Key,
    Words,
    counters_of,
    meaningful,
    state_of,
    words_of,
)

NOTHING_BEFORE, TRACED, BY_EVENTS = "nothing before", "traced", "by events"
"""How the state just before the transaction is known: the parent block's; confirmed by a trace; by events alone."""
_DOUBT = "the node does not trace: what earlier transactions of the block did is known by their events alone"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of checking a transaction.

    `stored` names the words of the ledger that at the end of the block are not what the events say, `doubts` what
    keeps the check from being exact, `disordered` what is wrong with the events themselves.
    """

    tx_hash: str
    block: int
    time: int
    checked: tuple[Checked, ...]
    known: str
    earlier: int = 0
    """How many of the protocol's events the block has before the transaction."""
    words: int = 0
    stored: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    disordered: str = ""

    @property
    def is_right(self) -> bool:
        return bool(self.checked) and not (self.disordered or self.stored or self.wrong)

    @property
    def wrong(self) -> list[Checked]:
        return [one for one in self.checked if not one.is_right]

    @property
    def is_decided(self) -> bool:
        """Whether what is wrong can't be due to a state before that isn't known exactly."""
        return self.is_right or not self.doubts


def receipt_of(contracts: Contracts, tx_hash: str) -> Receipt:
    """Check the liquidations of a transaction. Raises UserError where there are none, or the node can't tell."""
    tx_hash = tx_hash.lower()
    block = _block_of(contracts, tx_hash)
    records = events_of(contracts, block)
    own = [one for one in records if one.tx_hash == tx_hash]
    if not any(isinstance(one, Main) for one in own):
        raise UserError(f"transaction {tx_hash}: no liquidation in it (no close-out, take-over or absorption)")
    header = contracts.chain.block(block)
    earlier = list(takewhile(lambda one: one.tx_hash != tx_hash, records))
    try:
        steps = steps_in(own)
    except Disordered as found:
        return Receipt(tx_hash, block, header.timestamp, (), BY_EVENTS, disordered=str(found))

    ground = read_ground(contracts, block - 1, records)
    known, told = _just_before(contracts, tx_hash, ground, earlier, header.timestamp)
    keys = [key for key in ground.words if key.kind != CONFIG]
    gas = Gas(header.base_fee, read_fee_per_byte(contracts.chain, block))
    checked = examine(told, steps, own, keys, gas)
    told.tell_all(records[len(earlier) + len(own) :])
    compared, stored = _compare_stored(contracts, block, told, keys)
    doubts: tuple[str, ...] = (_DOUBT,) if known == BY_EVENTS else ()
    doubts += _changed_rules(contracts, block, ground.words)
    return Receipt(tx_hash, block, header.timestamp, checked, known, len(earlier), compared, stored, doubts)


def examine(
    told: Told, steps: Sequence[Step], records: Sequence[Happened], keys: Sequence[Key], gas: Gas
) -> tuple[Checked, ...]:
    """Check each step of a transaction after what was before it; at the end all of its events are told."""
    checked = []
    at = 0
    for step in steps:
        told.tell_all(records[at : step.start])
        checked.append(check(told, step, records[step.start : step.end], keys, gas))
        gas = replace(gas, is_first=gas.is_first and not _was_paid_for(told, step))
        at = step.end
    told.tell_all(records[at:])
    return tuple(_judged(told, one) for one in checked)


def _was_paid_for(told: Told, step: Step) -> bool:
    """Whether a liquidation was paid for its transaction, so that the next one in it is not."""
    main = step.main
    if isinstance(main, TakenOver):
        return False
    return isinstance(main, Absorbed) or asks_for_gas(told.state, told.state.markets[main.market_id], main.cost)


def _judged(told: Told, checked: Checked) -> Checked:
    """A flash taker's collateral must cover his initial margin once he was called back."""
    account = checked.judged_later
    if not account:
        return checked
    free = told.state.free(account, told.now)
    if free.available >= free.required:
        return checked
    return replace(checked, refused=f"PerpMarket_InsufficientMargin({account}, {free.available}, {free.required})")


def _block_of(contracts: Contracts, tx_hash: str) -> int:
    """Where the transaction was mined. Raises UserError."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", tx_hash):
        raise UserError(f"transaction {tx_hash!r} is not 0x and 64 hexadecimal digits")
    receipt = contracts.chain.receipt(tx_hash)
    if receipt is None:
        raise UserError(
            f"transaction {tx_hash}: chain {contracts.chain.chain_id} has none that was mined; is it the right network?"
        )
    if not receipt.ok:
        raise UserError(f"transaction {tx_hash}: it reverted, so nothing was liquidated in it")
    return receipt.block_number


def _just_before(
    contracts: Contracts, tx_hash: str, ground: Ground, earlier: Sequence[Happened], now: int
) -> tuple[str, Told]:
    """How the state just before the transaction is known, and that state."""
    told = Told(state_of(ground.words, ground.facts), now)
    told.tell_all(earlier)
    if not earlier:
        return NOTHING_BEFORE, told
    traced = traced_words(contracts, tx_hash, ground.words)
    if traced is None:
        return BY_EVENTS, told
    words = meaningful({**ground.words, **words_of(told.state, ground.words), **traced})
    exact = Told(state_of(words, _facts_of(told.state, ground.facts)), now)
    for market_id, market in exact.state.markets.items():
        source = told.state.markets[market_id]
        market.ends_long, market.ends_short = source.ends_long, source.ends_short
    exact.unsure = {one for one in told.unsure if Key(MARKET, (one,), FEES) not in traced}
    return TRACED, exact


def _facts_of(state: State, facts: Facts) -> Facts:
    """What isn't kept in words, as it is in a state now."""
    markets = state.markets.values()
    return replace(
        facts,
        gas_market=state.liquidation_params.gas_market,
        newest={market.id: market.newest for market in markets},
        counters={market.id: counters_of(market) for market in markets},
    )


def _compare_stored(contracts: Contracts, block: int, told: Told, keys: Sequence[Key]) -> tuple[int, tuple[str, ...]]:
    """How many words of the block's end were compared with what its events say, and those that differ."""
    said = words_of(told.state, keys)
    stored = meaningful(read_words(contracts, list(said), block))
    unknown = {Key(MARKET, (market_id,), FEES) for market_id in told.unsure}
    differ = [in_words(key) for key, word in said.items() if key not in unknown and word != stored[key]]
    market_ids = list(told.state.markets)
    counters = contracts.chain.read(
        [contracts.liquidator.prepare("counters", market_id) for market_id in market_ids], block=block
    )
    for market_id, found in zip(market_ids, counters, strict=True):
        if _counted(tuple(found), told.now) != _counted(counters_of(told.state.markets[market_id]), told.now):
            differ.append(f"count of what liquidations moved in market {market_id}")
    return len(said) - len(unknown & said.keys()) + len(market_ids), tuple(differ)


def _counted(counters: tuple[int, int, int, int], now: int) -> tuple[int, int, int]:
    """What a cap counts now: an hour that is over counts for nothing."""
    moved_since, moved, hour, absorbed = counters
    return moved_since, moved, absorbed if hour == now // SECONDS_PER_HOUR else 0


def _changed_rules(contracts: Contracts, block: int, words: Words) -> tuple[str, ...]:
    """The parameters that the receipt rests on are those of the block before."""
    keys = [key for key in words if key.kind == CONFIG]
    now = read_words(contracts, keys, block)
    changed = sorted({key.of[0] for key in keys if now[key] != words[key]})
    return tuple(f"the parameters of market {one} changed in the same block" for one in changed)
