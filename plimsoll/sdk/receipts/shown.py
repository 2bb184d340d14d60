"""A receipt as a table for people, and as JSON with every integer as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from plimsoll.core import ids
from plimsoll.core.units import WAD, format_percent, format_usd, from_wad
from plimsoll.sdk.events import TakenOver
from plimsoll.sdk.receipts.figures import BASE, SHARE, TIME, USD, Checked, Figure
from plimsoll.sdk.receipts.receipt import BY_EVENTS, TRACED, Receipt
from plimsoll.sdk.times import date

MarketName = Callable[[int], str]
_CENT = WAD // 100
_RIGHT, _WRONG = "right", "WRONG"


def receipt_lines(receipt: Receipt, market_name: MarketName) -> Iterator[str]:
    """The receipt for people: a table for each liquidation, and the verdict."""
    yield f"transaction  {receipt.tx_hash}"
    yield f"block        {receipt.block}, {date(receipt.time)}"
    if receipt.disordered:
        yield f"{_WRONG}        events that do not belong together: {receipt.disordered}"
        return
    yield f"state        {_before(receipt)}"
    for checked in receipt.checked:
        yield ""
        yield from _step_lines(checked, market_name)
    yield ""
    for what in receipt.stored:
        yield f"{_WRONG}        at the end of the block another {what} is stored than the events say"
    if not receipt.stored:
        yield f"stored       {receipt.words} words at the end of the block are as the events say"
    for doubt in receipt.doubts:
        yield f"note         {doubt}"
    yield verdict(receipt)


def verdict(receipt: Receipt) -> str:
    """In one line."""
    count = len(receipt.checked)
    what = "1 liquidation" if count == 1 else f"{count} liquidations"
    if receipt.is_right:
        figures = sum(one.is_compared for checked in receipt.checked for one in checked.figures)
        return f"{_RIGHT}        {what}, {figures} figures as the rules make them"
    if not receipt.is_decided:
        return "undecided    figures differ, but the state before is not known exactly; ask a node that traces"
    if not receipt.wrong:
        return f"{_WRONG}        {what} as the rules make them, but the block ends otherwise than its events say"
    return f"{_WRONG}        {len(receipt.wrong)} of {what} not as the rules make them"


def _before(receipt: Receipt) -> str:
    parent = f"as of block {receipt.block - 1}"
    if not receipt.earlier:
        return f"{parent}; the protocol did nothing in this block before"
    how = {TRACED: "confirmed by the node's trace", BY_EVENTS: "not confirmed: the node does not trace"}[receipt.known]
    return f"{parent}, and {receipt.earlier} events of this block before the transaction, {how}"


def _step_lines(checked: Checked, market_name: MarketName) -> Iterator[str]:
    main = checked.step.main
    where = f" in {market_name(main.market_id)}" if hasattr(main, "market_id") else ""
    by = f"by {ids.describe(main.to_account)}" if isinstance(main, TakenOver) else f"by keeper {main.keeper}"
    yield f"{checked.step.kind}{where} of {ids.describe(main.account)}, {by}"
    rows = [("", "events", "recomputed", ""), *(_row(figure, market_name) for figure in checked.figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    for name, said, found, mark in rows:
        yield f"  {name:<{widths[0]}}  {said:>{widths[1]}}  {found:>{widths[2]}}  {mark}".rstrip()
    if checked.refused:
        yield f"  {_WRONG}: the rules would have refused it: {checked.refused}"
    for what in checked.differ:
        yield f"  {_WRONG}: another {what} results than the events say"
    if not checked.differ and not checked.refused:
        yield f"  {checked.words} words of the ledger result as the events say"


def _row(figure: Figure, market_name: MarketName) -> tuple[str, str, str, str]:
    """Name, what the events say, what the model finds, the mark."""
    name, place, market_id = figure.name.rpartition(" in market ")
    label = f"{name} in {market_name(int(market_id))}" if place else figure.name
    said = "" if figure.said is None else _shown(figure.said, figure.unit)
    found = "" if figure.found is None else _shown(figure.found, figure.unit)
    if figure.is_right:
        return label, said, found, "=" if figure.is_compared else ""
    assert figure.said is not None
    if said == found:
        return label, said, found, f"{_WRONG}, by {figure.said - (figure.found or 0)} wei"
    return label, said, found, _WRONG


def _shown(value: int, unit: str) -> str:
    if unit == USD:
        return format_usd(value) if not value or abs(value) >= _CENT else f"${from_wad(value):f}"
    if unit == BASE:
        return f"{from_wad(value):,f}"
    if unit == SHARE:
        return format_percent(value, 4)
    return date(value) if unit == TIME else str(value)


# --- JSON --------------------------------------------------------------------------------------------------------


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """All of it; integers of money, size and share are WAD and written as text, since JSON readers round them."""
    return {
        "transaction": receipt.tx_hash,
        "block": receipt.block,
        "time": receipt.time,
        "right": receipt.is_right,
        "decided": receipt.is_decided,
        "stateBefore": {"block": receipt.block - 1, "earlierEvents": receipt.earlier, "known": receipt.known},
        "liquidations": [_step_json(one) for one in receipt.checked],
        "storedWords": receipt.words,
        "storedOtherwise": list(receipt.stored),
        "notes": list(receipt.doubts),
        "disordered": receipt.disordered,
    }


def _step_json(checked: Checked) -> dict[str, Any]:
    main = checked.step.main
    return {
        "kind": checked.step.kind,
        "account": f"{main.account:#x}",
        "market": getattr(main, "market_id", None),
        "keeper": getattr(main, "keeper", None),
        "toAccount": f"{main.to_account:#x}" if isinstance(main, TakenOver) else None,
        "right": checked.is_right,
        "figures": [
            {
                "name": one.name,
                "unit": one.unit,
                "said": None if one.said is None else str(one.said),
                "recomputed": None if one.found is None else str(one.found),
                "right": one.is_right,
            }
            for one in checked.figures
        ],
        "refused": checked.refused,
        "words": checked.words,
        "resultsOtherwise": list(checked.differ),
    }
