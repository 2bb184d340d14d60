"""What governance has set on the chain: read once, in batches, in the units of the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plimsoll.chain.contracts import Deployed, interface
from plimsoll.chain.transactions import Call, Chain, Reverted, plain
from plimsoll.core.units import WAD
from plimsoll.risk.aggregation import Rules
from plimsoll.risk.config import CENT, MarketParams, OrderParams


@dataclass(frozen=True, slots=True)
class Grant:
    """What a holder waits between scheduling and executing, and what it will be once a pending change is in force."""

    delay: int
    final: int


@dataclass(frozen=True, slots=True)
class RoleState:
    """A role's own settings: which role grants it, which may cancel for it, seconds until a new holder is one."""

    admin: int
    guardian: int
    grant_delay: int


@dataclass(frozen=True, slots=True)
class Operation:
    """A scheduled call. `ready_at` in Unix seconds."""

    id: bytes
    caller: str
    target: str
    ready_at: int
    data: bytes


@dataclass
class State:
    """By market id, by contract name, by (role, holder), by (target, selector). Delays in seconds."""

    block: int
    scales: dict[int, int] = field(default_factory=dict)
    params: dict[int, MarketParams] = field(default_factory=dict)
    orders: dict[int, OrderParams] = field(default_factory=dict)
    oracles: dict[int, Rules] = field(default_factory=dict)
    sources: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    gas_market: int = 0
    delays: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    weights: list[int] = field(default_factory=list)
    roles: dict[int, RoleState] = field(default_factory=dict)
    grants: dict[tuple[int, str], Grant] = field(default_factory=dict)
    functions: dict[tuple[str, bytes], int] = field(default_factory=dict)
    scheduled: list[Operation] = field(default_factory=list)

    def is_listed(self, market_id: int) -> bool:
        return market_id in self.scales


def read_state(chain: Chain, addresses: Mapping[str, str], *, from_block: int = 0) -> State:
    """All of it as of the newest block; every contract must exist. `from_block`: where the history of it starts."""
    contracts = {name: Deployed.of(name, address, chain) for name, address in addresses.items()}
    block = chain.block_number
    state = State(block)
    head = [
        contracts["PerpMarket"].prepare("marketCount"),
        contracts["Liquidator"].prepare("gasMarket"),
        contracts["LiquidityPool"].prepare("delays"),
        contracts["InsuranceFund"].prepare("delays"),
        contracts["LiquidityPool"].prepare("weights"),
        contracts["Governance"].prepare("roles"),
        contracts["Governance"].prepare("functions"),
        contracts["Governance"].prepare("scheduled"),
    ]
    count, state.gas_market, pool, fund, state.weights, roles, functions, scheduled = chain.read(head, block=block)
    state.delays = {"LiquidityPool": tuple(pool), "InsuranceFund": tuple(fund)}
    _read_governance(state, roles, functions, scheduled)
    _read_markets(state, chain, contracts, count, _shares(contracts["MarketConfigurator"], from_block, block))
    return state


def _read_governance(state: State, roles: Any, functions: Any, scheduled: Any) -> None:
    for role in roles:
        state.roles[role.id] = RoleState(role.admin, role.guardian, role.grantDelay)
        for member in role.members:
            final = member.pendingDelay if member.effect else member.delay
            state.grants[role.id, member.account] = Grant(member.delay, final)
    state.functions = {(one.target, one.selector): one.role for one in functions}
    state.scheduled = [Operation(one.id, one.caller, one.target, one.readyAt, one.data) for one in scheduled]


def _read_markets(
    state: State, chain: Chain, contracts: Mapping[str, Deployed], count: int, shares: Mapping[int, tuple[int, int]]
) -> None:
    ids = range(1, count + 1)
    calls: list[Call] = []
    for market in ids:
        calls.append(contracts["Lens"].prepare("market", market))
        calls.append(contracts["OracleAggregator"].prepare("config", market))
        calls.append(contracts["OracleAggregator"].prepare("sources", market))
    results = iter(chain.read(calls, block=state.block, raise_errors=False))
    for market in ids:
        view, config, sources = next(results), next(results), next(results)
        if isinstance(view, Reverted):
            raise view
        state.scales[market] = view.params.scale
        state.params[market] = _params(view.params, *shares.get(market, (0, 0)))
        order = view.queue.config
        state.orders[market] = OrderParams(
            order.settlementDelay,
            order.settlementWindow,
            order.executionFee,
            order.feeReserveBps,
            order.relayFee,
        )
        if not isinstance(config, Reverted) and not isinstance(sources, Reverted):
            state.oracles[market] = Rules(*config)
            state.sources[market] = plain(sources)


def _params(view: Any, insurance_share: int, treasury_share: int) -> MarketParams:
    return MarketParams(
        im_base_bps=view.imBaseBps,
        im_slope_bps=view.imSlopeBps,
        mm_fraction_bps=view.mmFraction // 10_000,
        penalty_bps=view.penaltyBps,
        keeper_min_cents=view.keeperMin // CENT,
        maker_bps=view.makerBps,
        taker_bps=view.takerBps,
        insurance_share_bps=insurance_share,
        treasury_share_bps=treasury_share,
        max_skew_bps=view.maxSkewBps,
        exposure_bps=view.exposureBps,
        open_interest_bps=view.openInterestBps,
        min_position_usd=view.minPosition // WAD,
        max_price_age=view.maxPriceAge,
        stale_widen_bps=view.staleWidenBps,
        max_funding_velocity=view.maxFundingVelocity,
        max_funding_rate=view.maxFundingRate,
        kink_bps=view.kinkBps,
        rate_at_kink_bps=view.rateAtKinkBps,
        rate_at_full_bps=view.rateAtFullBps,
        isolated_only=view.isolatedOnly,
    )


def _shares(configurator: Deployed, from_block: int, to_block: int) -> dict[int, tuple[int, int]]:
    """How each market's fees are split, by its last change: no view of the contracts says it."""
    changes = configurator.history("ParamsChanged", from_block=from_block, to_block=to_block)
    return {
        change["marketId"]: (change["params"]["insuranceShareBps"], change["params"]["treasuryShareBps"])
        for change in changes
    }


def function_name(name: str, selector: bytes) -> str:
    """A function's name by its selector, or the selector as hex."""
    function = interface(name).function_of(selector)
    return function.name if function is not None else "0x" + selector.hex()
