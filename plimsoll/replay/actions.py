"""What people and keepers can do in a replay, and what it must bring about on a chain.

Amounts are token units, sizes and prices WAD, accounts packed ids, owners addresses as ints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from plimsoll.core.orders import Order

VaultName = Literal["pool", "fund"]


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
    order: Order


@dataclass(frozen=True, slots=True)
class Cancel:
    order: Order


@dataclass(frozen=True, slots=True)
class Record:
    """What each signer of each market says, published now."""

    readings: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Execute:
    """The executor settles these orders in one batch."""

    orders: tuple[Order, ...]


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
class ExecuteRequest:
    vault: VaultName
    request_id: int


Action = (
    Deposit
    | Withdraw
    | Place
    | Cancel
    | Record
    | Execute
    | CloseOut
    | TakeOver
    | Absorb
    | Sweep
    | RequestEntry
    | ExecuteRequest
)


@dataclass(frozen=True, slots=True)
class Expected:
    """An event that an action must emit: its name, and those of its values that the model knows."""

    event: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Applied:
    """An action that the model carried out; `result` is the model's own answer."""

    action: Action
    expected: tuple[Expected, ...] = ()
    result: Any = None


@dataclass(frozen=True, slots=True)
class Block:
    """What happened at one time, in order. `touched`: the accounts to compare at once. `basefee` None for any."""

    ts: int
    applied: list[Applied] = field(default_factory=list)
    touched: tuple[int, ...] = ()
    basefee: int | None = None
