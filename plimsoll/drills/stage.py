"""Where a drill is played: a devnet with the real contracts, the reference model beside it, and hands on the clock.

Everything that people and keepers do is carried out on both, and every event and stored word is compared; a refusal
must be the same by name. Prices come from the world outside (`plimsoll.drills.world`), not from the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import SECONDS_PER_HOUR, WAD
from plimsoll.devnet.boot import Deploy, Devnet, boot_devnet, deploy_in_process
from plimsoll.drills.notes import Notes
from plimsoll.drills.world import Recorded, Said, World
from plimsoll.replay.actions import (
    Action,
    Applied,
    Deposit,
    Execute,
    ExecuteRequest,
    Force,
    Place,
    RequestEntry,
    Withdraw,
)
from plimsoll.replay.keepers import Liquidations
from plimsoll.replay.keys import Key
from plimsoll.replay.mirror import Mirror
from plimsoll.replay.modelled import Health, Roles
from plimsoll.replay.onchain import OnChain, deployment_of
from plimsoll.replay.promises import Promises
from plimsoll.replay.run import check_of
from plimsoll.replay.stored import Layout
from plimsoll.risk.execution import Outcome
from plimsoll.risk.fallback import Quoted
from plimsoll.risk.oracle import OPEN, Record
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.fund import read_ledger
from plimsoll.sdk.receipts import receipt_of
from plimsoll.sdk.signing import order_hash
from plimsoll.sdk.words import unpack_record

ETH, BTC = "ETH/USD", "BTC/USD"
PRICES: Mapping[str, int] = {ETH: 2_000 * WAD, BTC: 40_000 * WAD}
START = 1_621_429_200
"""Unix seconds: 19 May 2021, 13:00 UTC."""
POOL_DOLLARS = 20_000_000
FUND_DOLLARS = 1_000_000

ANY_PRICE = 2**128 - 1
BLOCK_SECONDS = 2
FOLLOW_SECONDS = 10
"""Between two prices while pools' averages follow."""
ROUNDS = 200
"""Of a liquidator at one price, at most."""


