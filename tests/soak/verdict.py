"""The verdict: what must hold after a soak, and its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plimsoll.core.units import from_wad
from plimsoll.index.follow import Index
from plimsoll.index.mirror import Mirror
from plimsoll.index.rows import records_of
from plimsoll.index.store import open_store
from plimsoll.keepers.claims import CLAIM_SECONDS, WORK_PATIENCES
from plimsoll.replay.stored import sums_of
from plimsoll.sdk.events import (
    Absorbed,
    DebtCovered,
    Deposited,
    Happened,
    Liquidated,
    PriceRecorded,
    TakenOver,
    Withdrawn,
)
from tests.soak.faults import KILL, Fault
from tests.soak.replayed import DUST, Replayed, Wait, replay
from tests.soak.work import Job, Orders, dollars, jobs_of, orders_of, why_open
from tests.support.mirrored import layout_of, mirrored, stored

if TYPE_CHECKING:
    from tests.soak.crowd import Crowd
    from tests.soak.fleet import Fleet
    from tests.soak.ground import Ground
    from tests.soak.run import Ran, Tell

QUIET_BLOCKS = 5
"""The longest that an account may wait, of blocks in which the contracts would liquidate it, while nothing is wrong."""
ROUGH_SECONDS = CLAIM_SECONDS + 30
"""The same while something is, of the machine's: an address whose worker was killed, and a new one's start."""
FORGOTTEN, PATIENT = "could be executed", "could be executed, was refused before"
AFTERMATH_SECONDS = 20.0
"""For which a fault that is over still counts: nodes rest and are compared again, connections are made anew."""


@dataclass
class Verdict:
    """`failures` is empty where all holds; `figures` are rows of tables by title."""

    ran: Ran
    failures: list[str] = field(default_factory=list)
    figures: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)


def judge(ground: Ground, fleet: Fleet, crowd: Crowd, ran: Ran, followed: Mirror | None, tell: Tell) -> Verdict:
    """All checks, on the chain as it is now; the keepers have stopped."""
    verdict = Verdict(ran)
    contracts = ground.contracts
    with open_store(":memory:") as store:
        index = Index(contracts, store)
        index.update(ran.end)
        tell("comparing the mirrors with the chain")
        verdict.failures += _mirrors(ground, crowd, index.mirror, followed)
        records = [one for part in store.all_events() for one in records_of(part)]
        verdict.failures += _final_sums(ground, index.mirror, records)
        tell("replaying all of it, transaction by transaction")
        replayed = replay(index, ran.first, ran.end)
        verdict.failures += _liquidations(replayed, ran)
        orders = orders_of(records)
        sender = next(iter(fleet.keepers.values())).address
        left = _left(why_open(contracts, orders.open, ran.fresh, sender), fleet)
        verdict.failures += _orders(orders, left)
        jobs, nonces = jobs_of(contracts, fleet.keepers, contracts.from_block, ran.end, index.mirror)
        verdict.failures += nonces
        verdict.failures += _ends(ground, ran)
        verdict.figures = _figures(ground, fleet, crowd, ran, replayed, orders, left, jobs, records)
    return verdict


# --- the checks ------------------------------------------------------------------------------------------------------


def _mirrors(ground: Ground, crowd: Crowd, fresh: Mirror, followed: Mirror | None) -> list[str]:
    """(a): word by word."""
    layout = layout_of(fresh, crowd.accounts)
    on_chain = stored(ground.contracts, layout)
    return [
        f"the mirror {what} " + ("broke" if mirror is None else f"differs from the chain in {len(different)} places")
        for what, mirror in (("from block 0", fresh), ("that followed", followed))
        if mirror is None or (different := mirrored(mirror, layout).differences(on_chain))
    ]


def _final_sums(ground: Ground, mirror: Mirror, records: Iterable[Happened]) -> list[str]:
    """(d): of what the chain stores, and of the tokens that the vault holds."""
    contracts, unit = ground.contracts, ground.contracts.token_unit
    layout, markets = layout_of(mirror), mirror.markets.values()
    held = int(contracts.token.call("balanceOf", contracts.vault.address))
    paid_in = sum(one.amount for one in records if isinstance(one, Deposited))
    paid_out = sum(one.amount for one in records if isinstance(one, Withdrawn))
    prices = {one.id: one.newest.price for one in markets if one.newest}
    ends = {one.id: (one.ends_long, one.ends_short) for one in markets}
    sums = sums_of(stored(contracts, layout), held * unit, prices, ends)
    wrong = [] if held == paid_in - paid_out else [f"the vault holds {held}, and {paid_in - paid_out} were paid in"]
    if abs(sums.dust) > DUST or abs(sums.equity) > DUST or any(abs(off) > DUST for off in sums.base.values()):
        wrong.append(f"at the end the sums are off: base {sums.base}, dust {sums.dust}, equity {sums.equity}")
    return wrong


def _liquidations(found: Replayed, ran: Ran) -> list[str]:
    """(b) and (c)."""
    wrong = [f"the sums are off at {one}" for one in found.wrong_sums]
    if found.left:
        wrong.append(f"{len(found.left)} accounts could be liquidated at the end, and nobody did")
    if found.unfounded:
        wrong.append(f"{len(found.unfounded)} liquidations were of accounts that were healthy: {found.unfounded[:2]}")
    quiet, rough = split(found.waits, ran)
    for waits, most, when in ((quiet, QUIET_BLOCKS, "nothing"), (rough, _rough_blocks(ran), "something")):
        if late := [one for one in waits if one.blocks > most]:
            worst = max(late, key=lambda one: one.blocks)
            wrong.append(
                f"{len(late)} accounts waited more than {most} blocks while {when} was wrong: one for {worst.blocks}, "
                f"from block {worst.since} to {worst.until}"
            )
    return wrong


def split(waits: Iterable[Wait], ran: Ran) -> tuple[list[Wait], list[Wait]]:
    """Those while nothing was wrong, and the others."""
    spans = [_span(fault, ran) for fault in ran.faults]
    quiet: list[Wait] = []
    rough: list[Wait] = []
    for one in waits:
        (rough if _is_rough(one.since, one.until, spans) else quiet).append(one)
    return quiet, rough


def _is_rough(since: int, until: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(since <= last and until >= first for first, last in spans)


def _span(fault: Fault, ran: Ran) -> tuple[int, int]:
    """Blocks in which it counts."""
    last = ran.end if fault.last is None else fault.last
    if fault.kind == KILL:  # what the killed one had claimed waits until the claim ends
        last = max(last, fault.first + round(WORK_PATIENCES * ran.setting.patience / ran.setting.block_wait))
    return fault.first, last + round(AFTERMATH_SECONDS / ran.setting.block_wait)


def _rough_blocks(ran: Ran) -> int:
    return round(ROUGH_SECONDS / ran.setting.block_wait)


def _orders(orders: Orders, left: Counter[str]) -> list[str]:
    """(c) and (e)."""
    wrong = []
    if orders.twice:
        wrong.append(f"{len(orders.twice)} orders ended twice")
    if queued := [one for one in orders.open if one.is_queued]:
        wrong.append(f"{len(queued)} market orders are still in a queue")
    if left[FORGOTTEN]:
        wrong.append(f"{left[FORGOTTEN]} orders could have been executed, and nobody did")
    return wrong


def _left(why: Mapping[bytes, str], fleet: Fleet) -> Counter[str]:
    """Why orders are open, by reason. One that was refused before is asked about again after up to 32 records."""
    refused = fleet.refused()
    could = {hash_: PATIENT if hash_.hex() in refused else FORGOTTEN for hash_ in why}
    return Counter(reason or could[hash_] for hash_, reason in why.items())


def _ends(ground: Ground, ran: Ran) -> list[str]:
    """Whether all worked in the end, and stopped when asked to."""
    wrong = [f"{name} ended with {code} when asked to stop" for name, code in ran.exits.items() if code]
    wrong += [f"{name} did not stop when asked to" for name, code in ran.exits.items() if code is None]
    if silent := [name for name, market_id in ground.deployment.markets.items() if market_id not in ran.fresh]:
        wrong.append(f"no price of {', '.join(silent)} was recorded after all faults had ended")
    return wrong


# --- the figures -----------------------------------------------------------------------------------------------------


def _figures(
    ground: Ground, fleet: Fleet, crowd: Crowd, ran: Ran, found: Replayed, orders: Orders, left: Counter[str],
    jobs: dict[str, Job], records: Sequence[Happened],
) -> dict[str, list[tuple[str, ...]]]:  # fmt: skip
    quiet, rough = split(found.waits, ran)
    return {
        "load": _load(crowd, ran, orders, found, records),
        "waits": [_wait_row("nothing was wrong", quiet), _wait_row("something was wrong", rough)],
        "orders": _order_rows(orders, left, [_span(fault, ran) for fault in ran.faults]),
        "faults": [(kind, str(count)) for kind, count in sorted(Counter(one.kind for one in ran.faults).items())],
        "keepers": [_job_row(name, job, ground.devnet.prices["ETH/USD"]) for name, job in sorted(jobs.items())],
        "units": [
            (name, str(unit.kills), str(len(unit.ends)), _shown(ran.exits.get(name)))
            for name, unit in sorted(fleet.units.items())
        ],
        "said": [(event, str(count)) for event, count in sorted(fleet.said().items())],
        "troubles": [(kind, str(count)) for kind, count in sorted(fleet.troubles().items())],
    }


def _load(
    crowd: Crowd, ran: Ran, orders: Orders, found: Replayed, records: Sequence[Happened]
) -> list[tuple[str, ...]]:
    kinds = Counter(type(one) for one in records)
    recorded = [one for one in records if isinstance(one, PriceRecorded)]
    debts = [one for one in records if isinstance(one, DebtCovered)]
    setting = ran.setting
    return [
        ("seed", str(setting.seed)),
        ("minutes of the chain", f"{setting.minutes:,}"),
        ("speed", f"{setting.speed} ×"),
        ("blocks", f"{ran.last - ran.first:,}"),
        ("seconds of the machine", f"{ran.seconds:,.0f}"),
        ("blocks mined late", f"{ran.late_blocks:,}"),
        ("accounts", f"{len(crowd.accounts):,}"),
        ("deeds of traders", f"{crowd.deeds:,}"),
        ("orders placed", f"{orders.placed:,}"),
        ("prices recorded", f"{len(recorded):,}"),
        ("most accounts unhealthy after a block", f"{found.most_unhealthy:,}"),
        ("close-outs", f"{kinds[Liquidated]:,}"),
        ("take-overs", f"{kinds[TakenOver]:,}"),
        ("absorptions", f"{kinds[Absorbed]:,}"),
        ("debts", f"{len(debts):,}, of {from_wad(sum(one.debt for one in debts)):,.0f} dollars"),
        ("sums added up", f"{found.sums:,}"),
        ("dust at the end", f"{found.dust:,} wei"),
        ("updates of the index that failed", f"{ran.follower_troubles:,}"),
        ("times that events were missing in it, and it was read anew", f"{ran.follower_rebuilds:,}"),
    ]


def _wait_row(when: str, waits: Sequence[Wait]) -> tuple[str, ...]:
    blocks = sorted(one.blocks for one in waits)
    whole = max((one.until - one.since for one in waits), default=0)
    done = sum(one.was_liquidated for one in waits)
    return when, f"{len(blocks):,}", f"{done:,}", *_quantiles(blocks), str(whole)


def _order_rows(orders: Orders, left: Counter[str], spans: Sequence[tuple[int, int]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(name, f"{count:,}") for name, count in sorted(orders.ends.items())]
    blocks = sorted(end - start for start, end in orders.waits)
    quiet = sum(not _is_rough(start, end, spans) for start, end in orders.voids)
    rows.append(("OrderVoided of market orders while nothing was wrong", f"{quiet:,}"))
    rows.append(("blocks from placement to end, market orders: median, p99, worst", ", ".join(_quantiles(blocks))))
    rows += [(f"open: {reason}", f"{count:,}") for reason, count in sorted(left.items())]
    return rows


def _job_row(name: str, job: Job, eth_price: int) -> tuple[str, ...]:
    reasons = ", ".join(f"{reason} × {count}" for reason, count in job.reasons.most_common(4))
    wasted = job.wasted_gas * 100 / job.gas if job.gas else 0.0
    return (
        name, f"{job.mined:,}", f"{job.reverted:,}", reasons or "–", f"{job.gas:,}", f"{wasted:.1f}%",
        f"{from_wad(dollars(job.fees, eth_price)):,.2f}", f"{from_wad(job.earned):,.2f}",
    )  # fmt: skip


def _quantiles(values: Sequence[int]) -> tuple[str, str, str]:
    """Median, 99th percentile, largest, of sorted values."""
    if not values:
        return "–", "–", "–"
    last = len(values) - 1
    return str(values[last // 2]), str(values[last * 99 // 100]), str(values[last])


def _shown(code: int | None) -> str:
    return "–" if code is None else str(code)
