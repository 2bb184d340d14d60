"""The way out that no sequencer can close: cancel, reduce to zero and withdraw by deposit transactions on L1.

```python
exit_ = ForcedExit(rollup, client, account, Caller.key(address))
for call in exit_.next_step(payloads).calls:
    receipt = send(rollup, call, signer)       # or print as_deposit(rollup, call), for a contract to send
```

Two rounds, at least a minute apart: orders that only reduce are placed; then, at price data that is signed after that,
or at the push sources, they are filled, and all cash goes to L1. What was sent already is read from both chains, so
that the same command goes on where it was ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from plimsoll.chain.abi import address_of
from plimsoll.chain.contracts import Deployed, interface
from plimsoll.chain.transactions import Call, Receipt, Signer, plain
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.orders import Order, OrderKind
from plimsoll.sdk.history import logs_between
from plimsoll.sdk.orders import any_price, new_salt, order_from
from plimsoll.sdk.rollup.derivation import Deposit, aliased, user_deposit
from plimsoll.sdk.rollup.layers import Rollup
from plimsoll.sdk.views import Views

FALLBACK_DELAY = 60
"""Seconds after an order's time from which signed data fills it, and of silence; OrderBook's FALLBACK_DELAY."""
FORCED_WINDOW = 120
"""Seconds of silence from which the push sources fill it; OrderBook's FORCED_WINDOW."""
ALL = 2**256 - 1
PENDING_BLOCKS = 14_400
"""Blocks of L1 in which deposits are looked for that L2 has not executed: two days, four times the usual window."""
_GAS = {
    "cancelAll": 150_000,
    "place": 400_000,
    "executeForced": 800_000,
    "executeBatch": 800_000,
    "withdraw": 600_000,
}
"""On L2, twice what each needs with few markets, some room with eight: the rest is lost, too little fails the call."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends on L1, and as whom he appears on L2."""

    l1_address: str
    is_contract: bool

    @property
    def sender(self) -> str:
        """On L2."""
        return aliased(self.l1_address) if self.is_contract else address_of(self.l1_address)


@dataclass(frozen=True, slots=True)
class ForcedCall:
    """A call on L2 that a deposit transaction makes; `gas` there."""

    label: str
    to: str
    data: bytes
    gas: int


class Round(Enum):
    """What the exit is at, in words."""

    PLACE = "cancel, and place orders that only reduce"
    WAIT = "wait: signed prices fill the orders from a minute after their time, the push sources after two of silence"
    LEAVE = "fill the orders, and withdraw everything to L1"
    DONE = "nothing is left to do but to follow the withdrawal: ape run withdrawals"


@dataclass(frozen=True, slots=True)
class Step:
    """`ready_at`: L1 time, Unix seconds, from which the next round can be sent; 0 for now."""

    round: Round
    calls: tuple[ForcedCall, ...] = ()
    ready_at: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """A deposit that L1 has and L2 has not executed yet; `timestamp` of its L1 block, Unix seconds."""

    deposit: Deposit
    timestamp: int

    @property
    def method(self) -> str:
        """The name of the order book's or the gateway's function that it calls; empty for anything else."""
        for name in ("OrderBook", "L2Gateway"):
            function = interface(name).function_of(self.deposit.data)
            if function is not None:
                return function.name
        return ""


@dataclass(frozen=True, slots=True)
class _Exit:
    """An order that closes a position, on L2 or on its way there. `settle_from` T in Unix seconds."""

    order: Order
    settle_from: int


