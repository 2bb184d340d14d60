// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What governance sets for a market; packed into three words below.
/// @param imBaseBps, imSlopeBps Initial margin: fraction at size 0, and its growth per |base|/scale.
/// @param mmFractionBps Maintenance as a part of the initial fraction.
/// @param penaltyBps, keeperMinCents Liquidation cost: part of the notional, at least so many cents.
/// @param openInterestBps, exposureBps Limits as a multiple of the pool's capital in the market.
/// @param minPositionUsd Smallest notional of a position in whole dollars.
/// @param maxFundingVelocity WAD per day², maxFundingRate WAD per day.
/// @param kinkBps, rateAtKinkBps, rateAtFullBps Utilisation fee: bps a day of the pool's exposure.
/// @param maxPriceAge Seconds; staleWidenBps of price in the account's favour when older.
struct MarketParams {
    uint16 imBaseBps;
    uint24 imSlopeBps;
    uint16 mmFractionBps;
    uint16 penaltyBps;
    uint24 keeperMinCents;
    uint16 makerBps;
    uint16 takerBps;
    uint16 insuranceShareBps;
    uint16 treasuryShareBps;
    uint16 maxSkewBps;
    uint24 openInterestBps;
    uint24 exposureBps;
    uint32 minPositionUsd;
    uint64 maxFundingVelocity;
    uint64 maxFundingRate;
    uint16 kinkBps;
    uint16 rateAtKinkBps;
    uint16 rateAtFullBps;
    uint16 maxPriceAge;
    uint16 staleWidenBps;
    bool isolatedOnly;
}

/// @notice A market's configuration as it is stored: three words, and how a fee is split besides the pool.
struct MarketWords {
    MarginConfig margin;
    TradingConfig trading;
    LiquidityConfig liquidity;
    uint16 insuranceShareBps;
    uint16 treasuryShareBps;
}

/// @notice Margin parameters. The mm* set is what maintenance and penalties use: of it only the fraction ever rises, along a ramp.
/// @dev From the low bits: imBaseBps 16, imSlopeBps 24, mmBaseBps 16, mmSlopeBps 24, penaltyBps 16, mmPenaltyBps 16, keeperMinCents 24,
/// mmKeeperMinCents 24, mmFractionFromBps 16, mmFractionToBps 16, rampStart 32, rampSeconds 32.
type MarginConfig is uint256;

/// @dev scale 128, makerBps 16, takerBps 16, maxSkewBps 16, minPositionUsd 32, maxPriceAge 16, staleWidenBps 16, isolatedOnly 1.
type TradingConfig is uint256;

/// @dev maxFundingVelocity 64, maxFundingRate 64, openInterestBps 24, exposureBps 24, kinkBps 16, rateAtKinkBps 16,
/// rateAtFullBps 16, haltUntil 32.
type LiquidityConfig is uint256;

using MarketConfigLib for MarginConfig global;
using MarketConfigLib for TradingConfig global;
using MarketConfigLib for LiquidityConfig global;

