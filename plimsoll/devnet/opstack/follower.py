"""The rollup's roles at work by themselves, for a devnet that people use: a thread that relays, proposes, resolves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Reverted
from plimsoll.core.errors import UserError
from plimsoll.devnet.opstack.proposals import latest
from plimsoll.devnet.opstack.stack import OpStack

STEP_SECONDS = 0.5


def step(stack: OpStack) -> None:
    """Relay, propose where withdrawals wait for an output, resolve what is due."""
    stack.relay()
    last = latest(stack.proposer)
    first = last.block_number + 1 if last else 0
    if stack.l2_contract("L2ToL1MessagePasser").history("MessagePassed", from_block=first):
        stack.propose()
    stack.resolve()


@contextmanager
def following(stack: OpStack, report: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """A thread that takes a `step` twice a second until the context ends. `report` gets a line for each new trouble."""
    stop = threading.Event()

    def run() -> None:
        trouble = ""
        while not stop.wait(STEP_SECONDS):
            try:
                step(stack)
                trouble = ""
            except (Reverted, RpcError, UserError) as error:  # the next step tries again
                if str(error) != trouble:
                    trouble = str(error)
                    report(f"rollup   {trouble}")

    thread = threading.Thread(target=run, name="rollup", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
