"""One devnet for the tests of this folder that leave it as it was, and a rollup for each kind of portal.

Each test has them for itself, and a rollup's bridge must be in balance after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plimsoll.chain.transactions import Receipt, Signer
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.devnet.opstack import OpStack, OpStackSettings, Withdrawal

UNIT = 10**6


@pytest.fixture(scope="package")
def games(built: None) -> Iterator[OpStack]:
    with OpStack.boot() as running:
        yield running


@pytest.fixture(scope="package")
def oracle(built: None) -> Iterator[OpStack]:
    with OpStack.boot(OpStackSettings(portal="oracle")) as running:
        yield running


def _taken_back(running: OpStack) -> Iterator[OpStack]:
    snapshot = running.snapshot()
    yield running
    for address in running.sequencer.censored:
        running.sequencer.uncensor(address)
    running.sequencer.start()
    running.relay()
    try:
        assert running.escrow == running.l2_token.call("totalSupply") + running.on_the_way
    finally:
        running.restore(snapshot)


@pytest.fixture
def stack(games: OpStack) -> Iterator[OpStack]:
    """With dispute games."""
    yield from _taken_back(games)


@pytest.fixture(params=["games", "oracle"])
def either(request: pytest.FixtureRequest) -> Iterator[OpStack]:
    """With dispute games, and with the output oracle."""
    yield from _taken_back(request.getfixturevalue(request.param))


def deposit(
    stack: OpStack,
    name: str,
    to: str,
    *,
    value: int = 0,
    mint: int | None = None,
    gas: int = 200_000,
    data: bytes = b"",
) -> Receipt:
    """A deposit straight into the portal: `mint` wei from L1 (by default `value`), of which `to` gets `value`."""
    return stack.l1_contract("OptimismPortal").transact(
        stack.l1_signers[name],
        "depositTransaction",
        to,
        value,
        gas,
        False,
        data,
        value=value if mint is None else mint,
    )


def withdraw(stack: OpStack, name: str, amount: int, to: Signer) -> Withdrawal:
    """Token units from L2 on their way to L1."""
    receipt = stack.l2_contract("L2StandardBridge").transact(
        stack.l2_signers[name], "bridgeERC20To", stack.l2_token, stack.l1_token, to, amount, 200_000, b""
    )
    (withdrawal,) = stack.withdrawals(receipt)
    return withdrawal


@pytest.fixture(scope="package")
def devnet(built: None) -> Iterator[Devnet]:
    with boot_devnet() as running:
        yield running


@pytest.fixture(autouse=True)
def _devnet_taken_back(request: pytest.FixtureRequest) -> Iterator[None]:
    if "devnet" not in request.fixturenames:
        yield
        return
    running: Devnet = request.getfixturevalue("devnet")
    snapshot = running.snapshot()
    prices = dict(running.prices)
    yield
    running.restore(snapshot)
    running.prices = prices
