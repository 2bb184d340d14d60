"""Bytes and hashes of deposits, against transactions of live chains."""

from __future__ import annotations

from plimsoll.devnet.opstack.deposits import Attributes
from plimsoll.devnet.opstack.predeploys import DEPOSITOR, PREDEPLOYS
from plimsoll.sdk.rollup.derivation import ALIAS_OFFSET, Deposit, aliased, user_deposit

L1_BLOCK = "0x9ba3933dc6ce43c145349770a39c30f9b647f17668f004bd2e05c80a2e7262f7"
USER_SOURCE = "d0868c8764d81f1749edb7dec4a550966963540d9fe50aefce8cdb38ea7b2213"
ATTRIBUTES_SOURCE = "722c43232e2f9dc07ebc07a02a3056993a2ed1328a1c81377ea99d135af39536"
TRADER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def opaque(mint: int, value: int, gas: int, creates: bool, data: bytes) -> bytes:
    return mint.to_bytes(32, "big") + value.to_bytes(32, "big") + gas.to_bytes(8, "big") + bytes([creates]) + data


def test_user_deposit__source_hash__of_a_live_one() -> None:
    event = {"from": TRADER, "to": DEPOSITOR, "opaqueData": opaque(1, 2, 3, False, b"\x05")}
    deposit = user_deposit(event, L1_BLOCK, 196)
    assert deposit.source_hash.hex() == USER_SOURCE
    assert deposit == Deposit(bytes.fromhex(USER_SOURCE), TRADER, DEPOSITOR, 1, 2, 3, b"\x05")


def test_user_deposit__creation__has_no_recipient() -> None:
    event = {"from": TRADER, "to": "0x" + "00" * 20, "opaqueData": opaque(0, 0, 100_000, True, b"\x60\x00")}
    deposit = user_deposit(event, L1_BLOCK, 0)
    assert (deposit.to, deposit.data) == (None, b"\x60\x00")
    assert deposit.raw[0] == 0x7E


def test_attributes__source_hash_and_data__of_a_live_one() -> None:
    deposit = Attributes(7, 8, 9, L1_BLOCK, bytes(31) + b"\x0a", 1_368, 810_949, 11, sequence_number=1).deposit()
    assert deposit.source_hash.hex() == ATTRIBUTES_SOURCE
    assert (deposit.sender, deposit.to, deposit.gas) == (DEPOSITOR, PREDEPLOYS["L1Block"], 1_000_000)
    words = [(1_368, 4), (810_949, 4), (1, 8), (8, 8), (7, 8), (9, 32), (11, 32), (int(L1_BLOCK, 16), 32), (10, 32)]
    assert deposit.data == bytes.fromhex("440a5e20") + b"".join(value.to_bytes(size, "big") for value, size in words)


def test_deposit__hash__of_a_live_one() -> None:
    """The L1 attributes of Base's block 52,158,111."""
    data = (
        "3db6be2b000008dd00101c120000000000000005000000006ac2196700000000018e8792"
        "000000000000000000000000000000000000000000000000000000000be3256b"
        "00000000000000000000000000000000000000000000000000000000008b9262"
        "ae74035a834ae8863310574c2213838e9de36478c4f8c048cf3ea5d3ffcec401"
        "0000000000000000000000005050f69a9786f081509234f1a7f4684b5e5b76c90000000000000000000000000094"
    )
    source = bytes.fromhex("391329aebfee79dbb200b510b04d8795c891055a887433c20a7392b77b0f2fec")
    deposit = Deposit(source, DEPOSITOR, PREDEPLOYS["L1Block"], 0, 0, 1_000_000, bytes.fromhex(data))
    assert deposit.tx_hash == "0x233ace96f255608781596edfe1520000bd25b69b122cc101be3abb6689a85322"
    known = Attributes(0, 0, 0, "0x" + data[72 + 128 : 72 + 192], bytes(32), 0, 0, sequence_number=5)
    assert known.deposit().source_hash == source


def test_aliased__added_modulo_2_160() -> None:
    assert aliased("0x" + "00" * 20) == "0x1111000000000000000000000000000000001111"
    assert int(aliased("0x" + "ff" * 20), 16) == ALIAS_OFFSET - 1
