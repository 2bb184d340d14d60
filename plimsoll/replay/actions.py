"""What people and keepers can do in a replay, and what it must bring about on a chain.

Amounts are token units, sizes and prices WAD, accounts packed ids, owners addresses as ints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from plimsoll.core.orders import Order, Scope
from plimsoll.risk.fallback import Quoted

VaultName = Literal["pool", "fund"]
ShutDownStep = Literal["declareDead", "confirmDead", "closeDead"]


@dataclass(frozen=True, slots=True)
class Deposit:
    """Tokens of the account's owner into the account; he gets them first."""

    account: int
    amount: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Tokens out of an account to its owner."""

    account: int
    amount: int


@dataclass(frozen=True, slots=True)
class Place:
    """`by`: the delegate who sends it, None for the owner; so of `Cancel`."""

    order: Order
    by: int | None = None


@dataclass(frozen=True, slots=True)
class PlaceFor:
    """A relayer places what `signer` signed, the owner or a delegate."""

    order: Order
    signer: int


@dataclass(frozen=True, slots=True)
class Cancel:
    order: Order
    by: int | None = None


@dataclass(frozen=True, slots=True)
class CancelFor:
    """A relayer takes an order back on the owner's signature, for a fee in WAD dollars."""

    order: Order
    relay_fee: int


@dataclass(frozen=True, slots=True)
class CancelAll:
    account: int


@dataclass(frozen=True, slots=True)
class CancelAllFor:
    """As `CancelFor`, of everything; `counter` is the account's new one."""

    account: int
    counter: int
    relay_fee: int


@dataclass(frozen=True, slots=True)
class SetDelegate:
    account: int
    delegate: int
    scope: Scope


@dataclass(frozen=True, slots=True)
class SetDelegateFor:
    """A relayer brings a scope that the owner signed; `salt` carries the account's counter."""

    account: int
    delegate: int
    scope: Scope
    salt: int
    relay_fee: int


Call = Place | PlaceFor | Cancel | CancelFor


@dataclass(frozen=True, slots=True)
class Together:
    """Several calls of one sender in one transaction: all or none."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """A limit order that was never placed, and who signed it: the owner or a delegate."""

    order: Order
    signer: int


@dataclass(frozen=True, slots=True)
class Match:
    """Fill a signed order against others, each at its own price; base unsigned WAD, by maker."""

    taker: SignedOrder
    makers: tuple[tuple[SignedOrder, int], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """What each signer of each market says, published now."""

    readings: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Execute:
    """Somebody settles these orders in one batch: the executor where `by` doesn't say who."""

    orders: tuple[Order, ...]
    by: int | None = None


@dataclass(frozen=True, slots=True)
class Force:
    """A reduce-only order that waits, settled without a record by its owner, who needs no keeper.

    At `data` with its signed `payloads`, or where those are None and empty at the push sources' `bound`.
    """

    order: Order
    data: Quoted | None = None
    payloads: tuple[bytes, ...] = ()
    bound: Quoted | None = None


@dataclass(frozen=True, slots=True)
class ShutDown:
    """A step in the end of a market without prices: the executor declares, confirms or closes it."""

    market_id: int
    step: ShutDownStep


@dataclass(frozen=True, slots=True)
class Settle:
    """The executor settles a position that has no base left."""

    account: int
    market_id: int


@dataclass(frozen=True, slots=True)
class CloseOut:
    account: int
    market_id: int


@dataclass(frozen=True, slots=True)
class TakeOver:
    account: int
    market_id: int
    base: int
    to_account: int


@dataclass(frozen=True, slots=True)
class Absorb:
    account: int


@dataclass(frozen=True, slots=True)
class Sweep:
    market_id: int


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """A provider asks to enter the pool or the fund."""

    vault: VaultName
    owner: int
    assets: int


@dataclass(frozen=True, slots=True)
class RequestExit:
    """A provider asks to leave with so many shares."""

    vault: VaultName
    owner: int
    shares: int


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    vault: VaultName
    request_id: int


Action = (
    Deposit
    | Withdraw
    | Place
    | PlaceFor
    | Cancel
    | CancelFor
    | CancelAll
    | CancelAllFor
    | SetDelegate
    | SetDelegateFor
    | Together
    | Match
    | Record
    | Execute
    | Force
    | ShutDown
    | Settle
    | CloseOut
    | TakeOver
    | Absorb
    | Sweep
    | RequestEntry
    | RequestExit
    | ExecuteRequest
)


def calls_of(action: Action) -> tuple[Action, ...]:
    """The action itself, or those it puts together."""
    return action.calls if isinstance(action, Together) else (action,)


@dataclass(frozen=True, slots=True)
class Expected:
    """An event that an action must emit: its name, and those of its values that the model knows."""

    event: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """An action that the model carried out; `result` is the model's own answer.

    With `refusal` it was refused by that name, as it must be on a chain.
    """

    action: Action
    expected: tuple[Expected, ...] = ()
    result: Any = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """What happened at one time, in order. `touched`: the accounts to compare at once. `basefee` None for any."""

    ts: int
    applied: list[Applied] = field(default_factory=list)
    touched: tuple[int, ...] = ()
    basefee: int | None = None
