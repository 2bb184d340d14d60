"""A devnet with an L1, taken back to its first moment after every test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import pytest

from plimsoll.chain.contracts import Deployed, artifact, interface
from plimsoll.chain.transactions import Call, Chain, Receipt, Signer
from plimsoll.core import ids
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.devnet.opstack import OpStackSettings
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.deployments import load
from plimsoll.sdk.rollup.conservation import add_up
from plimsoll.sdk.rollup.deposits import DepositMade, deposit
from plimsoll.sdk.rollup.layers import Rollup
from plimsoll.sdk.rollup.proofs import Withdrawal
from plimsoll.sdk.rollup.withdrawals import Started, Withdrawals

REVERTS = "0x60006000fd"
"""Code of a contract that refuses everything."""


class Crossing:
    """Alice's tokens and accounts on both chains. Nothing on L2 is taken for granted but what was relayed."""

    def __init__(self, devnet: Devnet) -> None:
        assert devnet.stack is not None
        self.devnet, self.stack = devnet, devnet.stack
        self.l1, self.l2 = self.stack.l1, devnet.chain
        self.deployment = load(devnet.manifest_path)
        self.contracts = self.deployment.on(self.l2)
        self.rollup = Rollup(self.contracts, self.l1)

    @property
    def withdrawals(self) -> Withdrawals:
        """Anew each time, as after a restart."""
        return Withdrawals(Rollup(self.contracts, self.l1))

    @cached_property
    def bridge(self) -> Deployed:
        return self.stack.l1_contract("L1StandardBridge")

    def client(self, name: str = "alice") -> Plimsoll:
        return Plimsoll(self.l2, self.contracts, self.devnet.signers[name], markets=self.deployment.markets)

    def account(self, name: str = "alice", index: int = 0) -> int:
        return ids.pack(self.devnet.signers[name].address, index=index)

    def l1_signer(self, name: str = "alice") -> Signer:
        return self.stack.l1_signers[name]

    def cash(self, account: int) -> int:
        """Whole dollars and their fraction as token units."""
        return int(self.contracts.vault.call("cashOf", account)) // self.contracts.token_unit

    # --- L1 ---

    def fund(self, dollars: int, name: str = "alice", to: str | None = None) -> int:
        """Tokens on L1; returns the token units."""
        amount = self.devnet.amount(dollars)
        signer = self.l1_signer(name)
        self.stack.l1_token.transact(signer, "mint", to or signer.address, amount)
        return amount

    def deposit(self, dollars: int, name: str = "alice", account: int | None = None) -> DepositMade:
        """Into the margin account; not relayed."""
        amount = self.fund(dollars, name)
        return deposit(self.rollup, self.l1_signer(name), amount, self.account(name) if account is None else account)

    def l1_tokens(self, address: str | None = None) -> int:
        return int(self.stack.l1_token.call("balanceOf", address or self.l1_signer().address))

    def force(self, call: Call, signer: Signer | None = None, gas: int = 1_000_000) -> Receipt:
        """Any call of L2 by a deposit transaction."""
        portal = self.stack.l1_contract("OptimismPortal")
        return portal.transact(
            signer or self.l1_signer(), "depositTransaction", call.to, call.value, gas, False, call.data
        )

    def deploy(self, chain: Chain, signer: Signer, name: str, *arguments: object) -> Deployed:
        code = artifact(name).bytecode + interface(name).encode_constructor(arguments)
        return Deployed.of(name, signer.deploy(code).contract_address, chain)

    # --- L2 ---

    def withdraw(self, dollars: int, name: str = "alice") -> Started:
        """Begun on L2, of the cross account to the owner's own address on L1."""
        receipt = self.client(name).withdraw(dollars, to_l1=True)
        (started,) = self.withdrawals.of_transaction(receipt.tx_hash)
        return started

    def open(self, size: str = "2", name: str = "alice") -> None:
        """A position in ETH, filled by the keeper."""
        self.devnet.record()
        placed = self.client(name).place_market("ETH", size)
        self.devnet.advance(2)
        self.devnet.record()
        self.contracts.order_book.transact(self.devnet.signers["keeper"], "execute", placed.order, [])

    def position(self, name: str = "alice") -> int:
        return int(self.contracts.market.call("position", self.account(name), 1)[0])

    def propose(self) -> None:
        """An output that covers all of L2 so far; an oracle's come in tens of blocks."""
        self.l2.rpc.call("anvil_mine", hex(10))
        self.stack.propose()

    def follow_to_the_end(self, withdrawal: Withdrawal, signer: Signer | None = None) -> None:
        """Take each step as soon as the tracker says that it can be taken."""
        for _ in range(10):
            standing = self.withdrawals.standing(withdrawal)
            if standing.next_at is not None:
                self.devnet.advance(standing.next_at - self.l1.block().timestamp)
            elif not self.withdrawals.take_step(withdrawal, signer or self.l1_signer()):
                return
        raise AssertionError("the withdrawal never ended")

    def refuse(self, chain: Chain, address: str) -> str:
        """Let a contract refuse everything; returns the code to put back."""
        code = "0x" + chain.code(address).hex()
        chain.rpc.call("anvil_setCode", address, REVERTS)
        return code

    def check(self) -> None:
        """Nothing is on its way: L1's escrow is L2's supply, the vault's tokens are all claims."""
        sums = add_up(self.rollup)
        assert sums.escrow == sums.supply
        assert sums.vault_equals_claims, f"the vault holds {sums.held}, and claims are {sums.claims}"
        gateway = self.rollup.l2_gateway
        assert self.contracts.token.call("balanceOf", gateway) == gateway.call("totalClaims")
        assert self.stack.l1_token.call("balanceOf", self.rollup.l1_gateway) == 0


@pytest.fixture(scope="session")
def booted(built: None) -> Iterator[Devnet]:
    with boot_devnet(rollup=OpStackSettings(), trader_dollars=0) as devnet:
        yield devnet


@pytest.fixture(scope="session")
def booted_oracle(built: None) -> Iterator[Devnet]:
    with boot_devnet(rollup=OpStackSettings(portal="oracle"), trader_dollars=0) as devnet:
        yield devnet


def _taken_back(devnet: Devnet) -> Iterator[Crossing]:
    assert devnet.stack is not None
    snapshot = devnet.snapshot()
    try:
        yield Crossing(devnet)
    finally:
        for address in devnet.stack.sequencer.censored:
            devnet.stack.sequencer.uncensor(address)
        devnet.stack.sequencer.start()
        devnet.restore(snapshot)


@pytest.fixture
def crossing(booted: Devnet) -> Iterator[Crossing]:
    """With the portal of dispute games."""
    yield from _taken_back(booted)


@pytest.fixture
def crossing_oracle(booted_oracle: Devnet) -> Iterator[Crossing]:
    """With the older portal."""
    yield from _taken_back(booted_oracle)


@pytest.fixture(params=["games", "oracle"])
def either(request: pytest.FixtureRequest) -> Crossing:
    """With each of the portals."""
    found: Crossing = request.getfixturevalue("crossing" if request.param == "games" else "crossing_oracle")
    return found


def all_ok(receipts: Sequence[Receipt]) -> bool:
    return all(receipt.ok for receipt in receipts)
