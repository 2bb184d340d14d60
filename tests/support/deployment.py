"""A whole deployment behind the in-process node, as the SDK and the keepers meet one.

world = World(deploy_core(evm))
trader = world.trader("trader", 10_000)              # a Plimsoll with 10,000 dollars in its cross account
placed = trader.place_market("ETH", "2")
world.tick(2)                                        # time passes, prices are recorded
world.execute(placed)
"""

from __future__ import annotations

from collections.abc import Mapping

from plimsoll.chain.transactions import Chain, Signer
from plimsoll.keepers.ledger import Ledger
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.order_book import Placed
from tests.support.core import BTC, ETH, Core
from tests.support.node import EvmNode

MARKETS = {"ETH/USD": ETH, "BTC/USD": BTC}


class World:
    """A deployed core, a node in front of it, and traders."""

    def __init__(self, core: Core, *, lens: bool = True) -> None:
        self.core = core
        self.evm = core.evm
        self.node = EvmNode(core.evm)
        self.chain = Chain(self.node)
        addresses = {
            "MarginVault": core.vault.address,
            "PerpMarket": core.market.address,
            "OrderBook": core.order_book.address,
            "Liquidator": core.liquidator.address,
            "OracleAggregator": core.oracle.address,
            "LiquidityPool": core.pool.address,
            "InsuranceFund": core.fund.address,
        }
        if lens:
            addresses["Lens"] = core.lens.address
        self.contracts = Contracts(self.chain, addresses)
        self.ledger: Ledger | None = None
        """As keepers have it, where a test needs it."""

    def signer(self, name: str) -> Signer:
        return self.node.signer(self.chain, name)

    def client(self, signer: Signer | None = None) -> Plimsoll:
        return Plimsoll(self.chain, self.contracts, signer, markets=MARKETS)

    def trader(self, name: str, dollars: int = 0) -> Plimsoll:
        """A client with tokens for its first deposit, made already where it is more than nothing."""
        signer = self.signer(name)
        trader = self.client(signer)
        if dollars:
            self.core.token.mint(signer.address, self.core.amount(dollars))
            trader.deposit(dollars)
        return trader

    def tick(self, seconds: int = 1, prices: Mapping[int, int] | None = None) -> None:
        """Time passes, and every market's price is recorded."""
        self.evm.block_number += 1
        self.core.tick(seconds, prices)

    def execute(self, placed: Placed) -> None:
        """Settle an order as anyone may, in its turn."""
        receipt = self.contracts.order_book.transact(self.signer("anyone"), "execute", placed.order, [])
        assert receipt.ok

    def open(self, trader: Plimsoll, market: str, size: str) -> None:
        """A market order of any price, filled."""
        worst = "1e30" if not size.startswith("-") else "0"
        placed = trader.place_market(market, size, acceptable_price=worst)
        self.tick(2)
        self.execute(placed)

    def execute_close(self, trader: Plimsoll, market: str) -> None:
        """All of a position closed at any price."""
        placed = trader.close(market, slippage_bps=9_999)
        self.tick(2)
        self.execute(placed)
