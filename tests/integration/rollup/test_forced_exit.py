"""Leaving through L1: with the sequencer down, with one that censors, with the publishers gone, and for contracts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from eth_abi.abi import decode

from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Receipt, Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.devnet.boot import Devnet
from plimsoll.devnet.forced_exit import play
from plimsoll.sdk.rollup.derivation import aliased
from plimsoll.sdk.rollup.forced import Caller, ForcedCall, ForcedExit, Round, as_deposit, send
from plimsoll.sdk.rollup.layers import Rollup
from tests.integration.rollup.conftest import Crossing, all_ok

pytestmark = pytest.mark.node

DOLLARS = 10_000


def exit_of(crossing: Crossing, account: int | None = None, caller: Caller | None = None) -> ForcedExit:
    """Anew each time, as after a restart."""
    rollup = Rollup(crossing.contracts, crossing.l1)
    caller = caller or Caller(crossing.l1_signer().address, is_contract=False)
    return ForcedExit(rollup, crossing.client(), crossing.account() if account is None else account, caller)


def signed(crossing: Crossing) -> dict[int, Sequence[bytes]]:
    """What the publishers say of ETH now."""
    prices = {"ETH/USD": crossing.devnet.prices["ETH/USD"]}
    (item,) = crossing.devnet.price_data(prices, crossing.l1.block().timestamp)
    market, payloads = decode(["uint256", "bytes[]"], item)
    return {market: payloads}


def send_all(crossing: Crossing, calls: Sequence[ForcedCall], signer: Signer | None = None) -> list[Receipt]:
    return [send(crossing.rollup, call, signer or crossing.l1_signer()) for call in calls]


def in_a_position(crossing: Crossing) -> None:
    crossing.deposit(DOLLARS)
    crossing.stack.relay()
    crossing.open()


def paid_on_l1(crossing: Crossing, to: str | None = None) -> int:
    """Token units, once the one withdrawal there is was followed to its end."""
    before = crossing.l1_tokens(to)
    (started,) = crossing.withdrawals.of_owner(ids.owner_of(crossing.withdrawals._started()[0].account))
    crossing.propose()
    crossing.follow_to_the_end(started.withdrawal)
    return crossing.l1_tokens(to) - before


def test_drill__sequencer_down__dollars_on_l1(booted: Devnet) -> None:
    """The drill that `make drill-forced-exit` plays."""
    snapshot = booted.snapshot()
    assert booted.stack is not None
    try:
        found = json.loads(play(booted).as_json)
    finally:
        booted.stack.sequencer.start()
        booted.restore(snapshot)
    assert found["escrow_equals_l2_supply"] is True
    assert found["vault_equals_claims"] is True
    # 10,000 less two fees of 6 bps and half a percent of 5,000 dollars
    assert 9_960 < float(found["l1_received_usd"]) < 9_975
    steps = {step["step"]: step for step in found["steps"]}
    assert steps["L2 executes the deposits"]["l2_gas"] > 0
    assert sum(step["seconds"] for step in found["steps"] if step["step"] == "challenge window") >= 604_800


def test_forced_exit__a_sequencer_that_censors_and_no_publisher__push_sources_fill(crossing: Crossing) -> None:
    """Nobody signs and nobody records; the push feeds go on, and alice's own transactions never get in."""
    in_a_position(crossing)
    alice = crossing.devnet.signers["alice"]
    crossing.stack.sequencer.censor(alice)
    step = exit_of(crossing).next_step()
    assert step.round is Round.PLACE
    assert [call.label for call in step.calls] == ["cancel all orders", "close ETH/USD"]
    send_all(crossing, step.calls)
    assert all_ok(crossing.stack.relay())
    crossing.devnet.advance(65)
    assert exit_of(crossing).next_step().round is Round.WAIT  # two minutes of silence, where nothing signed is brought
    assert exit_of(crossing).next_step(signed(crossing)).round is Round.LEAVE
    crossing.devnet.advance(65)
    crossing.devnet.sources.publish("ETH/USD", {"chainlink": crossing.devnet.prices["ETH/USD"]}, crossing.devnet.now)
    step = exit_of(crossing).next_step()
    assert step.calls[0].label == "fill ETH/USD at the push sources"
    send_all(crossing, step.calls)
    assert all_ok(crossing.stack.relay())
    assert crossing.position() == 0
    crossing.stack.sequencer.uncensor(alice)
    assert paid_on_l1(crossing) > 9_850 * 10**6  # half a percent and the bound of a push source against her
    crossing.check()


