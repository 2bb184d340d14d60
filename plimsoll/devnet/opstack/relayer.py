"""Deposits and L1 attributes onto L2: the role of op-node.

It keeps nothing. Where it stands is what L1Block on L2 says, and whether a deposit was executed is whether L2 knows
its hash, so that it may be stopped anywhere and started again, and no deposit ever executes twice.
"""

from __future__ import annotations

import bisect
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from plimsoll.chain.contracts import Deployed, Occurrence
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Block, BlockId, Chain, Receipt
from plimsoll.core.errors import UserError
from plimsoll.devnet.opstack.deposits import Attributes, failing
from plimsoll.devnet.opstack.layer1 import Layer1
from plimsoll.devnet.opstack.predeploys import PREDEPLOYS, predeploy
from plimsoll.devnet.opstack.sequencer import Sequencer, is_collision
from plimsoll.devnet.state import is_forgotten
from plimsoll.sdk.rollup.derivation import Deposit, user_deposit

_NO_HASH = "0x" + "00" * 32


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """One relayer of an L2 at a time on this machine: two that look and send at once would execute a deposit twice."""
    path = Path(tempfile.gettempdir()) / f"plimsoll-relayer-{hashlib.sha256(uri.encode()).hexdigest()[:16]}.lock"
    while True:
        with path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists() or not os.path.samestat(path.stat(), os.fstat(lock.fileno())):
                continue  # whoever had it has removed it
            try:
                yield
                return
            finally:
                path.unlink(missing_ok=True)


class Origin(NamedTuple):
    """The L1 block that an L2 block builds on; number 0 and a hash of zeros before the first."""

    number: int
    block_hash: str


class Relayer:
    """Derives L2 from L1 as far as L1 goes. Threads may share it, and processes may have one each."""

    def __init__(self, l1: Chain, l2: Chain, system: Layer1, sequencer: Sequencer, *, window_seconds: int) -> None:
        """`window_seconds` of L1's time pass before deposits enter L2 without the sequencer."""
        self.blob_base_fee = 1
        """Wei, as the next attributes tell it; anvil's L1 has no blobs of its own."""
        self._l1, self._l2 = l1, l2
        self._portal: Deployed = system["OptimismPortal"]
        self._config: Deployed = system["SystemConfig"]
        self._l1_block = predeploy("L1Block", l2)
        self._sequencer = sequencer
        self._window_seconds = window_seconds

    def relay(self) -> list[Receipt]:
        """Bring L2 up to L1; receipts of the deposits that were executed now, failed ones too.

        Where L1 was reorganised, L2 first goes back to what is still true, and its users' transactions come again.
        While the sequencer is down, only what is older than the sequencing window enters.
        """
        with _alone(self._l2.uri):
            self._follow_reorganisation()
            origin = self.origin()
            last = self._newest()
            executed = []
            for number, events in self._deposits(origin.number, last.number):
                block = self._l1.block(number)
                self._enter(block)
                for event in events:
                    receipt, is_new = self._include(user_deposit(event.values, block.hash, event.log.index))
                    if is_new:
                        executed.append(receipt)
            self._enter(last)
            return executed

    def deposits_of(self, receipt: Receipt) -> list[Deposit]:
        """Those that an L1 transaction asked for, in their order; their hashes tell what became of them on L2."""
        block_hash = str(receipt.raw["blockHash"])
        events = self._portal.events(receipt, "TransactionDeposited")
        return [user_deposit(event.values, block_hash, event.log.index) for event in events]

    def origin(self, block: BlockId = "latest") -> Origin:
        """Of an L2 block."""
        if not self._l2.rpc.call("eth_getCode", PREDEPLOYS["L1Block"], hex(block) if isinstance(block, int) else block):
            return Origin(0, _NO_HASH)
        number, block_hash = (self._l1_block.call(name, block=block) for name in ("number", "hash"))
        return Origin(number, "0x" + block_hash.hex())

    def _newest(self) -> Block:
        """The newest L1 block that L2 may build on now."""
        head = self._l1.block()
        if self._sequencer.is_running:
            return head
        latest_time = head.timestamp - self._window_seconds
        first = self.origin().number
        late = bisect.bisect_right(
            range(first, head.number + 1), latest_time, key=lambda number: self._l1.block(number).timestamp
        )
        return self._l1.block(max(first, first + late - 1))

    def _deposits(self, first: int, last: int) -> Iterator[tuple[int, list[Occurrence]]]:
        """Events by L1 block. Those of the first are looked at again: the last run may have ended amid them."""
        found = self._portal.history("TransactionDeposited", from_block=first, to_block=last)
        for number, events in groupby(found, key=lambda event: event.log.block_number):
            yield number, list(events)

    def _enter(self, block: Block) -> None:
        """Let L2 build on an L1 block: never before that block's time, and its fees hold from then on."""
        if self.origin().block_hash == block.hash:
            return
        if self._l2.block().timestamp < block.timestamp:
            self._l2.rpc.call("evm_setNextBlockTimestamp", block.timestamp)
        base_fee_scalar, blob_scalar, batcher = self._l1.read(
            [self._config.prepare(name) for name in ("basefeeScalar", "blobbasefeeScalar", "batcherHash")],
            block=block.number,
        )
        attributes = Attributes(
            number=block.number,
            timestamp=block.timestamp,
            base_fee=block.base_fee,
            block_hash=block.hash,
            batcher_hash=batcher,
            base_fee_scalar=base_fee_scalar,
            blob_base_fee_scalar=blob_scalar,
            blob_base_fee=self.blob_base_fee,
        )
        if not self._include(attributes.deposit())[0].ok:
            raise UserError(f"{self._l2.uri}: the attributes of L1 block {block.number} were refused")

    def _include(self, deposit: Deposit) -> tuple[Receipt, bool]:
        """The receipt of a deposit, and whether it was executed just now.

        One that anvil refuses for want of gas or ether fails on L2 in another form, under another hash.
        """
        for form in (deposit, failing(deposit)):
            known = self._l2.rpc.call("eth_getTransactionByHash", form.tx_hash)
            if known is not None and known["blockNumber"] is not None:
                return self._l2.wait_for(form.tx_hash), False
        try:
            return self._sequencer.include(deposit), True
        except RpcError as error:
            if is_collision(error):  # its sender's other transaction doesn't get mined
                raise
            return self._sequencer.include(failing(deposit)), True

    def _follow_reorganisation(self) -> None:
        """Take L2 back to its newest block that builds on what is L1 now."""
        head = self._l2.block_number
        if self._is_canonical(head):
            return
        first_wrong = bisect.bisect_left(range(head), True, key=lambda number: not self._is_canonical(number))
        self._sequencer.rewind_to(max(first_wrong - 1, 0), resend=True)

    def _is_canonical(self, block_number: int) -> bool:
        try:
            origin = self.origin(block_number)
        except RpcError as error:
            if is_forgotten(error):
                return True  # it came with a dump, and L2 can't go back to before that
            raise
        if origin.block_hash == _NO_HASH:
            return True
        found = self._l1.rpc.call("eth_getBlockByNumber", hex(origin.number), False)
        return found is not None and found["hash"] == origin.block_hash
