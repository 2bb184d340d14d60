"""What `make devnet` prints once everything is up."""

from __future__ import annotations

from collections.abc import Iterator

from plimsoll.core.units import format_usd
from plimsoll.devnet.accounts import NAMES, dev_accounts, publisher_keys, stream_keys
from plimsoll.devnet.boot import Devnet

PORT = 8901
"""Of L2's node, the one that ape-config.yaml knows."""


def summary(devnet: Devnet, seconds: float) -> Iterator[str]:
    """Lines: addresses, accounts and keys, prices, and the next commands. `seconds` it took to boot."""
    yield ""
    yield f"The devnet is up after {seconds:.1f} s: {devnet.node.url}, chain {devnet.chain.chain_id}"
    yield ""
    yield "contracts"
    for name, address in [*devnet.addresses.items(), *devnet.manifest.external.items()]:
        yield f"  {name:<18} {address}"
    yield ""
    yield from _l1(devnet)
    yield from _accounts(devnet)
    yield "prices   " + ", ".join(f"{name} {format_usd(price)}" for name, price in devnet.prices.items())
    network = "optimism:devnet:node" if devnet.node.port == PORT else f"optimism:devnet:{devnet.node.url}"
    yield from _commands(network, "" if devnet.stack is None else devnet.stack.l1.uri)


def _l1(devnet: Devnet) -> Iterator[str]:
    stack = devnet.stack
    if stack is None:
        return
    yield f"L1: {stack.l1.uri}, chain {stack.l1.chain_id}"
    for name, contract in stack.layer1.contracts.items():
        yield f"  {name:<28} {contract.address}"
    yield f"  {'USDC':<28} {stack.l1_token.address}"
    clock = f"{stack.settings.game_clock_seconds} s game clock, {stack.settings.air_gap_seconds} s air gap, "
    clock = clock if stack.settings.portal == "games" else ""
    yield f"  a withdrawal waits: {clock}{stack.settings.proof_maturity_seconds} s after its proof"
    yield ""


def _accounts(devnet: Devnet) -> Iterator[str]:
    yield "accounts (public keys of a well-known mnemonic; never send anything of value to them)"
    tokens = devnet.chain.read([devnet.token.prepare("balanceOf", devnet.signers[name]) for name in NAMES])
    unit = devnet.amount(1)
    for place, ((name, account), balance) in enumerate(zip(dev_accounts().items(), tokens, strict=True)):
        yield f"  TEST::{place}  {name:<9} {account.address}  {account.key}  {balance // unit:>9,} USDC"
    yield ""
    yield "price sources: " + ", ".join(devnet.sources.names(next(iter(devnet.prices), "ETH/USD")))
    for what, keys in (("API3 beacon", publisher_keys()), ("stream signer", stream_keys())):
        for place, key in enumerate(keys, start=1):
            yield f"  {what} {place}  {key}"
    yield ""


def _commands(network: str, l1: str) -> Iterator[str]:
    """`l1` is empty where there is none."""
    yield "next"
    for command in (
        f"ape run verify --network {network}",
        f"ape run roles --network {network}",
        f"ape run keeper executor --network {network} --account TEST::5",
        f"ape run keeper publisher --network {network} --account TEST::7 --price ETH/USD=2520",
        f"ape run trade deposit 10_000 --network {network} --account TEST::6",
        f"ape run trade buy ETH/USD 2 --wait 20 --network {network} --account TEST::6",
        f"ape run trade show --network {network} --account TEST::6",
    ):
        yield f"  {command}"
    for command in ("trade deposit-l1 10_000 --wait 20", "trade withdraw 500 --l1", "withdrawals", "force-exit"):
        if l1:
            url = "" if command.endswith("--l1") else f" --l1-url {l1}"
            yield f"  ape run {command} --network {network}{url} --account TEST::6"
    yield ""
    yield "Ctrl-C stops it."
