"""L1's side of a deployment: one contract, whose address the L2 side has known since it was created."""

from __future__ import annotations

from plimsoll.chain.contracts import Deployed, artifact, created_address, interface
from plimsoll.chain.optimism import L2_BRIDGE, L2_MESSENGER, at
from plimsoll.chain.transactions import Chain, Receipt, Signer
from plimsoll.core.errors import UserError
from plimsoll.deploy.code import is_same_code

NAME = "L1Gateway"
GETTERS = ("messenger", "bridge", "token", "l2Token", "l2Gateway")
"""In the order of the constructor's arguments."""


def gateway_arguments(l2_gateway: Deployed, l2_token: str) -> tuple[str, ...]:
    """Of the constructor: what L2 says of L1's messenger, bridge and token."""
    l2 = l2_gateway.chain
    messenger = at("Messenger", L2_MESSENGER, l2).call("otherMessenger")
    bridge = at("Bridge", L2_BRIDGE, l2).call("otherBridge")
    return messenger, bridge, l2_gateway.call("l1Token"), l2_token, l2_gateway.address


def deploy_l1_gateway(l1: Chain, signer: Signer, l2_gateway: Deployed, l2_token: str) -> Receipt | None:
    """Create it; None where it is there already.

    Raises UserError before anything is sent: another contract is there, the signer's next contract would have another
    address, or what L2 names doesn't exist on `l1`.
    """
    arguments = gateway_arguments(l2_gateway, l2_token)
    expected = l2_gateway.call("l1Gateway")
    if l1.code(expected):
        for line in differences(l1, l2_gateway, l2_token):
            raise UserError(f"{expected} on {l1.uri} is not this deployment's gateway: {line}")
        return None
    for what, address in zip(GETTERS[:3], arguments[:3], strict=True):
        if not l1.code(address):
            raise UserError(f"{l1.uri} (chain {l1.chain_id}) has no {what} at {address}; is it this rollup's L1?")
    nonce = l1.nonce(signer.address)
    if created_address(signer.address, nonce) != expected:
        raise UserError(
            f"{signer.address} would create its next contract on L1 (nonce {nonce}) at "
            f"{created_address(signer.address, nonce)}, and L2 expects the gateway at {expected}; use the account and "
            "the nonce that l1_gateway was computed from"
        )
    return signer.deploy(artifact(NAME).bytecode + interface(NAME).encode_constructor(arguments))


def differences(l1: Chain, l2_gateway: Deployed, l2_token: str) -> list[str]:
    """What the gateway on L1 says otherwise than L2 does, and whether it is another contract that says the same.

    Nothing where all fits. Raises UserError without a contract there.
    """
    gateway = Deployed.of(NAME, l2_gateway.call("l1Gateway"), l1)
    code = l1.code(gateway.address)
    if not code:
        raise UserError(f"{l1.uri} (chain {l1.chain_id}) has no contract at {gateway.address}")
    said = l1.read([gateway.prepare(getter) for getter in GETTERS], raise_errors=False)
    wanted = gateway_arguments(l2_gateway, l2_token)
    found = [
        f"its {getter} is {actual}, not {expected}"
        for getter, actual, expected in zip(GETTERS, said, wanted, strict=True)
        if actual != expected
    ]
    return found if is_same_code(NAME, code) else [*found, "its code is not what this checkout compiles"]
