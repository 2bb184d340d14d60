"""Boot a whole devnet: anvil, token and price sources, the protocol by the deployment's own code, money, first prices.

```python
with boot_devnet() as devnet:
    devnet.record({"ETH/USD": 2_600 * WAD})
    vault = devnet.contract("MarginVault")
    vault.transact(devnet.signers["alice"], "deposit", account, amount)

with boot_devnet(rollup=OpStackSettings()) as devnet:  # with an L1, from which all the money was bridged
    devnet.stack.relay()
```

Without an L1 the same token is minted in the bridge's name; all else on L2 is the same.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Call, Chain, Receipt, Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.deploy import parameters as deployment
from plimsoll.deploy.apply import apply
from plimsoll.deploy.l1_gateway import deploy_l1_gateway
from plimsoll.deploy.manifest import Manifest, manifest_path
from plimsoll.deploy.parameters import Market, Parameters
from plimsoll.devnet.accounts import dev_accounts
from plimsoll.devnet.anvil import Anvil, AnvilSettings
from plimsoll.devnet.environment import PRICES, REPORTER, Environment, deploy_environment
from plimsoll.devnet.opstack.contracts import registry
from plimsoll.devnet.opstack.predeploys import PREDEPLOYS
from plimsoll.devnet.opstack.settings import L1_CHAIN_ID, OpStackSettings
from plimsoll.devnet.opstack.stack import OpStack, deploy_op_stack, signers_of
from plimsoll.devnet.opstack.token import mint_unbacked
from plimsoll.devnet.sources import Sources
from plimsoll.devnet.state import Snapshot, restore_snapshot, take_snapshot

PARAMETERS = "devnet"
TRADER_DOLLARS = 1_000_000
POOL_DOLLARS = 20_000_000
FUND_DOLLARS = 1_000_000

BASE_FEE = 1_000_000
"""Wei of a unit of gas, at first: about what rollups charge, so that keepers find what they find there."""
GAS_LIMIT = 60_000_000
GAS_TO_REPORT = 300_000
L1_BLOCK_TIME = 2
"""Seconds between blocks of L1 where L2 mines by itself; Ethereum's are 12 apart."""
LEAD_SECONDS = 1_800
"""Booting mines some hundred blocks of a second each; they lie before the moment at which the devnet starts."""
FUNDED = ("provider", "keeper", "alice", "bob", "carol")

Report = Callable[[str], None]
Deploy = Callable[[Parameters, Chain, Path, Report], Manifest]


