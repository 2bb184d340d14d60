"""Transactions seen through on a node that loses them, sits on them, or forgets that it had mined them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from plimsoll.chain.contracts import Deployed, artifact, interface
from plimsoll.chain.endpoints import RpcPool
from plimsoll.chain.journal import Entry, MemoryJournal
from plimsoll.chain.rpc import RpcClient, RpcUnavailable
from plimsoll.chain.sending import CarefulSigner, Limits
from plimsoll.chain.transactions import Call, Chain, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.devnet.anvil import Anvil, AnvilSettings
from tests.support.faulty import FaultyNode

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OWNER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
SOMEBODY = "0x" + "70" * 20
PATIENCE = 0.3
LIMITS = Limits(patience_seconds=PATIENCE, give_up_seconds=6.0)

pytestmark = pytest.mark.node


@pytest.fixture
def node(built: None) -> Iterator[Anvil]:
    with Anvil(AnvilSettings()) as running:
        yield running


@pytest.fixture
def minted(node: Anvil) -> str:
    """The address of a token, as something to call that can be refused."""
    code = artifact("MockToken").bytecode + interface("MockToken").encode_constructor(["Dollar", "USD", 6])
    address = Signer(Chain(node.url, poll_seconds=0.01), OWNER_KEY).deploy(code).contract_address
    assert address is not None
    return address


class Bench:
    """A careful signer on a node of its own state, which mines when it is told to."""

    def __init__(self, uri: str, direct: str, token: str) -> None:
        self.node = RpcClient(direct)
        self.chain = Chain(uri, poll_seconds=0.02)
        self.journal = MemoryJournal()
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.token = Deployed.of("MockToken", token, self.chain)
        self.signer = self.make()
        self.first = self.signer.nonce

    def make(self, limits: Limits = LIMITS, **options: Any) -> CarefulSigner:
        """Another process with the same key, and with what was written down."""
        options.setdefault("journal", self.journal)
        return CarefulSigner(
            self.chain, KEY, limits=limits, tell=lambda event, **fields: self.said.append((event, fields)), **options
        )

    def stop_mining(self) -> None:
        self.node.call("evm_setAutomine", False)

    def mine(self) -> None:
        self.node.call("evm_mine")

    @contextmanager
    def mining(self) -> Iterator[None]:
        """A block every tenth of a second."""
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(0.1):
                self.mine()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def later(self, *actions: Callable[[], object], seconds: float = PATIENCE * 2) -> threading.Thread:
        def work() -> None:
            time.sleep(seconds)
            for action in actions:
                action()

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def pool(self) -> list[dict[str, Any]]:
        """What waits in the node, in the order of nonces."""
        waiting = self.node.call("txpool_content")["pending"].get(self.signer.address, {})
        waiting = waiting or self.node.call("txpool_content")["pending"].get(self.signer.address.lower(), {})
        return [waiting[nonce] for nonce in sorted(waiting, key=int)]

    def sent(self) -> int:
        """How many transactions of the address were mined."""
        return self.chain.nonce(self.signer.address, "latest") - self.first

    def events(self) -> list[str]:
        return [event for event, _ in self.said]

    def balance(self) -> int:
        return int(self.token.call("balanceOf", SOMEBODY))

    def mint(self, amount: int = 1) -> Call:
        return self.token.prepare("mint", SOMEBODY, amount, gas=100_000)


@pytest.fixture
def faulty(node: Anvil) -> Iterator[FaultyNode]:
    with FaultyNode(node.url) as running:
        yield running


@pytest.fixture
def bench(node: Anvil, faulty: FaultyNode, minted: str) -> Iterator[Bench]:
    bench = Bench(faulty.url, node.url, minted)
    yield bench
    bench.chain.close()


# --- sending -------------------------------------------------------------------------------------------------------


def test_send_many__mined__receipts_in_order_and_nothing_left_written(bench: Bench) -> None:
    receipts = bench.signer.send_many([bench.mint(1), bench.mint(2)])
    assert [receipt.ok for receipt in receipts] == [True, True]
    assert (bench.balance(), bench.sent()) == (3, 2)
    assert bench.journal.load() == []
    assert bench.signer.is_clear()
    assert bench.signer.account.outcomes == {"mined": 2}
    assert bench.signer.account.fees == sum(receipt.fee for receipt in receipts)
    assert bench.signer.send_many([]) == []


def test_send__would_revert__is_refused_before_it_is_sent(bench: Bench) -> None:
    data = bench.token.encode("transfer", SOMEBODY, 10**30)
    with pytest.raises(Reverted):
        bench.signer.send(bench.token.address, data)
    receipt = bench.signer.send(bench.token.address, data, gas=100_000, check=False)
    assert not receipt.ok
    with pytest.raises(Reverted):
        bench.signer.send_many([Call(bench.token.address, data, gas=100_000)], check=True)
    assert bench.signer.account.outcomes == {"reverted": 2}


def test_send_many__written_down_before_it_is_sent(bench: Bench) -> None:
    """What can't be written down isn't sent: a full disk, a Redis that is gone."""

    class Full(MemoryJournal):
        def save(self, entries: Any) -> None:
            raise UserError("disk full")

    with pytest.raises(UserError, match="disk full"):
        bench.make(journal=Full()).send_many([bench.mint()])
    assert (bench.sent(), bench.chain.nonce(bench.signer.address)) == (0, bench.first)


def test_send_many__fence_raises__nothing_is_sent(bench: Bench) -> None:
    def fence() -> None:
        raise UserError("not ours any more")

    bench.signer.fence = fence
    with pytest.raises(UserError, match="not ours"):
        bench.signer.send_many([bench.mint()])
    assert bench.chain.nonce(bench.signer.address) == bench.first


def test_send__a_node_lies_about_gas__another_is_asked_the_next_time(
    bench: Bench, node: Anvil, faulty: FaultyNode
) -> None:
    """What runs out of gas is paid for. Nothing but that shows the lie: such a node says the same of blocks."""
    faulty.lie = lambda method, params, said: hex(30_000) if method == "eth_estimateGas" else said
    pool = RpcPool([node.url, faulty.url])
    chain = Chain(pool, poll_seconds=0.02)
    signer = CarefulSigner(chain, KEY, limits=LIMITS)
    data = bench.token.encode("mint", SOMEBODY, 1)
    sent = [signer.send(bench.token.address, data, check=False).ok for _ in range(3)]
    assert sent == [False, True, True]
    failed = signer.send(bench.token.address, bench.token.encode("transfer", SOMEBODY, 10), gas=100_000, check=False)
    assert not failed.ok
    assert [one.is_distrusted for one in pool.endpoints] == [False, True]
    chain.close()


# --- ceilings ------------------------------------------------------------------------------------------------------


def test_send__more_gas_than_the_ceiling__is_not_sent(bench: Bench) -> None:
    signer = bench.make(replace(LIMITS, max_gas=99_999))
    with pytest.raises(UserError, match=r"MockToken.mint would take 100000 gas, more than the ceiling of 99999"):
        signer.send_many([bench.mint()])
    assert bench.sent() == 0


def test_send__base_fee_above_the_ceiling__waits_for_it_to_fall(bench: Bench) -> None:
    signer = bench.make(replace(LIMITS, max_fee=10**9))
    bench.node.call("anvil_setNextBlockBaseFeePerGas", hex(5 * 10**9))
    bench.mine()
    with pytest.raises(UserError, match=r"the base fee is \d+ wei, above the ceiling of 1000000000"):
        signer.send_many([bench.mint()])
    bench.node.call("anvil_setNextBlockBaseFeePerGas", hex(8 * 10**8))
    bench.mine()
    bench.chain.fees(fresh=True)
    [receipt] = signer.send_many([bench.mint()])  # twice the base fee is above the ceiling, which is offered then
    assert receipt.gas_price <= 10**9


def test_limits__replacements_that_nodes_refuse__are_refused() -> None:
    with pytest.raises(UserError, match="at least 10 %"):
        Limits(bump_percent=9)


# --- stuck, dropped, lost ------------------------------------------------------------------------------------------


def test_stuck__is_replaced_at_a_higher_fee__and_mined_once(bench: Bench) -> None:
    bench.stop_mining()
    waiting = bench.later(bench.mine)
    [receipt] = bench.signer.send_many([bench.mint()])
    waiting.join()
    assert "replaced" in bench.events()
    assert (bench.balance(), bench.sent()) == (1, 1)
    [first, *_] = [fields for event, fields in bench.said if event == "replaced"]
    assert first["max_fee"] * 100 >= receipt.gas_price * 100
    assert bench.signer.account.outcomes["mined"] == 1
    assert bench.journal.load() == []


def test_stuck__at_the_fee_ceiling__stays_as_it_is(bench: Bench) -> None:
    max_fee, _ = bench.chain.fees()
    signer = bench.make(replace(LIMITS, max_fee=max_fee))
    bench.stop_mining()
    waiting = bench.later(bench.mine)
    signer.send_many([bench.mint()])
    waiting.join()
    assert "fee ceiling" in bench.events()
    assert "replaced" not in bench.events()
    assert bench.balance() == 1


def test_dropped__is_sent_again_as_it_was(bench: Bench) -> None:
    bench.stop_mining()
    waiting = bench.later(lambda: bench.node.call("anvil_dropAllTransactions"), seconds=PATIENCE / 3)
    ending = bench.later(bench.mine, seconds=PATIENCE * 3)
    bench.signer.send_many([bench.mint()])
    waiting.join()
    ending.join()
    assert "repeated" in bench.events()
    assert (bench.balance(), bench.sent()) == (1, 1)


def test_exchanged__the_first_of_two_was_mined__is_sent_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its block was exchanged while the second was waited for: that one was replaced at ever higher fees, and could
    not be mined before the first.
    """
    bench.stop_mining()
    looked = threading.Event()
    real = bench.signer._look_up

    def look_up(entries: Any, found: Any) -> None:
        real(entries, found)
        if found and not looked.is_set():
            bench.node.call("anvil_rollback", 1)
            looked.set()

    monkeypatch.setattr(bench.signer, "_look_up", look_up)
    send = bench.signer.broadcast

    def broadcast(signed: Any) -> None:
        for one in signed:
            send([one])
            if not looked.is_set():
                bench.mine()
                looked_at = bench.node.call("eth_getTransactionReceipt", one.tx_hash)
                assert looked_at is not None
                break

    def second() -> None:
        assert looked.wait(5)
        monkeypatch.setattr(bench.signer, "broadcast", send)
        with bench.mining():
            time.sleep(PATIENCE * 8)

    monkeypatch.setattr(bench.signer, "broadcast", broadcast)
    waiting = bench.later(second, seconds=0)
    bench.signer.send_many([bench.mint(1), bench.mint(2)])
    waiting.join()
    assert (bench.balance(), bench.sent(), bench.journal.load()) == (3, 2, [])
    assert "replaced" not in bench.events()


