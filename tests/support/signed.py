"""Traders with keys, and what they sign: tests that bring signatures to a core's order book.

signed = Signed(core)
maker = signed.trader("maker", 100_000)          # an account whose owner has a key
order = signed.limit(maker, ETH, -2 * WAD, 3_001 * WAD)
core.order_book.placeFor(order, signed.order(order), sender=KEEPER)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from plimsoll.core.orders import Order, Scope
from plimsoll.sdk.signing import Cancel, CancelAll, Delegation, Domain, Message, sign, struct_hash
from tests.support.core import GOOD_TILL_TIME, KEEPER, LIMIT_ORDER, Core, account_id, owner_of
from tests.support.evm import Receipt

FIELDS = (
    "account", "marketId", "kind", "base", "acceptablePrice", "triggerPrice", "reduceOnly", "timeInForce", "expiry",
    "parent", "salt",
)  # fmt: skip


@cache
def key_of(name: str) -> LocalAccount:
    """The same name always has the same key."""
    key: LocalAccount = Account.from_key(keccak(text=name))
    return key


def as_order(order: Mapping[str, Any]) -> Order:
    """An order as the order book takes it, as what is signed."""
    return Order(*(order[field] for field in FIELDS))


class Signed:
    """Signatures for one core's order book."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.domain = Domain(core.evm.chain_id, core.order_book.address)
        self._keys: dict[str, LocalAccount] = {}

    def trader(self, name: str, dollars: int = 0, isolated_market: int = 0, index: int = 0) -> int:
        """As `Core.trader`, of an owner who has a key."""
        account = self.core.track(account_id(self.know(name), isolated_market, index))
        if dollars:
            self.core.fund_account(account, dollars)
        return account

    def know(self, name: str) -> str:
        """The address of a key, whose signatures can be asked for from now on."""
        key = key_of(name)
        self._keys[key.address] = key
        return str(key.address)

    def key(self, account: int) -> LocalAccount:
        """The key of an account's owner."""
        return self._keys[owner_of(account)]

    def order(self, order: Mapping[str, Any], key: LocalAccount | None = None) -> bytes:
        """A signature of an order: its owner's, or that key's."""
        return self.message(as_order(order), key or self.key(order["account"]))

    def message(self, message: Message, key: LocalAccount) -> bytes:
        return sign(message, self.domain, key)

    def cancel(self, order: Mapping[str, Any], relay_fee: int = 0, key: LocalAccount | None = None) -> bytes:
        message = Cancel(struct_hash(as_order(order)), relay_fee)
        return self.message(message, key or self.key(order["account"]))

    def cancel_all(self, account: int, counter: int, relay_fee: int = 0, key: LocalAccount | None = None) -> bytes:
        return self.message(CancelAll(account, counter, relay_fee), key or self.key(account))

    def delegation(
        self, account: int, delegate: str, scope: Scope, salt: int, relay_fee: int = 0, key: LocalAccount | None = None
    ) -> bytes:
        return self.message(Delegation(account, delegate, scope, salt, relay_fee), key or self.key(account))

    def limit(
        self, account: int, market: int, base: int, price: int, *, time_in_force: int = GOOD_TILL_TIME, **options: Any
    ) -> dict[str, Any]:
        """A limit order to be matched."""
        return self.core.order(
            account, market, base, kind=LIMIT_ORDER, acceptable=price, time_in_force=time_in_force, **options
        )

    def match(
        self,
        maker: Mapping[str, Any],
        taker: Mapping[str, Any],
        base: int | None = None,
        sender: Any = KEEPER,
        *,
        maker_key: LocalAccount | None = None,
        taker_key: LocalAccount | None = None,
        gas: int | None = None,
    ) -> Receipt:
        """Match two orders that are signed here; as much as the smaller one without a size."""
        self.core.track(account_id(sender))
        size = min(abs(maker["base"]), abs(taker["base"])) if base is None else base
        receipt: Receipt = self.core.order_book.matchOrders(
            maker, self.order(maker, maker_key), taker, self.order(taker, taker_key), size, sender=sender, gas=gas
        )
        return receipt

    def fill(self, maker: Mapping[str, Any], base: int | None = None) -> tuple[Mapping[str, Any], bytes, int]:
        """A maker's part of a batch, signed here; all of it without a size."""
        return maker, self.order(maker), abs(maker["base"]) if base is None else base

    def match_batch(
        self,
        taker: Mapping[str, Any],
        makers: list[tuple[Mapping[str, Any], bytes, int]],
        sender: Any = KEEPER,
        gas: int | None = None,
    ) -> Receipt:
        self.core.track(account_id(sender))
        receipt: Receipt = self.core.order_book.matchBatch(taker, self.order(taker), makers, sender=sender, gas=gas)
        return receipt