@dataclass
class Devnet:
    """A running devnet. `signers` by the names of `plimsoll.devnet.accounts`; `prices` are the last recorded, WAD.

    `stack` is the rollup around it, None where there is no L1.
    """

    node: Anvil
    chain: Chain
    parameters: Parameters
    manifest: Manifest
    manifest_path: Path
    environment: Environment
    signers: dict[str, Signer]
    block_time: int | None = None
    """Seconds between blocks; None where each transaction is mined at once."""
    prices: dict[str, int] = field(default_factory=dict)
    stack: OpStack | None = None

    @property
    def addresses(self) -> dict[str, str]:
        """Of the protocol's contracts, by contract name."""
        return self.manifest.addresses

    @property
    def token(self) -> Deployed:
        return self.environment.token

    @property
    def now(self) -> int:
        """The newest block's time, Unix seconds."""
        return self.chain.block().timestamp

    def contract(self, name: str) -> Deployed:
        """A contract of the protocol. Raises UserError where there is none of that name."""
        return self.manifest.contract(name, self.chain)

    def market(self, name: str) -> Market:
        """Raises UserError where there is none of that name."""
        return self.parameters.market(name)

    @cached_property
    def sources(self) -> Sources:
        """Each price source by itself, for whoever wants one to lie or to fall silent."""
        signer = self.signers["faucet"]
        return Sources(self.contract("OracleAggregator"), self.addresses, self.environment, self.parameters, signer)

    def price_data(self, prices: Mapping[str, int], published_at: int) -> list[bytes]:
        """Updates of markets that all pull sources sign, as the contracts take them: WAD dollars and Unix seconds."""
        return [self.sources.item(name, price, published_at) for name, price in prices.items()]

    def record(
        self,
        prices: Mapping[str, int] | None = None,
        *,
        published_at: int | None = None,
        signer: str = "faucet",
        trade: bool = False,
    ) -> Receipt:
        """Record prices of markets, the last ones where none are given: what all pull sources say.

        The push feeds follow. The pools do with `trade`: they bound nothing for as long as nobody trades them, and then
        their average lags behind a jump, so that the market only reduces for minutes.

        Published now unless told otherwise. Where nothing is mined by itself, time passes first: blocks of one second
        have the same time, and a record must be newer than the last.
        """
        prices = dict(prices or self.prices)
        if published_at is None and self.block_time is None:
            self._pass_newest(prices)
        at = self.now if published_at is None else published_at
        oracle = self.contract("OracleAggregator")
        update = oracle.prepare("update", self.price_data(prices, at), gas=1_000_000 * len(prices))
        # in one block where that is possible, so that the push feeds don't lag behind
        bounds = self._bounds(prices, at) if trade else self._pushes(prices, at)
        receipt = self.signers[signer].send_many([*bounds, update], check=True)[-1]
        self.prices.update(prices)
        return receipt

    def _pass_newest(self, markets: Iterable[str]) -> None:
        """Mine a block that is later than the newest records of markets."""
        self.chain.rpc.call("evm_mine")
        oracle = self.contract("OracleAggregator")
        newest = self.chain.read([oracle.prepare("price", self.market(name).id) for name in markets])
        behind = max(published_at for _, _, published_at in newest) + 1 - self.now
        if behind > 0:
            self.advance(behind)

    def push(self, prices: Mapping[str, int], updated_at: int) -> None:
        """Set the push feeds of markets that have one."""
        self.signers["faucet"].send_many(self._pushes(prices, updated_at), check=True)

    def _pushes(self, prices: Mapping[str, int], updated_at: int) -> list[Call]:
        return [
            self.environment.push_call(name, price, updated_at)
            for name, price in prices.items()
            if name in self.environment.feeds
        ]

    def _bounds(self, prices: Mapping[str, int], at: int) -> list[Call]:
        return [call for name, price in prices.items() for call in self.sources.bound_calls(name, price, at)]

    def report_sequencer(self, is_down: bool) -> None:
        """Have the uptime feed say that the sequencer is down, or back: by a message from L1 where there is one."""
        if self.stack is None:
            self.sources.report_sequencer(is_down=is_down)
            return
        report = self.environment.sequencer_report(is_down, self.now)
        messenger = self.stack.l1_contract("L1CrossDomainMessenger")
        messenger.transact(
            self.stack.l1_signers[REPORTER], "sendMessage", self.environment.uptime, report, GAS_TO_REPORT
        )
        self.stack.relay()

    def mint(self, to: str, dollars: int) -> None:
        """Give an address whole dollars of the token: bridged from L1 where there is one."""
        self.mint_many({to: dollars})

    def mint_many(self, dollars: Mapping[str, int]) -> None:
        """Give addresses whole dollars each."""
        amounts = {to: self.amount(whole) for to, whole in dollars.items()}
        if self.stack is not None:
            self.stack.bridge_many("faucet", amounts)
            return
        for to, amount in amounts.items():
            mint_unbacked(self.chain, to, amount)

    def amount(self, dollars: int) -> int:
        """Token units of whole dollars."""
        unit: int = 10 ** self.token.call("decimals")
        return dollars * unit

    def deposit(self, name: str, dollars: int, account: int | None = None) -> int:
        """Deposit whole dollars of a named account's tokens; returns the margin account, by default its cross #0."""
        signer = self.signers[name]
        account = ids.pack(signer.address) if account is None else account
        vault, amount = self.contract("MarginVault"), self.amount(dollars)
        signer.send_many(
            [
                self.token.prepare("approve", vault, amount, gas=100_000),
                vault.prepare("deposit", account, amount, gas=300_000),
            ],
            check=True,
        )
        return account

    def advance(self, seconds: int) -> int:
        """Let time pass and mine a block, on L1 too; returns its time. The clock stays ahead by that much."""
        if self.stack is not None:
            self.stack.advance(seconds)
        else:
            self.chain.rpc.batch([("evm_increaseTime", [seconds]), ("evm_mine", [])])
        return self.now

    def snapshot(self) -> Snapshot:
        """Of all chains, for `restore`."""
        return take_snapshot(self.chains)

    def restore(self, snapshot: Snapshot) -> None:
        """Back to a snapshot, which is used up by it."""
        restore_snapshot(self.chains, snapshot)
        self.forget_nonces()

    def forget_nonces(self) -> None:
        """Read them from the chains before the next transaction of any signer."""
        if self.stack is not None:
            self.stack.forget_nonces()
        for signer in self.signers.values():
            signer.forget_nonce()

    @property
    def chains(self) -> list[Chain]:
        """L2, and L1 where there is one."""
        return [self.chain] if self.stack is None else [self.chain, self.stack.l1]


