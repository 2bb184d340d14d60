"""What a plan is made of, read from a deployment: the account, price records for the volatility, costs."""

from __future__ import annotations

from collections.abc import Mapping

from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import PriceRecorded, decode_all
from plimsoll.sdk.exit_plan.plan import Holding, Leaving, Sending
from plimsoll.sdk.exit_plan.volatility import Volatility, realised
from plimsoll.sdk.fees import report
from plimsoll.sdk.fees.fjord import L1Prices
from plimsoll.sdk.fees.flows import flows
from plimsoll.sdk.fees.oracle import FeeOracle
from plimsoll.sdk.history import logs_between, occurrences
from plimsoll.sdk.quotes import quote_of
from plimsoll.sdk.snapshots import read_accounts, read_markets

HISTORY_BLOCKS = 43_200
"""How far back records are looked for: a day of blocks of two seconds."""
FREE = L1Prices(0, 0, 0, 0)


def read_leaving(contracts: Contracts, account: int, names: Mapping[int, str]) -> Leaving:
    """The account now; `names` of markets by id. Raises UserError where a position can't be closed at any price."""
    block = contracts.chain.block()
    snapshot = read_accounts(contracts, block, [account])[account]
    held = [one.market_id for one in snapshot.positions]
    markets = read_markets(contracts, block, held) if held else {}
    holdings = []
    for position in snapshot.positions:
        market, name = markets[position.market_id], names.get(position.market_id, f"market {position.market_id}")
        try:
            quote = quote_of(market, -position.base)
        except Refusal as refusal:
            raise UserError(f"{name}: closing can't be quoted ({refusal.name})") from None
        terms = market.orders
        holdings.append(
            Holding(
                name,
                position.base,
                market.price,
                quote.fill_price,
                quote.fee,
                quote.execution_fee,
                terms.settlement_delay + terms.settlement_window,
            )
        )
    free = None if snapshot.withdrawable is None else snapshot.withdrawable * contracts.token_unit
    return Leaving(snapshot.equity, free, tuple(holdings))


def read_volatility(contracts: Contracts, market_id: int, *, blocks: int = HISTORY_BLOCKS) -> Volatility:
    """Realised, of the price records of the newest blocks. Raises UserError where they are too few."""
    chain, oracle = contracts.chain, contracts.oracle
    last = chain.block_number
    first = max(contracts.from_block, last - blocks)
    topics = [oracle.interface.events[PriceRecorded.__name__].topic, market_id]
    found = decode_all(occurrences([oracle], logs_between(chain, [oracle.address], topics, first, last)))
    return realised((one.published_at, one.price) for one in found if isinstance(one, PriceRecorded))


def read_sending(chain: Chain, l1: Chain | None, *, eth_price: int, l1_gas_price: int | None = None) -> Sending:
    """What sending costs now. Without `l1` and a price, L1 gas is what the rollup was told last.

    Raises UserError where nobody says what L1 gas costs.
    """
    oracle = FeeOracle(chain)
    l1_prices = oracle.prices() if oracle.is_there else FREE
    if l1_gas_price is None and l1 is not None:
        l1_gas_price = l1.block().base_fee + l1.fees()[1]
    if l1_gas_price is None:
        if not oracle.is_there:
            raise UserError(f"{chain.uri}: knows no price of L1 gas; give --l1 or --l1-gas-price")
        l1_gas_price = l1_prices.base_fee
    prices = report.Prices(l1_prices, chain.block().base_fee + chain.fees()[1], eth_price)
    return Sending({flow.name: report.cost_of(flow, prices) for flow in flows()}, l1_gas_price, eth_price)


def eth_price(contracts: Contracts, names: Mapping[int, str]) -> int | None:
    """WAD dollars by the index of ETH/USD; None without such a market or a price."""
    market_id = next((one for one, name in names.items() if name == "ETH/USD"), None)
    if market_id is None:
        return None
    found = read_markets(contracts, contracts.chain.block(), [market_id])[market_id].price
    return found or None
