"""Whether all money is where it should be, added up over both chains from what anyone can read there."""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.chain.optimism import at
from plimsoll.core import ids
from plimsoll.sdk.history import logs_between
from plimsoll.sdk.rollup.layers import Rollup
from plimsoll.sdk.words import markets_in

MAX_DUST = 10**6
"""WAD dollars (a million-millionth of a dollar) that rounding may leave in the ledger, always in its favour."""


@dataclass(frozen=True, slots=True)
class Sums:
    """`escrow` and `supply` in token units: what the bridge holds on L1, and what there is of its token on L2.

    `held` and `claims` in WAD dollars: the vault's tokens, and what all accounts, the pool's too, have a claim to.
    They are of a moment at which nothing is on its way between the chains.
    """

    escrow: int
    supply: int
    held: int
    claims: int

    @property
    def escrow_equals_supply(self) -> bool:
        return self.escrow == self.supply

    @property
    def vault_equals_claims(self) -> bool:
        """But for dust."""
        return 0 <= self.held - self.claims <= MAX_DUST


def add_up(rollup: Rollup) -> Sums:
    """As of the newest blocks."""
    contracts, l2 = rollup.contracts, rollup.l2
    block = l2.block_number
    accounts = sorted(_accounts(rollup, block))
    markets = range(1, contracts.market.call("marketCount", block=block) + 1)
    own = {ids.pack(contracts.addresses["LiquidityPool"], market) for market in markets}
    cash = l2.read([contracts.vault.prepare("cashOf", one) for one in accounts], block=block)
    balances = l2.read([contracts.vault.prepare("balanceOf", one) for one in accounts], block=block)
    places = [(one, bit) for one, word in zip(accounts, balances, strict=True) for bit in markets_in(word >> 224)]
    places += [(account, ids.isolated_market_of(account)) for account in own]
    positions = l2.read([contracts.market.prepare("position", *place) for place in places], block=block)
    fees = l2.read([contracts.market.prepare("unsweptFees", market) for market in markets], block=block)
    claims = sum(cash) + sum(quote - owed for _, quote, owed in positions) + sum(sum(both) for both in fees)
    held = contracts.token.call("balanceOf", contracts.vault, block=block) * contracts.token_unit
    return Sums(
        escrow=rollup.l1_token.call("balanceOf", rollup.l1_gateway.call("bridge")),
        supply=at("Token", contracts.token.address, l2).call("totalSupply", block=block),
        held=held,
        claims=claims,
    )


def _accounts(rollup: Rollup, last: int) -> set[int]:
    """Every account that the vault ever had an entry of."""
    vault = rollup.contracts.vault
    found: set[int] = set()
    for event in vault.events(logs_between(rollup.l2, [vault.address], [], rollup.contracts.from_block, last)):
        names = ("from", "to") if event.name == "Transferred" else ("account",)
        found |= {event[name] for name in names}
    return found