def test_exchanged__what_was_sent_before_is_open_again__the_gap_is_filled(bench: Bench) -> None:
    """Between the look at the nonces and the sending: what stood behind the gap was replaced at ever higher fees."""
    bench.signer.send_many([bench.mint(1)])
    bench.stop_mining()
    bench.node.call("anvil_rollback", 1)
    with bench.mining():
        with pytest.raises(RpcUnavailable, match=f"nonce {bench.first} of .* is open again"):
            bench.signer.send_many([bench.mint(2)])
        assert "replaced" not in bench.events()
        assert bench.signer.settle()
    assert (bench.balance(), bench.sent(), bench.journal.load()) == (2, 2, [])


def test_lost_by_the_node__is_sent_again(bench: Bench, faulty: FaultyNode) -> None:
    """The node said that it took it, and forgot it."""
    faulty.loses_transactions = True

    def heal() -> None:
        faulty.loses_transactions = False

    waiting = bench.later(heal, seconds=PATIENCE / 2)
    bench.signer.send_many([bench.mint()])
    waiting.join()
    assert bench.events() == ["repeated"]
    assert bench.balance() == 1


def test_answer_lost__is_found_out_before_anything_else_is_sent(bench: Bench, faulty: FaultyNode) -> None:
    bench.signer.send_many([bench.mint()])  # so that nothing else has to be asked for
    faulty.lost_answers = 1
    with pytest.raises(RpcUnavailable):
        bench.signer.send_many([bench.mint()])
    assert len(bench.journal.load()) == 1
    assert bench.signer.settle()
    assert (bench.balance(), bench.sent(), bench.journal.load()) == (2, 2, [])


