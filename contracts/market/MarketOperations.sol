// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Fill, IMarketOperations} from "interfaces/market/IMarketOperations.sol";
import {FundingMath} from "../libraries/FundingMath.sol";
import {PositionMath} from "../libraries/PositionMath.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds, Core, Posting} from "../types/Accounts.sol";
import {MarketWords} from "../types/MarketConfig.sol";
import {MarketSlots, MarketState} from "../types/MarketState.sol";
import {PriceRecord} from "../types/PriceRecord.sol";
import {MarketLedger} from "./MarketLedger.sol";

/// @title MarketOperations
/// @notice What is done to a market other than trading: liquidations' fills, deleveraging, sweeping, configuration.
/// @dev The second part of the market's code, which is too large for one contract: PerpMarket passes these calls on by delegatecall, so
/// that all here runs on its storage, whose layout both have from MarketLedger. Called by itself it has no say anywhere.
contract MarketOperations is IMarketOperations, MarketLedger {
    using AccountIds for uint256;
    using WadMath for int256;

    constructor(Core memory core) MarketLedger(core) {}

    /// @inheritdoc IMarketOperations
    /// @custom:req PM-02
    function fill(Fill calldata f) external onlyModule(LIQUIDATOR) notInFlash returns (int256 cash, uint256 markets) {
        Context memory c = _open(f.account, f.marketId, ORACLE.newest(f.marketId).price());
        _settle(c);
        c.cash += PositionMath.fill(c.position, c.state, f.base, f.quote) - int256(f.charge);
        Posting[] memory postings = new Posting[]((f.toFund == 0 ? 1 : 2) + (f.reward == 0 ? 0 : 1));
        c.state.poolQuote -= f.quote;
        if (f.reward != 0) postings[1] = Posting(AccountIds.main(f.keeper), int256(f.reward), 0, 0);
        if (f.toFund != 0) postings[postings.length - 1] = Posting(AccountIds.main(FUND), f.toFund, 0, 0);
        _markets[f.marketId].store(c.state);
        _positions[f.account][f.marketId].store(c.position);
        postings[0] = _posting(c, 0);
        VAULT.post(postings);
        emit Filled(f.account, f.marketId, _poolAccount(f.marketId), f.base, f.quote, c.position.base, c.position.quote);
        return (c.cash, c.markets ^ postings[0].flips);
    }

    /// @inheritdoc IMarketOperations
    /// @custom:req PM-06
    function closeAgainstSide(uint256 account, uint256 marketId, uint256 price)
        external
        onlyModule(LIQUIDATOR)
        notInFlash
    {
        Context memory c = _open(account, marketId, 0);
        _settle(c);
        bool isLong = c.position.base < 0; // the side that it is closed against
        uint256 open = isLong ? c.state.openLong : c.state.openShort;
        uint256 size = c.position.base.abs();
        uint256 fraction = WadMath.min(WadMath.WAD, WadMath.divUp(size * WadMath.WAD, open));
        (, uint256 flow) = PositionMath.closeSide(c.state, isLong, fraction, price, _ends[marketId][isLong]);
        (int256 base, int256 quote) = (-c.position.base, isLong ? -int256(flow) : int256(flow));
        c.cash += PositionMath.fill(c.position, c.state, base, quote);
        _save(c, 0, address(0), 0);
        emit Filled(account, marketId, 0, base, quote, c.position.base, c.position.quote);
        emit ClosedAgainstSide(account, marketId, base, flow, price, fraction);
    }

    /// @inheritdoc IMarketOperations
    /// @custom:req PM-09
    function closeMarket(uint256 marketId) external onlyModule(LIQUIDATOR) notInFlash {
        _bringUp(marketId);
        MarketState memory s = _markets[marketId].load();
        uint256 price = ORACLE.newest(marketId).price();
        _closeSideWithPool(marketId, s, true, WadMath.WAD, price);
        _closeSideWithPool(marketId, s, false, WadMath.WAD, price);
        s.rate = 0;
        _markets[marketId].store(s);
        _configs[marketId].liquidity = _configs[marketId].liquidity.withHalt(type(uint32).max);
        emit MarketClosed(marketId, price);
    }

    /// @inheritdoc IMarketOperations
    function settle(uint256 account, uint256 marketId) external notInFlash {
        if (_configs[marketId].trading.scale() == 0) revert PerpMarket_NotListed(marketId);
        if (VAULT.balanceOf(account).markets() & _bit(marketId) == 0) return;
        Context memory c = _open(account, marketId, ORACLE.newest(marketId).price());
        _settle(c);
        if (c.position.base != 0) revert PerpMarket_StillOpen(account, marketId, c.position.base);
        if (c.cash < 0 && c.markets == _bit(marketId)) revert PerpMarket_Bankrupt(account, c.cash);
        _save(c, 0, address(0), 0);
        emit Settled(account, marketId, c.cash - c.stored);
    }

    /// @inheritdoc IMarketOperations
    /// @custom:req PM-10
    function chargePool(uint256 marketId, uint256 amount, int256 base) external onlyModule(LIQUIDATOR) notInFlash {
        MarketState memory s = _markets[marketId].load();
        s.poolQuote -= int256(amount);
        emit PoolCharged(marketId, amount, s.poolQuote);
        uint256 price = ORACLE.newest(marketId).price();
        int256 poolCash = VAULT.cashOf(_poolAccount(marketId));
        _deleverage(marketId, s, poolCash, price);
        if (base != 0) {
            bool isLong = base < 0; // the side opposite
            uint256 missing = WadMath.min(amount, WadMath.positive(-FundingMath.capital(s, poolCash, price)));
            uint256 charge = PositionMath.chargeSide(s, isLong, missing, price);
            if (charge != 0) emit SideCharged(marketId, isLong, charge, isLong ? s.longG : s.shortG, s.poolQuote);
        }
        _markets[marketId].store(s);
    }

    /// @inheritdoc IMarketOperations
    function accrue(uint256 marketId) external notInFlash returns (bool deleveraged) {
        return _bringUp(marketId);
    }

    /// @inheritdoc IMarketOperations
    /// @custom:req PM-04
    function sweep(uint256 marketId) external {
        MarketSlots storage slots = _markets[marketId];
        (uint256 insurance, uint256 treasury) = (slots.insuranceFees, slots.treasuryFees);
        (slots.insuranceFees, slots.treasuryFees) = (0, 0);
        Posting[] memory postings = new Posting[](2);
        postings[0] = Posting(AccountIds.main(FUND), int256(insurance), 0, 0);
        postings[1] = Posting(AccountIds.main(TREASURY), int256(treasury), 0, 0);
        VAULT.post(postings);
        emit FeesSwept(marketId, insurance, treasury);
    }

    // --- configuration ---

    /// @inheritdoc IMarketOperations
    /// @custom:req PM-05
    function configure(uint256 marketId, MarketWords calldata words) external onlyModule(CONFIGURATOR) {
        if (marketId > _marketCount) {
            _marketCount = marketId;
            MarketState memory fresh;
            (fresh.longK, fresh.shortK, fresh.accruedAt) = (PositionMath.RAY, PositionMath.RAY, block.timestamp);
            _markets[marketId].store(fresh);
        }
        _bringUp(marketId);
        MarketState memory s = _markets[marketId].load();
        int256 limit = int256(words.liquidity.maxFundingRate());
        s.rate = s.rate > limit ? limit : s.rate < -limit ? -limit : s.rate;
        MarketSlots storage slots = _markets[marketId];
        slots.store(s);
        _configs[marketId] = Config(words.margin, words.trading, words.liquidity);
        (slots.insuranceShareBps, slots.treasuryShareBps) = (words.insuranceShareBps, words.treasuryShareBps);
    }

    /// @inheritdoc IMarketOperations
    function setHalt(uint256 marketId, uint256 until) external onlyModule(CONFIGURATOR) {
        _configs[marketId].liquidity = _configs[marketId].liquidity.withHalt(until);
    }

    /// @dev Accrues a market and deleverages what is due.
    function _bringUp(uint256 marketId) internal returns (bool deleveraged) {
        (MarketState memory s, PriceRecord newest) = _current(marketId);
        if (s.accruedAt != _markets[marketId].accruedAt()) _emitAccrued(marketId, s);
        deleveraged = _deleverage(marketId, s, VAULT.cashOf(_poolAccount(marketId)), newest.price());
        _markets[marketId].store(s);
    }

    /// @dev Closes what is due of the side opposite the pool.
    function _deleverage(uint256 marketId, MarketState memory s, int256 poolCash, uint256 price)
        private
        returns (bool)
    {
        (uint256 fraction, uint256 closePrice) = PositionMath.dueFraction(s, poolCash, price);
        if (fraction == 0) return false;
        _closeSideWithPool(marketId, s, s.skew() > 0, fraction, closePrice);
        return true;
    }

    function _closeSideWithPool(uint256 marketId, MarketState memory s, bool isLong, uint256 fraction, uint256 price)
        internal
    {
        (uint256 cut, uint256 flow) = PositionMath.closeSide(s, isLong, fraction, price, _ends[marketId][isLong]);
        s.poolQuote += isLong ? -int256(flow) : int256(flow);
        emit Deleveraged(marketId, isLong, fraction, price, cut, flow);
    }
}
