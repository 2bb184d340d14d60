// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {WadMath} from "./WadMath.sol";
import {TradingConfig} from "../types/MarketConfig.sol";

/// @notice Fill price against the pool, and fees. Source: specification, section 3.
library TradeMath {
    /// @notice The price of a fill of `base` against the pool, rounded against the caller.
    /// @param skew WAD base before the fill. @param price, confidence WAD dollars.
    /// @return fillPrice WAD dollars, 0 where there is none (the caller refuses).
    /// @return quote WAD dollars, negative for a buy.
    function fill(TradingConfig trading, int256 skew, int256 base, uint256 price, uint256 confidence)
        internal
        pure
        returns (uint256 fillPrice, int256 quote)
    {
        int256 twice = 2 * int256(trading.scale());
        int256 n = twice + 2 * skew + base;
        int256 quoted = base > 0 ? int256(price + confidence) : int256(price) - int256(confidence);
        if (n <= 0 || quoted <= 0) return (0, 0);
        if (base > 0) {
            fillPrice = uint256(WadMath.ceilDiv(quoted * n, twice));
            quote = -WadMath.ceilDiv(base * int256(fillPrice), WadMath.IWAD);
        } else {
            fillPrice = uint256(quoted * n / twice);
            quote = -base * int256(fillPrice) / WadMath.IWAD;
        }
    }

    /// @notice Maker fee for the part of the fill that brings the skew toward zero, taker fee for the rest; rounded up.
    /// @dev Unchecked: sizes of orders have 96 bits, prices 97, basis points 16.
    function fee(TradingConfig trading, int256 skew, int256 base, int256 quote) internal pure returns (uint256) {
        unchecked {
            uint256 size = WadMath.abs(base);
            uint256 made = (skew > 0) != (base > 0) ? WadMath.min(size, WadMath.abs(skew)) : 0;
            uint256 weighted = made * trading.makerBps() + (size - made) * trading.takerBps();
            return WadMath.divUp(WadMath.abs(quote) * weighted, size * WadMath.BPS);
        }
    }
}
