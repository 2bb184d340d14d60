"""The OP stack's fee contracts on an EVM of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plimsoll.devnet.opstack.contracts import bedrock_interface
from plimsoll.devnet.opstack.deposits import Attributes
from plimsoll.devnet.opstack.predeploys import DEPOSITOR
from plimsoll.sdk.fees.fjord import L1Prices
from plimsoll.sdk.fees.oracle import GAS_PRICE_ORACLE

Send = Callable[[str, str, bytes], Any]
"""Sender, receiver, data: a transaction."""


def set_l1_prices(send: Send, prices: L1Prices) -> None:
    """As the rollup's first transaction of each block does."""
    attributes = Attributes(
        number=1,
        timestamp=1,
        base_fee=prices.base_fee,
        block_hash="0x" + "00" * 32,
        batcher_hash=bytes(32),
        base_fee_scalar=prices.base_fee_scalar,
        blob_base_fee_scalar=prices.blob_base_fee_scalar,
        blob_base_fee=prices.blob_base_fee,
    )
    deposit = attributes.deposit()
    assert deposit.to is not None
    send(deposit.sender, deposit.to, deposit.data)


def activate_fjord(send: Send) -> None:
    """As the upgrades' own transactions do; code has to be at the predeploys' addresses before."""
    for upgrade in ("setEcotone", "setFjord"):
        send(DEPOSITOR, GAS_PRICE_ORACLE, bedrock_interface("GasPriceOracle").function(upgrade).encode([]))
