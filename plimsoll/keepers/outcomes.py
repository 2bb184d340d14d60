"""What a log says of a liquidation's events."""

from __future__ import annotations

from collections.abc import Iterable

from plimsoll.keepers.runner import Fields, account_shown, shown
from plimsoll.sdk.events import Absorbed, DebtCovered, Deleveraged, Happened, Liquidated, TakenOver

TOLD = {
    "Liquidator": ("Liquidated", "TakenOver", "Absorbed", "DebtCovered"),
    "PerpMarket": ("Deleveraged",),
}
"""Events by the contract that says them."""


def told(records: Iterable[Happened]) -> Iterable[tuple[str, Fields]]:
    """An event and its fields for each that is worth a line, in their order."""
    for record in records:
        match record:
            case Liquidated():
                yield (
                    "closed out",
                    {
                        "account": account_shown(record.account),
                        "market": record.market_id,
                        "base": shown(record.base),
                        "equity": shown(record.equity),
                        "maintenance": shown(record.maintenance),
                        "cost": shown(record.cost),
                        "reward": shown(record.reward),
                    },
                )
            case TakenOver():
                yield (
                    "taken over",
                    {
                        "account": account_shown(record.account),
                        "market": record.market_id,
                        "base": shown(record.base),
                        "discount": shown(record.discount),
                        "fee": shown(record.fee),
                        "reward": shown(record.discount - record.fee),
                    },
                )
            case Absorbed():
                yield (
                    "absorbed",
                    {
                        "account": account_shown(record.account),
                        "equity": shown(record.equity),
                        "reward": shown(record.reward),
                    },
                )
            case DebtCovered():
                yield (
                    "debt covered",
                    {
                        "account": account_shown(record.account),
                        "debt": shown(record.debt),
                        "by_fund": shown(record.by_fund),
                        "by_pool": shown(record.by_pool),
                    },
                )
            case Deleveraged():
                yield (
                    "deleveraged",
                    {
                        "market": record.market_id,
                        "side": "long" if record.is_long else "short",
                        "fraction": shown(record.fraction),
                        "price": shown(record.price),
                        "cut": shown(record.cut),
                    },
                )