def test_forced_exit__a_sequencer_that_censors_only_him__keepers_fill_what_he_forced(crossing: Crossing) -> None:
    """Prices are recorded: nobody picks another, and the order is anybody's to execute."""
    in_a_position(crossing)
    alice, keeper = crossing.devnet.signers["alice"], crossing.devnet.signers["keeper"]
    crossing.stack.sequencer.censor(alice)
    send_all(crossing, exit_of(crossing).next_step().calls)
    assert all_ok(crossing.stack.relay())
    crossing.devnet.advance(2)
    crossing.devnet.record()
    (waiting,) = crossing.client().open_orders(crossing.account())
    crossing.contracts.order_book.transact(keeper, "execute", waiting.order, [])
    assert crossing.position() == 0
    step = exit_of(crossing).next_step()
    assert [call.label.split(" to ")[0] for call in step.calls] == ["withdraw all"]
    send_all(crossing, step.calls)
    assert all_ok(crossing.stack.relay())
    crossing.stack.sequencer.uncensor(alice)
    assert paid_on_l1(crossing) > 9_900 * 10**6
    crossing.check()


def test_forced_exit__records_and_no_keeper__fills_at_the_newest_record(crossing: Crossing) -> None:
    in_a_position(crossing)
    send_all(crossing, exit_of(crossing).next_step().calls)
    crossing.stack.relay()
    crossing.devnet.advance(70)
    crossing.devnet.record()
    step = exit_of(crossing).next_step()
    assert step.calls[0].label == "fill ETH/USD at the newest record"
    send_all(crossing, step.calls)
    assert all_ok(crossing.stack.relay())
    assert crossing.position() == 0
    assert paid_on_l1(crossing) > 9_900 * 10**6
    crossing.check()


def test_next_step__between_the_rounds__waits_and_knows_what_was_sent(crossing: Crossing) -> None:
    """The sequencer is down: L2 stands still, and all that is known of the first round is on L1."""
    in_a_position(crossing)
    crossing.stack.sequencer.stop()
    crossing.stack.advance(90)
    send_all(crossing, exit_of(crossing).next_step().calls)
    step = exit_of(crossing).next_step(signed(crossing))
    assert (step.round, step.calls) == (Round.WAIT, ())
    assert 0 < step.ready_at - crossing.l1.block().timestamp <= 62
    assert [one.method for one in exit_of(crossing).pending()] == ["cancelAll", "place"]
    crossing.stack.advance(65)
    step = exit_of(crossing).next_step(signed(crossing))
    assert step.round is Round.LEAVE
    send_all(crossing, step.calls)
    assert exit_of(crossing).next_step().round is Round.DONE


def test_next_step__another_account_leaves_already__leaves_too(crossing: Crossing) -> None:
    for index in (0, 1):
        crossing.deposit(100, account=crossing.account(index=index))
    crossing.stack.relay()
    crossing.stack.sequencer.stop()
    for index in (0, 1):
        step = exit_of(crossing, crossing.account(index=index)).next_step()
        assert step.round is Round.LEAVE
        send_all(crossing, step.calls)
    assert len(exit_of(crossing).pending()) == 2
    crossing.stack.advance(crossing.stack.settings.sequencing_window_seconds + 1)
    assert all_ok(crossing.stack.relay())
    assert len(crossing.withdrawals.of_owner(crossing.l1_signer().address)) == 2


def test_forced_exit__prices_signed_too_early__leaves_all_as_it_was_and_goes_on(crossing: Crossing) -> None:
    """The fill is refused on L2, and so nothing but what was free is withdrawn; the next try closes all the same."""
    in_a_position(crossing)
    early = signed(crossing)
    crossing.devnet.advance(90)
    send_all(crossing, exit_of(crossing).next_step().calls)
    crossing.stack.relay()
    crossing.devnet.advance(70)
    step = exit_of(crossing).next_step(early)
    send_all(crossing, step.calls[:1])
    assert [receipt.ok for receipt in crossing.stack.relay()] == [False]
    assert crossing.position() != 0
    send_all(crossing, exit_of(crossing).next_step(signed(crossing)).calls)
    assert all_ok(crossing.stack.relay())
    assert crossing.position() == 0
    assert paid_on_l1(crossing) > 9_900 * 10**6
    crossing.check()


