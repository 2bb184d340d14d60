"""What the bridge brings, and who speaks from L1."""

from __future__ import annotations

from typing import Any

from tests.support.core import L2_MESSENGER, Core, actor
from tests.support.evm import Contract, Receipt

L1_GATEWAY = actor("l1 gateway")
L1_TOKEN = "0x" + "00" * 18 + "1111"
CLAIMANT = actor("claimant")
AGENT = actor("agent")
ALIAS_OFFSET = 0x1111000000000000000000000000000000001111


def aliased(address: str) -> str:
    """As which a contract of L1 appears on L2."""
    return f"0x{(int(address, 16) + ALIAS_OFFSET) % 2**160:040x}"


def gateway_of(core: Core) -> Contract:
    assert core.gateway is not None
    return core.gateway


def arrive(core: Core, amount: int) -> None:
    """The bridge's own message: tokens for the gateway."""
    core.token.mint(gateway_of(core), amount)


def credit(core: Core, account: int, amount: int, claimant: str = CLAIMANT, l1_sender: str = L1_GATEWAY) -> Receipt:
    """The gateway's message, relayed."""
    gateway = gateway_of(core)
    messenger = core.evm.at("MockMessenger", L2_MESSENGER)
    data = gateway.credit.encode(core.track(account), amount, claimant)
    receipt: Receipt = messenger.relay(l1_sender, gateway, data)
    return receipt


def bridged(core: Core, to: str, amount: int) -> dict[str, Any]:
    """What the bridge on L2 says of a withdrawal."""
    return {
        "localToken": core.token.address,
        "remoteToken": L1_TOKEN,
        "from": gateway_of(core).address,
        "to": to,
        "amount": amount,
        "minGasLimit": 200_000,
    }


def refuse_deposits(core: Core, refused: bool = True) -> None:
    core.token.setBlacklisted(core.vault, refused)


def appoint(core: Core, owner: str, agent: str = AGENT, *, is_contract: bool = False) -> Receipt:
    receipt: Receipt = gateway_of(core).setAgent((agent, is_contract), sender=owner)
    return receipt


def check_tokens(core: Core, outside: int = 0) -> None:
    """What the gateway holds is what is claimed, and nothing else; the ledger adds up."""
    gateway = gateway_of(core)
    assert core.token.balanceOf(gateway) == gateway.totalClaims() + outside
    core.check_sums()