def test_give_up__says_so_and_leaves_it_written(bench: Bench) -> None:
    signer = bench.make(replace(LIMITS, give_up_seconds=0.1))
    bench.stop_mining()
    with pytest.raises(RpcUnavailable, match="1 of our transactions are not mined yet"):
        signer.send_many([bench.mint()])
    assert [one.nonce for one in bench.journal.load()] == [bench.first]
    with bench.mining():
        assert bench.make().settle()
    assert bench.balance() == 1


def test_refused_by_the_node__nothing_stays_written(bench: Bench) -> None:
    bench.node.call("anvil_setBalance", bench.signer.address, hex(1))
    with pytest.raises(UserError, match="too little ETH"):
        bench.signer.send_many([bench.mint()])
    assert bench.journal.load() == []


def test_nonce_used_by_another__is_said(bench: Bench) -> None:
    bench.stop_mining()
    assert bench.signer.nonce == bench.first
    other = CarefulSigner(bench.chain, KEY)
    stolen = other.sign_many([replace(bench.mint(7), value=0)])
    bench.chain.rpc.call("eth_sendRawTransaction", "0x" + stolen[0].raw.hex())
    bench.mine()
    with pytest.raises(UserError, match="was used by another sender; give each its key"):
        bench.signer.send_many([bench.mint()])
    assert (bench.balance(), bench.journal.load()) == (7, [])


