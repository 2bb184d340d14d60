"""What the order book stores: queues, commitments, counters, delegations. The same words from the model and a chain.

Sources: contracts/orders/Commitments.sol, interfaces/orders/ICommitments.sol.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from plimsoll.risk.commitments import FILLED
from plimsoll.risk.market import Market
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.state import Delegation, OrderRecord
from plimsoll.sdk.slots import slot_of

QUEUES, COMMITMENTS, COUNTERS, DELEGATIONS = 2, 3, 4, 5


class Promises:
    """Which words there are of the order book, and where.

    Markets by id, counters by account, delegations by (account, delegate), orders by hash.
    """

    def __init__(
        self,
        market_ids: Iterable[int],
        accounts: Iterable[int],
        delegations: Iterable[tuple[int, int]],
        orders: Iterable[bytes],
    ) -> None:
        self.market_ids = tuple(market_ids)
        self.accounts = tuple(accounts)
        self.delegations = tuple(delegations)
        self.orders = tuple(orders)

    def __len__(self) -> int:
        return len(self.market_ids) + len(self.accounts) + len(self.delegations) + len(self.orders)

    @property
    def slots(self) -> list[int]:
        """Where the words are, in the order of `expected`."""
        return [
            *(slot_of(QUEUES, one) for one in self.market_ids),
            *(slot_of(COUNTERS, one) for one in self.accounts),
            *(slot_of(DELEGATIONS, *one) for one in self.delegations),
            *(slot_of(COMMITMENTS, int.from_bytes(one, "big")) for one in self.orders),
        ]

    def expected(self, model: Protocol, fee_reserves: Mapping[bytes, int]) -> list[int]:
        """What the model says is stored there. `fee_reserves` by hash: what market orders reserved, WAD dollars."""
        state = model.state
        return [
            *(_queue_word(state.markets[one]) for one in self.market_ids),
            *(state.counters.get(one, 0) for one in self.accounts),
            *(_delegation_word(state.delegations.get(one)) for one in self.delegations),
            *(_commitment_word(state.orders.get(one), fee_reserves.get(one, 0)) for one in self.orders),
        ]

    def differences(self, expected: Sequence[int], found: Sequence[int]) -> set[int]:
        """Accounts and hashes of which a word differs; a market's queue counts for `-market_id`."""
        pairs = zip(self._names(), expected, found, strict=True)
        return {name for name, one, other in pairs if one != other}

    def _names(self) -> Iterator[int]:
        yield from (-one for one in self.market_ids)
        yield from self.accounts
        yield from (account for account, _ in self.delegations)
        yield from (int.from_bytes(one, "big") for one in self.orders)


def _queue_word(market: Market) -> int:
    params = market.order_params
    return _packed(
        (params.execution_fee, 64),
        (params.fee_reserve_bps, 16),
        (params.settlement_delay, 16),
        (params.settlement_window, 16),
        (params.relay_fee, 64),
        (market.queue_next, 40),
        (market.queue_head, 40),
    )


def _commitment_word(record: OrderRecord | None, fee_reserve: int) -> int:
    """A filled market order keeps the size of the reserve that it gave back."""
    if record is None:
        return 0
    amount = record.matched or max(0, record.reserved - record.execution_fee)
    if record.status == FILLED and not record.matched:
        amount = fee_reserve
    return _packed(
        (record.status, 8), (record.not_before, 40), (record.sequence, 40), (record.execution_fee, 64), (amount, 96)
    )


def _delegation_word(found: Delegation | None) -> int:
    if found is None:
        return 0
    scope = found.scope
    return _packed(
        (scope.markets, 16),
        (scope.until, 40),
        (scope.daily_budget, 64),
        (scope.may_match, 8),
        (scope.may_take_over, 8),
        (found.day, 24),
        (found.used, 64),
    )


def _packed(*fields: tuple[int, int]) -> int:
    """(value, bits) from the lowest bits up."""
    word = at = 0
    for value, bits in fields:
        word |= int(value) << at
        at += bits
    return word
