"""A market in which somebody is going to owe more than fund and pool can pay."""

from __future__ import annotations

from tests.support.core import ETH, KEEPER, WAD, Core
from tests.support.evm import Receipt
from tests.unit.liquidation.reference import holding

CROWD = 60 * WAD
SIZE = 40 * WAD


class Scene:
    """A crowd on each side, of one account each, and one more account that is going to be bankrupt: without it the
    skew is zero. Sums are moved between these accounts and a bystander who has left already, so that the ledger adds
    up all along. All in ETH; `sign` is that of the bankrupt position."""

    def __init__(self, core: Core, sign: int, size: int = SIZE, crowd: int = CROWD, market: int = ETH) -> None:
        self.core, self.sign, self.market = core, sign, market
        self.bystander = core.trader("bystander", 50_000_000)
        self.beside, self.opposite = core.trader("beside", 1_000_000), core.trader("opposite", 1_000_000)
        self.debtor = core.trader("debtor", 1_000_000)
        if crowd:
            core.open(self.opposite, market, -sign * crowd)
            core.open(self.beside, market, sign * crowd)
        core.open(self.debtor, market, sign * size)
        core.tick(1)
        core.market.accrue(market)

    def give(self, account: int, amount: int) -> None:
        postings = [(account, amount, 0, 0), (self.bystander, -amount, 0, 0)]
        self.core.vault.post(postings, sender=self.core.pool)

    @property
    def capital(self) -> int:
        capital: int = self.core.market.poolCapital(self.market)[0]
        return capital

    @property
    def price(self) -> int:
        return self.core.prices[self.market]

    def equity(self, account: int) -> int:
        equity: int = self.core.market.equity(account)
        return equity

    def set(self, *, capital: int, debt: int, fund: int = 0) -> None:
        """The pool's capital here once the debtor is closed, what he will owe then, and what the fund has."""
        h = holding(self.core, self.debtor, self.market)
        quote = h.close_quote(h.size)
        gain = h.base * self.price // WAD - quote  # what the fill brings the pool
        self.give(self.debtor, -h.cash - h.quote - quote - debt)
        self.give(self.core.pool_account(self.market), capital - gain - self.capital)
        self.give(self.core.fund_main, fund)

    def absorb(self) -> Receipt:
        receipt: Receipt = self.core.liquidator.absorb(self.debtor, [], sender=KEEPER)
        return receipt

    def capital_once_absorbed(self) -> int:
        """What the pool will have here if nothing is charged to the side opposite."""
        with self.core.evm.isolated():
            self.give(self.core.pool_account(self.market), 10**6 * WAD)
            self.absorb()
            return self.capital - 10**6 * WAD

    def opposite_side(self) -> tuple[int, int, int]:
        """(G, K, open interest)."""
        state = self.core.market.marketState(self.market)
        if self.sign < 0:
            return state.longG, state.longK, state.openLong
        return state.shortG, state.shortK, state.openShort

    def check(self) -> None:
        self.core.token.mint(self.core.vault, 1)  # dust may be negative in wei
        assert abs(self.core.check_sums(2 * self.core.unit, 10**5) - self.core.unit) <= 10**9


def fill(core: Core, account: int, base: int) -> None:
    """A position from the pool, at the index, whatever its size."""
    names = ("marketId", "account", "base", "quote", "charge", "keeper", "reward", "toFund")
    values = (ETH, core.track(account), base, -base * core.prices[ETH] // WAD, 0, KEEPER, 0, 0)
    core.market.fill(dict(zip(names, values, strict=True)), sender=core.liquidator)
