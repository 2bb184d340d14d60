"""What a sequencer decides: whether transactions get into blocks, whose, and whether a block stays.

```python
sequencer.stop()                 # nothing gets in any more but deposits, once they are older than the window
sequencer.start()
sequencer.censor(trader)         # everybody's transactions get in but his; his deposits do
sequencer.reorganise(3)          # the last three blocks never were
```

A transaction that is sent while the sequencer refuses it is lost, as with a sequencer whose pool nobody else sees.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from plimsoll.chain.abi import address_of
from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.chain.transactions import Chain, Receipt
from plimsoll.core.errors import UserError
from plimsoll.sdk.rollup.derivation import DEPOSIT_TYPE, Deposit

BUILD_SECONDS = 0.01
INCLUDE_SECONDS = 30.0

_DEPOSIT = hex(DEPOSIT_TYPE)


class Sequencer:
    """Controls of an L2 node's block production. The node keeps the state; a censor lives in this process."""

    def __init__(self, l2: Chain) -> None:
        self._l2 = l2
        self._interval: int | None = None
        self._builder: _Builder | None = None

    @property
    def is_running(self) -> bool:
        """Whether blocks with users' transactions come about."""
        automine, interval = self._l2.rpc.batch([("anvil_getAutomine", []), ("anvil_getIntervalMining", [])])
        return bool(automine or interval) or self._builder is not None

    @property
    def censored(self) -> frozenset[str]:
        """Addresses whose transactions are left out."""
        return self._builder.censored if self._builder else frozenset()

    def stop(self) -> None:
        """No block any more but those that deposits force. Twice is once."""
        self._stop_builder()
        if self.is_running:
            self._interval = self._l2.rpc.call("anvil_getIntervalMining")
            self._l2.rpc.batch([("evm_setAutomine", [False]), ("evm_setIntervalMining", [0])])

    def start(self) -> None:
        """Go on as before, with an empty pool. Twice is once."""
        if self.is_running:
            return
        self._l2.rpc.call("anvil_dropAllTransactions")
        self._mine_by_itself()

    def restart(self) -> None:
        """Stop and start: what waited in the pool is lost."""
        censored = self.censored
        self.stop()
        self.start()
        for address in censored:
            self.censor(address)

    def censor(self, address: Any) -> None:
        """Leave out an address from now on. Raises UserError while the sequencer is stopped."""
        if not self.is_running:
            raise UserError("the sequencer is stopped and includes nobody; start it first")
        if self._builder is None:
            self._interval = self._l2.rpc.call("anvil_getIntervalMining")
            self._l2.rpc.batch([("evm_setAutomine", [False]), ("evm_setIntervalMining", [0])])
            self._builder = _Builder(self._l2, self._interval)
        self._builder.censored |= {address_of(address)}

    def uncensor(self, address: Any) -> None:
        """Let an address in again; what it sent meanwhile is lost."""
        if self._builder is None:
            return
        self._builder.censored -= {address_of(address)}
        if not self._builder.censored:
            self._stop_builder()
            self._mine_by_itself()

    def reorganise(self, depth: int) -> None:
        """Drop the newest `depth` blocks with all that was in them, as if they had never been published to L1.

        Deposits come again with the next relay. Raises UserError where there are not that many.
        """
        head = self._l2.block_number
        if not 1 <= depth <= head:
            raise UserError(f"cannot reorganise {depth} blocks of {head}")
        self.rewind_to(head - depth, resend=False)

    def rewind_to(self, block_number: int, *, resend: bool) -> None:
        """Make a block the newest; with `resend` the transactions after it, but for deposits, are sent again."""
        depth = self._l2.block_number - block_number
        if depth <= 0:
            return
        lost = _raw_transactions(self._l2, block_number + 1) if resend else []
        self._l2.rpc.call("anvil_rollback", depth)
        _send_again(self._l2, lost)

    def include(self, deposit: Deposit) -> Receipt:
        """Execute a deposit and wait for it; whoever is censored and whatever is stopped."""
        if not self.is_running:
            self._l2.rpc.call("anvil_dropAllTransactions")
        self._submit(deposit)
        if not self.is_running:
            self._l2.rpc.call("evm_mine")
        return self._l2.wait_for(deposit.tx_hash)

    def _submit(self, deposit: Deposit) -> None:
        deadline = time.monotonic() + INCLUDE_SECONDS
        while True:
            try:
                self._l2.rpc.call("eth_sendRawTransaction", "0x" + deposit.raw.hex())
                return
            except RpcError as error:
                if self._l2.rpc.call("eth_getTransactionByHash", deposit.tx_hash) is not None:
                    return
                if not is_collision(error) or time.monotonic() > deadline:
                    raise
                time.sleep(BUILD_SECONDS)

    def _mine_by_itself(self) -> None:
        if self._interval:
            self._l2.rpc.call("evm_setIntervalMining", self._interval)
        else:
            self._l2.rpc.call("evm_setAutomine", True)

    def _stop_builder(self) -> None:
        builder, self._builder = self._builder, None
        if builder is not None:
            builder.stop()


