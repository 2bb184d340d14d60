"""The contracts of one deployment, by room."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from plimsoll.chain.abi import function_json
from plimsoll.chain.contracts import Deployed, Interface
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError

REQUIRED = (
    "MarginVault",
    "PerpMarket",
    "OrderBook",
    "Liquidator",
    "OracleAggregator",
    "LiquidityPool",
    "InsuranceFund",
)


TOKEN = Interface(
    "Token",
    [
        function_json("balanceOf", ["address"], ["uint256"]),
        function_json("allowance", ["address", "address"], ["uint256"]),
        function_json("approve", ["address", "uint256"], ["bool"], "nonpayable"),
    ],
)
"""What is needed of an ERC-20 token."""

WALLET = Interface("Wallet", [function_json("isValidSignature", ["bytes32", "bytes"], ["bytes4"])])
"""What is needed of a wallet that is a contract (ERC-1271): its selector is also what it answers with."""


class Contracts:
    """One deployment's addresses as contracts. `from_block` is where its history starts."""

    def __init__(self, chain: Chain, addresses: Mapping[str, str], *, from_block: int = 0) -> None:
        """`addresses` by contract name. Raises UserError where one is missing."""
        missing = [name for name in REQUIRED if name not in addresses]
        if missing:
            raise UserError(f"the deployment has no address of {', '.join(missing)}; deploy it or check the manifest")
        self.chain = chain
        self.addresses = dict(addresses)
        self.from_block = from_block
        self.vault = self.of("MarginVault")
        self.market = self.of("PerpMarket")
        self.order_book = self.of("OrderBook")
        self.liquidator = self.of("Liquidator")
        self.oracle = self.of("OracleAggregator")
        self.lens = self.of("Lens") if "Lens" in addresses else None

    def of(self, name: str) -> Deployed:
        """A contract of the deployment by its name. Raises UserError where it has none of that name."""
        if name not in self.addresses:
            raise UserError(f"the deployment has no {name}")
        return Deployed.of(name, self.addresses[name], self.chain)

    def require_deployed(self) -> None:
        """Raises UserError where the chain has no code at these addresses."""
        if not self.chain.code(self.vault.address):
            raise UserError(
                f"chain {self.chain.chain_id}: no contract at {self.vault.address} (MarginVault); "
                "was the chain restarted after the deployment?"
            )

    @cached_property
    def token(self) -> Deployed:
        """The settlement token."""
        return Deployed(TOKEN, self.vault.call("token"), self.chain)

    @cached_property
    def token_unit(self) -> int:
        """WAD dollars of one token unit."""
        return int(self.vault.call("unit"))

    @cached_property
    def token_decimals(self) -> int:
        return 18 - (len(str(self.token_unit)) - 1)

    @property
    def own_addresses(self) -> frozenset[int]:
        """Owners of the pool's and the fund's accounts, as ints."""
        return frozenset(int(self.addresses[name], 16) for name in ("LiquidityPool", "InsuranceFund"))
