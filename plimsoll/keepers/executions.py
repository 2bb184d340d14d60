"""What a log says of the orders in a transaction, and what each of them paid whoever executed it."""

from __future__ import annotations

from collections.abc import Iterable

from plimsoll.chain.transactions import Chain
from plimsoll.keepers.runner import Fields, account_shown, shown
from plimsoll.sdk.events import (
    Happened,
    OrderExecuted,
    OrderFailed,
    OrderLeftQueue,
    OrderSkipped,
    OrderVoided,
    Posted,
    Traded,
)


class Purse:
    """The executor's main account. A fill's event doesn't say what it paid; the entries before it do, one by one."""

    def __init__(self, account: int) -> None:
        self.account = account
        self.cash = 0
        """WAD dollars before the next entry."""
        self._paid = 0

    def enter(self, record: Posted) -> None:
        if record.account == self.account:
            cash = record.unpacked.cash
            self._paid += cash - self.cash
            self.cash = cash

    def take(self, payer: int) -> int:
        """What was paid since the last time, WAD dollars; 0 where the order was our own account's."""
        paid, self._paid = self._paid, 0
        return 0 if payer == self.account else max(0, paid)


def told(records: Iterable[Happened], purse: Purse, chain: Chain) -> Iterable[Fields]:
    """Of each order that something became of, in their order."""
    fill: Traded | None = None
    for record in records:
        if isinstance(record, Posted):
            purse.enter(record)
        elif isinstance(record, Traded):
            fill = record
        elif isinstance(record, OrderExecuted) and fill is not None:
            yield {
                "order": record.hash.hex(),
                "account": account_shown(record.account),
                "outcome": "filled",
                "base": shown(fill.base),
                "price": shown(fill.fill_price),
                "fee": shown(fill.fee),
                "reward": shown(purse.take(record.account)),
            }
        elif isinstance(record, OrderFailed):
            reason = chain.revert_of(record.reason).reason
            reward = shown(purse.take(record.account))
            yield {"order": record.hash.hex(), "outcome": "failed", "reason": reason, "reward": reward}
        elif isinstance(record, OrderVoided):
            yield {"order": record.hash.hex(), "outcome": "void", "reward": shown(purse.take(record.account))}
        elif isinstance(record, OrderLeftQueue):
            yield {"order": record.hash.hex(), "outcome": "left queue"}
        elif isinstance(record, OrderSkipped):
            reason = chain.revert_of(record.reason).reason
            yield {"order": record.hash.hex(), "outcome": "skipped", "reason": reason}