def is_collision(error: RpcError) -> bool:
    """Whether anvil refused a deposit because another transaction of its sender waits in the pool."""
    return "underpriced" in error.message.lower()


class _Builder:
    """Builds blocks out of a node's pool, without those whom it censors. A thread of its own."""

    def __init__(self, l2: Chain, interval: int | None) -> None:
        self.censored: frozenset[str] = frozenset()
        self._l2 = l2
        self._interval = interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="censoring sequencer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._drop()

    def _run(self) -> None:
        mined = time.monotonic()
        while not self._stopped.wait(BUILD_SECONDS):
            try:
                waiting = self._drop()
                due = time.monotonic() - mined >= self._interval if self._interval else waiting > 0
                if due:
                    self._mine()
                    mined = time.monotonic()
            except RpcUnavailable:
                return  # the node was stopped

    def _mine(self) -> None:
        """One block. What slipped into it between the look at the pool and the block is taken out again."""
        self._l2.rpc.call("evm_mine")
        block = self._l2.rpc.call("eth_getBlockByNumber", "latest", True)
        if any(self._is_censored(transaction) for transaction in block["transactions"]):
            others = [
                self._l2.rpc.call("eth_getRawTransactionByHash", transaction["hash"])
                for transaction in block["transactions"]
                if transaction["type"] != _DEPOSIT and not self._is_censored(transaction)
            ]
            self._l2.rpc.call("anvil_rollback", 1)
            _send_again(self._l2, others)

    def _drop(self) -> int:
        """Take the censored ones out of the pool; how many others could be mined."""
        pool = self._l2.rpc.call("txpool_content")
        waiting = 0
        for kind, senders in pool.items():
            for transaction in (one for many in senders.values() for one in many.values()):
                if self._is_censored(transaction):
                    self._l2.rpc.call("anvil_dropTransaction", transaction["hash"])
                else:
                    waiting += kind == "pending"
        return waiting

    def _is_censored(self, transaction: dict[str, Any]) -> bool:
        return transaction["type"] != _DEPOSIT and address_of(transaction["from"]) in self.censored


def _raw_transactions(l2: Chain, first: int) -> list[str]:
    """Of users, from a block on. Deposits are left out: they are derived, and anvil ends when asked for their bytes."""
    requests = [("eth_getBlockByNumber", [hex(number), True]) for number in range(first, l2.block_number + 1)]
    hashes = [
        transaction["hash"]
        for block in l2.rpc.batch(requests)
        for transaction in block["transactions"]
        if transaction["type"] != _DEPOSIT
    ]
    return [str(raw) for raw in l2.rpc.batch([("eth_getRawTransactionByHash", [one]) for one in hashes])]


def _send_again(l2: Chain, transactions: list[str]) -> None:
    """One that no longer fits is lost, as its sender's nonce or balance is another now."""
    l2.rpc.batch([("eth_sendRawTransaction", [raw]) for raw in transactions], raise_errors=False)
