"""The order book as one signer calls it: orders, signatures and delegates as they are, in WAD integers.

```python
book = OrderBookClient(contracts, signer)
placed = book.place_together(bracket(entry, stop_price, profit_price))
signed = book.signed(order)                        # goes to a matching engine, or to whoever relays it
other.match(maker, signed, size)
```

Whatever the contracts refuse is a UserError of one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from plimsoll.chain.abi import address_of
from plimsoll.chain.transactions import Receipt, Reverted, Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.orders import NO_SCOPE, Order, Scope
from plimsoll.sdk.contracts import WALLET, Contracts
from plimsoll.sdk.delegates import Delegated
from plimsoll.sdk.events import MatchSkipped, OrdersMatched, decode_all, scope_from
from plimsoll.sdk.orders import new_salt, require_relayable
from plimsoll.sdk.refusals import refusals_as_user_errors
from plimsoll.sdk.signed import SignedOrder
from plimsoll.sdk.signing import Cancel, CancelAll, Delegation, Domain, Message, digest, order_hash, recover, sign

WALLET_GAS = 130_000
"""For a wallet's judgement of a signature; the order book gives it 100,000."""


class OrderStatus(IntEnum):
    """MATCHING: signed, and matched in part. SPENT: any end but being filled."""

    NONE = 0
    QUEUED = 1
    WAITING = 2
    MATCHING = 3
    FILLED = 4
    SPENT = 5


