"""A whole deployed core on the EVM of `tests.support.evm`, and the few steps that nearly every test takes.

    core = deploy_core(evm)                          # markets 1 (ETH at 3,000), 2 (BTC at 40,000), a pool with capital
    trader = core.trader("trader", 10_000)           # a cross account with 10,000 dollars of cash
    core.open(trader, ETH, 2 * WAD)                  # place, wait, record, execute
    core.record(ETH, 2_900 * WAD)
    core.check_sums()                                # the ledger adds up over every account that the core saw

Time moves only in `tick` and `open`. Dollars in arguments named `dollars` are whole dollars; all else is WAD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_utils import keccak

from plimsoll.chain.abi import address_of, checksum
from tests.support.evm import DEPLOYER, ZERO_ADDRESS, Contract, Evm, Receipt, known

WAD = 10**18
ETH, BTC = 1, 2
ETH_PRICE, BTC_PRICE = 3_000 * WAD, 40_000 * WAD
OPEN, DOUBTFUL, GRACE, DOWN = range(4)
MARKET_ORDER, LIMIT_ORDER, STOP_LOSS, TAKE_PROFIT = range(4)
GOOD_TILL_TIME, POST_ONLY, IMMEDIATE_OR_CANCEL, FILL_OR_KILL = range(4)
NO_PARENT = bytes(32)
ADMIN_ROLE, RISK_ROLE, GUARDIAN_ROLE, LISTING_ROLE = range(4)
MAX_PRICE = 2**256 - 1
POOL_DOLLARS = 20_000_000
FUND_DOLLARS = 1_000_000


L2_MESSENGER, L2_BRIDGE = "0x4200000000000000000000000000000000000007", "0x4200000000000000000000000000000000000010"


def actor(name: str) -> str:
    """An address without code for a role: the same name always has the same one."""
    return checksum(name.encode().rjust(20, b"\1")[-20:])


ADMIN = DEPLOYER
"""Holds ADMIN; the others below hold the role of their name. None has a delay unless the test sets one."""
RISK, GUARDIAN, LISTING = actor("risk"), actor("guardian"), actor("listing")
TREASURY, KEEPER, PROVIDER = actor("treasury"), actor("keeper"), actor("provider")

ETH_PARAMS: dict[str, Any] = {
    "imBaseBps": 425,
    "imSlopeBps": 10_000,
    "mmFractionBps": 6_000,
    "penaltyBps": 75,
    "keeperMinCents": 200,
    "makerBps": 2,
    "takerBps": 6,
    "insuranceShareBps": 2_000,
    "treasuryShareBps": 1_000,
    "maxSkewBps": 250,
    "openInterestBps": 20_000,
    "exposureBps": 10_000,
    "minPositionUsd": 1_000,
    "maxFundingVelocity": 2 * WAD,
    "maxFundingRate": 8 * WAD // 100,
    "kinkBps": 8_000,
    "rateAtKinkBps": 2,
    "rateAtFullBps": 20,
    "maxPriceAge": 15,
    "staleWidenBps": 500,
    "isolatedOnly": False,
}
BTC_PARAMS = {**ETH_PARAMS, "penaltyBps": 60}
SCALES = {ETH: 333_333 * WAD, BTC: 37_500 * WAD}
PARAMS = {ETH: ETH_PARAMS, BTC: BTC_PARAMS}
PRICES = {ETH: ETH_PRICE, BTC: BTC_PRICE}
ORDER_CONFIG = {
    "executionFee": WAD // 2,
    "feeReserveBps": 6,
    "settlementDelay": 2,
    "settlementWindow": 3,
    "relayFee": WAD // 10,
}
WEIGHTS = {1: [10_000], 2: [5_000, 5_000]}

ROLES = {
    "configurator": {
        "listMarket": LISTING_ROLE,
        "setParams": RISK_ROLE,
        "haltOpening": GUARDIAN_ROLE,
        "resumeOpening": RISK_ROLE,
    },
    "order_book": {"setOrderConfig": LISTING_ROLE},
    "liquidator": {"setGasMarket": RISK_ROLE},
    "pool": {"setDelays": RISK_ROLE, "setWeights": RISK_ROLE, "moveCapital": RISK_ROLE},
    "fund": {"setDelays": RISK_ROLE},
}


def account_id(owner: Any, isolated_market: int = 0, index: int = 0) -> int:
    """owner (160) | isolatedMarket (32) | index (64)."""
    return int(address_of(owner), 16) << 96 | isolated_market << 64 | index


def owner_of(account: int) -> str:
    return checksum((account >> 96).to_bytes(20, "big"))


def created_address(sender: Any, nonce: int) -> str:
    """Where `sender` deploys with that nonce: keccak(rlp([sender, nonce]))."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = number if nonce and nonce < 0x80 else bytes([0x80 + len(number)]) + number
    payload = b"\x94" + bytes.fromhex(address_of(sender)[2:]) + item
    return checksum(keccak(bytes([0xC0 + len(payload)]) + payload)[12:])