class Stage:
    """A drill's devnet and model at one time. Money is WAD dollars but for whole dollars where a name says so."""

    def __init__(self, devnet: Devnet, traders: Sequence[str], notes: Notes) -> None:
        """`traders` are those who may hold accounts; nobody has anything yet."""
        self.devnet = devnet
        self.notes = notes
        self.roles = Roles.named()
        self.keys = {name: Key.named(name) for name in traders}
        self.mirror = Mirror(devnet.parameters, self.roles, deployment_of(devnet), now=devnet.now)
        self.market_ids = {market.name: market.id for market in devnet.parameters.markets}
        accounts = [self.account(name) for name in traders]
        holdings = [(account, market_id) for account in accounts for market_id in self.mirror.markets]
        self.layout = Layout([*accounts, *self.mirror.own_accounts()], holdings, self.mirror.markets)
        self.world = World(devnet, self.mirror)
        treasury = Key.from_hex(devnet.signers["treasury"].key)
        self.earners = tuple(
            key.number for key in (self.roles.provider, self.roles.executor, self.roles.liquidator, treasury)
        )
        """Owners of what is earned: provider, keepers, treasury."""
        self._chain = OnChain(devnet, self.roles, [*self.keys.values(), treasury])
        self._orders: dict[bytes, Order] = {}

    # --- time ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The newest block's time, Unix seconds."""
        return self.mirror.now

    @contextmanager
    def block(self, seconds: int = BLOCK_SECONDS) -> Iterator[None]:
        """What is done inside is mined in one block, so many seconds after the last; an empty one, too."""
        self.mirror.begin(self.now + seconds)
        at = self.now
        yield
        block = self.mirror.end()
        if not block.applied:
            self.mirror.begin(at)
            self.world.mine(at)
            return
        touched = self.layout.part(block.touched)
        self._chain.send(block, touched, touched.expected(self.mirror.model))
        self._chain.wait()

    def wait(self, seconds: int) -> None:
        """Let time pass; an empty block at its end."""
        with self.block(seconds):
            pass

    # --- doing ---------------------------------------------------------------------------------------------------

    def do(self, *actions: Action, seconds: int = BLOCK_SECONDS) -> list[Applied]:
        """Actions in a block of their own. Raises Refusal."""
        with self.block(seconds):
            return [self._do(action) for action in actions]

    def refused(self, action: Action, seconds: int = BLOCK_SECONDS) -> str:
        """By which name both refuse an action, in a block of its own. Raises ValueError where the model allows it."""
        with self.block(seconds):
            return self.mirror.refuse(action).name

    def attempt(self, action: Action) -> str:
        """As `do`, and what it was refused with; empty where it was done."""
        with self.block():
            try:
                self._do(action)
            except Refusal:
                return self.mirror.refuse(action).name
        return ""

    def _do(self, action: Action) -> Applied:
        done = self.mirror.do(action)
        if isinstance(action, Place):
            self._orders[order_hash(action.order)] = action.order
        return done

    def account(self, name: str) -> int:
        """A trader's cross account."""
        return ids.pack(self.keys[name].number)

    def deposit(self, dollars: Mapping[str, int]) -> None:
        """Whole dollars into traders' accounts, in one block."""
        self.do(*(Deposit(self.account(name), amount * 10**6) for name, amount in dollars.items()))

    def withdrawal(self, name: str, dollars: int) -> Withdraw:
        return Withdraw(self.account(name), dollars * 10**6)

    def order(
        self,
        name: str,
        market: str,
        base: int,
        *,
        kind: OrderKind = OrderKind.MARKET,
        trigger: int = 0,
        limit: int | None = None,
        reduce_only: bool = False,
    ) -> Order:
        """A new order of a trader, at any price unless it has a limit. Base and prices WAD."""
        acceptable = limit if limit is not None else ANY_PRICE if base > 0 else 0
        return Order(
            self.account(name),
            self.market_ids[market],
            kind,
            base,
            acceptable,
            trigger_price=trigger,
            reduce_only=reduce_only,
            salt=len(self._orders) + 1,
        )

    def forced(self, order: Order, price: int | None = None) -> Force:
        """The owner's way out without a record: at data that he has signed sources say, or at the push sources."""
        market = next(name for name, market_id in self.market_ids.items() if market_id == order.market_id)
        record = self.mirror.model.state.orders[order_hash(order)]
        if price is None:
            since = max(record.not_before, self.newest(market).published_at + 1)
            return Force(order, bound=self.world.bound(market, since))
        return Force(order, Quoted(price, 0, self.now), self.world.payloads(market, price, self.now))

    def execute(self, *orders: Order) -> list[Outcome]:
        """A keeper's batch in a block of its own; what can't be executed is skipped."""
        (done,) = self.do(Execute(orders))
        outcomes: list[Outcome] = done.result
        return outcomes

    def trade(self, prices: Mapping[str, int], *orders: Order) -> list[Outcome]:
        """Place market orders, have the prices recorded that settle them, and execute them."""
        self.do(*(Place(order) for order in orders))
        delay = max(market.order_params.settlement_delay for market in self.mirror.markets.values())
        self.publish(prices, seconds=delay)
        return self.execute(*orders)

    def open(self, prices: Mapping[str, int], *positions: tuple[str, str, int]) -> None:
        """(trader, market, base) each opened against the pool. Raises ValueError where one isn't filled."""
        orders = [self.order(name, market, base) for name, market, base in positions]
        for position, outcome in zip(positions, self.trade(prices, *orders), strict=True):
            if outcome.status != "filled":
                raise ValueError(f"{position} was not opened: {outcome.status}, {outcome.reason}")

    # --- prices --------------------------------------------------------------------------------------------------

    def publish(self, prices: Mapping[str, int], seconds: int = BLOCK_SECONDS) -> None:
        """All sources say these prices, and pools are traded there. Raises ValueError where one isn't recorded."""
        said = {market: dict.fromkeys(self.world.names(market), Said(price)) for market, price in prices.items()}
        bounds = {market: dict.fromkeys(self.world.bounds(market), price) for market, price in prices.items()}
        for market, done in self.say(said, seconds=seconds, bounds=bounds).items():
            if not isinstance(done, Recorded):
                raise ValueError(f"{market}: {prices[market]} was not recorded: {done}")

    def say(
        self,
        said: Mapping[str, Mapping[str, Said]],
        *,
        seconds: int = BLOCK_SECONDS,
        bounds: Mapping[str, Mapping[str, int]] | None = None,
    ) -> dict[str, Recorded | str]:
        """What pull sources of markets say in a block of its own, and push sources, by name; and what became of it.

        A record, or why there is none: "skipped", or the name of the refusal.
        """
        self.mirror.begin(self.now + seconds)
        return self.world.say(self.now, said, bounds or {})

    def settle_down(self, prices: Mapping[str, int]) -> int:
        """Publish until the pools' averages have followed and every market is open. Returns the seconds it took.

        Raises ValueError where they don't within an hour.
        """
        start = self.now
        while any(self.newest(market).state != OPEN for market in prices):
            if self.now - start > SECONDS_PER_HOUR:
                raise ValueError(f"not open after an hour: {[self.newest(market) for market in prices]}")
            self.publish(prices, seconds=FOLLOW_SECONDS)
        return self.now - start

    def report_missing(self, market: str, source: str, *, seconds: int = BLOCK_SECONDS) -> None:
        """Somebody reports a silent source. Raises ValueError where the report is refused."""
        self.mirror.begin(self.now + seconds)
        if not self.world.report_missing(self.now, market, source):
            raise ValueError(f"{market}: source {source} can't be reported")

    def sequencer(self, *, down: bool, since: int, seconds: int = BLOCK_SECONDS) -> None:
        """In a block of its own its feed learns from L1 that the sequencer is down, or up again, since then."""
        self.mirror.begin(self.now + seconds)
        self.world.sequencer(self.now, down=down, since=since)

    def price(self, market: str) -> int:
        return self.mirror.price(self.market_ids[market])

    def newest(self, market: str) -> Record:
        newest = self.mirror.markets[self.market_ids[market]].newest
        if newest is None:
            raise ValueError(f"{market} has no price")
        return newest

    # --- looking -------------------------------------------------------------------------------------------------

    def health(self, name: str) -> Health:
        return self.mirror.health(self.account(name))

    def base(self, name: str, market: str) -> int:
        return self.mirror.base_of(self.account(name), self.market_ids[market])

    def equity(self, name: str) -> int:
        return self.mirror.model.equity(self.account(name), self.now)

    def cash(self, name: str) -> int:
        return self.mirror.model.cash_of(self.account(name))

    def liquidatable(self) -> list[str]:
        """Who may be liquidated at the newest prices, if a market is usable for it."""
        return [name for name in self.keys if self.mirror.model.is_liquidatable(self.account(name), self.now)]

    def fund(self) -> int:
        return self.mirror.model.cash_of(self.mirror.model.state.fund_account)

    # --- keepers -------------------------------------------------------------------------------------------------

    def liquidate(
        self, prices: Mapping[str, int], publish: Callable[[Mapping[str, int]], object] | None = None
    ) -> list[Applied]:
        """The liquidator at work, prices published again and again, until nobody is left. Returns what it did.

        Raises ValueError where somebody is left after many rounds.
        """
        keeper = Liquidations(self.mirror, None)
        done: list[Applied] = []
        for _ in range(ROUNDS):
            if not (names := self.liquidatable()):
                return done
            with self.block():
                for action in keeper.due([self.account(name) for name in names]):
                    applied = self.mirror.attempt(action)
                    if isinstance(applied, Applied):
                        done.append(applied)
            (publish or self.publish)(prices)
        raise ValueError(f"{', '.join(self.liquidatable())} can't be liquidated in {ROUNDS} rounds")

    # --- the end -------------------------------------------------------------------------------------------------

    def learn_prices(self) -> None:
        """Tell the model what was recorded before there was a stage."""
        oracle = self.devnet.contract("OracleAggregator")
        for market_id in self.mirror.markets:
            record = unpack_record(oracle.call("newest", market_id))
            if record is not None:
                self.mirror.model.record_price(market_id, *record[:4])

    def fill_pool_and_fund(self) -> None:
        """The provider enters both by requests."""
        provider = self.roles.provider.number
        self.do(
            Deposit(ids.pack(provider), (POOL_DOLLARS + FUND_DOLLARS) * 10**6),
            RequestEntry("pool", provider, POOL_DOLLARS * 10**6),
            RequestEntry("fund", provider, FUND_DOLLARS * 10**6),
        )
        model = self.mirror.model
        delay = max(model.pool.params.deposit_delay, model.fund.params.deposit_delay)
        self.do(ExecuteRequest("pool", 1), ExecuteRequest("fund", 1), seconds=delay)

    def finish(self) -> None:
        """Every stored word once more, the three sums, and the fund's ledger; each is a promise."""
        healths = {
            account: self.mirror.health(account)
            for account in self.layout.accounts
            if self.mirror.model.markets_bitmap(account)
        }
        accounts = [self.account(name) for name in self.keys]
        promises = Promises(self.mirror.markets, accounts, (), self._orders)
        check = check_of(self.mirror, self.layout, 0, promises, healths)
        self._chain.check(check)
        compared = self._chain.finish()
        sums, notes = compared.sums, self.notes
        bases = {market: sums.base[market_id] for market, market_id in self.market_ids.items()}
        bound = check.dust_bound + sums.rounding
        notes.promise("Σ base = 0 in every market, to the dust", True, f"{bases} wei")
        notes.promise("Σ claims = tokens, to the dust", True, f"{sums.dust} of {check.dust_bound} wei")
        notes.promise("Σ equity = tokens, to the dust", True, f"{sums.equity} of −{bound} wei")
        differences = compared.mismatches + self.world.mismatches
        notes.promise(
            "contracts = reference model, to the wei",
            differences == 0,
            self._chain.first_difference or f"{compared.comparisons + self.world.comparisons} comparisons",
        )
        contracts = Contracts(self.devnet.chain, self.devnet.addresses)
        wrong, count = _wrong_receipts(contracts)
        notes.promise("each liquidation's receipt is right", not wrong, wrong or f"{count} receipts")
        ledger = read_ledger(contracts)
        notes.promise("the fund's ledger from events = its balance", ledger.is_right, f"{len(ledger.entries)} entries")