@dataclass(frozen=True, slots=True)
class Commitment:
    """What the chain keeps of an order. `settle_from` T in Unix seconds; `sequence` 0 for one outside the queue.

    `amount`, WAD: the fee reserve of a market order that has not ended, what was matched of a signed one.
    """

    status: OrderStatus
    settle_from: int
    sequence: int
    execution_fee: int
    amount: int

    @property
    def is_filled(self) -> bool:
        """Whether it was filled, at least in part."""
        in_part = self.status in (OrderStatus.MATCHING, OrderStatus.SPENT) and self.amount != 0
        return self.status == OrderStatus.FILLED or in_part


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was placed. `settle_from` is T, Unix seconds; `sequence` 0 for one that waits for its price."""

    order: Order
    hash: bytes
    settle_from: int
    sequence: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Matches:
    """What one call matched, and the makers that it skipped."""

    matched: tuple[OrdersMatched, ...]
    skipped: tuple[MatchSkipped, ...]
    receipt: Receipt

    @property
    def base(self) -> int:
        """How much, WAD, unsigned."""
        return sum(abs(one.base) for one in self.matched)


class OrderBookClient:
    """Without a signer it only reads."""

    def __init__(self, contracts: Contracts, signer: Signer | None = None) -> None:
        self.contracts = contracts
        self.chain = contracts.chain
        self._signer = signer

    @property
    def signer(self) -> Signer:
        """Raises UserError where there is none."""
        if self._signer is None:
            raise UserError("no key: this needs a signer (of a command, --account ALIAS)")
        return self._signer

    @cached_property
    def domain(self) -> Domain:
        """What signatures are for: this chain and this order book."""
        return Domain(self.chain.chain_id, self.contracts.order_book.address)

    # --- placing and cancelling ----------------------------------------------------------------------------------

    def place(self, order: Order) -> Placed:
        """Place an order as it is, of one's own account or as its delegate."""
        with self._refusals("order"):
            return self._placed([order], self._send("place", order))[0]

    def place_together(self, orders: Iterable[Order]) -> list[Placed]:
        """Place several in one transaction: all of them, or none."""
        orders = list(orders)
        with self._refusals("orders"):
            return self._placed(orders, self._send_together([("place", order) for order in orders]))

    def replace(self, old: Order, new: Order) -> Placed:
        """Cancel one and place another in one transaction: both, or neither."""
        with self._refusals("replace"):
            return self._placed([new], self._send_together([("cancel", old), ("place", new)]))[0]

    def cancel(self, order: Order) -> Receipt:
        """End an order that waits, or was only signed. Raises UserError for market orders in the queue."""
        with self._refusals("cancel"):
            return self._send("cancel", order)

    def cancel_together(self, orders: Iterable[Order]) -> Receipt:
        """Cancel several in one transaction: all of them, or none."""
        with self._refusals("cancel"):
            return self._send_together([("cancel", order) for order in orders])

    def cancel_all(self, account: int | None = None) -> Receipt:
        """End all orders of an account, placed or only signed, but market orders that were placed."""
        with self._refusals("cancel all"):
            return self._send("cancelAll", self._own(account))

    # --- signatures ----------------------------------------------------------------------------------------------

    def sign(self, message: Message) -> bytes:
        """The signer's signature for this order book. Sends nothing."""
        return sign(message, self.domain, self.signer)

    def signed(self, order: Order) -> SignedOrder:
        """An order under the signer's signature. Sends nothing."""
        return SignedOrder(order, self.sign(order))

    def signer_of(self, account: int, message: Message, signature: bytes) -> str | None:
        """Whose word a signature is to the order book: the owner's, as a key or a wallet, else whoever signed."""
        found, owner = recover(message, self.domain, signature), address_of(ids.owner_of(account))
        if found == owner:
            return owner
        return owner if self._is_wallets_word(owner, digest(message, self.domain), signature) else found

    def place_for(self, signed: SignedOrder) -> Placed:
        """Place an order on its signature; the account pays the market's relay fee to the caller.

        Raises UserError for a limit order too: signed it is for matching.
        """
        require_relayable(signed.order)
        with self._refusals("order"):
            return self._placed([signed.order], self._send("placeFor", signed.order, signed.signature))[0]

    def place_for_together(self, signed: Iterable[SignedOrder]) -> list[Placed]:
        """Place several on their signatures in one transaction: all of them, or none."""
        several = list(signed)
        for one in several:
            require_relayable(one.order)
        with self._refusals("orders"):
            receipt = self._send_together([("placeFor", one.order, one.signature) for one in several])
            return self._placed([one.order for one in several], receipt)

    def cancel_for(self, order: Order, cancel: Cancel, signature: bytes) -> Receipt:
        """Cancel an order on its owner's signature over `cancel`; its relay fee is the caller's."""
        with self._refusals("cancel"):
            return self._send("cancelFor", order, cancel.relay_fee, signature)

    def cancel_all_for(self, message: CancelAll, signature: bytes) -> Receipt:
        """End all orders of an account on its owner's signature; the relay fee is the caller's."""
        with self._refusals("cancel all"):
            return self._send("cancelAllFor", message.account, message.counter, message.relay_fee, signature)

    # --- delegates -----------------------------------------------------------------------------------------------

    def set_delegate(self, delegate: str, scope: Scope, account: int | None = None) -> Receipt:
        """Let `delegate` trade for an account within a scope; the owner only. What it used today is forgotten."""
        with self._refusals("delegate"):
            return self._send("setDelegate", self._own(account), delegate, scope)

    def end_delegation(self, delegate: str, account: int | None = None) -> Receipt:
        """From now on `delegate` may do nothing for the account."""
        return self.set_delegate(delegate, NO_SCOPE, account)

    def set_delegate_for(self, message: Delegation, signature: bytes) -> Receipt:
        """Set a delegate on the owner's signature; the relay fee is the caller's."""
        with self._refusals("delegate"):
            return self._send(
                "setDelegateFor",
                message.account,
                message.delegate,
                message.scope,
                message.salt,
                message.relay_fee,
                signature,
            )

    def delegation(self, delegate: str, account: int | None = None) -> Delegated:
        """What `delegate` may do for an account."""
        scope, used_today = self.contracts.order_book.call("delegation", self._own(account), delegate)
        return Delegated(scope_from(scope._asdict()), used_today)

    # --- matching ------------------------------------------------------------------------------------------------

    def match(self, maker: SignedOrder, taker: SignedOrder, base: int) -> Matches:
        """Fill `base`, WAD and unsigned, of two signed orders against each other at the maker's price."""
        with self._refusals("match"):
            receipt = self._send("matchOrders", maker.order, maker.signature, taker.order, taker.signature, base)
        return self._matches(receipt)

    def match_batch(self, taker: SignedOrder, makers: Sequence[tuple[SignedOrder, int]]) -> Matches:
        """Fill one taker against several makers, each with how much of it; what is refused is skipped."""
        fills = [(maker.order, maker.signature, base) for maker, base in makers]
        with self._refusals("match"):
            receipt = self._send("matchBatch", taker.order, taker.signature, fills)
        return self._matches(receipt)

    # --- reading -------------------------------------------------------------------------------------------------

    def counter_of(self, account: int | None = None) -> int:
        """The counter that an account's new orders must carry in their salts."""
        return int(self.contracts.order_book.call("counterOf", self._own(account)))

    def new_salt(self, account: int | None = None) -> int:
        """A salt for an order or a delegation, under the account's present counter."""
        return new_salt(self.counter_of(account))

    def commitment(self, order: Order | bytes) -> Commitment:
        """What the chain keeps of an order, given whole or by its hash; status NONE for one that it never saw."""
        found = self.contracts.order_book.call("commitment", order if isinstance(order, bytes) else order_hash(order))
        return Commitment(OrderStatus(found.status), found.settleFrom, found.sequence, found.executionFee, found.amount)

    # --- parts ---------------------------------------------------------------------------------------------------

    def _own(self, account: int | None) -> int:
        return ids.pack(self.signer.address) if account is None else account

    def _send(self, name: str, *args: object) -> Receipt:
        return self.contracts.order_book.transact(self.signer, name, *args)

    def _send_together(self, calls: Sequence[tuple[object, ...]]) -> Receipt:
        if not calls:
            raise UserError("order book: there is nothing to send")
        book = self.contracts.order_book
        return self._send("multicall", [book.encode(str(name), *args) for name, *args in calls])

    def _placed(self, orders: Sequence[Order], receipt: Receipt) -> list[Placed]:
        events = self.contracts.order_book.events(receipt, "OrderPlaced")
        return [
            Placed(order, event["hash"], event["settleFrom"], event["sequence"], receipt)
            for order, event in zip(orders, events, strict=True)
        ]

    def _matches(self, receipt: Receipt) -> Matches:
        records = decode_all(self.contracts.order_book.events(receipt))
        return Matches(
            tuple(one for one in records if isinstance(one, OrdersMatched)),
            tuple(one for one in records if isinstance(one, MatchSkipped)),
            receipt,
        )

    def _is_wallets_word(self, owner: str, hash_: bytes, signature: bytes) -> bool:
        """ERC-1271, as the order book asks."""
        if not self.chain.code(owner):
            return False
        question = WALLET.function("isValidSignature").encode([hash_, signature])
        try:
            answer = self.chain.call(owner, question, gas=WALLET_GAS)
        except Reverted:
            return False
        return answer[:32] == question[:4].ljust(32, b"\0")

    def _refusals(self, what: str) -> AbstractContextManager[None]:
        return refusals_as_user_errors(what, token_decimals=self.contracts.token_decimals)
