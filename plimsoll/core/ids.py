"""Account ids: a uint256 that says everything about the account.

    owner (160 bits) | isolatedMarket (32 bits, 0 = cross) | index (64 bits)

Addresses are given out in lower case; whoever shows them to people adds the checksum.
"""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.core.errors import UserError

MAX_INDEX = 2**64 - 1
MAX_MARKET = 2**32 - 1
MAX_OWNER = 2**160 - 1
MAX_ACCOUNT = 2**256 - 1
CROSS = 0

_MARKET_SHIFT = 64
_OWNER_SHIFT = 96


@dataclass(frozen=True, slots=True)
class AccountId:
    """The three parts of an account id."""

    owner: str
    isolated_market: int
    index: int

    @property
    def is_cross(self) -> bool:
        """Whether the account shares its collateral over its markets."""
        return self.isolated_market == CROSS

    def pack(self) -> int:
        """The uint256."""
        return pack(self.owner, self.isolated_market, self.index)


def pack(owner: str | int, isolated_market: int = CROSS, index: int = 0) -> int:
    """The account id of an owner's account. Raises UserError that names the part out of range."""
    number = parse_address(owner) if isinstance(owner, str) else _checked("owner", owner, MAX_OWNER)
    if number == 0:
        raise UserError("account id: the owner is the zero address; give the address that holds the account")
    market = _checked("isolated market", isolated_market, MAX_MARKET)
    return number << _OWNER_SHIFT | market << _MARKET_SHIFT | _checked("index", index, MAX_INDEX)


def unpack(account: int) -> AccountId:
    """The parts of an account id. Raises UserError where it is no uint256 or has no owner."""
    _checked("account id", account, MAX_ACCOUNT)
    if account >> _OWNER_SHIFT == 0:
        raise UserError(f"account id: {account:#x} has no owner in its upper 160 bits; build it with ids.pack")
    return AccountId(_address(account), isolated_market_of(account), index_of(account))


def owner_of(account: int) -> str:
    """The owner's address, in lower case. Raises as `unpack`."""
    return unpack(account).owner


def isolated_market_of(account: int) -> int:
    """The market the account is bound to, 0 for a cross account."""
    return account >> _MARKET_SHIFT & MAX_MARKET


def index_of(account: int) -> int:
    """Which of the owner's accounts of that kind it is."""
    return account & MAX_INDEX


def parse_address(address: str) -> int:
    """An address (0x and 40 hexadecimal digits) as an int. Raises UserError."""
    digits = address.strip()
    if digits[:2].lower() != "0x" or len(digits) != 42:
        raise UserError(f"address: {address!r} is not 0x and 40 hexadecimal digits")
    try:
        return int(digits[2:].replace("_", "x"), 16)
    except ValueError:
        raise UserError(f"address: {address!r} is not 0x and 40 hexadecimal digits") from None


def parse_account(text: str) -> int:
    """An account id a person wrote, decimal or 0x-hexadecimal. Raises UserError."""
    try:
        account = int(text.strip(), 0)
    except ValueError:
        raise UserError(f"account id: {text!r} is not a number; write it in decimal or as 0x…") from None
    unpack(account)
    return account


def describe(account: int) -> str:
    """An account id in words: "0xabc… cross #0" or "0xabc… isolated market 2 #1"."""
    parts = unpack(account)
    kind = "cross" if parts.is_cross else f"isolated market {parts.isolated_market}"
    return f"{parts.owner} {kind} #{parts.index}"


def _address(account: int) -> str:
    return f"0x{account >> _OWNER_SHIFT:040x}"


def _checked(what: str, value: int, maximum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"account id: {what} must be a whole number, not {value!r}")
    if not 0 <= value <= maximum:
        raise UserError(f"account id: {what} {value} does not lie between 0 and {maximum}")
    return value