library MarketConfigLib {
    uint256 internal constant RAMP_SECONDS = 3 days;

    // --- margin ---

    function imBaseBps(MarginConfig c) internal pure returns (uint256) {
        return uint16(MarginConfig.unwrap(c));
    }

    function imSlopeBps(MarginConfig c) internal pure returns (uint256) {
        return uint24(MarginConfig.unwrap(c) >> 16);
    }

    function mmBaseBps(MarginConfig c) internal pure returns (uint256) {
        return uint16(MarginConfig.unwrap(c) >> 40);
    }

    function mmSlopeBps(MarginConfig c) internal pure returns (uint256) {
        return uint24(MarginConfig.unwrap(c) >> 56);
    }

    function penaltyBps(MarginConfig c) internal pure returns (uint256) {
        return uint16(MarginConfig.unwrap(c) >> 80);
    }

    function mmPenaltyBps(MarginConfig c) internal pure returns (uint256) {
        return uint16(MarginConfig.unwrap(c) >> 96);
    }

    /// @return WAD dollars.
    function keeperMin(MarginConfig c) internal pure returns (uint256) {
        return uint256(uint24(MarginConfig.unwrap(c) >> 112)) * 1e16;
    }

    /// @return WAD dollars.
    function mmKeeperMin(MarginConfig c) internal pure returns (uint256) {
        return uint256(uint24(MarginConfig.unwrap(c) >> 136)) * 1e16;
    }

    /// @return The maintenance fraction at this moment, in bps × 10^4, rounded down.
    function mmFraction(MarginConfig c) internal view returns (uint256) {
        uint256 word = MarginConfig.unwrap(c);
        uint256 from = uint256(uint16(word >> 160)) * 1e4;
        uint256 to = uint256(uint16(word >> 176)) * 1e4;
        if (from == to) return to;
        uint256 start = uint32(word >> 192);
        uint256 length = uint32(word >> 224);
        if (block.timestamp >= start + length) return to;
        return from + (to - from) * (block.timestamp - start) / length;
    }

    // --- trading ---

    /// @return WAD base; 0 for a market that is not listed.
    function scale(TradingConfig c) internal pure returns (uint256) {
        return uint128(TradingConfig.unwrap(c));
    }

    function makerBps(TradingConfig c) internal pure returns (uint256) {
        return uint16(TradingConfig.unwrap(c) >> 128);
    }

    function takerBps(TradingConfig c) internal pure returns (uint256) {
        return uint16(TradingConfig.unwrap(c) >> 144);
    }

    function maxSkewBps(TradingConfig c) internal pure returns (uint256) {
        return uint16(TradingConfig.unwrap(c) >> 160);
    }

    /// @return WAD dollars.
    function minPosition(TradingConfig c) internal pure returns (uint256) {
        return uint256(uint32(TradingConfig.unwrap(c) >> 176)) * 1e18;
    }

    /// @return Seconds.
    function maxPriceAge(TradingConfig c) internal pure returns (uint256) {
        return uint16(TradingConfig.unwrap(c) >> 208);
    }

    function staleWidenBps(TradingConfig c) internal pure returns (uint256) {
        return uint16(TradingConfig.unwrap(c) >> 224);
    }

    function isolatedOnly(TradingConfig c) internal pure returns (bool) {
        return TradingConfig.unwrap(c) >> 240 != 0;
    }

    // --- liquidity ---

    function maxFundingVelocity(LiquidityConfig c) internal pure returns (uint256) {
        return uint64(LiquidityConfig.unwrap(c));
    }

    function maxFundingRate(LiquidityConfig c) internal pure returns (uint256) {
        return uint64(LiquidityConfig.unwrap(c) >> 64);
    }

    function openInterestBps(LiquidityConfig c) internal pure returns (uint256) {
        return uint24(LiquidityConfig.unwrap(c) >> 128);
    }

    function exposureBps(LiquidityConfig c) internal pure returns (uint256) {
        return uint24(LiquidityConfig.unwrap(c) >> 152);
    }

    function kinkBps(LiquidityConfig c) internal pure returns (uint256) {
        return uint16(LiquidityConfig.unwrap(c) >> 176);
    }

    function rateAtKinkBps(LiquidityConfig c) internal pure returns (uint256) {
        return uint16(LiquidityConfig.unwrap(c) >> 192);
    }

    function rateAtFullBps(LiquidityConfig c) internal pure returns (uint256) {
        return uint16(LiquidityConfig.unwrap(c) >> 208);
    }

    /// @return Unix seconds until which opening is halted.
    function haltUntil(LiquidityConfig c) internal pure returns (uint256) {
        return LiquidityConfig.unwrap(c) >> 224;
    }

    // --- packing ---

    /// @notice The margin word after a change: maintenance parameters only fall, but for the fraction, which rises along a ramp.
    /// @param last The present word, 0 at listing.
    function packMargin(MarketParams memory p, MarginConfig last) internal view returns (MarginConfig) {
        bool isNew = MarginConfig.unwrap(last) == 0;
        uint256 fraction = isNew ? p.mmFractionBps : last.mmFraction() / 1e4;
        bool rises = p.mmFractionBps > fraction;
        uint256 word = uint256(p.imBaseBps) | uint256(p.imSlopeBps) << 16;
        word |= (isNew ? p.imBaseBps : _min(last.mmBaseBps(), p.imBaseBps)) << 40;
        word |= (isNew ? p.imSlopeBps : _min(last.mmSlopeBps(), p.imSlopeBps)) << 56;
        word |= uint256(p.penaltyBps) << 80;
        word |= (isNew ? p.penaltyBps : _min(last.mmPenaltyBps(), p.penaltyBps)) << 96;
        word |= uint256(p.keeperMinCents) << 112;
        word |= (isNew ? p.keeperMinCents : _min(last.mmKeeperMin() / 1e16, p.keeperMinCents)) << 136;
        word |= (rises ? fraction : p.mmFractionBps) << 160 | uint256(p.mmFractionBps) << 176;
        word |= block.timestamp << 192 | RAMP_SECONDS << 224;
        return MarginConfig.wrap(word);
    }

    function packTrading(MarketParams memory p, uint256 scale_) internal pure returns (TradingConfig) {
        uint256 word = scale_ | uint256(p.makerBps) << 128 | uint256(p.takerBps) << 144 | uint256(p.maxSkewBps) << 160;
        word |= uint256(p.minPositionUsd) << 176 | uint256(p.maxPriceAge) << 208 | uint256(p.staleWidenBps) << 224;
        return TradingConfig.wrap(word | (p.isolatedOnly ? 1 << 240 : 0));
    }

    function packLiquidity(MarketParams memory p, uint256 haltUntil_) internal pure returns (LiquidityConfig) {
        uint256 word = uint256(p.maxFundingVelocity) | uint256(p.maxFundingRate) << 64;
        word |= uint256(p.openInterestBps) << 128 | uint256(p.exposureBps) << 152 | uint256(p.kinkBps) << 176;
        return LiquidityConfig.wrap(
            word | uint256(p.rateAtKinkBps) << 192 | uint256(p.rateAtFullBps) << 208 | haltUntil_ << 224
        );
    }

    function withHalt(LiquidityConfig c, uint256 until) internal pure returns (LiquidityConfig) {
        return LiquidityConfig.wrap(uint256(uint224(LiquidityConfig.unwrap(c))) | until << 224);
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