def _wrong_receipts(contracts: Contracts) -> tuple[list[str], int]:
    """What is wrong with receipts of liquidations, and how many there are."""
    liquidator = contracts.liquidator
    topics = [liquidator.interface.events[name].topic for name in ("Liquidated", "TakenOver", "Absorbed")]
    logs = contracts.chain.logs(liquidator, [topics])
    wrong = []
    hashes = dict.fromkeys(log.tx_hash for log in logs)
    for tx_hash in hashes:
        receipt = receipt_of(contracts, tx_hash)
        figures = [one.name for step in receipt.checked for one in step.figures if one.said not in (None, one.found)]
        if not receipt.is_right:
            wrong.append(f"{tx_hash}: {', '.join(figures) or 'stored words'}")
    return wrong, len(hashes)


def bad_debt(steps: Iterable[Applied]) -> int:
    """What accounts left unpaid in the liquidator's steps, WAD dollars."""
    return sum(step.debt for applied in steps for step in applied.result)


@contextmanager
def staged(
    notes: Notes,
    *traders: str,
    prices: Mapping[str, int] = PRICES,
    start: int = START,
    deploy: Deploy = deploy_in_process,
) -> Iterator[Stage]:
    """A stage with pool, fund and first prices; its sums are checked at the end, unless something ended it before."""
    with boot_devnet(
        timestamp=start, prices=prices, trader_dollars=0, pool_dollars=0, fund_dollars=0, deploy=deploy
    ) as devnet:
        stage = Stage(devnet, traders, notes)
        stage.learn_prices()
        stage.fill_pool_and_fund()
        stage.publish(prices)
        yield stage
        stage.finish()
