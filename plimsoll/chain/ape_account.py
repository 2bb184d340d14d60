"""A signer out of an ape account. The only module here that looks at ape's objects; scripts use it.

It imports nothing of ape: the account and its provider come from the caller.
"""

from __future__ import annotations

from typing import Any

from plimsoll.chain.transactions import Chain, Signer
from plimsoll.core.errors import UserError


class ApeWallet:
    """Signs through ape, which may ask for a passphrase or a hardware wallet's button."""

    def __init__(self, account: Any) -> None:
        self._account = account

    @property
    def address(self) -> str:
        return str(self._account.address)

    def sign(self, fields: dict[str, Any]) -> bytes:
        ecosystem = self._account.provider.network.ecosystem
        unsigned = ecosystem.create_transaction(
            type=2,
            chainId=fields["chainId"],
            nonce=fields["nonce"],
            receiver=fields.get("to"),
            value=fields["value"],
            data=fields["data"],
            gas_limit=fields["gas"],
            max_fee=fields["maxFeePerGas"],
            max_priority_fee=fields["maxPriorityFeePerGas"],
        )
        unsigned.sender = self.address
        signed = self._account.sign_transaction(unsigned)
        if signed is None:
            raise UserError(f"{self.address}: the account refused to sign")
        return bytes(signed.serialize_transaction())

    def sign_message(self, signable: Any) -> bytes:
        signature = self._account.sign_message(signable)
        if signature is None:
            raise UserError(f"{self.address}: the account refused to sign")
        return bytes(signature.encode_rsv())


def chain_of(provider: Any) -> Chain:
    """The chain that ape is connected to. Raises UserError where its provider has no HTTP address."""
    uri = getattr(provider, "http_uri", None) or getattr(provider, "uri", None)
    if not isinstance(uri, str) or not uri.startswith("http"):
        raise UserError(f"the provider {getattr(provider, 'name', '?')} has no HTTP address; use node or foundry")
    return Chain(uri)


def signer_from(chain: Chain, account: Any, *, name: str = "") -> Signer:
    """A signer of an ape account: by its key where ape holds it openly (test accounts), else through ape."""
    key = getattr(account, "private_key", None)
    return Signer(chain, key if isinstance(key, str) else ApeWallet(account), name=name or account.alias or "")
