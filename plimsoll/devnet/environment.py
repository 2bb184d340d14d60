"""What a live network has before the protocol comes: a settlement token, API3's server, a sequencer feed, push feeds.

On a development network the prices' sources are mocks, but for API3's server; the token is what the OP stack's bridge
makes of a dollar on L1. They are at the addresses that its parameters file names: the account "faucet" creates them,
and its nonces make the addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from plimsoll.chain.build import Artifact
from plimsoll.chain.contracts import Deployed, Interface, artifact, created_address
from plimsoll.chain.transactions import Call, Chain, Signer
from plimsoll.core.errors import UserError
from plimsoll.deploy.parameters import Parameters
from plimsoll.devnet.accounts import dev_account
from plimsoll.devnet.api3 import ADMIN_ROLE, access_control_registry, api3_server
from plimsoll.devnet.opstack.token import bridged_token, prepare_bridged_token

FEED_DECIMALS = 8
UPTIME_DECIMALS = 0
RUNS_SINCE_SECONDS = 86_400
"""How long ago the sequencer came back, as its feed tells it at first."""

GAS_LIMIT = 6_000_000
FIRST_NONCE = 1
"""With its first transaction the faucet has the bridge's factory create the token."""


@dataclass(frozen=True)
class Environment:
    """The contracts. `feeds` are the push feeds by market name."""

    token: Deployed
    api3_server: Deployed
    uptime: Deployed
    feeds: Mapping[str, Deployed]

    def push_call(self, market: str, price: int, updated_at: int) -> Call:
        """A call that sets a push feed: WAD dollars and Unix seconds. Anyone may send it."""
        answer = price // 10 ** (18 - FEED_DECIMALS)
        return self.feeds[market].prepare("setAnswer", answer, updated_at, gas=200_000)


def deploy_environment(
    chain: Chain, parameters: Parameters, *, report: Callable[[str], None] = lambda line: None
) -> Environment:
    """Deploy what is missing of it; what is there stays. Needs the faucet to have ETH.

    Raises UserError: not a development network, or the addresses in its parameters file are others.
    """
    if not parameters.development:
        raise UserError(f"{parameters.path}: not a development network; its contracts must exist")
    parameters.require_chain(chain.chain_id, chain.uri)
    faucet = Signer(chain, dev_account("faucet").key, name="faucet")
    wanted = _contracts(parameters, faucet.address)
    environment = find_environment(chain, parameters)
    created = prepare_bridged_token(chain)
    if created is not None:
        report(f"created  {'USDC':<18} {environment.token.address}  {created.gas_used:>9,} gas")
    done = 0
    while done < len(wanted) and chain.code(created_address(faucet.address, FIRST_NONCE + done)):
        done += 1
    if done < len(wanted) and faucet.nonce != FIRST_NONCE + done:
        raise UserError(f"the account faucet {faucet.address} was used before; restart the chain")
    receipts = faucet.send_many([Call(None, code, gas=GAS_LIMIT) for _, code in wanted[done:]], check=True)
    for (name, _), receipt in zip(wanted[done:], receipts, strict=True):
        report(f"created  {name:<18} {receipt.contract_address}  {receipt.gas_used:>9,} gas")
    if receipts:
        now = chain.block().timestamp
        call = environment.uptime.prepare("setRound", 1, 0, now - RUNS_SINCE_SECONDS, now, gas=200_000)
        faucet.send_many([call], check=True)
    return environment


def _contracts(parameters: Parameters, faucet: str) -> list[tuple[str, bytes]]:
    registry = created_address(faucet, FIRST_NONCE)
    feed = artifact("MockAggregatorV3")
    contracts = [
        ("API3 registry", _creation(access_control_registry())),
        ("API3 server", _creation(api3_server(), registry, ADMIN_ROLE, faucet)),
        ("uptime feed", _creation(feed, UPTIME_DECIMALS)),
    ]
    return contracts + [(f"{market.name} feed", _creation(feed, FEED_DECIMALS)) for market in parameters.markets]


def find_environment(chain: Chain, parameters: Parameters) -> Environment:
    """The contracts where the faucet's nonces put them. Raises UserError where the parameters name others."""
    faucet = dev_account("faucet").address
    at = [created_address(faucet, nonce) for nonce in range(4 + len(parameters.markets))]
    feeds = {}
    token = bridged_token(chain)
    expected = {"token": (parameters.token, token.address), "api3_server": (parameters.api3_server, at[2])}
    expected["sequencer feed"] = (parameters.sequencer.feed, at[3])
    for place, market in enumerate(parameters.markets):
        push = next((source.feed_id for source in market.sources if source.is_push), None)
        if push is not None:
            expected[f"push feed of {market.name}"] = (push[-40:], at[4 + place][2:])
            feeds[market.name] = Deployed.of("MockAggregatorV3", at[4 + place], chain)
    for what, (named, actual) in expected.items():
        if named.lower() != actual.lower():
            raise UserError(f"{parameters.path}: {what} is {named}; on a development network it is {actual}")
    server = api3_server()
    return Environment(
        token=token,
        api3_server=Deployed(Interface(server.name, server.abi), at[2], chain),
        uptime=Deployed.of("MockAggregatorV3", at[3], chain),
        feeds=feeds,
    )


def _creation(contract: Artifact, *args: object) -> bytes:
    return contract.bytecode + Interface(contract.name, contract.abi).encode_constructor(args)
