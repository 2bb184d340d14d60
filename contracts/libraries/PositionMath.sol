// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {WadMath} from "./WadMath.sol";
import {EpochEnd, MarketState, Position} from "../types/MarketState.sol";

/// @notice Settling a position against its side's accumulators, fills, and deleveraging events. Source: specification, section 3.
library PositionMath {
    uint256 internal constant RAY = 1e27;
    /// @dev Below this a side's K starts again from one in a new epoch: 1e-9.
    uint256 internal constant K_MIN = 1e18;
    uint256 private constant MAX_EPOCHS = 2;

    /// @notice Brings a position to its side's present accumulators.
    /// @param ends The ends of epochs of the position's side.
    /// @return owed WAD dollars that the account owes, rounded up; negative where it is owed.
    function settle(Position memory p, MarketState memory s, mapping(uint256 => EpochEnd) storage ends)
        internal
        view
        returns (int256 owed)
    {
        if (p.base == 0) return 0;
        bool isLong = p.base > 0;
        (int256 g, uint256 k, uint256 epoch) =
            isLong ? (s.longG, s.longK, s.longEpoch) : (s.shortG, s.shortK, s.shortEpoch);
        for (uint256 steps; p.epoch < epoch && p.base != 0; ++steps) {
            if (steps == MAX_EPOCHS) {
                p.base = 0;
                break;
            }
            EpochEnd memory end = ends[p.epoch];
            owed += _scale(p, end.g, end.k);
            (p.g, p.k) = (end.g, RAY);
            ++p.epoch;
        }
        if (p.base != 0) owed += _scale(p, g, k);
        if (p.base == 0) {
            owed -= p.quote;
            (p.quote, p.g, p.k, p.epoch) = (0, 0, 0, 0);
        } else {
            (p.g, p.k, p.epoch) = (g, k, epoch);
        }
    }

    /// @dev Applies (G, K) to a position of the same epoch.
    function _scale(Position memory p, int256 g, uint256 k) private pure returns (int256 owed) {
        owed = WadMath.ceilDiv(p.base * (g - p.g), int256(p.k));
        if (k != p.k) {
            int256 quote = p.quote * int256(k) / int256(p.k);
            p.base = p.base * int256(k) / int256(p.k);
            owed -= p.quote - quote;
            p.quote = quote;
        }
    }

    /// @notice Adds a fill to a settled position and to the open interest.
    /// @param base, quote WAD; opposite signs in any sensible fill.
    /// @return cash What closing released, WAD dollars.
    function fill(Position memory p, MarketState memory s, int256 base, int256 quote)
        internal
        pure
        returns (int256 cash)
    {
        int256 before = p.base;
        int256 held = p.quote;
        if (before == 0 || (before > 0) == (base > 0)) {
            p.quote = held + quote;
        } else if (WadMath.abs(base) == WadMath.abs(before)) {
            cash = held + quote;
            p.quote = 0;
        } else if (WadMath.abs(base) < WadMath.abs(before)) {
            int256 released = held * base / -before;
            cash = released + quote;
            p.quote = held - released;
        } else {
            int256 closing = quote * before / -base;
            cash = held + closing;
            p.quote = quote - closing;
        }
        p.base = before + base;
        _moveOpenInterest(s, before, p.base);
        _stamp(p, s);
    }

    function _moveOpenInterest(MarketState memory s, int256 before, int256 afterwards) private pure {
        if (before > 0) s.openLong -= uint256(before);
        if (before < 0) s.openShort -= uint256(-before);
        if (afterwards > 0) s.openLong += uint256(afterwards);
        if (afterwards < 0) s.openShort += uint256(-afterwards);
    }

    /// @dev The accumulators of the side that the position is on now.
    function _stamp(Position memory p, MarketState memory s) private pure {
        if (p.base > 0) (p.g, p.k, p.epoch) = (s.longG, s.longK, s.longEpoch);
        else if (p.base < 0) (p.g, p.k, p.epoch) = (s.shortG, s.shortK, s.shortEpoch);
        else (p.g, p.k, p.epoch) = (0, 0, 0);
    }

    /// @notice Closes a fraction of every position of one side against the pool's quote.
    /// @param fraction WAD, at most one. @param price WAD.
    /// @return ended Whether an epoch ended; its end is `end`, to be stored under `epoch`.
    function deleverage(MarketState memory s, bool isLong, uint256 fraction, uint256 price)
        internal
        pure
        returns (bool ended, uint256 epoch, EpochEnd memory end)
    {
        uint256 k = isLong ? s.longK : s.shortK;
        uint256 cut = (isLong ? s.openLong : s.openShort) * fraction / WadMath.WAD;
        uint256 kAfter = k * (WadMath.WAD - fraction) / WadMath.WAD;
        ended = kAfter < K_MIN;
        if (isLong) {
            s.longG -= int256(k * (fraction * price / WadMath.WAD) / WadMath.WAD);
            s.openLong -= cut;
            s.poolQuote -= WadMath.worthUp(int256(cut), price);
            (epoch, end) = (s.longEpoch, EpochEnd(int128(s.longG), uint96(kAfter)));
            (s.longK, s.longEpoch) = ended ? (RAY, epoch + 1) : (kAfter, epoch);
        } else {
            s.shortG -= int256(WadMath.divUp(k * WadMath.divUp(fraction * price, WadMath.WAD), WadMath.WAD));
            s.openShort -= cut;
            s.poolQuote += WadMath.worthDown(int256(cut), price);
            (epoch, end) = (s.shortEpoch, EpochEnd(int128(s.shortG), uint96(kAfter)));
            (s.shortK, s.shortEpoch) = ended ? (RAY, epoch + 1) : (kAfter, epoch);
        }
    }
}