def test_next_step__without_a_position__withdraws_at_once(crossing: Crossing) -> None:
    crossing.deposit(500)
    crossing.stack.relay()
    step = exit_of(crossing).next_step(to="0x" + "ab" * 20)
    assert step.round is Round.LEAVE
    send_all(crossing, step.calls)
    assert all_ok(crossing.stack.relay())
    assert exit_of(crossing).next_step().round is Round.DONE
    assert paid_on_l1(crossing, "0x" + "ab" * 20) == 500 * 10**6
    crossing.check()


def test_forced_exit__of_somebody_else__is_refused(crossing: Crossing) -> None:
    bob = Caller(crossing.l1_signer("bob").address, is_contract=False)
    with pytest.raises(UserError, match="neither the owner"):
        exit_of(crossing, caller=bob)
    with pytest.raises(UserError, match="neither the owner"):  # a contract at alice's address is not alice
        exit_of(crossing, caller=Caller(crossing.l1_signer().address, is_contract=True))


# --- owners who are contracts ---


@pytest.fixture
def wallets(crossing: Crossing) -> SimpleNamespace:
    """A contract on L2 that owns an account with a position, and another on L1 that it named as its agent."""
    alice = crossing.devnet.signers["alice"]
    on_l2 = crossing.deploy(crossing.l2, alice, "Batcher")
    on_l1 = crossing.deploy(crossing.l1, crossing.l1_signer(), "Batcher")
    account = ids.pack(on_l2.address)
    crossing.deposit(DOLLARS, account=account)
    crossing.stack.relay()

    def run(contract: Deployed, *arguments: object) -> Receipt:
        """A call of the contract on L2 by alice, who it obeys."""
        return on_l2.transact(alice, "run", [contract.address], [contract.encode(*arguments)])  # type: ignore[arg-type]

    crossing.devnet.record()
    book = crossing.contracts.order_book
    order = crossing.client().market_order("ETH", "2", account=account)
    run(book, "place", order)
    crossing.devnet.advance(2)
    crossing.devnet.record()
    book.transact(crossing.devnet.signers["keeper"], "execute", order, [])
    run(crossing.rollup.l2_gateway, "setAgent", (on_l1.address, True))
    return SimpleNamespace(on_l1=on_l1, account=account)


def test_forced_exit__by_the_contract_that_the_owner_named__to_itself_on_l1(
    crossing: Crossing, wallets: SimpleNamespace
) -> None:
    caller = Caller(wallets.on_l1.address, is_contract=True)
    assert caller.sender == aliased(wallets.on_l1.address)

    def send_from_contract(calls: Sequence[ForcedCall]) -> None:
        for call in calls:
            deposit = as_deposit(crossing.rollup, call)
            wallets.on_l1.transact(crossing.l1_signer("bob"), "run", [deposit.to], [deposit.data])

    crossing.stack.sequencer.stop()
    crossing.stack.advance(90)
    send_from_contract(exit_of(crossing, wallets.account, caller).next_step().calls)
    crossing.stack.advance(65)
    with pytest.raises(UserError, match="his own L1 address only"):
        exit_of(crossing, wallets.account, caller).next_step(signed(crossing), to="0x" + "ab" * 20)
    send_from_contract(exit_of(crossing, wallets.account, caller).next_step(signed(crossing)).calls)
    crossing.stack.advance(crossing.stack.settings.sequencing_window_seconds + 1)
    assert all_ok(crossing.stack.relay())
    assert paid_on_l1(crossing, wallets.on_l1.address) > 9_900 * 10**6
    crossing.check()


def test_forced_exit__by_a_namesake_of_the_agent__moves_nothing(crossing: Crossing, wallets: SimpleNamespace) -> None:
    """Another contract on L1, and a key on L1: neither appears on L2 as the one that was named."""
    gateway = crossing.rollup.l2_gateway
    other = crossing.deploy(crossing.l1, crossing.l1_signer("bob"), "Batcher")
    call = gateway.prepare("withdraw", wallets.account, 2**256 - 1, other.address)
    deposit = as_deposit(crossing.rollup, ForcedCall("steal", gateway.address, call.data, 500_000))
    other.transact(crossing.l1_signer("bob"), "run", [deposit.to], [deposit.data])
    crossing.force(call, crossing.l1_signer("bob"))
    assert [receipt.ok for receipt in crossing.stack.relay()] == [False, False]
    crossing.check()
