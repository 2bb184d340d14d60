"""What a live network has before the protocol comes: a settlement token, and the price sources of five vendors.

On a development network the token is what the OP stack's bridge makes of a dollar on L1, and the vendors' contracts are
the published ones, but for the push feeds, which anyone sets, and where there is no L1 the messenger to it. They stand
at the addresses that the network's parameters file names: the account "faucet" creates them, and its nonces make the
addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eth_account import Account

from plimsoll.chain.build import Artifact
from plimsoll.chain.contracts import Deployed, Interface, artifact, created_address, known
from plimsoll.chain.transactions import Call, Chain, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.deploy.parameters import Market, Parameters, load
from plimsoll.devnet import chainlink, uniswap
from plimsoll.devnet.accounts import STREAM_QUORUM, dev_account, stream_keys
from plimsoll.devnet.api3 import ADMIN_ROLE, access_control_registry, api3_server
from plimsoll.devnet.opstack.token import bridged_token, bridged_token_address, prepare_bridged_token
from plimsoll.sdk.pools import sqrt_price

PRICES: Mapping[str, int] = {"ETH/USD": 2_500 * WAD, "BTC/USD": 60_000 * WAD}
"""WAD dollars, at first."""
NETWORK = "devnet"
DOLLAR_DECIMALS = 6
FEED_DECIMALS = 8
BASE_DECIMALS = {"BTC": 8}
"""Of the tokens in pools, where not 18."""
POOL_LIQUIDITY = 5_000_000
"""Dollars on each side of a pool."""
OBSERVATIONS = 330
"""What a pool remembers: one a second over the window of its average, and some more."""
REPORTER = "faucet"
"""The account that tells the uptime feed, from L1, whether the sequencer runs."""

FIRST_NONCE = 1
"""With its first transaction the faucet has the bridge's factory create the token."""
GAS_LIMIT = 6_000_000
GAS_TO_REMEMBER = 10_000_000


@dataclass(frozen=True)
class Environment:
    """The contracts. `feeds` are the push feeds, `pools` the Uniswap pools by market name; `trader` swaps in them."""

    token: Deployed
    api3_server: Deployed
    stream_proxy: Deployed
    stream_verifier: Deployed
    uptime: Deployed
    messenger: Deployed
    trader: Deployed
    feeds: Mapping[str, Deployed]
    pools: Mapping[str, str]

    def push_call(self, market: str, price: int, updated_at: int) -> Call:
        """A call that sets a push feed: WAD dollars and Unix seconds. Anyone may send it."""
        answer = price // 10 ** (18 - FEED_DECIMALS)
        return self.feeds[market].prepare("setAnswer", answer, updated_at, gas=200_000)

    def sequencer_report(self, is_down: bool, at: int) -> bytes:
        """What REPORTER sends to the uptime feed through the messenger of L1."""
        return self.uptime.encode("updateStatus", is_down, at)

    def sequencer_call(self, is_down: bool, at: int) -> Call:
        """The same where the messenger is a mock; anyone may send it."""
        sender = dev_account(REPORTER).address
        report = self.sequencer_report(is_down, at)
        return self.messenger.prepare("relay", sender, self.uptime.address, report, gas=300_000)


