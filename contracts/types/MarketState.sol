// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice One side of a market (long or short): accumulators per unit of base, RAY. One slot.
struct Side {
    int128 g;
    uint96 k;
    uint32 epoch;
}

/// @notice What a side's accumulators were when an epoch ended.
struct EpochEnd {
    int128 g;
    uint96 k;
}

/// @notice The four live slots of a market, and the fees that wait for the sweep.
/// @dev Slots: long | short | openLong, openShort | poolQuote, rate, accruedAt | fees.
/// poolQuote: WAD dollars, what the pool's position −(openLong − openShort) was entered for, with all that accrued to it.
/// rate: funding, WAD per day. Open interest is Σ |base| over a side's positions plus ownerless dust (invariant PM-02).
struct MarketSlots {
    Side long;
    Side short;
    uint128 openLong;
    uint128 openShort;
    int128 poolQuote;
    int64 rate;
    uint40 accruedAt;
    uint112 insuranceFees;
    uint112 treasuryFees;
    uint16 insuranceShareBps;
    uint16 treasuryShareBps;
}

/// @notice A position in two slots.
struct PositionSlots {
    int128 base;
    int128 quote;
    int128 g;
    uint96 k;
    uint32 epoch;
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
        Side memory side = slots.long;
        (s.longG, s.longK, s.longEpoch) = (side.g, side.k, side.epoch);
        side = slots.short;
        (s.shortG, s.shortK, s.shortEpoch) = (side.g, side.k, side.epoch);
        (s.openLong, s.openShort) = (slots.openLong, slots.openShort);
        (s.poolQuote, s.rate, s.accruedAt) = (slots.poolQuote, slots.rate, slots.accruedAt);
    }

    function store(MarketSlots storage slots, MarketState memory s) internal {
        slots.long = Side(s.longG.toInt128(), s.longK.toUint96(), uint32(s.longEpoch));
        slots.short = Side(s.shortG.toInt128(), s.shortK.toUint96(), uint32(s.shortEpoch));
        (slots.openLong, slots.openShort) = (s.openLong.toUint128(), s.openShort.toUint128());
        (slots.poolQuote, slots.rate, slots.accruedAt) =
            (s.poolQuote.toInt128(), s.rate.toInt64(), uint40(s.accruedAt));
    }

    function load(PositionSlots storage slots) internal view returns (Position memory p) {
        (p.base, p.quote) = (slots.base, slots.quote);
        if (p.base != 0) (p.g, p.k, p.epoch) = (slots.g, slots.k, slots.epoch);
    }

    function store(PositionSlots storage slots, Position memory p) internal {
        (slots.base, slots.quote) = (p.base.toInt128(), p.quote.toInt128());
        (slots.g, slots.k, slots.epoch) = (p.g.toInt128(), p.k.toUint96(), uint32(p.epoch));
    }
}
