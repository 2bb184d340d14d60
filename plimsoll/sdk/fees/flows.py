"""A typical transaction of each kind, as it would be sent: for its size, and what that costs on a rollup.

The figures in them are as the SDK makes them (random salts, real signatures, prices and sizes with the decimals that
people use), from fixed seeds, so that they are the same every time. `gas` is what the flow costs on L2; a test holds it
against the measured snapshot.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import rlp  # what eth-account signs with
from eth_account import Account

from plimsoll.chain.abi import address_of, checksum, function_json
from plimsoll.chain.contracts import Interface, interface
from plimsoll.core import ids
from plimsoll.core.orders import Order
from plimsoll.core.units import WAD
from plimsoll.sdk.fees.fjord import fastlz_size
from plimsoll.sdk.oracle import Publisher
from plimsoll.sdk.orders import limit_order, market_order, stop_loss_order
from plimsoll.sdk.signing import Domain, sign

CHAIN_ID = 10
ETH = 1
PRICE = 2_643_170_000_000_000_000_000
TIME = 1_790_000_000
BATCH = 10
FEE_GWEI = 10**6
"""Wei of a unit of L2 gas in the transactions' own fields; what they cost is reckoned elsewhere."""

GAS: Mapping[str, int] = {
    "deposit": 49_511,
    "withdraw": 87_879,
    "place market": 78_655,
    "place limit": 59_070,
    "place stop": 59_070,
    "placeFor": 94_426,
    "cancel": 31_569,
    "cancelAll": 28_133,
    "execute": 174_052,
    "execute with prices": 268_477,
    "executeBatch": 67_956,
    "matchOrders": 228_906,
    "liquidate": 150_969,
    "takeOver": 151_228,
    "absorb": 148_185,
    "deleverage": 78_502,
    "update": 118_729,
    "bridge to L1": 147_576,
}
"""Of the whole transaction, of `executeBatch` by order; a limit order costs what a stop does."""
BRIDGE = Interface(
    "L2StandardBridge",
    [function_json("bridgeERC20To", ["address", "address", "address", "uint256", "uint32", "bytes"], [], "nonpayable")],
)
"""The OP stack's own, of which only the call data is needed."""
BRIDGE_GAS = 200_000
"""What the message is given to arrive with on L1."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One transaction. `orders` is how many share it; figures by order are rounded up."""

    name: str
    to: str
    data: bytes
    gas: int
    orders: int = 1

    @property
    def signed(self) -> bytes:
        """The EIP-1559 transaction that goes to the sequencer."""
        return signed_transaction(self.to, self.data, self.gas * self.orders)

    @property
    def unsigned(self) -> bytes:
        """The same without signature, which is what GasPriceOracle is asked with."""
        return unsigned_transaction(self.to, self.data, self.gas * self.orders)

    @property
    def compressed(self) -> int:
        """FastLZ size of the signed transaction."""
        return fastlz_size(self.signed)


def flows() -> list[Flow]:
    """One of each kind, in the order of a trade's life."""
    return [
        _flow("deposit", "MarginVault", "deposit", _account("trader"), 10_000 * 10**6),
        _flow("withdraw", "MarginVault", "withdraw", _account("trader"), 2_500 * 10**6, _address("trader")),
        _flow("place market", "OrderBook", "place", _market_order("trader")),
        _flow("place limit", "OrderBook", "place", _limit_order("trader", 1)),
        _flow("place stop", "OrderBook", "place", _stop_order("trader")),
        _flow("placeFor", "OrderBook", "placeFor", *_signed(_market_order("trader", expiry=TIME + 60))),
        _flow("cancel", "OrderBook", "cancel", _limit_order("trader", 1)),
        _flow("cancelAll", "OrderBook", "cancelAll", _account("trader")),
        _flow("execute", "OrderBook", "execute", _market_order("trader"), []),
        _flow("execute with prices", "OrderBook", "execute", _market_order("trader"), _prices()),
        _flow("executeBatch", "OrderBook", "executeBatch", _batch(), [], orders=BATCH),
        _flow(
            "matchOrders",
            "OrderBook",
            "matchOrders",
            *_signed(_limit_order("maker", -1)),
            *_signed(_limit_order("taker", 1)),
            5 * WAD // 2,
        ),
        _flow("liquidate", "Liquidator", "liquidate", _account("victim"), ETH, []),
        _flow("takeOver", "Liquidator", "takeOver", _account("victim"), ETH, 5 * WAD, _account("taker"), b"", []),
        _flow("absorb", "Liquidator", "absorb", _account("victim"), []),
        _flow("deleverage", "Liquidator", "deleverage", ETH, []),
        _flow("update", "OracleAggregator", "update", _prices()),
        _to_l1(),
    ]