class ForcedExit:
    """Of one account. Raises UserError where the caller is neither its owner nor his agent."""

    def __init__(self, rollup: Rollup, client: Views, account: int, caller: Caller) -> None:
        self._rollup, self._client = rollup, client
        self.account, self.caller = account, caller
        owner = address_of(ids.owner_of(account))
        self._is_owner = owner == caller.sender
        agent = rollup.l2_gateway.call("agentOf", owner)
        is_agent = (agent.l1Address, agent.isContract) == (address_of(caller.l1_address), caller.is_contract)
        if not self._is_owner and not is_agent:
            raise UserError(
                f"{caller.l1_address} appears on L2 as {caller.sender}, which is neither the owner {owner} of account "
                f"{account:#x} nor his agent; he names one by: ape run trade agent ADDRESS"
            )

    def next_step(self, payloads: Mapping[int, Sequence[bytes]] | None = None, to: str | None = None) -> Step:
        """What to send now.

        Args:
            payloads: by market, signed data of its pull sources as of now; the push sources count where there is none.
            to: who is paid on L1; by default, and always for an agent, the caller.
        """
        pending = self.pending()
        snapshot = self._client.account_snapshot(self.account)
        exits = self._exits(pending)
        held = {one.market_id: one.base for one in snapshot.positions}
        if any(base and market not in exits for market, base in held.items()):
            return Step(Round.PLACE, tuple(self._place(held)))
        if any(self._withdraws(one) for one in pending):
            return Step(Round.DONE)
        open_exits = {market: one for market, one in exits.items() if held.get(market)}
        if not held and not snapshot.withdrawable:
            return Step(Round.DONE)
        brought = payloads or {}
        ready_at = max((self._ready_at(one, market in brought) for market, one in open_exits.items()), default=0)
        if self._now < ready_at:
            return Step(Round.WAIT, ready_at=ready_at)
        fills = [self._fill(one.order, brought.get(market, ())) for market, one in open_exits.items()]
        return Step(Round.LEAVE, (*fills, self._withdraw(to)))

    @property
    def _now(self) -> int:
        """L1's time, which L2 takes where it is behind."""
        return self._rollup.l1.block().timestamp

    def _recorded_at(self, market: int) -> int:
        return int(self._rollup.contracts.oracle.call("price", market)[2])

    def _is_silent(self, market: int) -> bool:
        return self._now > self._recorded_at(market) + FALLBACK_DELAY

    def _ready_at(self, exit_: _Exit, has_data: bool) -> int:
        """By signed data a minute after an order's time, by the push sources after two of silence."""
        ready, market = exit_.settle_from + FALLBACK_DELAY, exit_.order.market_id
        if has_data or not self._is_silent(market):
            return ready
        return max(ready, self._recorded_at(market) + FORCED_WINDOW + 1)

    def pending(self) -> list[Pending]:
        """The caller's deposits that L2 has not executed yet, oldest first."""
        rollup, portal = self._rollup, self._rollup.portal
        head = rollup.l1.block_number
        sender = bytes.fromhex(self.caller.sender[2:])
        topics = [portal.interface.events["TransactionDeposited"].topic, sender]
        found = []
        for log in logs_between(rollup.l1, [portal.address], topics, max(0, head - PENDING_BLOCKS), head):
            block = rollup.l1.block(log.block_number)
            deposit = user_deposit(portal.events([log])[0].values, block.hash, log.index)
            if rollup.l2.receipt(deposit.tx_hash) is None:
                found.append(Pending(deposit, block.timestamp))
        return found

    # --- the calls ---

    def _place(self, held: Mapping[int, int]) -> list[ForcedCall]:
        """Cancelling raises the account's counter, which the orders that follow carry."""
        calls = [self._call("cancelAll", "cancel all orders", self.account)]
        counter = self._client.counter_of(self.account) + 1
        for market, base in held.items():
            order = Order(
                self.account,
                market,
                OrderKind.LIMIT,
                -base,
                any_price(-base),
                reduce_only=True,
                salt=new_salt(counter, None),
            )
            calls.append(self._call("place", f"close {self._client.market_name(market)}", order))
        return calls

    def _fill(self, order: Order, payloads: Sequence[bytes]) -> ForcedCall:
        """By signed data where nobody has recorded a price for a minute; else at the newest record, as any keeper."""
        book = self._rollup.contracts.order_book
        name = self._client.market_name(order.market_id)
        if self._is_silent(order.market_id):
            how = "signed prices" if payloads else "the push sources"
            return _forced(book, "executeForced", f"fill {name} at {how}", order, list(payloads))
        return _forced(book, "executeBatch", f"fill {name} at the newest record", [order], [])

    def _withdraw(self, to: str | None) -> ForcedCall:
        recipient = address_of(to or self.caller.l1_address)
        if not self._is_owner and recipient != address_of(self.caller.l1_address):
            raise UserError("an agent withdraws to his own L1 address only; leave --to out")
        return _forced(
            self._rollup.l2_gateway, "withdraw", f"withdraw all to {recipient} on L1", self.account, ALL, recipient
        )

    def _call(self, name: str, label: str, *args: object) -> ForcedCall:
        """At the order book, or through the gateway for an agent."""
        target = self._rollup.contracts.order_book if self._is_owner else self._rollup.l2_gateway
        return _forced(target, name, label, *args)

    # --- what was sent already ---

    def _withdraws(self, pending: Pending) -> bool:
        """Whether a deposit on its way takes everything out of this account."""
        if pending.method != "withdraw":
            return False
        arguments = interface("L2Gateway").function("withdraw").decode_inputs(pending.deposit.data)
        return (arguments.account, arguments.amount) == (self.account, ALL)

    def _exits(self, pending: Sequence[Pending]) -> dict[int, _Exit]:
        """By market, the order that closes its position: on L2, or in a deposit on its way there."""
        counter = self._client.counter_of(self.account)
        found = {
            one.order.market_id: _Exit(one.order, one.settle_from)
            for one in self._client.open_orders(self.account)
            if _is_exit(one.order) and one.order.counter == counter
        }
        place = interface("OrderBook").function("place")
        for one in pending:
            if one.method == "place":  # its arguments are the same through the gateway
                order = order_from(plain(place.decode_inputs(one.deposit.data).order))
                if order.account == self.account and _is_exit(order):
                    # T where L2 builds on that L1 block at its time
                    delay = self._client.market(order.market_id).orders.settlement_delay
                    found[order.market_id] = _Exit(order, one.timestamp + delay)
        return found


def _is_exit(order: Order) -> bool:
    """Made to close at whatever the price is."""
    return order.reduce_only and order.kind == OrderKind.LIMIT and order.acceptable_price == any_price(order.base)


def _forced(contract: Deployed, name: str, label: str, *args: object) -> ForcedCall:
    return ForcedCall(label, contract.address, contract.encode(name, *args), _GAS[name])


def as_deposit(rollup: Rollup, call: ForcedCall) -> Call:
    """The transaction on L1 that has L2 make a call in the sender's name."""
    data = rollup.portal.encode("depositTransaction", call.to, 0, call.gas, False, call.data)
    return Call(rollup.portal.address, data, label=call.label)


def send(rollup: Rollup, call: ForcedCall, signer: Signer) -> Receipt:
    """Send it from an L1 account. Raises Reverted, UserError."""
    deposit = as_deposit(rollup, call)
    return signer.send(deposit.to, deposit.data)
