"""The table of `ape run fees`: what each kind of transaction costs, and which part of it is L1 data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll.core.units import BPS, WAD, format_percent, format_usd, format_wad
from plimsoll.sdk.fees.fjord import MILLION, L1Prices, estimated_size, fastlz_size
from plimsoll.sdk.fees.flows import Flow, signed_transaction
from plimsoll.sdk.fees.packed import UNPACK_GAS, pack


@dataclass(frozen=True, slots=True)
class Prices:
    """What sending costs: L1 data, a unit of L2 gas in wei, an ETH in WAD dollars (None where nobody knows)."""

    l1: L1Prices
    l2_gas_price: int
    eth_price: int | None = None

    def dollars(self, wei: int) -> int | None:
        """WAD, rounded up."""
        return None if self.eth_price is None else -(-wei * self.eth_price // WAD)


@dataclass(frozen=True, slots=True)
class Cost:
    """One flow, by order: bytes of call data, FastLZ size of the transaction, millionths of a byte charged, wei."""

    name: str
    calldata: int
    compressed: int
    size: int
    gas: int
    l1_fee: int
    l2_fee: int
    told: int | None = None
    """Wei of L1 data as the chain's own oracle reckons it, where it was asked."""

    @property
    def total(self) -> int:
        return self.l1_fee + self.l2_fee

    @property
    def l1_share(self) -> int:
        """WAD fraction of the total; 0 where all is free."""
        return self.l1_fee * WAD // self.total if self.total else 0


@dataclass(frozen=True, slots=True)
class Saving:
    """What a compact encoding would save, by order: bytes charged (millionths), and wei, negative for a loss."""

    name: str
    compressed: int
    packed: int
    size: int
    wei: int


@dataclass(frozen=True, slots=True)
class Trade:
    """A market order from placing to settlement: WAD dollars."""

    notional: int
    taker_fee: int
    execution_fee: int
    network: int
    l1_data: int

    @property
    def total(self) -> int:
        return self.taker_fee + self.execution_fee + self.network

    @property
    def l1_share(self) -> int:
        """WAD fraction of the total; 0 where all is free."""
        return self.l1_data * WAD // self.total if self.total else 0


def cost_of(flow: Flow, prices: Prices, told: int | None = None) -> Cost:
    """Of one flow; `told` is what the chain's oracle says for the whole transaction."""
    compressed = flow.compressed
    return Cost(
        name=flow.name,
        calldata=_share(len(flow.data), flow),
        compressed=_share(compressed, flow),
        size=_share(estimated_size(compressed), flow),
        gas=flow.gas,
        l1_fee=_share(prices.l1.fee(compressed), flow),
        l2_fee=flow.gas * prices.l2_gas_price,
        told=None if told is None else _share(told, flow),
    )


def saving_of(flow: Flow, prices: Prices) -> Saving:
    """What packed call data would save of one flow, less the gas to unpack it."""
    packed = fastlz_size(signed_transaction(flow.to, pack(flow.data), flow.gas * flow.orders))
    less = estimated_size(flow.compressed) - estimated_size(packed)
    saved = prices.l1.fee(flow.compressed) - prices.l1.fee(packed) - UNPACK_GAS * prices.l2_gas_price
    return Saving(
        flow.name, _share(flow.compressed, flow), _share(packed, flow), less // flow.orders, saved // flow.orders
    )


