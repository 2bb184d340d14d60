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
    /// @dev Exposure by equity of the pool in a market: above the first the side opposite is closed in part, down to the second.
    uint256 private constant MAX_POOL_LEVERAGE = 3;
    uint256 private constant LEVERAGE_TARGET = 2;

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

    /// @notice Closes a fraction of every position of one side, in time that doesn't depend on how many they are.
    /// @param fraction WAD, at most one. @param price WAD.
    /// @return cut Of the side's open interest, WAD base. @return flow WAD dollars: what longs get, or what shorts pay for what they buy back;
    /// of all open interest, and rounded against the counterpart.
    function closeSide(
        MarketState memory s,
        bool isLong,
        uint256 fraction,
        uint256 price,
        mapping(uint256 => EpochEnd) storage ends
    ) internal returns (uint256 cut, uint256 flow) {
        (uint256 k, uint256 open) = isLong ? (s.longK, s.openLong) : (s.shortK, s.openShort);
        cut = open * fraction / WadMath.WAD;
        uint256 moved = isLong
            ? k * (fraction * price / WadMath.WAD) / WadMath.WAD
            : WadMath.divUp(k * WadMath.divUp(fraction * price, WadMath.WAD), WadMath.WAD);
        flow = isLong ? WadMath.divUp(open * moved, k) : open * moved / k;
        k = k * (WadMath.WAD - fraction) / WadMath.WAD;
        bool ended = k < K_MIN;
        if (isLong) {
            s.longG -= int256(moved);
            s.openLong = open - cut;
            if (ended) ends[s.longEpoch++] = EpochEnd(int128(s.longG), uint96(k));
            s.longK = ended ? RAY : k;
        } else {
            s.shortG -= int256(moved);
            s.openShort = open - cut;
            if (ended) ends[s.shortEpoch++] = EpochEnd(int128(s.shortG), uint96(k));
            s.shortK = ended ? RAY : k;
        }
    }

    /// @notice Takes dollars from every position of a side in proportion to its base, for the pool: what its account can't bear of a debt.
    /// @param missing WAD dollars. @param price WAD.
    /// @return amount Of it, what the side is charged: no more than the price a unit, so that no sum makes a side's G too large to store.
    function chargeSide(MarketState memory s, bool isLong, uint256 missing, uint256 price)
        internal
        pure
        returns (uint256 amount)
    {
        uint256 open = isLong ? s.openLong : s.openShort;
        amount = WadMath.min(missing, open * price / WadMath.WAD);
        if (amount == 0) return 0;
        if (isLong) s.longG += int256(WadMath.divUp(s.longK * amount, open));
        else s.shortG -= int256(WadMath.divUp(s.shortK * amount, open));
        s.poolQuote += int256(amount);
    }

    /// @notice Whether the pool's exposure is more than it can be asked to bear.
    /// @param capital What the pool has in the market at that price, WAD dollars.
    /// @dev Unchecked: sizes and dollars have 128 bits, prices 96.
    function isDue(int256 skew, uint256 price, int256 capital) internal pure returns (bool) {
        unchecked {
            uint256 borne = MAX_POOL_LEVERAGE * WadMath.positive(capital) + WadMath.WAD;
            return WadMath.abs(skew) * price > borne * WadMath.WAD;
        }
    }

    /// @notice What of the side opposite the pool is to be closed, so that the pool can pay what is left.
    /// @param price The newest recorded price, WAD.
    /// @return fraction WAD, 0 where nothing is due. @return closePrice WAD: the price, or where the pool is insolvent the one at which it is worth nothing.
    function dueFraction(MarketState memory s, int256 poolCash, uint256 price)
        internal
        pure
        returns (uint256 fraction, uint256 closePrice)
    {
        int256 skew = s.skew();
        uint256 size = WadMath.abs(skew);
        int256 backing = poolCash + s.poolQuote;
        int256 capital = backing - WadMath.worthUp(skew, price);
        if (!isDue(skew, price, capital)) return (0, 0);
        closePrice = price;
        if (capital > 0) {
            size -= LEVERAGE_TARGET * uint256(capital) * WadMath.WAD / price;
        } else {
            backing = skew > 0 ? backing * WadMath.IWAD / skew : WadMath.ceilDiv(-backing * WadMath.IWAD, -skew);
            closePrice = WadMath.min(WadMath.positive(backing), 2 * price);
        }
        fraction = WadMath.min(WadMath.WAD, size * WadMath.WAD / (skew > 0 ? s.openLong : s.openShort));
    }
}
