"""Money from L1 into margin accounts, in one transaction there, and what becomes of it on L2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from eth_account.messages import encode_typed_data
from eth_utils import keccak

from plimsoll.chain.abi import AbiError
from plimsoll.chain.optimism import L2_MESSENGER
from plimsoll.chain.transactions import Log, Receipt, Reverted, Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.units import from_units
from plimsoll.sdk.history import logs_between
from plimsoll.sdk.rollup.derivation import Deposit, user_deposit
from plimsoll.sdk.rollup.layers import Rollup

PERMIT_SECONDS = 3_600
"""For how long a permit can be used: L1 may be busy."""
CREDIT_GAS = 1_000_000
"""To relay a message again: more than any needs."""
_PERMIT = {
    "Permit": [
        {"name": "owner", "type": "address"},
        {"name": "spender", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ]
}


class Arrival(Enum):
    """What became of a deposit on L2, in words."""

    ON_THE_WAY = "is on its way: L2 has not executed it yet"
    CREDITED = "is in the account"
    REFUSED = "was refused by the account; the claimant may take it, and anyone try again"
    CLAIMED = "was refused by the account; it was put into it after all, or the claimant took it"
    FAILED = "arrived, but a message failed on L2; anyone may relay it again"


@dataclass(frozen=True, slots=True)
class DepositMade:
    """A deposit of token units, in an L1 transaction. `messages` are what L2 executes, in this order."""

    account: int
    amount: int
    claimant: str
    receipt: Receipt
    messages: tuple[Deposit, ...]


def deposit(rollup: Rollup, signer: Signer, amount: int, account: int, claimant: str | None = None) -> DepositMade:
    """Token units of an L1 signer into an account; on a permit where the token has them, else approved before.

    `claimant` may take on L2 what the account refuses; the signer's own address by default.

    Raises UserError: too few tokens, an account that takes none.
    """
    token, gateway = rollup.l1_token, rollup.l1_gateway
    claimant = claimant or signer.address
    if amount <= 0:
        raise UserError("deposit: the amount is not more than zero")
    balance = int(token.call("balanceOf", signer.address))
    if balance < amount:
        unit = token.call("decimals")
        raise UserError(
            f"deposit: {signer.address} has {from_units(balance, unit):,f} tokens on L1, "
            f"fewer than {from_units(amount, unit):,f}"
        )
    _require_accepted(rollup, account)
    permit = (
        None if token.call("allowance", signer.address, gateway.address) >= amount else _permit(rollup, signer, amount)
    )
    if permit is None:
        if token.call("allowance", signer.address, gateway.address) < amount:
            token.transact(signer, "approve", gateway.address, amount)
        receipt = gateway.transact(signer, "deposit", account, amount, claimant)
    else:
        receipt = gateway.transact(signer, "depositWithPermit", account, amount, claimant, *permit)
    return deposit_in(rollup, receipt)


def deposit_in(rollup: Rollup, receipt: Receipt) -> DepositMade:
    """Out of the receipt of an L1 transaction. Raises UserError where it made no deposit, or several."""
    made = rollup.l1_gateway.events(receipt, "DepositStarted")
    if len(made) != 1:
        raise UserError(f"L1 transaction {receipt.tx_hash} made {len(made)} deposits into accounts, not one")
    event = made[0]
    return DepositMade(
        event["account"], event["amount"], event["claimant"], receipt, tuple(deposits_in(rollup, receipt))
    )


def deposits_in(rollup: Rollup, receipt: Receipt) -> list[Deposit]:
    """What L2 executes of an L1 transaction."""
    block_hash = receipt.raw["blockHash"]
    return [
        user_deposit(event.values, block_hash, event.log.index)
        for event in rollup.portal.events(receipt, "TransactionDeposited")
    ]


def arrival(rollup: Rollup, made: DepositMade) -> Arrival:
    """What became of a deposit: of its first message that failed, or of the last."""
    receipts = [rollup.l2.receipt(message.tx_hash) for message in made.messages]
    if any(receipt is None for receipt in receipts):
        return Arrival.ON_THE_WAY
    if not all(_says(rollup, "successfulMessages", message) for message in made.messages):
        return Arrival.FAILED
    refused = rollup.l2_gateway.events(_credit_logs(rollup, made.messages[-1], receipts[-1]), "CreditRefused")
    if not any((one["account"], one["claimant"]) == (made.account, made.claimant) for one in refused):
        return Arrival.CREDITED
    return Arrival.REFUSED if rollup.l2_gateway.call("claimOf", made.account, made.claimant) else Arrival.CLAIMED


def _credit_logs(rollup: Rollup, credit: Deposit, first: Receipt | None) -> Sequence[Log]:
    """Of the transaction on L2 in which the gateway's message succeeded: its own, or one that relayed it again."""
    assert first is not None
    messenger, key = rollup.l2_messenger, _message_hash(credit)
    if any(one["messageHash"] == key for one in messenger.events(first, "RelayedMessage")):
        return first.logs
    topics = [messenger.interface.events["RelayedMessage"].topic, key]
    found = logs_between(rollup.l2, [messenger.address], topics, first.block_number, rollup.l2.block_number)
    again = rollup.l2.receipt(found[-1].tx_hash) if found else None
    return again.logs if again else ()