def deploy_environment(
    chain: Chain,
    parameters: Parameters,
    *,
    prices: Mapping[str, int] | None = None,
    messenger: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Environment:
    """Deploy what is missing of it; what is there stays. Needs the faucet to have ETH.

    `messenger` is the L2 messenger through which REPORTER speaks from L1; without one it is a mock, through which
    anyone speaks as anyone of L1.

    `prices` of the pools at first by market name, WAD dollars, PRICES where none is named; a market without either has
    a pool without a price.

    Raises UserError: not a development network, or the addresses in its parameters file are others.
    """
    if not parameters.development:
        raise UserError(f"{parameters.path}: not a development network; its contracts must exist")
    parameters.require_chain(chain.chain_id, chain.uri)
    faucet = Signer(chain, dev_account("faucet").key, name="faucet")
    places = _Places(parameters, faucet.address, messenger)
    places.check()
    environment = _environment(chain, places)
    created = prepare_bridged_token(chain)
    if created is not None:
        report(f"created  {'USDC':<18} {places.token}  {created.gas_used:>9,} gas")
    done = 0
    while done < len(places.creations) and chain.code(created_address(faucet.address, FIRST_NONCE + done)):
        done += 1
    missing = places.creations[done:]
    is_ready = not missing and not environment.uptime.call("checkEnabled")
    if not is_ready and faucet.nonce != FIRST_NONCE + done:
        raise UserError(f"the account faucet {faucet.address} was used before; restart the chain")
    receipts = faucet.send_many([Call(None, code, gas=GAS_LIMIT) for _, code in missing], check=True)
    for (name, _), receipt in zip(missing, receipts, strict=True):
        report(f"created  {name:<18} {receipt.contract_address}  {receipt.gas_used:>9,} gas")
    if not is_ready:
        faucet.send_many(_set_up(chain, places, environment, {**PRICES, **(prices or {})}), check=True)
        report(f"set up   {len(places.pools)} pools, the verifier of streams, the uptime feed")
    return environment


def find_environment(chain: Chain, parameters: Parameters) -> Environment:
    """The contracts where `deploy_environment` puts them. Raises UserError where the parameters name others."""
    places = _Places(parameters, dev_account("faucet").address)
    places.check()
    return _environment(chain, places)


def pool_trader() -> str:
    """The address of who swaps in the pools of the parameters "devnet"."""
    return _Places(load(NETWORK), dev_account("faucet").address).trader


# --- the parts -----------------------------------------------------------------------------------------------------


class _Places:
    """What is created in which order, and so where it stands."""

    def __init__(self, parameters: Parameters, faucet: str, messenger: str | None = None) -> None:
        self.parameters = parameters
        self.creations: list[tuple[str, bytes]] = []
        self._faucet = faucet
        feed = artifact("MockAggregatorV3")
        markets = parameters.markets
        self.token = bridged_token_address()
        registry = self._create("API3 registry", access_control_registry())
        self.server = self._create("API3 server", api3_server(), registry, ADMIN_ROLE, faucet)
        self.messenger = self._create("messenger", artifact("MockMessenger"))
        reported = (dev_account(REPORTER).address, messenger or self.messenger, False)
        self.uptime = self._create("uptime feed", chainlink.uptime_feed(), *reported)
        self.feeds = {one.name: self._create(f"{one.name} feed", feed, FEED_DECIMALS) for one in markets}
        self.proxy = self._create("streams' proxy", chainlink.verifier_proxy())
        self.verifier = self._create("streams' verifier", chainlink.verifier(), self.proxy)
        self.factory = self._create("Uniswap factory", uniswap.factory())
        self.trader = self._create("pool trader", artifact("PoolTrader"))
        self.dollar = self._create("pools' dollar", artifact("MockToken"), "Pools' Dollar", "PUSD", DOLLAR_DECIMALS)
        self.bases = {one.name: self._base(one) for one in markets}
        self.pools = {one.name: uniswap.pool_address(self.factory, *self.tokens(one)) for one in markets}

    def _create(self, name: str, contract: Artifact, *args: object) -> str:
        nonce = FIRST_NONCE + len(self.creations)
        code = contract.bytecode + Interface(contract.name, contract.abi).encode_constructor(args)
        self.creations.append((name, code))
        return created_address(self._faucet, nonce)

    def _base(self, market: Market) -> str:
        symbol = market.name.partition("/")[0]
        return self._create(symbol, artifact("MockToken"), symbol, symbol, base_decimals(market))

    def is_inverted(self, market: Market) -> bool:
        """Whether the base is token1."""
        return int(self.dollar, 16) < int(self.bases[market.name], 16)

    def tokens(self, market: Market) -> tuple[str, str]:
        """token0 and token1."""
        base = self.bases[market.name]
        return (self.dollar, base) if self.is_inverted(market) else (base, self.dollar)

    def decimals(self, market: Market) -> tuple[int, int]:
        """Of token0 and token1."""
        base = base_decimals(market)
        return (DOLLAR_DECIMALS, base) if self.is_inverted(market) else (base, DOLLAR_DECIMALS)

    def check(self) -> None:
        """Raises UserError where the parameters name other addresses."""
        p = self.parameters
        expected = {"token": (p.token, self.token), "api3_server": (p.api3_server, self.server)}
        expected["sequencer feed"] = (p.sequencer.feed, self.uptime)
        if int(p.data_streams, 16):
            expected["data_streams"] = (p.data_streams, self.proxy)
        for market in p.markets:
            for source in market.sources:
                if source.kind == "chainlink":
                    expected[f"push feed of {market.name}"] = (source.contract or "", self.feeds[market.name])
                if source.kind == "uniswap":
                    expected[f"pool of {market.name}"] = (source.contract or "", self.pools[market.name])
                    self._check_pool(market, source.pool_decimals)
        for what, (named, actual) in expected.items():
            if named.lower() != actual.lower():
                raise UserError(f"{p.path}: {what} is {named}; on a development network it is {actual}")

    def _check_pool(self, market: Market, named: tuple[int, int]) -> None:
        actual = self.decimals(market)
        if named != actual:
            where = f"{self.parameters.path}: pool of {market.name}"
            raise UserError(
                f"{where}: its tokens have {actual[0]} and {actual[1]} decimals, not {named[0]}, {named[1]}"
            )


def base_decimals(market: Market) -> int:
    """Of the token that stands for the base of a market in its pool."""
    return BASE_DECIMALS.get(market.name.partition("/")[0], 18)


def _environment(chain: Chain, places: _Places) -> Environment:
    for vendor in (api3_server(), chainlink.verifier(), chainlink.uptime_feed()):
        known().add([entry for entry in vendor.abi if entry["type"] == "error"])  # so that refusals have names

    def vendors(contract: Artifact, address: str) -> Deployed:
        return Deployed(Interface(contract.name, contract.abi), address, chain)

    pushed = {one.name for one in places.parameters.markets if any(s.kind == "chainlink" for s in one.sources)}
    return Environment(
        token=bridged_token(chain),
        api3_server=vendors(api3_server(), places.server),
        stream_proxy=vendors(chainlink.verifier_proxy(), places.proxy),
        stream_verifier=vendors(chainlink.verifier(), places.verifier),
        uptime=vendors(chainlink.uptime_feed(), places.uptime),
        messenger=Deployed.of("MockMessenger", places.messenger, chain),
        trader=Deployed.of("PoolTrader", places.trader, chain),
        feeds={name: Deployed.of("MockAggregatorV3", at, chain) for name, at in places.feeds.items() if name in pushed},
        pools=places.pools,
    )


def _set_up(chain: Chain, places: _Places, environment: Environment, prices: Mapping[str, int]) -> list[Call]:
    """What makes the vendors ready; its last call is what tells that it was done."""
    signers = [Account.from_key(key).address for key in stream_keys()]
    calls = [
        environment.stream_proxy.prepare("setVerifier", places.verifier, gas=200_000),
        # in force since the chain's beginning: `setConfig` would only take effect in the next second
        environment.stream_verifier.prepare(
            "setConfigWithActivationTime", signers, STREAM_QUORUM - 1, [], 0, gas=1_000_000
        ),
    ]
    for market in places.parameters.markets:
        calls += _open_pool(chain, places, environment.trader, market, prices.get(market.name))
    return [*calls, environment.uptime.prepare("disableAccessCheck", gas=100_000)]


def _open_pool(chain: Chain, places: _Places, trader: Deployed, market: Market, price: int | None) -> list[Call]:
    factory_, pool_ = uniswap.factory(), uniswap.pool()
    factory = Deployed(Interface(factory_.name, factory_.abi), places.factory, chain)
    pool = Deployed(Interface(pool_.name, pool_.abi), places.pools[market.name], chain)
    calls = [factory.prepare("createPool", *places.tokens(market), uniswap.FEE, gas=GAS_LIMIT)]
    if price is None:
        return calls
    inverted = places.is_inverted(market)
    sqrt = sqrt_price(price, *places.decimals(market), inverted=inverted)
    amount = uniswap.liquidity(POOL_LIQUIDITY * 10**DOLLAR_DECIMALS, sqrt, inverted=inverted)
    return [
        *calls,
        pool.prepare("initialize", sqrt, gas=300_000),
        pool.prepare("increaseObservationCardinalityNext", OBSERVATIONS, gas=GAS_TO_REMEMBER),
        trader.prepare("addLiquidity", pool.address, *uniswap.FULL_RANGE, amount, gas=1_000_000),
    ]
