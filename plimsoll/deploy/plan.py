"""What a deployment consists of, in order: contracts at predicted addresses, configuration, handing over.

A plan follows from the parameters, the deployer and his first nonce alone. Every address is known before the first
transaction, so that the core's contracts, which all know each other, take each other as immutables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from plimsoll.chain.abi import address_of
from plimsoll.chain.contracts import Deployed, artifact, created_address, interface
from plimsoll.chain.transactions import Call, Chain
from plimsoll.core.errors import UserError
from plimsoll.deploy.fields import ZERO_ADDRESS
from plimsoll.deploy.parameters import Market, Parameters, Shares
from plimsoll.deploy.state import Grant, State

ADMIN, RISK, GUARDIAN, LISTING = range(4)
ROLE_NAMES = {ADMIN: "ADMIN", RISK: "RISK", GUARDIAN: "GUARDIAN", LISTING: "LISTING"}

CONTRACTS = (
    "Governance",
    "SequencerGuard",
    "Api3Adapter",
    "ChainlinkAdapter",
    "OracleAggregator",
    "MarginVault",
    "MarketOperations",
    "PerpMarket",
    "MarketConfigurator",
    "Matching",
    "OrderBook",
    "Liquidator",
    "LiquidityPool",
    "InsuranceFund",
    "Lens",
)
"""What is always created, in this order."""

ADAPTERS = {
    "api3": "Api3Adapter",
    "chainlink": "ChainlinkAdapter",
    "datastreams": "DataStreamsAdapter",
    "pyth": "PythAdapter",
    "uniswap": "UniswapV3Adapter",
}
"""By kind of source. Those that are not in CONTRACTS are created after it, where a market uses them."""

FUNCTION_ROLES: dict[str, dict[str, int]] = {
    "MarketConfigurator": {
        "listMarket": LISTING,
        "setParams": RISK,
        "haltOpening": GUARDIAN,
        "resumeOpening": RISK,
    },
    "OrderBook": {"setOrderConfig": LISTING},
    "OracleAggregator": {"setMarket": LISTING},
    "Liquidator": {"setGasMarket": RISK},
    "LiquidityPool": {"setDelays": RISK, "setWeights": RISK, "moveCapital": RISK},
    "InsuranceFund": {"setDelays": RISK},
}
"""Who may call what; every other restricted function needs ADMIN."""

SHARE_VAULTS = {"LiquidityPool": "pool", "InsuranceFund": "fund"}
"""Contract and its section of the parameters."""


@dataclass(frozen=True, slots=True)
class Creation:
    """A contract to create. `data` is the creation code with the encoded arguments."""

    name: str
    args: tuple[Any, ...]
    address: str
    nonce: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """A call to make unless what `read` finds on the chain is what it should be already."""

    label: str
    call: Call
    read: Callable[[State], Any]
    wanted: Any

    def is_done(self, state: State) -> bool:
        return bool(self.read(state) == self.wanted)


@dataclass(frozen=True)
class Plan:
    """`configuration` and `handover` are in order; the last step of `handover` takes the deployer's last role."""

    parameters: Parameters
    deployer: str
    start_nonce: int
    creations: tuple[Creation, ...]
    configuration: tuple[Step, ...]
    handover: tuple[Step, ...]

    @property
    def addresses(self) -> dict[str, str]:
        """Of what is created, by name."""
        return {creation.name: creation.address for creation in self.creations}

    def describe(self) -> list[str]:
        """One line a step."""
        lines = [f"create  {one.name} at {one.address}" for one in self.creations]
        lines += [f"call    {step.label}" for step in (*self.configuration, *self.handover)]
        return lines


