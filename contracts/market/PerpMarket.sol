// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Fill, IMarketOperations} from "interfaces/market/IMarketOperations.sol";
import {Exchange, IPerpMarket, Standing, Trade} from "interfaces/market/IPerpMarket.sol";
import {IMarginGuard} from "interfaces/vault/IMarginVault.sol";
import {FundingMath} from "../libraries/FundingMath.sol";
import {LiquidationTerms} from "../libraries/LiquidationTerms.sol";
import {MarginMath} from "../libraries/MarginMath.sol";
import {Permissions} from "../libraries/Permissions.sol";
import {PositionMath} from "../libraries/PositionMath.sol";
import {TradeMath} from "../libraries/TradeMath.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountBalance, AccountIds, Core, Posting} from "../types/Accounts.sol";
import {LiquidityConfig, MarginConfig, MarketWords, TradingConfig} from "../types/MarketConfig.sol";
import {MarketState, Position} from "../types/MarketState.sol";
import {PriceRecord} from "../types/PriceRecord.sol";
import {MarketLedger} from "./MarketLedger.sol";

/// @title PerpMarket
/// @notice Positions, funding, fills and margin of all markets. Every fill is one transfer between two accounts.
contract PerpMarket is IPerpMarket, IMarginGuard, MarketLedger {
    using AccountIds for uint256;
    using WadMath for int256;

    uint256 public constant MAX_MARKETS_AN_ACCOUNT = 8;
    /// @dev Of what a reduction closes: else closing dust, again and again, would draw out a position's margin.
    uint256 private constant EXECUTION_FEE_MAX_BPS = 100;

    address private immutable OPERATIONS;

    /// @dev The sums of a reduction, in the order in which they are paid.
    struct Charges {
        uint256 execution;
        uint256 fee;
        uint256 surcharge;
        uint256 reward;
    }

    /// @dev One side of an exchange before its fill: the account's other markets, and its health where it reduces.
    struct Before {
        bool reduces;
        int256 othersValue;
        uint256 othersRequired;
        int256 equity;
        uint256 required;
    }

    /// @dev What a valuation adds up: collateral against initial margin, or equity against maintenance or initial margin.
    enum Measure {
        Free,
        Health,
        Index,
        IndexInitial
    }

    constructor(Core memory core) MarketLedger(core) {
        OPERATIONS = core.operations;
    }

    // --- fills ---

    /// @inheritdoc IPerpMarket
    /// @custom:req PM-01
    function trade(Trade calldata t)
        external
        onlyModule(ORDER_BOOK)
        notInFlash
        returns (int256 base, uint256 fillPrice_, uint256 fee)
    {
        _requireOwnMarket(t.account, t.marketId, _configs[t.marketId].trading);
        Context memory c = _open(t.account, t.marketId, t.newest.price());
        _deleverage(c, t.newest.price());
        _settle(c);
        base = t.reduceOnly ? _clampToReduce(c, t.base) : t.base;
        if (base == 0) revert PerpMarket_ZeroSize();

        int256 held = c.position.base;
        int256 quote;
        bool reduces = held != 0 && (held > 0) != (base > 0) && base.abs() <= held.abs();
        (int256 othersValue, uint256 othersRequired) = reduces
            ? _value(c.account, c.markets & ~_bit(c.marketId), Measure.Health)
            : _requireMayGrow(c, t.record, true);

        (fillPrice_, quote) =
            TradeMath.fill(c.config.trading, c.state.skew(), base, t.record.price(), t.record.confidence());
        if (fillPrice_ == 0) revert PerpMarket_PriceOutOfRange(t.marketId);
        if (base > 0 ? fillPrice_ > t.acceptablePrice : fillPrice_ < t.acceptablePrice) {
            revert PerpMarket_PriceNotAcceptable(fillPrice_, t.acceptablePrice);
        }

        Charges memory charges;
        charges.fee = TradeMath.fee(c.config.trading, c.state.skew(), base, quote);
        if (reduces) {
            _chargeReduction(c, t, base, quote, othersValue, othersRequired, charges);
        } else {
            charges.execution = t.executionFee;
        }

        int256 skewBefore = c.state.skew();
        int256 released = PositionMath.fill(c.position, c.state, base, quote);
        c.state.poolQuote -= quote;
        _requireMinimum(c, t.record.price());
        if (!reduces) _requireLimits(c, t.record.price(), skewBefore, base > 0);

        c.cash += released - int256(charges.fee + charges.surcharge + charges.execution);
        c.reserved -= t.reserved;
        fee = charges.fee;
        _splitFee(c.marketId, c.state, fee, charges.surcharge - charges.reward);
        if (!reduces) _requireMarginAfter(c, t.record.price(), base, quote, othersValue, othersRequired);

        if (c.state.skew().abs() > skewBefore.abs()) _deleverage(c, t.newest.price());
        _save(c, t.reserved, t.executor, charges.execution + charges.reward);
        emit Traded(t.account, t.marketId, base, quote, fillPrice_, fee, c.position.base, c.position.quote);
    }

    /// @inheritdoc IPerpMarket
    /// @custom:req PM-03
    function exchange(Exchange calldata x) external {
        bool isMatch = msg.sender == ORDER_BOOK;
        if (!isMatch) {
            if (msg.sender != LIQUIDATOR) revert PerpMarket_NotModule(msg.sender);
            if (_isFlashPending) revert PerpMarket_FlashPending();
            _isFlashPending = x.isFlash;
        }
        PriceRecord newest = x.newest;
        Context memory to = _open(x.to, x.marketId, newest.price());
        int256 capital = isMatch ? _deleverage(to, newest.price()) : int256(0);
        _settle(to);
        Before memory toBefore = _before(to, newest, x.base, x.toReduceOnly, isMatch);
        _transfer(to, newest.price(), x.from, x.base, x.quote, x.toFee + x.payment);
        Context memory from = _join(to, x.from);
        Before memory fromBefore;
        if (isMatch) {
            fromBefore = _before(from, newest, -x.base, x.fromReduceOnly, true);
            _transfer(from, newest.price(), x.to, -x.base, -x.quote, x.fromFee);
            _requireInterests(to, newest.price(), x.base > 0, toBefore, fromBefore, capital);
        } else {
            _transfer(from, 0, x.to, -x.base, -x.quote, x.fromFee);
        }
        _splitFee(x.marketId, to.state, x.fromFee + x.toFee, 0);
        if (!x.isFlash) _requireSound(to, newest, x.base, x.quote, toBefore);
        if (isMatch) _requireSound(from, newest, -x.base, -x.quote, fromBefore);

        _markets[x.marketId].store(to.state);
        Posting[] memory postings = new Posting[](x.payment == 0 ? 2 : 3);
        postings[0] = _posting(to, 0);
        postings[1] = _posting(from, 0);
        if (x.payment != 0) postings[2] = Posting(AccountIds.main(x.payee), int256(x.payment), 0, 0);
        VAULT.post(postings);
    }

    /// @inheritdoc IPerpMarket
    function endFlash(uint256 account) external onlyModule(LIQUIDATOR) {
        _isFlashPending = false;
        AccountBalance balance = VAULT.balanceOf(account);
        (int256 value, uint256 required) = _value(account, balance.markets(), Measure.Free);
        value += balance.cash() - int256(balance.reserved());
        if (value < int256(required)) revert PerpMarket_InsufficientMargin(account, value, required);
    }

    /// @dev The open interest of the sides that a match made grow.
    function _requireInterests(
        Context memory c,
        uint256 price,
        bool isBuy,
        Before memory to,
        Before memory from,
        int256 capital
    ) private pure {
        if (to.reduces && from.reduces) return;
        uint256 limit = _interestLimit(c, capital);
        if (!to.reduces) _requireInterest(c.state, price, isBuy, limit);
        if (!from.reduces) _requireInterest(c.state, price, !isBuy, limit);
    }

    /// @dev Another account in the market of a context: the same state, accrued.
    function _join(Context memory other, uint256 account) private view returns (Context memory c) {
        (c.account, c.marketId, c.config, c.state) = (account, other.marketId, other.config, other.state);
        (c.balance, c.poolCash) = (VAULT.balanceOf(account), other.poolCash);
        _settle(c);
    }

    /// @dev Whether a side of an exchange may be filled, and what its margin is judged by afterwards.
    function _before(Context memory c, PriceRecord newest, int256 base, bool reduceOnly, bool isMatch)
        private
        view
        returns (Before memory b)
    {
        int256 held = c.position.base;
        b.reduces = held != 0 && (held > 0) != (base > 0) && base.abs() <= held.abs();
        if (reduceOnly && !b.reduces) revert PerpMarket_NothingToReduce(c.account, c.marketId);
        _requireOwnMarket(c.account, c.marketId, c.config.trading);
        if (b.reduces) {
            uint256 others = c.markets & ~_bit(c.marketId);
            (b.othersValue, b.othersRequired) = _value(c.account, others, Measure.Health);
            (b.equity, b.required) = _healthWith(c, newest, b);
        } else {
            (b.othersValue, b.othersRequired) = _requireMayGrow(c, newest, isMatch);
        }
    }

    /// @dev Health with what is known of the other markets: equity and maintenance at health prices.
    function _healthWith(Context memory c, PriceRecord newest, Before memory b)
        private
        view
        returns (int256 equity_, uint256 required)
    {
        (equity_, required) = (c.cash + b.othersValue, b.othersRequired);
        int256 base = c.position.base;
        if (base == 0) return (equity_, required);
        uint256 price = MarginMath.healthPrice(c.config.trading, newest, base, false);
        equity_ += base.worthDown(price) + c.position.quote;
        required += MarginMath.maintenance(c.config.margin, c.config.trading, base.abs(), price);
    }

    /// @dev One side's part of an exchange, in memory.
    function _transfer(Context memory c, uint256 price, uint256 counter, int256 base, int256 quote, uint256 charge)
        private
    {
        c.cash += PositionMath.fill(c.position, c.state, base, quote) - int256(charge);
        if (price != 0) _requireMinimum(c, price);
        _positions[c.account][c.marketId].store(c.position);
        emit Filled(c.account, c.marketId, counter, base, quote, c.position.base, c.position.quote);
    }

    /// @dev A side that grew passes the test of opening; one that shrank is not left sicker.
    function _requireSound(Context memory c, PriceRecord newest, int256 base, int256 quote, Before memory b)
        private
        view
    {
        if (!b.reduces) {
            _requireMarginAfter(c, newest.price(), base, quote, b.othersValue, b.othersRequired);
            return;
        }
        (int256 equity_, uint256 required) = _healthWith(c, newest, b);
        if (equity_ < int256(required) && equity_ * int256(b.required) < b.equity * int256(required)) {
            revert PerpMarket_LessHealthy(c.account, equity_, required);
        }
    }

    // --- passed on to the other part ---

    /// @inheritdoc IMarketOperations
    function fill(Fill calldata) external returns (int256, uint256) {
        return abi.decode(_passOn(), (int256, uint256));
    }

    /// @inheritdoc IMarketOperations
    function closeAgainstSide(uint256, uint256, uint256) external {
        _passOn();
    }

    /// @inheritdoc IMarketOperations
    function settle(uint256, uint256) external {
        _passOn();
    }

    /// @inheritdoc IMarketOperations
    function closeMarket(uint256) external {
        _passOn();
    }

    /// @inheritdoc IMarketOperations
    function chargePool(uint256, uint256, int256) external {
        _passOn();
    }

    /// @inheritdoc IMarketOperations
    function accrue(uint256) external returns (bool) {
        return abi.decode(_passOn(), (bool));
    }

    /// @inheritdoc IMarketOperations
    function sweep(uint256) external {
        _passOn();
    }

    /// @inheritdoc IMarketOperations
    function configure(uint256, MarketWords calldata) external {
        _passOn();
    }

    /// @inheritdoc IMarketOperations
    function setHalt(uint256, uint256) external {
        _passOn();
    }

    function _passOn() private returns (bytes memory) {
        return Address.functionDelegateCall(OPERATIONS, msg.data);
    }

    /// @dev Closes what is due of the side opposite the pool: rare, so by the other part.
    /// @return capital What the pool has in the market at the price, WAD dollars.
    function _deleverage(Context memory c, uint256 price) private returns (int256 capital) {
        capital = FundingMath.capital(c.state, c.poolCash, price);
        if (!PositionMath.isDue(c.state.skew(), price, capital)) return capital;
        _markets[c.marketId].store(c.state);
        Address.functionDelegateCall(OPERATIONS, abi.encodeCall(IMarketOperations.accrue, (c.marketId)));
        c.state = _markets[c.marketId].load();
        capital = FundingMath.capital(c.state, c.poolCash, price);
    }

    // --- views ---

    /// @inheritdoc IMarginGuard
    /// @custom:req PM-07
    function freeCollateral(uint256 account, AccountBalance balance) external view returns (int256) {
        (int256 value, uint256 required) = _value(account, balance.markets(), Measure.Free);
        return balance.cash() - int256(balance.reserved()) + value - int256(required);
    }

    /// @inheritdoc IPerpMarket
    function position(uint256 account, uint256 marketId) external view returns (int256, int256, int256) {
        (MarketState memory s,) = _current(marketId);
        if (account == _poolAccount(marketId)) return (-s.skew(), s.poolQuote, 0);
        (Position memory p, int256 owed) = _settled(account, marketId, s);
        return (p.base, p.quote, owed);
    }

    /// @inheritdoc IPerpMarket
    function equity(uint256 account) external view returns (int256) {
        AccountBalance balance = VAULT.balanceOf(account);
        (int256 value,) = _value(account, balance.markets(), Measure.Index);
        return balance.cash() + value;
    }

    /// @inheritdoc IPerpMarket
    function requirements(uint256 account) external view returns (uint256 initial, uint256 maintenance) {
        uint256 markets = VAULT.balanceOf(account).markets();
        (, initial) = _value(account, markets, Measure.IndexInitial);
        (, maintenance) = _value(account, markets, Measure.Index);
    }

    /// @inheritdoc IPerpMarket
    function healthOf(uint256 account) external view returns (int256, uint256) {
        AccountBalance balance = VAULT.balanceOf(account);
        (int256 value, uint256 required) = _value(account, balance.markets(), Measure.Health);
        return (balance.cash() + value, required);
    }

    /// @inheritdoc IPerpMarket
    function standing(uint256 account, uint256 marketId) external view returns (Standing memory s) {
        MarketState memory state;
        (state, s.newest) = _current(marketId);
        (Position memory p, int256 owed) = _settled(account, marketId, state);
        (s.margin, s.trading) = (_configs[marketId].margin, _configs[marketId].trading);
        AccountBalance balance = VAULT.balanceOf(account);
        (s.base, s.quote, s.skew, s.markets) = (p.base, p.quote, state.skew(), balance.markets());
        (s.equity, s.maintenance) = _value(account, s.markets & ~_bit(marketId), Measure.Health);
        s.equity += balance.cash() - owed;
        if (p.base == 0) return s;
        uint256 price = MarginMath.healthPrice(s.trading, s.newest, p.base, false);
        s.equity += p.base.worthDown(price) + p.quote;
        s.maintenance += MarginMath.maintenance(s.margin, s.trading, p.base.abs(), price);
    }

    /// @inheritdoc IPerpMarket
    function skew(uint256 marketId) external view returns (int256) {
        return _markets[marketId].load().skew();
    }

    /// @inheritdoc IPerpMarket
    function fillPrice(uint256 marketId, int256 base) external view returns (uint256 price) {
        PriceRecord newest = ORACLE.newest(marketId);
        int256 k = _markets[marketId].load().skew();
        (price,) = TradeMath.fill(_configs[marketId].trading, k, base, newest.price(), newest.confidence());
        if (price == 0) revert PerpMarket_PriceOutOfRange(marketId);
    }

    /// @inheritdoc IPerpMarket
    function markPrice(uint256 marketId) external view returns (uint256) {
        int256 scale = int256(_configs[marketId].trading.scale());
        int256 marked = int256(ORACLE.newest(marketId).price()) * (scale + _markets[marketId].load().skew());
        return uint256(marked / scale);
    }

    /// @inheritdoc IPerpMarket
    function fundingRate(uint256 marketId) external view returns (int256) {
        (MarketState memory s,) = _current(marketId);
        return s.rate;
    }

    /// @inheritdoc IPerpMarket
    function openInterest(uint256 marketId) external view returns (uint256, uint256) {
        MarketState memory s = _markets[marketId].load();
        return (s.openLong, s.openShort);
    }

    /// @inheritdoc IPerpMarket
    function poolCapital(uint256 marketId) external view returns (int256, uint256) {
        (MarketState memory s, PriceRecord newest) = _current(marketId);
        Config storage config = _configs[marketId];
        int256 cash = VAULT.cashOf(_poolAccount(marketId));
        return (
            FundingMath.capital(s, cash, newest.price()),
            FundingMath.exposureLimit(s, config.trading, config.liquidity, cash, newest.price())
        );
    }

    /// @inheritdoc IPerpMarket
    function backedPrice(uint256 account, uint256 marketId, int256 base, uint256 price)
        external
        view
        returns (uint256)
    {
        (MarketState memory s,) = _current(marketId);
        int256 k = s.skew();
        int256 capital = FundingMath.capital(s, VAULT.cashOf(_poolAccount(marketId)), price);
        if (k == 0 || (k > 0) == (base > 0) || capital > 0) return price;
        (Position memory p,) = _settled(account, marketId, s);
        uint256 size = WadMath.max(k.abs(), WadMath.min(base.abs(), p.base.abs()));
        uint256 missing = WadMath.min(WadMath.divUp(uint256(-capital) * WadMath.WAD, size), price);
        uint256 scale = _configs[marketId].trading.scale();
        uint256 unpaid = (int256(scale) - k).positive(); // a fill against the skew is paid for it, by a pool that can't
        return k > 0 ? (price - missing) * unpaid / scale : WadMath.divUp((price + missing) * unpaid, scale);
    }

    /// @inheritdoc IPerpMarket
    function marketCount() external view returns (uint256) {
        return _marketCount;
    }

    /// @inheritdoc IPerpMarket
    function marketConfig(uint256 marketId) external view returns (MarginConfig, TradingConfig, LiquidityConfig) {
        Config storage config = _configs[marketId];
        return (config.margin, config.trading, config.liquidity);
    }

    /// @inheritdoc IPerpMarket
    function marketState(uint256 marketId) external view returns (MarketState memory s) {
        (s,) = _current(marketId);
    }

    /// @inheritdoc IPerpMarket
    function unsweptFees(uint256 marketId) external view returns (uint256, uint256) {
        return (_markets[marketId].insuranceFees, _markets[marketId].treasuryFees);
    }

    // --- one account in one market ---

    function _clampToReduce(Context memory c, int256 base) private pure returns (int256) {
        int256 held = c.position.base;
        if (held == 0 || (held > 0) == (base > 0)) revert PerpMarket_NothingToReduce(c.account, c.marketId);
        return base.abs() > held.abs() ? -held : base;
    }

    /// @dev What a reduction pays, out of what it leaves: execution fee, fee, and below maintenance the rest of what a close-out would cost.
    function _chargeReduction(
        Context memory c,
        Trade calldata t,
        int256 base,
        int256 quote,
        int256 othersValue,
        uint256 othersRequired,
        Charges memory charges
    ) private view {
        Config memory config = c.config;
        int256 held = c.position.base;
        uint256 price = MarginMath.healthPrice(config.trading, t.record, held, true);
        int256 before = c.cash + othersValue + held.worthDown(price) + c.position.quote;
        if (before <= 0) revert PerpMarket_Bankrupt(c.account, before);
        int256 afterwards = before + quote + (held + base).worthDown(price) - held.worthDown(price);
        if (afterwards < 0) revert PerpMarket_Bankrupt(c.account, afterwards);

        uint256 available = uint256(afterwards);
        charges.execution =
            WadMath.min(WadMath.min(t.executionFee, available), quote.abs() * EXECUTION_FEE_MAX_BPS / WadMath.BPS);
        available -= charges.execution;
        charges.fee = WadMath.min(charges.fee, available);
        available -= charges.fee;

        uint256 kept = MarginMath.maintenance(config.margin, config.trading, (held + base).abs(), price);
        uint256 own = MarginMath.maintenance(config.margin, config.trading, held.abs(), price);
        uint256 required = othersRequired + own;
        if (before >= int256(required)) return;
        uint256 cost = MarginMath.liquidationCost(
            config.margin,
            WadMath.divUp(base.abs() * price, WadMath.WAD),
            before,
            required,
            own - kept,
            before - afterwards
        );
        charges.surcharge = WadMath.min(cost > charges.fee ? cost - charges.fee : 0, available);
        charges.reward = WadMath.min(LiquidationTerms.reward(cost, config.margin.mmKeeperMin()), charges.surcharge);
    }

    // --- rules ---

    /// @dev The market exists, and an isolated account is its own.
    function _requireOwnMarket(uint256 account, uint256 marketId, TradingConfig trading) private pure {
        if (trading.scale() == 0) revert PerpMarket_NotListed(marketId);
        uint256 isolated = account.isolatedMarketOf();
        if (isolated != 0 && isolated != marketId) revert PerpMarket_WrongMarket(account, marketId);
    }

    /// @dev Whether an account may have more of a market; returns its other markets' losses and initial margin, all of them fresh.
    /// @param opens Whether a halt of opening is respected: a take-over makes nobody's risk larger.
    function _requireMayGrow(Context memory c, PriceRecord record, bool opens)
        private
        view
        returns (int256 value, uint256 required)
    {
        if (c.account.isolatedMarketOf() == 0 && c.config.trading.isolatedOnly()) {
            revert PerpMarket_IsolatedOnly(c.marketId);
        }
        uint256 haltUntil = c.config.liquidity.haltUntil();
        if (opens && (!Permissions.allowed(Permissions.Action.Open, record.state()) || block.timestamp < haltUntil)) {
            revert PerpMarket_OpeningHalted(c.marketId, uint8(record.state()), haltUntil);
        }
        uint256 others = c.markets & ~_bit(c.marketId);
        (value, required) = _value(c.account, others, Measure.Free);
        if (c.position.base == 0) _requireRoom(c.account, others);
    }

    function _requireRoom(uint256 account, uint256 markets) private pure {
        uint256 count;
        for (; markets != 0; markets &= markets - 1) {
            ++count;
        }
        if (count >= MAX_MARKETS_AN_ACCOUNT) revert PerpMarket_TooManyMarkets(account);
    }

    function _requireMinimum(Context memory c, uint256 price) private pure {
        uint256 notional = c.position.base.abs() * price / WadMath.WAD;
        uint256 minimum = c.config.trading.minPosition();
        if (c.position.base != 0 && notional < minimum) revert PerpMarket_BelowMinimumPosition(notional, minimum);
    }

    /// @dev What the open interest of a side may be worth, WAD dollars.
    function _interestLimit(Context memory c, int256 capital) private pure returns (uint256) {
        return capital.positive() * c.config.liquidity.openInterestBps() / WadMath.BPS;
    }

    function _requireInterest(MarketState memory s, uint256 price, bool isLong, uint256 limit) private pure {
        uint256 open = WadMath.divUp((isLong ? s.openLong : s.openShort) * price, WadMath.WAD);
        if (open > limit) revert PerpMarket_OpenInterestLimit(open, limit);
    }

    /// @dev What an increase against the pool must stay within.
    function _requireLimits(Context memory c, uint256 price, int256 skewBefore, bool isBuy) private pure {
        MarketState memory s = c.state;
        _requireInterest(s, price, isBuy, _interestLimit(c, FundingMath.capital(s, c.poolCash, price)));
        uint256 size = s.skew().abs();
        if (size <= skewBefore.abs()) return;
        TradingConfig trading = c.config.trading;
        uint256 limit = trading.scale() * trading.maxSkewBps() / WadMath.BPS;
        if (size > limit) revert PerpMarket_SkewLimit(size, limit);
        limit = FundingMath.exposureLimit(s, trading, c.config.liquidity, c.poolCash, price);
        uint256 exposure = WadMath.divUp(size * price, WadMath.WAD);
        if (exposure > limit) revert PerpMarket_ExposureLimit(exposure, limit);
    }

    /// @dev Collateral after an increase: gains count for nothing, and neither does what the fill won against the index. Unchecked: what is
    /// added up are dollars of what 128 bits hold.
    function _requireMarginAfter(
        Context memory c,
        uint256 price,
        int256 base,
        int256 quote,
        int256 othersValue,
        uint256 othersRequired
    ) private pure {
        int256 available;
        uint256 required;
        unchecked {
            int256 gain = base.worthDown(price) + quote;
            int256 result = c.position.base.worthDown(price) + c.position.quote - (gain > 0 ? gain : int256(0));
            available = c.cash - int256(c.reserved) + othersValue + (result < 0 ? result : int256(0));
            required =
                othersRequired + MarginMath.initial(c.config.margin, c.config.trading, c.position.base.abs(), price);
        }
        if (available < int256(required)) revert PerpMarket_InsufficientMargin(c.account, available, required);
    }

    /// @dev Adds up an account's positions in `markets`.
    function _value(uint256 account, uint256 markets, Measure measure)
        private
        view
        returns (int256 value, uint256 required)
    {
        for (uint256 id = 1; markets != 0; (markets >>= 1, ++id)) {
            if (markets & 1 == 0) continue;
            (MarketState memory s, PriceRecord newest) = _current(id);
            (Position memory p, int256 owed) = _settled(account, id, s);
            (MarginConfig margin, TradingConfig trading) = (_configs[id].margin, _configs[id].trading);
            uint256 price =
                measure == Measure.Health ? MarginMath.healthPrice(trading, newest, p.base, false) : newest.price();
            int256 result = p.base.worthDown(price) + p.quote - owed;
            if (measure == Measure.Free) {
                if (p.base != 0 && !newest.isFresh(trading.maxPriceAge())) {
                    revert PerpMarket_StalePrice(id, newest.publishedAt());
                }
                if (result > 0) result = 0;
            }
            value += result;
            required += measure == Measure.Free || measure == Measure.IndexInitial
                ? MarginMath.initial(margin, trading, p.base.abs(), price)
                : MarginMath.maintenance(margin, trading, p.base.abs(), price);
        }
    }
}
