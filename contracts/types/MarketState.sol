// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice What a side's accumulators were when an epoch ended, RAY.
struct EpochEnd {
    int128 g;
    uint96 k;
}

/// @notice The four live slots of a market, and the fees that wait for the sweep. Packed by hand: each slot is read and written once.
/// @dev longSide, shortSide: epoch 32 | k 96 | g 128, accumulators per unit of base, RAY.
/// openInterest: short 128 | long 128, WAD base: Σ |base| over a side's positions plus ownerless dust (invariant PM-02).
/// funding: accruedAt 40 | rate 64 | poolQuote 128. poolQuote: WAD dollars, what the pool's position −(long − short) was entered for,
/// with all that accrued to it; rate: WAD per day.
struct MarketSlots {
    uint256 longSide;
    uint256 shortSide;
    uint256 openInterest;
    uint256 funding;
    uint112 insuranceFees;
    uint112 treasuryFees;
    uint16 insuranceShareBps;
    uint16 treasuryShareBps;
}

/// @notice A position in two slots: quote 128 | base 128, and its side's epoch 32 | k 96 | g 128 when it was last touched. Without a
/// base the second means nothing and keeps what it had: whoever comes back pays for no new slot.
struct PositionSlots {
    uint256 sizes;
    uint256 side;
}

/// @notice A market's live state in memory.
struct MarketState {
    int256 longG;
    uint256 longK;
    uint256 longEpoch;
    int256 shortG;
    uint256 shortK;
    uint256 shortEpoch;
    uint256 openLong;
    uint256 openShort;
    int256 poolQuote;
    int256 rate;
    uint256 accruedAt;
}

/// @notice A position in memory; owed is what settling it took, or will take, from cash.
struct Position {
    int256 base;
    int256 quote;
    int256 g;
    uint256 k;
    uint256 epoch;
}

using MarketStateLib for MarketState global;
using MarketStateLib for MarketSlots global;
using MarketStateLib for PositionSlots global;
using SafeCast for int256;
using SafeCast for uint256;

library MarketStateLib {
    uint256 internal constant RAY = 1e27;

    /// @return Longs less shorts, WAD base.
    function skew(MarketState memory s) internal pure returns (int256) {
        return int256(s.openLong) - int256(s.openShort);
    }

    function load(MarketSlots storage slots) internal view returns (MarketState memory s) {
        (s.longG, s.longK, s.longEpoch) = unpackSide(slots.longSide);
        (s.shortG, s.shortK, s.shortEpoch) = unpackSide(slots.shortSide);
        uint256 word = slots.openInterest;
        (s.openLong, s.openShort) = (uint128(word), word >> 128);
        word = slots.funding;
        (s.poolQuote, s.rate, s.accruedAt) = (int128(uint128(word)), int64(uint64(word >> 128)), word >> 192);
    }

    /// @return Unix seconds of the last accrual.
    function accruedAt(MarketSlots storage slots) internal view returns (uint256) {
        return slots.funding >> 192;
    }

    function store(MarketSlots storage slots, MarketState memory s) internal {
        slots.longSide = packSide(s.longG, s.longK, s.longEpoch);
        slots.shortSide = packSide(s.shortG, s.shortK, s.shortEpoch);
        slots.openInterest = uint256(s.openLong.toUint128()) | uint256(s.openShort.toUint128()) << 128;
        slots.funding = low128(s.poolQuote) | uint256(uint64(s.rate.toInt64())) << 128 | s.accruedAt << 192;
    }

    function load(PositionSlots storage slots) internal view returns (Position memory p) {
        uint256 word = slots.sizes;
        (p.base, p.quote) = (int128(uint128(word)), int128(uint128(word >> 128)));
        if (p.base != 0) (p.g, p.k, p.epoch) = unpackSide(slots.side);
    }

    function store(PositionSlots storage slots, Position memory p) internal {
        slots.sizes = low128(p.base) | low128(p.quote) << 128;
        if (p.base != 0) slots.side = packSide(p.g, p.k, p.epoch);
    }

    /// @dev k never passes RAY, which fits; an epoch is one deleveraging event at least.
    function packSide(int256 g, uint256 k, uint256 epoch) internal pure returns (uint256) {
        return low128(g) | k << 128 | epoch << 224;
    }

    function unpackSide(uint256 word) internal pure returns (int256 g, uint256 k, uint256 epoch) {
        return (int128(uint128(word)), uint96(word >> 128), word >> 224);
    }

    /// @dev The low half of a word; reverts where the number does not fit.
    function low128(int256 a) private pure returns (uint256) {
        return uint256(uint128(a.toInt128()));
    }
}