# --- after a crash -------------------------------------------------------------------------------------------------


def killed(bench: Bench, *calls: Call, broadcast: bool = True) -> list[Entry]:
    """As if a process had been killed right after it had written down, and perhaps sent."""
    entries = bench.signer._entries(list(calls))
    bench.journal.save(entries)
    if broadcast:
        bench.signer._broadcast(entries)
    bench.signer.forget_nonce()
    return entries


@pytest.mark.parametrize("broadcast", [True, False])
def test_settle__killed_while_sending__is_mined_once(bench: Bench, broadcast: bool) -> None:
    bench.stop_mining()
    killed(bench, bench.mint(1), bench.mint(2), broadcast=broadcast)
    with bench.mining():
        assert bench.make().settle()
    assert (bench.balance(), bench.sent(), bench.journal.load()) == (3, 2, [])


def test_settle__killed_after_it_was_mined__sends_nothing(bench: Bench) -> None:
    [entry] = killed(bench, bench.mint())
    bench.chain.wait_for(entry.hashes[-1])
    assert bench.make().settle()
    assert (bench.balance(), bench.sent(), bench.journal.load(), bench.events()) == (1, 1, [], [])


def test_settle__would_be_refused_by_now__is_cancelled(bench: Bench) -> None:
    """A liquidation of before the crash that somebody else has done meanwhile costs 21,000 gas, not a revert's."""
    bench.stop_mining()
    doomed = bench.token.prepare("transfer", SOMEBODY, 10**30, gas=100_000)
    killed(bench, doomed, bench.mint(5), broadcast=False)
    again = bench.make()
    with bench.mining():
        assert again.settle()
    assert (bench.balance(), bench.sent()) == (5, 2)
    assert again.account.outcomes == {"cancelled": 1, "repeated": 1, "mined": 2}


def test_settle__a_gap_below__is_filled(bench: Bench) -> None:
    """A reorganisation dropped what was mined already, and what came after it waits for ever otherwise."""
    bench.stop_mining()
    entries = killed(bench, bench.mint(1), bench.mint(2), broadcast=False)
    bench.journal.save(entries[1:])
    with bench.mining():
        assert bench.make().settle()
    assert (bench.balance(), bench.sent()) == (2, 2)


def test_settle__nobody_wrote_it_down__is_given_time_and_cancelled(bench: Bench) -> None:
    """The store was lost with the process, and only the node's pool knows."""
    bench.stop_mining()
    killed(bench, bench.mint())
    bench.journal.save([])
    again = bench.make()
    assert not again.settle()
    assert len(bench.pool()) == 1
    time.sleep(PATIENCE)
    with bench.mining():
        assert not again.settle()
    assert again.settle()
    assert (bench.balance(), bench.sent()) == (0, 1)