@contextmanager
def boot_devnet(
    *,
    port: int | None = None,
    block_time: int | None = None,
    timestamp: int | None = None,
    parameters: Parameters | str = PARAMETERS,
    prices: Mapping[str, int] = PRICES,
    trader_dollars: int = TRADER_DOLLARS,
    pool_dollars: int = POOL_DOLLARS,
    fund_dollars: int = FUND_DOLLARS,
    folder: Path | None = None,
    deploy: Deploy | None = None,
    extra: Sequence[str] = (),
    rollup: OpStackSettings | None = None,
    l1_port: int | None = None,
    report: Report = lambda line: None,
) -> Iterator[Devnet]:
    """A devnet that is stopped at the end of the context.

    Args:
        port: of L2's anvil, a free one by default.
        block_time: seconds between blocks, mined whether there are transactions or not; None mines each at once.
        timestamp: Unix seconds at which the chain's clock starts once all is there; now by default.
        prices: WAD dollars by market name, recorded last; empty for none. The pools start at them, or at PRICES.
        trader_dollars: what each of provider, keeper, alice, bob and carol gets, in whole dollars of the token.
        pool_dollars, fund_dollars: what the provider brings into pool and insurance fund, by real requests.
        folder: where the manifest is written; a temporary one by default.
        deploy: how to deploy; by default `plimsoll.deploy.apply` in this process.
        extra: further arguments of L2's anvil.
        rollup: the rollup to build with an L1; none by default, and no L1.
        l1_port: of L1's anvil, a free one by default.
        report: takes a line for each step.

    Raises:
        UserError: a port is taken, no anvil, the parameters don't fit.
    """
    loaded = deployment.load(parameters) if isinstance(parameters, str) else parameters
    start = int(time.time()) if timestamp is None else timestamp
    with ExitStack() as stop:
        temporary = Path(stop.enter_context(tempfile.TemporaryDirectory(prefix="plimsoll-")))
        node = stop.enter_context(Anvil(l2_settings(loaded.chain_id, start - LEAD_SECONDS, port, extra)))
        report(f"node     {node.url}  chain {loaded.chain_id}")
        chain = node.chain()
        stop.callback(chain.close)
        stack = None
        if rollup is not None:
            l1_node = stop.enter_context(Anvil(l1_settings(start - LEAD_SECONDS, l1_port)))
            report(f"node     {l1_node.url}  chain {L1_CHAIN_ID}, L1")
            l1 = l1_node.chain(registry())
            stop.callback(l1.close)
            stack = deploy_op_stack(l1, chain, rollup, report=report)
        path = manifest_path(loaded.network, folder or temporary)
        environment = deploy_environment(
            chain,
            loaded,
            prices=prices,
            messenger=None if stack is None else PREDEPLOYS["L2CrossDomainMessenger"],
            report=report,
        )
        manifest = (deploy or deploy_in_process)(loaded, chain, path, report)
        if stack is not None and loaded.has_bridge:
            gateway = manifest.contract("L2Gateway", chain)
            deploy_l1_gateway(stack.l1, stack.l1_signers["deployer"], gateway, loaded.token)
            report(f"L1       {'L1Gateway':<28} {loaded.l1_gateway}")
        devnet = Devnet(
            node=node,
            chain=chain,
            parameters=loaded,
            manifest=manifest,
            manifest_path=path,
            environment=environment,
            signers=signers_of(chain) if stack is None else stack.l2_signers,
            stack=stack,
        )
        _give_money(devnet, trader_dollars, pool_dollars, fund_dollars)
        _start_clock(devnet, start if timestamp is not None else None)
        if prices:
            devnet.record(prices)
        if block_time is not None:
            _mine_every(devnet, block_time)
        report("ready")
        yield devnet