def signed_transaction(to: str, data: bytes, gas: int) -> bytes:
    """An EIP-1559 transaction to `to`, signed with a fixed key."""
    fields = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": 417,
        "maxPriorityFeePerGas": FEE_GWEI // 10,
        "maxFeePerGas": 2 * FEE_GWEI,
        "gas": gas * 5 // 4,
        "to": to,
        "value": 0,
        "data": data,
    }
    return bytes(Account.sign_transaction(fields, _key("trader")).raw_transaction)


def unsigned_transaction(to: str, data: bytes, gas: int) -> bytes:
    """What `signed_transaction` signs."""
    fields = [CHAIN_ID, 417, FEE_GWEI // 10, 2 * FEE_GWEI, gas * 5 // 4, bytes.fromhex(to[2:]), 0, data, []]
    return b"\x02" + bytes(rlp.encode(fields))


def _flow(name: str, contract: str, function: str, *args: object, orders: int = 1) -> Flow:
    data = interface(contract).function(function, len(args)).encode(args)
    return Flow(name, contract_address(contract), data, GAS[name], orders)


def _to_l1() -> Flow:
    tokens = contract_address("token on L2"), contract_address("token on L1")
    args = (*tokens, _address("trader"), 2_500 * 10**6, BRIDGE_GAS, b"")
    data = BRIDGE.function("bridgeERC20To").encode(args)
    return Flow("bridge to L1", "0x4200000000000000000000000000000000000010", data, GAS["bridge to L1"])


@cache
def contract_address(name: str) -> str:
    """Where a contract might be: any address, the same every time."""
    return checksum(hashlib.sha256(name.encode()).digest()[:20])


def _key(name: str) -> bytes:
    return hashlib.sha256(f"key of {name}".encode()).digest()


@cache
def _address(name: str) -> str:
    return address_of(Account.from_key(_key(name)).address)


def _account(name: str) -> int:
    return ids.pack(_address(name))


def _salt(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"salt of {name}".encode()).digest()[:16], "big")


def _market_order(name: str, *, size: int = 250, spread: int = 0, expiry: int = 0) -> Order:
    """`size` in hundredths, `spread` in hundred-thousandths of the price."""
    base = size * WAD // 100
    limit = PRICE * (100_500 + spread) // 100_000
    return market_order(_account(name), ETH, base, acceptable_price=limit, expiry=expiry, salt=_salt(name))


def _limit_order(name: str, side: int) -> Order:
    base = side * 5 * WAD // 2
    return limit_order(_account(name), ETH, base, PRICE, expiry=TIME + 86_400, salt=_salt(f"{name} {side}"))


def _stop_order(name: str) -> Order:
    base, trigger = -5 * WAD // 2, 2_500 * WAD
    return stop_loss_order(_account(name), ETH, base, trigger, salt=_salt(f"stop of {name}"))


def _batch() -> list[Order]:
    """Orders of different sizes and acceptable prices, as they are when people place them."""
    return [
        _market_order(f"trader {number}", size=37 * (number + 1), spread=number - BATCH // 2) for number in range(BATCH)
    ]


def _signed(order: Order) -> tuple[Order, bytes]:
    owner = next(name for name in ("trader", "maker", "taker") if _account(name) == order.account)
    return order, sign(order, Domain(CHAIN_ID, contract_address("OrderBook")), Account.from_key(_key(owner)))


def _prices() -> list[bytes]:
    """Three signed beacons of one market."""
    publisher = Publisher.from_keys([_key(f"publisher {number}") for number in range(3)], "ETH/USD")
    return [publisher.item(ETH, [PRICE - 10**17, PRICE, PRICE + 2 * 10**17], TIME)]