def test_is_clear__after_a_reorganisation__is_false_until_settled(bench: Bench) -> None:
    before = bench.node.call("evm_snapshot")
    bench.signer.send_many([bench.mint()])
    assert bench.signer.is_clear()
    bench.node.call("evm_revert", before)
    assert not bench.signer.is_clear()
    assert bench.signer.settle()
    assert bench.signer.is_clear()
    bench.signer.send_many([bench.mint()])
    assert (bench.balance(), bench.sent()) == (1, 1)


def test_entry__json__and_back() -> None:
    entry = Entry(1, SOMEBODY, "0x12", 3, 4, 5, 6, ("0xaa",), True)
    assert Entry.from_json(entry.to_json()) == entry


# --- several under way ---------------------------------------------------------------------------------------------


def test_dispatch__behind_what_is_under_way__is_written_down_and_mined_in_order(bench: Bench) -> None:
    bench.stop_mining()
    first = bench.signer.dispatch([bench.mint(1), bench.mint(2)])
    second = bench.signer.dispatch([bench.mint(3)])
    assert [*first, *second] == [bench.first + place for place in range(3)]
    assert [one.nonce for one in bench.journal.load()] == [*first, *second]
    assert bench.signer.landed() == {}
    assert bench.signer.is_clear()
    assert bench.signer.account.pending == 3
    bench.mine()
    found = bench.signer.landed()
    assert list(found) == [*first, *second]
    assert all(receipt.ok for receipt in found.values())
    assert (bench.balance(), bench.journal.load(), bench.signer.landed()) == (6, [], {})


def test_landed__several_are_late__only_the_first_is_replaced(bench: Bench) -> None:
    """Those behind it wait for their turn: that is no reason to pay more."""
    bench.stop_mining()
    nonces = bench.signer.dispatch([bench.mint(), bench.mint(), bench.mint()])
    time.sleep(PATIENCE * 1.2)
    assert bench.signer.landed() == {}
    assert [fields["nonce"] for event, fields in bench.said if event == "replaced"] == nonces[:1]
    bench.mine()
    assert list(bench.signer.landed()) == nonces
    assert (bench.balance(), bench.sent()) == (3, 3)


def test_landed__blocks_cost_more_by_now__all_that_offer_less_are_replaced(bench: Bench) -> None:
    bench.stop_mining()
    nonces = bench.signer.dispatch([bench.mint(), bench.mint()])
    max_fee, _ = bench.chain.fees()
    bench.node.call("anvil_setNextBlockBaseFeePerGas", hex(max_fee * 2))
    bench.mine()
    time.sleep(PATIENCE * 1.2)
    bench.signer.landed()
    assert [fields["nonce"] for event, fields in bench.said if event == "replaced"] == nonces
    bench.mine()
    assert list(bench.signer.landed()) == nonces
    assert (bench.balance(), bench.sent()) == (2, 2)


def test_landed__one_was_lost_from_the_middle__is_sent_again_at_once(bench: Bench) -> None:
    bench.stop_mining()
    nonces = bench.signer.dispatch([bench.mint(), bench.mint(), bench.mint()])
    lost = bench.journal.load()[1].hashes[-1]
    bench.node.call("anvil_dropTransaction", lost)
    assert bench.signer.landed() == {}
    assert [fields["nonce"] for event, fields in bench.said if event == "repeated"] == nonces[1:]  # and those behind
    bench.mine()
    assert list(bench.signer.landed()) == nonces
    assert (bench.balance(), bench.sent()) == (3, 3)


def test_settle__with_some_under_way__they_are_still_told_of(bench: Bench) -> None:
    """A round went wrong meanwhile: what was sent before it is seen through, and not forgotten."""
    bench.stop_mining()
    nonces = bench.signer.dispatch([bench.mint(), bench.mint()])
    with bench.mining():
        assert bench.signer.settle()
    assert list(bench.signer.landed()) == nonces
    assert bench.balance() == 2
