"""The mirror's words beside the chain's: every balance, position and market that either knows of."""

from __future__ import annotations

from collections.abc import Iterable

from plimsoll.index.mirror import Mirror
from plimsoll.replay.stored import Layout, Ledger
from plimsoll.risk.state import Account
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.slots import balance_word, market_words, position_words


def layout_of(mirror: Mirror, others: Iterable[int] = ()) -> Layout:
    """All that the mirror knows of, and other accounts."""
    accounts, markets = sorted({*mirror.monitor.accounts, *others}), sorted(mirror.markets)
    return Layout(accounts, [(account, market) for account in accounts for market in markets], markets)


def stored(contracts: Contracts, layout: Layout) -> Ledger:
    """What the contracts store now."""
    vault, market = contracts.vault.address, contracts.market.address
    calls = [(vault, slot) for slot in layout.vault_slots] + [(market, slot) for slot in layout.market_slots]
    raws = contracts.chain.rpc.batch([("eth_getStorageAt", [to, hex(slot), "latest"]) for to, slot in calls])
    words = [int(raw, 16) for raw in raws]
    cut = len(layout.vault_slots)
    return layout.read(words[:cut], words[cut:])


def mirrored(mirror: Mirror, layout: Layout) -> Ledger:
    """What the mirror says is stored."""
    balances = {}
    for account in layout.accounts:
        slot = Account()
        slot.cash, slot.reserved, slot.markets = mirror.monitor.balance(account)
        balances[account] = balance_word(slot)
    return Ledger(
        balances,
        {holding: position_words(mirror.monitor.position(*holding)) for holding in layout.holdings},
        {market: market_words(mirror.markets[market]) for market in layout.market_ids},
    )
