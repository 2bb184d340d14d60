"""`make drill-forced-exit`: a trader leaves through L1 while the sequencer is down; the contracts are the real ones.

He deposits from L1 and opens a position; the sequencer stops. By deposit transactions on L1 he cancels, closes at
prices that he brings along, and withdraws; no keeper and no sequencer takes part. The waiting times are OP Mainnet's,
which the chains' clocks skip. The last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from eth_abi.abi import decode

from plimsoll.chain.build import ensure_built
from plimsoll.chain.transactions import Receipt
from plimsoll.core.errors import UserError, run_command
from plimsoll.core.units import from_units
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.devnet.opstack import OpStackSettings
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.rollup.conservation import Sums, add_up
from plimsoll.sdk.rollup.deposits import Arrival, arrival, deposit
from plimsoll.sdk.rollup.forced import Caller, ForcedExit, Round, send
from plimsoll.sdk.rollup.layers import Rollup
from plimsoll.sdk.rollup.stages import Stage
from plimsoll.sdk.rollup.withdrawals import Withdrawals

TRADER = "alice"
DOLLARS = 10_000
SIZE = "2"
MARKET = "ETH/USD"

Report = Callable[[str], None]


@dataclass
class Leg:
    """One step of the way. `seconds` of L1's time, gas of both chains, `wall_seconds` on this machine."""

    name: str
    seconds: int = 0
    l1_gas: int = 0
    l2_gas: int = 0
    wall_seconds: float = 0.0


@dataclass
class Drill:
    """What came of it. `l1_received` in token units."""

    legs: list[Leg] = field(default_factory=list)
    l1_received: int = 0
    sums: Sums | None = None
    decimals: int = 6

    @property
    def as_json(self) -> str:
        sums = self.sums
        return json.dumps(
            {
                "l1_received_usd": str(from_units(self.l1_received, self.decimals)),
                "escrow_equals_l2_supply": sums is not None and sums.escrow_equals_supply,
                "vault_equals_claims": sums is not None and sums.vault_equals_claims,
                "steps": [
                    {
                        "step": leg.name,
                        "seconds": leg.seconds,
                        "l1_gas": leg.l1_gas,
                        "l2_gas": leg.l2_gas,
                        "wall_seconds": round(leg.wall_seconds, 2),
                    }
                    for leg in self.legs
                ],
            }
        )


