"""Withdrawals and forced exits as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plimsoll.core.units import from_units
from plimsoll.sdk.rollup.forced import ForcedCall, Step, as_deposit
from plimsoll.sdk.rollup.layers import Rollup
from plimsoll.sdk.rollup.withdrawals import Followed
from plimsoll.sdk.times import date, span


def followed_lines(one: Followed, decimals: int) -> Iterator[str]:
    """What it is, where it stands, and when the next step can be taken."""
    started, standing = one.started, one.standing
    yield (
        f"withdrawal   ${from_units(started.amount, decimals):,f} to {started.to}, begun {date(started.timestamp)} in "
        f"L2 block {started.withdrawal.block_number}"
    )
    line = f"             {standing.stage.value}"
    if standing.next_at is not None:
        line += f" until {date(standing.next_at)}, {span(one.seconds_left or 0)} from now"
    elif standing.stage.step:
        line += f": next step {standing.stage.step}"
    yield line
    if standing.final_at is not None:
        yield f"             its game has to be resolved; final on {date(standing.final_at)} at the earliest"
    if standing.note:
        yield f"             {standing.note}"


def step_lines(step: Step, now: int) -> Iterator[str]:
    """A round of a forced exit; `now` is L1's time."""
    line = f"exit         {step.round.value}"
    if step.ready_at > now:
        line += f"; that is in {span(step.ready_at - now)}"
    yield line
    for call in step.calls:
        yield f"  deposit    {call.label} ({call.gas:,} gas on L2)"


def transaction_json(rollup: Rollup, call: ForcedCall) -> dict[str, Any]:
    """The L1 transaction of a call, for whatever sends it."""
    deposit = as_deposit(rollup, call)
    return {"label": call.label, "to": deposit.to, "value": "0", "data": "0x" + deposit.data.hex()}