def make_plan(parameters: Parameters, deployer: str, start_nonce: int, chain: Chain) -> Plan:
    """The plan; `chain` is only kept for later calls and not asked.

    Raises:
        UserError: nothing is compiled, or the parameters give the deployer a role.
    """
    deployer = address_of(deployer)
    for role, holder in grants_of(parameters):
        if holder == deployer:
            raise UserError(
                f"{parameters.path}: the deployer {deployer} is named for {ROLE_NAMES[role]}; "
                "it renounces everything, so deploy from another account"
            )
    names = contracts_of(parameters)
    addresses = {name: created_address(deployer, start_nonce + place) for place, name in enumerate(names)}
    creations = []
    for place, name in enumerate(names):
        args = _arguments(name, parameters, addresses, deployer)
        creations.append(
            Creation(
                name=name,
                args=args,
                address=addresses[name],
                nonce=start_nonce + place,
                data=artifact(name).bytecode + interface(name).encode_constructor(args),
            )
        )
    deployed = {name: Deployed.of(name, address, chain) for name, address in addresses.items()}
    return Plan(
        parameters=parameters,
        deployer=deployer,
        start_nonce=start_nonce,
        creations=tuple(creations),
        configuration=tuple(_configuration(parameters, deployed)),
        handover=tuple(_handover(parameters, deployed, deployer)),
    )


def contracts_of(parameters: Parameters) -> tuple[str, ...]:
    """What a deployment creates, in order."""
    kinds = parameters.source_kinds
    adapters = tuple(name for kind, name in ADAPTERS.items() if kind in kinds and name not in CONTRACTS)
    return CONTRACTS + adapters + (("L2Gateway",) if parameters.has_bridge else ())


def core_struct(parameters: Parameters, addresses: Mapping[str, str]) -> dict[str, str]:
    """The constructor argument of the core's contracts."""
    return {
        "token": parameters.token,
        "authority": addresses["Governance"],
        "vault": addresses["MarginVault"],
        "market": addresses["PerpMarket"],
        "operations": addresses["MarketOperations"],
        "configurator": addresses["MarketConfigurator"],
        "orderBook": addresses["OrderBook"],
        "matching": addresses["Matching"],
        "liquidator": addresses["Liquidator"],
        "pool": addresses["LiquidityPool"],
        "fund": addresses["InsuranceFund"],
        "oracle": addresses["OracleAggregator"],
        "treasury": parameters.treasury,
        "gateway": addresses.get("L2Gateway", ZERO_ADDRESS),
    }


def sources_of(market: Market, addresses: Mapping[str, str]) -> list[dict[str, Any]]:
    """The market's sources as the aggregator takes them."""
    return [
        {
            "adapter": addresses[ADAPTERS[source.kind]],
            "isPush": source.is_push,
            "maxAge": source.max_age,
            "feedId": bytes.fromhex(source.feed_id[2:]),
        }
        for source in market.sources
    ]


def grants_of(parameters: Parameters) -> dict[tuple[int, str], int]:
    """(role, holder) → delay in seconds: all that there shall be."""
    return {(role, holder): delay for role, holders in _holders(parameters).items() for holder, delay in holders}


def function_roles(addresses: Mapping[str, str]) -> dict[tuple[str, bytes], int]:
    """(target, selector) → role."""
    return {
        (addresses[name], interface(name).selector(function)): role
        for name, functions in FUNCTION_ROLES.items()
        for function, role in functions.items()
    }


# --- the parts -----------------------------------------------------------------------------------------------------


def _arguments(name: str, p: Parameters, addresses: Mapping[str, str], deployer: str) -> tuple[Any, ...]:
    if name == "Governance":
        return (deployer,)
    if name == "SequencerGuard":
        return (p.sequencer.feed, p.sequencer.grace)
    if name == "Api3Adapter":
        return (p.api3_server,)
    if name in ("ChainlinkAdapter", "UniswapV3Adapter"):
        return ()
    if name == "DataStreamsAdapter":
        return (p.data_streams,)
    if name == "PythAdapter":
        return (p.pyth,)
    if name == "OracleAggregator":
        return (addresses["Governance"], addresses["SequencerGuard"])
    core = core_struct(p, addresses)
    if name == "L2Gateway":
        return (core, p.l1_gateway)
    if name in SHARE_VAULTS:
        shares: Shares = getattr(p, SHARE_VAULTS[name])
        return (core, shares.name, shares.symbol)
    return (core,)