class _Scene:
    """The trader, his deployment and the rollup around it; every step is timed."""

    def __init__(self, devnet: Devnet, report: Report) -> None:
        if devnet.stack is None:
            raise UserError("the drill needs a devnet with an L1")
        self.devnet, self.stack, self.report = devnet, devnet.stack, report
        contracts = Contracts(devnet.chain, devnet.addresses)
        self.rollup = Rollup(contracts, self.stack.l1)
        self.trader = self.stack.l1_signers[TRADER]
        markets = {market.name: market.id for market in devnet.parameters.markets}
        self.client = Plimsoll(devnet.chain, contracts, devnet.signers[TRADER], markets=markets)
        self.account = self.client.account()
        self.withdrawals = Withdrawals(self.rollup)
        self.found = Drill(decimals=contracts.token_decimals)

    @contextmanager
    def leg(self, name: str) -> Iterator[Leg]:
        leg = Leg(name)
        began, l1_time = time.monotonic(), self.now
        yield leg
        leg.wall_seconds, leg.seconds = time.monotonic() - began, self.now - l1_time
        self.found.legs.append(leg)
        self.report(f"{name:<36} {leg.seconds:>9,} s  {leg.l1_gas:>9,} gas on L1  {leg.l2_gas:>9,} gas on L2")

    @property
    def now(self) -> int:
        """L1's time."""
        return self.stack.l1.block().timestamp

    def relay(self, leg: Leg) -> list[Receipt]:
        receipts = self.stack.relay()
        leg.l2_gas += sum(receipt.gas_used for receipt in receipts)
        return receipts

    # --- the acts ---

    def arrive(self) -> None:
        amount = self.devnet.amount(DOLLARS)
        self.stack.l1_token.transact(self.stack.l1_signers["faucet"], "mint", self.trader, amount)
        with self.leg("deposit from L1") as leg:
            made = deposit(self.rollup, self.trader, amount, self.account)
            leg.l1_gas += made.receipt.gas_used
            self.relay(leg)
        if arrival(self.rollup, made) is not Arrival.CREDITED:
            raise UserError("the deposit did not arrive in the account")

    def open(self) -> None:
        with self.leg(f"open {SIZE} {MARKET}") as leg:
            self.devnet.record()
            placed = self.client.place_market(MARKET, SIZE)
            self.devnet.advance(2)
            self.devnet.record()
            book, keeper = self.client.contracts.order_book, self.devnet.signers["keeper"]
            receipt = book.transact(keeper, "execute", placed.order, [])
            leg.l2_gas += placed.receipt.gas_used + receipt.gas_used

    def exit_round(self, name: str, expected: Round, prices: Mapping[str, int] | None) -> None:
        """One round of deposit transactions; `prices` are signed as of now, None for the push sources."""
        with self.leg(name) as leg:
            payloads = {} if prices is None else self._signed(prices)
            step = self.exit.next_step(payloads)
            if step.round is not expected:
                raise UserError(f"{name}: the exit is at {step.round.name}, not at {expected.name}")
            for call in step.calls:
                leg.l1_gas += send(self.rollup, call, self.trader).gas_used

    @property
    def exit(self) -> ForcedExit:
        return ForcedExit(self.rollup, self.client, self.account, Caller(self.trader.address, is_contract=False))

    def _signed(self, prices: Mapping[str, int]) -> dict[int, Sequence[bytes]]:
        """What each publisher signs now."""
        items = self.devnet.price_data(prices, self.now)
        return dict(decode(["uint256", "bytes[]"], item) for item in items)

    def wait(self, name: str, seconds: int) -> None:
        with self.leg(name):
            self.stack.advance(seconds)

    def force(self) -> None:
        with self.leg("L2 executes the deposits") as leg:
            failed = [receipt for receipt in self.relay(leg) if not receipt.ok]
        if failed:
            raise UserError(f"{len(failed)} of the forced transactions failed: {self.devnet.chain.why(failed[0])}")

    def receive(self) -> None:
        """Follow the withdrawal to its end, by nothing but what the tracker says."""
        (started,) = self.withdrawals.of_owner(self.trader.address)
        before = self._l1_balance()
        with self.leg("the proposer claims the output"):
            self.stack.propose()
        names = {
            Stage.PROVABLE: "prove the withdrawal",
            Stage.RESOLVABLE: "resolve the dispute game",
            Stage.FINAL: "finalise: dollars on L1",
        }
        while True:
            (one,) = self.withdrawals.followed([started])
            if one.standing.stage is Stage.PAID:
                break
            if one.seconds_left:
                self.wait("challenge window", one.seconds_left)
                continue
            if one.standing.stage not in names:
                raise UserError(f"the withdrawal {one.standing.stage.value}")
            with self.leg(names[one.standing.stage]) as leg:
                receipts = self.withdrawals.take_step(started.withdrawal, self.trader)
                leg.l1_gas += sum(receipt.gas_used for receipt in receipts)
        self.found.l1_received = self._l1_balance() - before

    def _l1_balance(self) -> int:
        return int(self.stack.l1_token.call("balanceOf", self.trader))


def play(devnet: Devnet, report: Report = lambda line: None) -> Drill:
    """The whole way, on a devnet with an L1 on which nothing was done yet. Raises UserError where a step fails."""
    scene = _Scene(devnet, report)
    scene.arrive()
    scene.open()
    scene.stack.sequencer.stop()
    report("the sequencer stops")
    scene.wait("nobody records a price any more", 90)
    scene.exit_round("L1: cancel, place reduce-only", Round.PLACE, None)
    scene.wait("a minute and more", 65)
    scene.exit_round("L1: fill at signed prices, withdraw", Round.LEAVE, devnet.prices)
    scene.wait("sequencing window", scene.stack.settings.sequencing_window_seconds + 1)
    scene.force()
    scene.receive()
    scene.found.sums = add_up(scene.rollup)
    return scene.found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where the money isn't where it should be."""

    def run() -> int:
        ensure_built()
        with boot_devnet(rollup=OpStackSettings()) as devnet:
            found = play(devnet, lambda line: print(line, flush=True))
        print(found.as_json)
        sums = found.sums
        whole = sums is not None and sums.escrow_equals_supply and sums.vault_equals_claims
        return 0 if whole and found.l1_received else 1

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
