"""What the way between the chains costs: whole transactions, on both sides, of an account that was used before."""

from __future__ import annotations

import pytest

from tests.integration.rollup.conftest import Crossing

pytestmark = pytest.mark.node

L1_DEPOSIT, L2_ARRIVAL, L2_WITHDRAW, L1_PROVE, L1_FINALISE = 1_100_000, 250_000, 210_000, 350_000, 220_000
"""Ceilings. What a deposit asks for on L2 is burnt on L1, at its base fee of about one gwei; a proof grows with L2."""


def test_gas__there_and_back__below_its_ceilings(crossing: Crossing) -> None:
    crossing.deposit(100)
    crossing.stack.relay()
    made = crossing.deposit(100)
    assert made.receipt.gas_used < L1_DEPOSIT
    assert sum(receipt.gas_used for receipt in crossing.stack.relay()) < L2_ARRIVAL
    crossing.withdraw(50)
    sent = crossing.client().withdraw(50, to_l1=True)
    assert sent.gas_used < L2_WITHDRAW
    (started,) = crossing.withdrawals.of_transaction(sent.tx_hash)
    crossing.propose()
    alice = crossing.l1_signer()
    (proven,) = crossing.withdrawals.take_step(started.withdrawal, alice)
    assert proven.gas_used < L1_PROVE
    steps = []
    while standing := crossing.withdrawals.standing(started.withdrawal):
        if standing.next_at is not None:
            crossing.devnet.advance(standing.next_at - crossing.l1.block().timestamp)
            continue
        taken = crossing.withdrawals.take_step(started.withdrawal, alice)
        if not taken:
            break
        steps += taken
    assert steps[-1].gas_used < L1_FINALISE