def relay_again(rollup: Rollup, made: DepositMade, signer: Signer) -> list[Receipt]:
    """Relay again, by anyone on L2, what failed there of a deposit, in its order. Raises Reverted."""
    return [
        signer.send(L2_MESSENGER, message.data, gas=CREDIT_GAS)
        for message in made.messages
        if _says(rollup, "failedMessages", message) and not _says(rollup, "successfulMessages", message)
    ]


def _says(rollup: Rollup, mapping: str, message: Deposit) -> bool:
    """Whether a message is among L2's `successfulMessages` or `failedMessages`; in these it stays for ever."""
    return bool(rollup.l2_messenger.call(mapping, _message_hash(message)))


def _message_hash(message: Deposit) -> bytes:
    """By which the messenger knows it, however often it is relayed."""
    return bytes(keccak(message.data))


def _require_accepted(rollup: Rollup, account: int) -> None:
    """Raises UserError for an account that takes no deposit, or that no one could withdraw it from."""
    owner = int(ids.owner_of(account), 16)
    if owner in {int(address, 16) for address in rollup.contracts.addresses.values()}:
        raise UserError(f"deposit: account {account:#x} is a contract's of the protocol itself")


def _permit(rollup: Rollup, signer: Signer, amount: int) -> tuple[int, int, bytes, bytes] | None:
    """Deadline and signature (v, r, s); None where the token has no permits that this wallet can sign."""
    token, gateway = rollup.l1_token, rollup.l1_gateway
    try:
        name, nonce, separator = (token.call(call, *args) for call, args in _permit_calls(signer.address))
    except (Reverted, AbiError, UserError):
        return None
    deadline = rollup.l1.block().timestamp + PERMIT_SECONDS
    message = {
        "owner": signer.address,
        "spender": gateway.address,
        "value": amount,
        "nonce": nonce,
        "deadline": deadline,
    }
    for version in ("1", "2"):  # "2" is USD Coin's
        domain = {"name": name, "version": version, "chainId": rollup.l1.chain_id, "verifyingContract": token.address}
        signable = encode_typed_data(domain, _PERMIT, message)
        if signable.header == separator:
            try:
                signature = signer.sign_message(signable)
            except UserError:
                return None
            return deadline, signature[64], signature[:32], signature[32:64]
    return None


def _permit_calls(owner: str) -> Sequence[tuple[str, tuple[str, ...]]]:
    return ("name", ()), ("nonces", (owner,)), ("DOMAIN_SEPARATOR", ())