def l2_settings(
    chain_id: int, timestamp: int | None = None, port: int | None = None, extra: Sequence[str] = ()
) -> AnvilSettings:
    """How a devnet's L2 is started; `timestamp` of its first block in Unix seconds, now by default."""
    return AnvilSettings(
        port=port, chain_id=chain_id, timestamp=timestamp, gas_limit=GAS_LIMIT, base_fee=BASE_FEE, extra=tuple(extra)
    )


def l1_settings(timestamp: int | None = None, port: int | None = None) -> AnvilSettings:
    """How its L1 is started."""
    return AnvilSettings(port=port, chain_id=L1_CHAIN_ID, network=None, timestamp=timestamp, gas_limit=GAS_LIMIT)


def deploy_in_process(parameters: Parameters, chain: Chain, path: Path, report: Report) -> Manifest:
    """As `ape run deploy` does it."""
    signer = Signer(chain, dev_accounts()["deployer"].key, name="deployer")
    return apply(parameters, chain, signer, path, report=report).manifest


def _give_money(devnet: Devnet, trader_dollars: int, pool_dollars: int, fund_dollars: int) -> None:
    amounts = dict.fromkeys(FUNDED, trader_dollars)
    amounts["provider"] += pool_dollars + fund_dollars
    devnet.mint_many({devnet.signers[name].address: dollars for name, dollars in amounts.items()})
    if devnet.stack is not None:  # and as much on L1, to deposit from there
        token = devnet.stack.l1_token
        own = [
            token.prepare("mint", devnet.signers[name], devnet.amount(trader_dollars), gas=100_000) for name in FUNDED
        ]
        devnet.stack.l1_signers["faucet"].send_many(own, check=True)
    asked = [("LiquidityPool", pool_dollars), ("InsuranceFund", fund_dollars)]
    asked = [(name, dollars) for name, dollars in asked if dollars]
    if not asked:
        return
    provider = devnet.signers["provider"]
    devnet.deposit("provider", sum(dollars for _, dollars in asked))
    requests = [
        devnet.contract(name).prepare("requestDeposit", devnet.amount(dollars), provider, provider, gas=500_000)
        for name, dollars in asked
    ]
    provider.send_many(requests, check=True)
    devnet.advance(max(devnet.parameters.pool.deposit_delay, devnet.parameters.fund.deposit_delay))
    entries = [devnet.contract(name).prepare("executeRequest", 1, gas=1_500_000) for name, _ in asked]
    devnet.signers["keeper"].send_many(entries, check=True)


def _start_clock(devnet: Devnet, timestamp: int | None) -> None:
    """From the time that booting took up, to the moment at which the devnet starts."""
    at = int(time.time()) if timestamp is None else timestamp
    if devnet.now >= at:
        raise UserError(f"booting took more than {LEAD_SECONDS} blocks; the chain's clock is ahead")
    for chain in devnet.chains:
        chain.rpc.batch([("evm_setTime", [at]), ("evm_mine", [])])
    if devnet.stack is not None:
        devnet.stack.relay()


def _mine_every(devnet: Devnet, seconds: int) -> None:
    for chain, interval in zip(devnet.chains, (seconds, max(seconds, L1_BLOCK_TIME)), strict=False):
        chain.rpc.batch([("evm_setAutomine", [False]), ("evm_setIntervalMining", [interval])])
    devnet.block_time = seconds
