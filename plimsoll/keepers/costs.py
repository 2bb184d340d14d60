"""What a batch costs to send: L2 gas at the present price and a rollup's L1 data fee, in dollars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from eth_utils import function_signature_to_4byte_selector

from plimsoll.chain.transactions import Block, Call, Chain
from plimsoll.core.units import BPS, WAD
from plimsoll.sdk.fees.oracle import GAS_PRICE_ORACLE

GAS_OF_BATCH = 60_000
"""Of a transaction without orders: what every transaction costs, and the first look at the market."""
GAS_OF_ORDER = 150_000
"""Of a fill, before the first receipt says better."""
GAS_OF_VOID = 45_000
GAS_OF_PRICE = 140_000
"""Of recording one market's price along."""
BYTES_OF_BATCH = 4 + 4 * 32 + 120
"""Call data and the transaction's own fields."""
BYTES_OF_ORDER = 11 * 32

_UPPER_BOUND = function_signature_to_4byte_selector("getL1FeeUpperBound(uint256)")


@dataclass(frozen=True, slots=True)
class Costs:
    """Prices of sending: wei of a unit of gas, WAD dollars of an ETH, gas of an order, and of the L1 fee's two parts.

    All zero: sending is free, and everything pays.
    """

    gas_price: int = 0
    eth_price: int = 0
    l1_batch: int = 0
    l1_order: int = 0
    gas_of_order: int = GAS_OF_ORDER
    margin_bps: int = 0
    """Of the cost: what a reward has to be above it."""

    def of(self, orders: int, voids: int = 0, prices: int = 0) -> int:
        """WAD dollars of a batch that fills, voids and brings prices along; a price counts as two orders' data."""
        gas = GAS_OF_BATCH + self.gas_of_order * orders + GAS_OF_VOID * voids + GAS_OF_PRICE * prices
        data = self.l1_batch + self.l1_order * (orders + voids + 2 * prices)
        return self._dollars(gas * self.gas_price + data)

    def of_order(self) -> int:
        """WAD dollars that one order more adds to a batch."""
        return self._dollars(self.gas_of_order * self.gas_price + self.l1_order)

    def gain(self, reward: int, cost: int) -> int:
        """What a reward is above its cost and the margin, times 10^4; it pays from 0 on. WAD dollars."""
        return reward * BPS - cost * (BPS + self.margin_bps)

    def _dollars(self, wei: int) -> int:
        return -(-wei * self.eth_price // WAD)


class GasMeter:
    """Reads what sending costs, and learns from receipts how much gas an order takes."""

    def __init__(self, chain: Chain, margin_bps: int = 0) -> None:
        self.chain = chain
        self.margin_bps = margin_bps
        self._gas_of_order = GAS_OF_ORDER

    @cached_property
    def has_l1_fee(self) -> bool:
        """Whether the chain is one that charges for L1 data."""
        return bool(self.chain.code(GAS_PRICE_ORACLE))

    def read(self, block: Block, eth_price: int) -> Costs:
        """As of a block. Raises Reverted where the rollup's oracle of fees is older than the fee that it charges."""
        _, tip = self.chain.fees()
        batch, order = self._l1_fees(block) if self.has_l1_fee else (0, 0)
        return Costs(block.base_fee + tip, eth_price, batch, order, self._gas_of_order, self.margin_bps)

    def _l1_fees(self, block: Block) -> tuple[int, int]:
        """Wei of a batch without orders, and of each order: the bound is linear in the size, from a minimum on."""
        sizes = (BYTES_OF_BATCH, BYTES_OF_BATCH + 20 * BYTES_OF_ORDER)
        calls = [Call(GAS_PRICE_ORACLE, _UPPER_BOUND + size.to_bytes(32, "big"), decode=_number) for size in sizes]
        small, large = self.chain.read(calls, block=block.number)
        return small, max(0, -(-(large - small) // 20))

    def learn(self, gas_used: int, fills: int) -> None:
        """From a batch that filled so many orders and did nothing else."""
        if fills:
            self._gas_of_order = (3 * self._gas_of_order + max(0, gas_used - GAS_OF_BATCH) // fills) // 4


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def best_prefix(costs: Costs, rewards: Sequence[int]) -> int:
    """How many of them, from the first on, pay best together; 0 where none do. As many as do where several are best."""
    best, count, total = 0, 0, 0
    for place, reward in enumerate(rewards, 1):
        total += reward
        gain = costs.gain(total, costs.of(place))
        if gain >= best:
            best, count = gain, place
    return count
