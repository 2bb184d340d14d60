"""The devnet's ten accounts, by name, and the keys of those who sign prices. All of it is public: for nothing else.

The accounts are those of the mnemonic that anvil and ape both start with, so that their keys need no set-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from eth_account import Account
from eth_utils import keccak

NAMES = ("deployer", "governor", "guardian", "treasury", "provider", "keeper", "alice", "bob", "carol", "faucet")
"""In the order of the mnemonic's accounts: the first is ape's TEST::0."""

MNEMONIC = "test test test test test test test test test test test junk"
BEACON_SIGNERS = 2
STREAM_SIGNERS = 4
STREAM_QUORUM = 2
"""Signatures that a report needs: more than f of 3 f + 1 signers."""


@dataclass(frozen=True, slots=True)
class DevAccount:
    """A name with its address and its private key (0x…)."""

    name: str
    address: str
    key: str


@cache
def dev_accounts() -> dict[str, DevAccount]:
    """All ten by name."""
    Account.enable_unaudited_hdwallet_features()
    found = {}
    for place, name in enumerate(NAMES):
        account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{place}")
        found[name] = DevAccount(name, str(account.address), "0x" + bytes(account.key).hex())
    return found


def dev_account(name: str) -> DevAccount:
    """Raises KeyError."""
    return dev_accounts()[name]


@cache
def publisher_keys() -> tuple[str, ...]:
    """Private keys of the signers of API3's beacons, one of them a source of every market each."""
    return _keys("publisher", BEACON_SIGNERS)


@cache
def stream_keys() -> tuple[str, ...]:
    """Private keys of all who sign reports of Data Streams; STREAM_QUORUM of them make one."""
    return _keys("stream signer", STREAM_SIGNERS)


def _keys(what: str, count: int) -> tuple[str, ...]:
    return tuple("0x" + bytes(keccak(text=f"plimsoll devnet {what} {place + 1}")).hex() for place in range(count))
