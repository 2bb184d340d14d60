"""What the keepers' transactions came to: which were mined, which reverted, what they cost and earned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Receipt, Reverted, Signer
from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.index.mirror import Mirror
from plimsoll.keepers.triggers import clamped
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import (
    ORDER_ENDS,
    Happened,
    OrderCancelled,
    OrderPlaced,
    OrderVoided,
)
from plimsoll.sdk.history import OpenOrder, OrderTracker

CHUNK = 200
CALL_GAS = 3_000_000
NOTHING_LEFT = "nothing left to reduce"


@dataclass(slots=True)
class Job:
    """Of one job's workers. Gas in units, `fees` in wei."""

    mined: int = 0
    reverted: int = 0
    gas: int = 0
    fees: int = 0
    wasted_gas: int = 0
    """Of those that reverted."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why they did."""
    earned: int = 0
    """WAD dollars in the workers' accounts."""


def jobs_of(
    contracts: Contracts, keepers: Mapping[str, Signer], first: int, last: int, mirror: Mirror
) -> tuple[dict[str, Job], list[str]]:
    """By job; and what is wrong with the workers' nonces."""
    names = {signer.address: name for name, signer in keepers.items()}
    jobs: dict[str, Job] = {}
    nonces: Counter[str] = Counter()
    for receipt in _receipts(contracts, first, last):
        name = names.get(receipt.sender)
        if name is None:
            continue
        nonces[name] += 1
        job = jobs.setdefault(name.rpartition("-")[0], Job())
        job.mined += 1
        job.gas += receipt.gas_used
        job.fees += receipt.fee + int(receipt.raw.get("l1Fee") or "0x0", 16)
        if not receipt.ok:
            job.reverted += 1
            job.wasted_gas += receipt.gas_used
            job.reasons[_reason(contracts, receipt)] += 1
    wrong = []
    for name, signer in keepers.items():
        cash = mirror.monitor.balance(ids.pack(signer.address)).cash
        jobs.setdefault(name.rpartition("-")[0], Job()).earned += cash
        mined, pending = (contracts.chain.nonce(signer.address, block) for block in ("latest", "pending"))
        if not mined == pending == nonces[name]:
            wrong.append(f"{name}: nonce {mined}, {pending} with what is pending, and {nonces[name]} were mined")
    return jobs, wrong


def _receipts(contracts: Contracts, first: int, last: int) -> Iterable[Receipt]:
    for start in range(first, last + 1, CHUNK):
        numbers = range(start, min(start + CHUNK, last + 1))
        blocks = contracts.chain.rpc.batch([("eth_getBlockReceipts", [hex(number)]) for number in numbers])
        yield from (Receipt.from_json(raw) for receipts in blocks for raw in receipts)


def _reason(contracts: Contracts, receipt: Receipt) -> str:
    error = contracts.chain.why(receipt)
    return error.name or error.reason


# --- orders ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Orders:
    """What became of all orders."""

    placed: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    waits: list[tuple[int, int]] = field(default_factory=list)
    """Of market orders: the block of placement, and of the end."""
    voids: list[tuple[int, int]] = field(default_factory=list)
    """The same of those for which no price came in time."""
    twice: list[bytes] = field(default_factory=list)
    """Ended more than once."""
    open: list[OpenOrder] = field(default_factory=list)


def orders_of(records: Iterable[Happened]) -> Orders:
    """From all of the order book's events."""
    found, tracker = Orders(), OrderTracker()
    placed: dict[bytes, OrderPlaced] = {}
    ended: Counter[bytes] = Counter()
    for one in records:
        tracker.feed([one])
        if isinstance(one, OrderPlaced):
            found.placed += 1
            placed[one.hash] = one
        elif isinstance(one, ORDER_ENDS):
            ended[one.hash] += 1
            found.ends[type(one).__name__] += 1
            if isinstance(one, OrderCancelled):  # of an order that an exchanged block took along, too
                continue
            if placed[one.hash].sequence:
                span = placed[one.hash].block_number, one.block_number
                found.waits.append(span)
                if isinstance(one, OrderVoided):
                    found.voids.append(span)
    found.twice = [hash_ for hash_, times in ended.items() if times > 1]
    found.open = list(tracker.open.values())
    return found


def why_open(
    contracts: Contracts, orders: Sequence[OpenOrder], blocks: Mapping[int, int], sender: str
) -> dict[bytes, str]:
    """What the order book would have said to their execution at a block of each market; "" where it had done it.

    Those of markets without such a block are left out. NOTHING_LEFT for an order whose end nobody is paid for.
    """
    book, found = contracts.order_book, {}
    wanted, requests = [one for one in orders if one.order.market_id in blocks], []
    for one in wanted:
        call = book.prepare("execute", tuple(one.order), [])
        request = {"to": call.to, "data": "0x" + call.data.hex(), "from": sender, "gas": hex(CALL_GAS)}
        requests.append(("eth_call", [request, hex(blocks[one.order.market_id])]))
    for one, answer in zip(wanted, contracts.chain.rpc.batch(requests, raise_errors=False), strict=True):
        error = contracts.chain.reverted(answer) if isinstance(answer, RpcError) else None
        if error is not None and not isinstance(error, Reverted):
            raise error
        found[one.hash] = "" if error is None else error.name
        if error is None and not clamped(one.order, _held(contracts, one, blocks[one.order.market_id])):
            found[one.hash] = NOTHING_LEFT
    return found


def _held(contracts: Contracts, one: OpenOrder, block: int) -> int:
    """What its account has in its market, WAD base."""
    base, _, _ = contracts.market.call("position", one.order.account, one.order.market_id, block=block)
    return int(base)


def dollars(wei: int, eth_price: int) -> int:
    """WAD dollars of wei."""
    return wei * eth_price // WAD