@dataclass
class Core:
    """The deployed contracts, and what the helpers remember between calls."""

    evm: Evm
    token: Contract
    governance: Contract
    oracle: Contract
    vault: Contract
    operations: Contract
    market: Contract
    configurator: Contract
    matching: Contract
    order_book: Contract
    liquidator: Contract
    pool: Contract
    fund: Contract
    lens: Contract
    gateway: Contract | None
    """None where there is no bridge."""
    addresses: dict[str, str]
    """The struct Core that the constructors took."""
    prices: dict[int, int] = field(default_factory=dict)
    accounts: dict[int, None] = field(default_factory=dict)
    """Every account that `check_sums` adds up; an ordered set."""
    _salt: int = 0

    # --- accounts and money ---

    @property
    def unit(self) -> int:
        """WAD dollars of one token unit."""
        return 10 ** (18 - self.token.decimals())

    def amount(self, dollars: int) -> int:
        """Token units of whole dollars."""
        return dollars * WAD // self.unit

    def track(self, account: int) -> int:
        """Make `check_sums` count an account."""
        self.accounts[account] = None
        return account

    def trader(self, name: str, dollars: int = 0, isolated_market: int = 0, index: int = 0) -> int:
        """An account of `actor(name)`, with that much cash."""
        account = self.track(account_id(actor(name), isolated_market, index))
        if dollars:
            self.fund_account(account, dollars)
        return account

    def fund_account(self, account: int, dollars: int) -> Receipt:
        """Deposit newly minted tokens as the account's owner."""
        return self.deposit(account, self.amount(dollars))

    def deposit(self, account: int, amount: int) -> Receipt:
        """As `fund_account`, in token units."""
        owner = owner_of(self.track(account))
        self.token.mint(owner, amount)
        self.token.approve(self.vault, amount, sender=owner)
        receipt: Receipt = self.vault.deposit(account, amount, sender=owner)
        return receipt

    def post(self, account: int, cash: int) -> None:
        """Change an account's cash from nowhere, with the tokens for it (none are burnt): only to set up a state."""
        self.track(account)
        if cash > 0:
            self.token.mint(self.vault, -(-cash // self.unit))
        self.vault.post([(account, cash, 0, 0)], sender=self.pool)

    def cash(self, account: int) -> int:
        cash: int = self.vault.cashOf(account)
        return cash

    def pool_account(self, market: int) -> int:
        return account_id(self.pool, market)

    @property
    def fund_main(self) -> int:
        """The insurance fund's account."""
        return account_id(self.fund)

    def give_pool(self, dollars: int = POOL_DOLLARS, weights: Sequence[int] | None = None) -> None:
        """Capital without shares, straight into the pool's market accounts; `enter` is the way that providers take."""
        count = self.market.marketCount()
        for market, weight in enumerate(weights or WEIGHTS[count], start=1):
            self.post(self.pool_account(market), dollars * WAD * weight // 10_000)

    def give_fund(self, dollars: int = FUND_DOLLARS) -> None:
        """Cash without shares."""
        self.post(self.fund_main, dollars * WAD)

    # --- the share vaults: `vault` is `core.pool` or `core.fund` ---

    def request_deposit(self, vault: Contract, account: int, assets: int) -> int:
        """Ask to enter with `assets` token units of an account's cash. Returns the request's id."""
        owner = owner_of(self.track(account))
        request: int = vault.requestDeposit(assets, owner, owner, sender=owner).value
        return request

    def request_redeem(self, vault: Contract, account: int, shares: int) -> int:
        owner = owner_of(account)
        request: int = vault.requestRedeem(shares, owner, owner, sender=owner).value
        return request

    def execute_request(self, vault: Contract, request: int, prices: Mapping[int, int] | None = None) -> Receipt:
        """Wait until the request is mature, record every market, execute."""
        self.tick(max(0, vault.request(request).maturity - self.evm.timestamp), prices)
        receipt: Receipt = vault.executeRequest(request, sender=KEEPER)
        return receipt

    def enter(self, vault: Contract, account: int, dollars: int) -> int:
        """Pay in new tokens, ask, wait, execute. Returns the shares."""
        self.fund_account(account, dollars)
        receipt = self.execute_request(vault, self.request_deposit(vault, account, self.amount(dollars)))
        shares: int = receipt.event("Deposit")["shares"]
        return shares

    def leave(self, vault: Contract, account: int, shares: int | None = None) -> int:
        """Ask to redeem shares, all without a number, wait, execute. Returns the assets, token units."""
        shares = vault.balanceOf(owner_of(account)) if shares is None else shares
        receipt = self.execute_request(vault, self.request_redeem(vault, account, shares))
        assets: int = receipt.event("Withdraw")["assets"]
        return assets

    # --- prices and time ---

    def record(
        self,
        market: int,
        price: int | None = None,
        confidence: int = 0,
        published_at: int | None = None,
        state: int = OPEN,
    ) -> int:
        """Record a price, published now unless told otherwise; without one, the last again. Returns publishedAt."""
        price = self.prices[market] if price is None else price
        published_at = self.evm.timestamp if published_at is None else published_at
        self.oracle.record(market, price, confidence, published_at, state)
        self.prices[market] = price
        return published_at

    def tick(self, seconds: int = 1, prices: Mapping[int, int] | None = None, *, state: int = OPEN) -> None:
        """Let time pass, then record every market, at its last price where none is given."""
        self.evm.advance(seconds)
        if not seconds:
            return
        for market in self.prices:
            self.record(market, (prices or {}).get(market), state=state)

    # --- orders ---

    def order(
        self,
        account: int,
        market: int,
        base: int,
        *,
        kind: int = MARKET_ORDER,
        acceptable: int | None = None,
        trigger: int = 0,
        reduce_only: bool = False,
        time_in_force: int = GOOD_TILL_TIME,
        expiry: int = 0,
        parent: bytes = NO_PARENT,
        salt: int | None = None,
        counter: int = 0,
    ) -> dict[str, Any]:
        """An order as the order book takes it, with a salt of its own and any price acceptable."""
        self._salt += 1
        return {
            "account": account,
            "marketId": market,
            "kind": kind,
            "base": base,
            "acceptablePrice": (MAX_PRICE if base > 0 else 0) if acceptable is None else acceptable,
            "triggerPrice": trigger,
            "reduceOnly": reduce_only,
            "timeInForce": time_in_force,
            "expiry": expiry,
            "parent": parent,
            "salt": counter << 128 | (self._salt if salt is None else salt),
        }

    def place(self, order: Mapping[str, Any]) -> Receipt:
        """Place as the account's owner."""
        receipt: Receipt = self.order_book.place(order, sender=owner_of(self.track(order["account"])))
        return receipt

    def execute(self, order: Mapping[str, Any], sender: Any = KEEPER) -> Receipt:
        self.track(account_id(sender))
        receipt: Receipt = self.order_book.execute(order, [], sender=sender)
        return receipt

    def settle(self, order: Mapping[str, Any], price: int | None = None, confidence: int = 0) -> Receipt:
        """Wait out the settlement delay of an order that was just placed, record every market, execute."""
        config, _, _ = self.order_book.queue(order["marketId"])
        self.evm.advance(config.settlementDelay)
        for market in self.prices:
            if market == order["marketId"]:
                self.record(market, price, confidence)
            else:
                self.record(market)
        return self.execute(order)

    def try_open(self, account: int, market: int, base: int, **options: Any) -> Receipt:
        """Place a market order, wait, record, execute; whatever becomes of it."""
        order = self.order(account, market, base, **options)
        self.place(order)
        return self.settle(order)

    def open(self, account: int, market: int, base: int, **options: Any) -> Receipt:
        """As `try_open`, and the order is filled."""
        receipt = self.try_open(account, market, base, **options)
        failed = receipt.events("OrderFailed")
        assert not failed, f"the order failed: {known().registry.decode_error(failed[0]['reason'])}"
        receipt.event("OrderExecuted")
        return receipt

    def close(self, account: int, market: int, **options: Any) -> Receipt:
        """Close the account's position at the last price."""
        base, _, _ = self.market.position(account, market)
        return self.open(account, market, -base, reduce_only=True, **options)

    # --- governance ---

    def halt(self, market: int, seconds: int) -> None:
        self.configurator.haltOpening(market, self.evm.timestamp + seconds, sender=GUARDIAN)

    def set_params(self, market: int, **changes: Any) -> None:
        """Change parameters of a market; the others as they were listed."""
        self.configurator.setParams(market, {**PARAMS.get(market, ETH_PARAMS), **changes}, sender=RISK)

    def list_market(self, price: int, scale: int, params: Mapping[str, Any] = ETH_PARAMS) -> int:
        """List one more market and record its first price now."""
        market: int = self.market.marketCount() + 1
        self.configurator.listMarket(market, scale, params, sender=LISTING)
        self.order_book.setOrderConfig(market, ORDER_CONFIG, sender=LISTING)
        self.record(market, price)
        return market

    # --- the ledger ---

    def known_accounts(self) -> list[int]:
        """All that were touched by the helpers, and the protocol's own, those in escrow included."""
        own = [self.pool_account(market) for market in range(self.market.marketCount() + 1)]
        escrow = [account_id(vault, 0, 1) for vault in (self.pool, self.fund)]
        return list(dict.fromkeys([*self.accounts, *own, self.fund_main, *escrow, account_id(TREASURY)]))

    def check_sums(self, dust_bound: int = 10**6, base_dust: int = 0, accounts: Sequence[int] = ()) -> int:
        """Assert that |Σ base| ≤ base_dust a market and that 0 ≤ dust ≤ dust_bound; returns the dust, WAD dollars.

        Σ cash + Σ quote − Σ owed + unswept fees = tokens held − dust, over every account known and those named.
        """
        everyone = list(dict.fromkeys([*self.known_accounts(), *accounts]))
        total = sum(self.cash(account) for account in everyone)
        for market in range(1, self.market.marketCount() + 1):
            positions = [self.market.position(account, market) for account in everyone]
            excess = sum(base for base, _, _ in positions)
            assert abs(excess) <= base_dust, f"market {market}: the bases add up to {excess}"
            total += sum(quote - owed for _, quote, owed in positions)
            total += sum(self.market.unsweptFees(market))
        dust: int = self.token.balanceOf(self.vault) * self.unit - total
        assert 0 <= dust <= dust_bound, f"the ledger is {dust} short of the tokens held"
        return dust


def deploy_core(
    evm: Evm,
    *,
    decimals: int = 6,
    markets: int = 2,
    pool_dollars: int = POOL_DOLLARS,
    fund_dollars: int = 0,
    market_contract: str = "PerpMarket",
    oracle: Contract | None = None,
    l1_gateway: str | None = None,
) -> Core:
    """Deploy everything, list the first `markets` of ETH and BTC and record their prices now.

    Pool and fund get their capital from `PROVIDER`, who enters through requests: a minute passes for each. Another
    oracle than the mock has to have prices of its own: none is recorded. With an `l1_gateway` there is a gateway to L1
    too, with mocks of messenger and bridge at their places.
    """
    token = evm.deploy("MockToken", "Dollar", "USD", decimals)
    governance = evm.deploy("Governance", ADMIN)
    records = oracle or evm.deploy("MockPriceRecords")
    names = ["vault", "operations", "market", "configurator", "matching", "order_book", "liquidator", "pool", "fund"]
    names += [] if l1_gateway is None else ["gateway"]
    first = evm.nonce(DEPLOYER)
    at = {name: created_address(DEPLOYER, first + number) for number, name in enumerate(names)}
    addresses = {
        "token": token.address,
        "authority": governance.address,
        "vault": at["vault"],
        "market": at["market"],
        "operations": at["operations"],
        "configurator": at["configurator"],
        "orderBook": at["order_book"],
        "matching": at["matching"],
        "liquidator": at["liquidator"],
        "pool": at["pool"],
        "fund": at["fund"],
        "oracle": records.address,
        "treasury": TREASURY,
        "gateway": at.get("gateway", ZERO_ADDRESS),
    }
    contracts = {
        "vault": evm.deploy("MarginVault", addresses),
        "operations": evm.deploy("MarketOperations", addresses),
        "market": evm.deploy(market_contract, addresses),
        "configurator": evm.deploy("MarketConfigurator", addresses),
        "matching": evm.deploy("Matching", addresses),
        "order_book": evm.deploy("OrderBook", addresses),
        "liquidator": evm.deploy("Liquidator", addresses),
        "pool": evm.deploy("LiquidityPool", addresses, "Plimsoll Pool", "pPOOL"),
        "fund": evm.deploy("InsuranceFund", addresses, "Plimsoll Insurance", "pFUND"),
    }
    if l1_gateway is not None:
        for address, mock in ((L2_MESSENGER, "MockMessenger"), (L2_BRIDGE, "MockBridge")):
            evm.set_code(address, known().type(mock).artifact.runtime)
        contracts["gateway"] = evm.deploy("L2Gateway", addresses, l1_gateway)
    for name, contract in contracts.items():
        assert contract.address == at[name], f"{name} is at {contract.address}, not at {at[name]}"
    contracts["lens"] = evm.deploy("Lens", addresses)
    core = Core(evm, token, governance, records, **{"gateway": None, **contracts}, addresses=addresses)  # type: ignore[arg-type]
    _set_roles(core)

    for market in (ETH, BTC)[:markets]:
        core.configurator.listMarket(market, SCALES[market], PARAMS[market], sender=LISTING)
        core.order_book.setOrderConfig(market, ORDER_CONFIG, sender=LISTING)
        if oracle is None:
            core.record(market, PRICES[market])
    if markets:
        core.pool.setWeights(WEIGHTS[markets], sender=RISK)
    if pool_dollars and markets:
        core.enter(core.pool, account_id(PROVIDER), pool_dollars)
    if fund_dollars:
        core.enter(core.fund, account_id(PROVIDER), fund_dollars)
    return core


def _set_roles(core: Core) -> None:
    for role, member in ((RISK_ROLE, RISK), (GUARDIAN_ROLE, GUARDIAN), (LISTING_ROLE, LISTING)):
        core.governance.grantRole(role, member, 0, sender=ADMIN)
    for name, functions in ROLES.items():
        contract: Contract = getattr(core, name)
        for function, role in functions.items():
            selector = getattr(contract, function).selector
            core.governance.setTargetFunctionRole(contract, [selector], role, sender=ADMIN)
