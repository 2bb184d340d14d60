"""A deployment's way to L1: the contracts on both sides, found from the gateway on L2 alone."""

from __future__ import annotations

from functools import cached_property

from plimsoll.chain.abi import AbiError
from plimsoll.chain.contracts import Deployed
from plimsoll.chain.optimism import L2_MESSENGER, at
from plimsoll.chain.transactions import Chain, Reverted
from plimsoll.core.errors import UserError
from plimsoll.sdk.contracts import Contracts


class Rollup:
    """A deployment on L2 and the contracts on L1 that money comes from and goes to.

    Raises UserError where the deployment has no gateway, or `l1` is not the chain that it is on.
    """

    def __init__(self, contracts: Contracts, l1: Chain) -> None:
        if "L2Gateway" not in contracts.addresses:
            raise UserError("this deployment has no gateway to L1: its token does not come over the standard bridge")
        self.contracts = contracts
        self.l1, self.l2 = l1, contracts.chain
        self.l2_gateway = contracts.of("L2Gateway")
        self.l2_messenger = at("Messenger", L2_MESSENGER, self.l2)
        self.l1_gateway = Deployed.of("L1Gateway", self.l2_gateway.call("l1Gateway"), l1)
        if not self._is_its_gateway():
            raise UserError(
                f"{l1.uri} (chain {l1.chain_id}) has not this deployment's gateway at {self.l1_gateway.address}; "
                "name its L1 (--l1-url), or deploy it there: ape run deploy-gateway"
            )

    def _is_its_gateway(self) -> bool:
        try:
            return bool(self.l1_gateway.call("l2Gateway") == self.l2_gateway.address)
        except (Reverted, AbiError, UserError):  # no contract, or another
            return False

    @cached_property
    def l1_messenger(self) -> Deployed:
        return at("Messenger", self.l2_messenger.call("otherMessenger"), self.l1)

    @cached_property
    def l1_token(self) -> Deployed:
        """The settlement token on L1."""
        return at("Token", self.l2_gateway.call("l1Token"), self.l1)

    @cached_property
    def has_games(self) -> bool:
        """Whether outputs are claims of dispute games; else they are in an oracle."""
        address = self.l1_messenger.call("portal")
        try:
            at("GamePortal", address, self.l1).call("disputeGameFactory")
        except (Reverted, AbiError, UserError):
            return False
        return True

    @cached_property
    def portal(self) -> Deployed:
        return at("GamePortal" if self.has_games else "OraclePortal", self.l1_messenger.call("portal"), self.l1)