def _configuration(p: Parameters, deployed: Mapping[str, Deployed]) -> list[Step]:
    addresses = {name: contract.address for name, contract in deployed.items()}
    configurator, book, oracle = deployed["MarketConfigurator"], deployed["OrderBook"], deployed["OracleAggregator"]
    steps = [
        Step(
            f"list market {market.id} {market.name}",
            configurator.prepare("listMarket", market.id, market.scale, struct_of(market.params)),
            _at("scales", market.id),
            market.scale,
        )
        for market in p.markets
    ]
    steps += [
        Step(
            f"order terms of {market.name}",
            book.prepare("setOrderConfig", market.id, struct_of(market.orders)),
            _at("orders", market.id),
            market.orders,
        )
        for market in p.markets
    ]
    for market in p.markets:
        sources = sources_of(market, addresses)
        steps.append(
            Step(
                f"oracle of {market.name}: {len(sources)} sources",
                oracle.prepare("setMarket", market.id, struct_of(market.oracle), sources),
                _each(_at("oracles", market.id), _at("sources", market.id)),
                [market.oracle, sources],
            )
        )
    steps.append(
        Step(
            f"gas priced in market {p.gas_market}",
            deployed["Liquidator"].prepare("setGasMarket", p.gas_market),
            lambda state: state.gas_market,
            p.gas_market,
        )
    )
    for name, part in SHARE_VAULTS.items():
        shares: Shares = getattr(p, part)
        delays = (shares.deposit_delay, shares.redeem_cooldown, shares.execution_window)
        call = deployed[name].prepare("setDelays", delays)
        steps.append(Step(f"delays of the {part}", call, _at("delays", name), delays))
    weights = [market.weight_bps for market in p.markets]
    call = deployed["LiquidityPool"].prepare("setWeights", weights)
    steps.append(Step("weights of the pool", call, lambda state: state.weights, weights))
    return steps


def _handover(p: Parameters, deployed: Mapping[str, Deployed], deployer: str) -> list[Step]:
    governance = deployed["Governance"]
    steps = []
    for name, functions in FUNCTION_ROLES.items():
        for role in sorted(set(functions.values())):
            mine = [function for function, needed in functions.items() if needed == role]
            selectors = [deployed[name].interface.selector(function) for function in mine]
            steps.append(
                Step(
                    f"{name}.{', '.join(mine)} for {ROLE_NAMES[role]}",
                    governance.prepare("setTargetFunctionRole", deployed[name], selectors, role),
                    _each(*(_at("functions", (deployed[name].address, selector)) for selector in selectors)),
                    [role] * len(selectors),
                )
            )
    for (role, holder), delay in grants_of(p).items():
        steps.append(
            Step(
                f"grant {ROLE_NAMES[role]} to {holder}",
                governance.prepare("grantRole", role, holder, delay),
                _at("grants", (role, holder)),
                Grant(delay, delay),
            )
        )
    call = governance.prepare("renounceRole", ADMIN, deployer)
    steps.append(Step(f"the deployer {deployer} renounces ADMIN", call, _at("grants", (ADMIN, deployer)), None))
    return steps


def _at(part: str, key: Any) -> Callable[[State], Any]:
    """What the state has under a key of one of its tables, None where it has nothing."""
    return lambda state: getattr(state, part).get(key)


def _each(*readers: Callable[[State], Any]) -> Callable[[State], Any]:
    return lambda state: [read(state) for read in readers]


def _holders(p: Parameters) -> dict[int, list[tuple[str, int]]]:
    g = p.governance
    return {
        RISK: [(holder, g.risk_delay) for holder in g.risk],
        LISTING: [(holder, g.listing_delay) for holder in g.listing],
        GUARDIAN: [(holder, 0) for holder in g.guardian],
        ADMIN: [(g.governor, g.admin_delay)],
    }


def struct_of(value: Any) -> dict[str, Any]:
    """A dataclass in snake_case as the contracts' struct of the same fields in camelCase."""
    return {camel(name): getattr(value, name) for name in value.__dataclass_fields__}


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)
