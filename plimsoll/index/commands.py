"""What `ape run index` and `ape run history` do, without the command line."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from plimsoll.chain.build import ROOT
from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.index import history
from plimsoll.index.follow import Index
from plimsoll.index.mirror import MirrorBroken
from plimsoll.index.shown import Entry
from plimsoll.index.store import open_store
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.fund import ledger_lines

FOLDER = ROOT / ".cache" / "index"
LONGEST_WAIT = 30.0


@contextmanager
def opened(contracts: Contracts, database: str | None) -> Iterator[Index]:
    """An index in that database, by default a file for the chain's id. Raises UserError."""
    with open_store(database or FOLDER / f"{contracts.chain.chain_id}.duckdb") as store:
        try:
            yield Index(contracts, store)
        except MirrorBroken as error:
            raise UserError(f"the events don't follow from each other, so nothing is read on: {error}") from None


def follow(index: Index, say: Callable[[str], object], *, once: bool, poll: float) -> int:
    """Read on, once or until interrupted. A node that doesn't answer is asked again, more and more seldom."""
    pause = threading.Event()
    wait = poll
    while True:
        try:
            done = index.update()
        except (RpcError, RpcUnavailable) as error:
            if once:
                raise
            say(f"the node doesn't answer, again in {wait:g} s: {error}")
            pause.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            continue
        wait = poll
        if done.forgotten is not None:
            say(f"reorganised: forgot what came after block {done.forgotten}")
        if done.last >= done.first:
            say(f"blocks {done.first} to {done.last}: {done.events} events")
        if once:
            return 0
        pause.wait(poll)


def entries(
    index: Index, what: str, account: str | None, market: str | None, markets: Mapping[str, int]
) -> Sequence[Entry]:
    """The entries of `fills`, `funding`, `liquidations` or `rates`. Raises UserError for an account or market."""
    whose = None if account is None else account_of(account)
    if what == "liquidations":
        return history.liquidations(index.store, whose)
    if what == "rates":
        return history.rates(index.store, _market_of(market, markets))
    if whose is None:
        raise UserError(f"{what}: name the account, by its id or its owner's address")
    return history.fills(index.store, whose) if what == "fills" else history.payments(index.store, whose)


def fund_lines(index: Index) -> tuple[Sequence[str], bool]:
    """The insurance fund's ledger, and whether it is what the mirror says that the fund has."""
    contracts = index.contracts
    fund = contracts.addresses["InsuranceFund"]
    balance = index.mirror.monitor.balance(ids.pack(fund)).cash
    ledger = history.fund_ledger(index.store, fund, contracts.token_unit, balance)
    return list(ledger_lines(ledger)), ledger.is_right


def account_of(text: str) -> int:
    """An account's id, or the first cross account of an address. Raises UserError."""
    is_address = len(text.strip()) == 42 and text.strip()[:2].lower() == "0x"
    return ids.pack(text) if is_address else ids.parse_account(text)


def _market_of(name: str | None, markets: Mapping[str, int]) -> int:
    found = [one for key, one in markets.items() if name is not None and name.upper() in (key, key.split("/")[0])]
    if len(found) != 1:
        raise UserError(f"rates: --market must be one of {', '.join(markets)}")
    return found[0]