def trade_of(costs: Sequence[Cost], prices: Prices, notional: int, taker_bps: int, execution_fee: int) -> Trade:
    """A market order of `notional` WAD dollars, placed by its owner and executed in a transaction of its own.

    Raises ValueError without the price of an ETH.
    """
    if prices.eth_price is None:
        raise ValueError("the price of an ETH is needed")
    parts = [one for one in costs if one.name in ("place market", "execute")]
    wei, data = sum(one.total for one in parts), sum(one.l1_fee for one in parts)
    return Trade(
        notional,
        -(-notional * taker_bps // BPS),
        execution_fee,
        -(-wei * prices.eth_price // WAD),
        -(-data * prices.eth_price // WAD),
    )


# --- for people ----------------------------------------------------------------------------------------------------


def price_lines(prices: Prices) -> Iterator[str]:
    l1 = prices.l1
    yield (
        f"L1 gas {gwei(l1.base_fee)} gwei, blob gas {gwei(l1.blob_base_fee)} gwei; scalars {l1.base_fee_scalar} and "
        f"{l1.blob_base_fee_scalar}: a compressed byte costs {gwei(l1.scaled // MILLION)} gwei"
    )
    eth = "unknown (--eth-price)" if prices.eth_price is None else format_usd(prices.eth_price)
    yield f"L2 gas {gwei(prices.l2_gas_price)} gwei; an ETH {eth}"


def cost_lines(costs: Iterable[Cost], prices: Prices) -> Iterator[str]:
    """A table; fees in dollars, or in gwei where nobody knows the price of an ETH."""
    costs = list(costs)
    told = any(one.told is not None for one in costs)
    yield (
        f"{'flow':<20} {'bytes':>6} {'FastLZ':>9} {'charged':>8} {'L1 data':>14}"
        + (f" {'chain says':>14}" if told else "")
        + f" {'L2 gas':>9} {'L2':>14} {'total':>14} {'L1 share':>8}"
    )
    for one in costs:
        yield (
            f"{one.name:<20} {one.calldata:>6,} {one.compressed:>9,} {-(-one.size // MILLION):>8,} "
            f"{money(one.l1_fee, prices):>14}"
            + (f" {money(one.told or 0, prices):>14}" if told else "")
            + f" {one.gas:>9,} {money(one.l2_fee, prices):>14} {money(one.total, prices):>14} "
            f"{format_percent(one.l1_share, 1):>8}"
        )


def saving_lines(savings: Iterable[Saving], prices: Prices) -> Iterator[str]:
    yield f"{'flow':<20} {'now':>6} {'compact':>8} {'bytes less':>10} {'saves':>16}"
    for one in savings:
        yield (
            f"{one.name:<20} {one.compressed:>6,} {one.packed:>8,} {one.size // MILLION:>10,} "
            f"{money(one.wei, prices):>16}"
        )


def trade_line(trade: Trade) -> str:
    return (
        f"a market order of {format_usd(trade.notional, 0)}: taker fee {format_usd(trade.taker_fee)}, execution fee "
        f"{format_usd(trade.execution_fee)}, network {format_usd(trade.network, 5)}, of it L1 data "
        f"{format_usd(trade.l1_data, 5)}: {format_percent(trade.l1_share, 4)} of all"
    )


def costs_json(costs: Iterable[Cost], prices: Prices) -> dict[str, Any]:
    """All integers as decimal text in wei; sizes as numbers."""
    l1 = prices.l1
    return {
        "l1BaseFee": str(l1.base_fee),
        "l1BlobBaseFee": str(l1.blob_base_fee),
        "baseFeeScalar": l1.base_fee_scalar,
        "blobBaseFeeScalar": l1.blob_base_fee_scalar,
        "l2GasPrice": str(prices.l2_gas_price),
        "ethPrice": None if prices.eth_price is None else str(prices.eth_price),
        "flows": {
            one.name: {
                "calldataBytes": one.calldata,
                "fastlzBytes": one.compressed,
                "chargedMillionthsOfBytes": one.size,
                "l1Fee": str(one.l1_fee),
                "l1FeeByChain": None if one.told is None else str(one.told),
                "l2Gas": one.gas,
                "l2Fee": str(one.l2_fee),
            }
            for one in costs
        },
    }


def money(wei: int, prices: Prices) -> str:
    """In dollars, or in gwei where nobody knows the price of an ETH; six decimals, so that a rollup's cents show."""
    dollars = prices.dollars(wei)
    if dollars is None:
        return f"{gwei(wei)} gwei"
    return "<$0.000001" if 0 < dollars < 10**12 else format_usd(dollars, 6)


def gwei(wei: int) -> str:
    """Wei in gwei, six decimals at most."""
    text = format_wad(wei * 10**9, 6)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _share(whole: int, flow: Flow) -> int:
    return -(-whole // flow.orders)
