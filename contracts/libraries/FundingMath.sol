// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {WadMath} from "./WadMath.sol";
import {LiquidityConfig, TradingConfig} from "../types/MarketConfig.sol";
import {MarketState} from "../types/MarketState.sol";

/// @notice Accrual of funding and of the utilisation fee. Source: specification, section 3.
/// @dev Unchecked where the widths of what is stored leave no room for an overflow: sizes and dollars 128 bits, prices 96, scale 112,
/// rates 60, times 40, basis points 24.
library FundingMath {
    int256 private constant DAY = 86400;
    int256 private constant RAY = 1e27;

    /// @notice What the pool has in a market at a price: WAD dollars, rounded down.
    function capital(MarketState memory s, int256 poolCash, uint256 price) internal pure returns (int256) {
        unchecked {
            return poolCash + s.poolQuote - WadMath.worthUp(s.skew(), price);
        }
    }

    /// @notice How much exposure the pool may have in a market: WAD dollars, the lesser of the skew limit and of what its capital allows.
    function exposureLimit(
        MarketState memory s,
        TradingConfig trading,
        LiquidityConfig liquidity,
        int256 poolCash,
        uint256 price
    ) internal pure returns (uint256) {
        unchecked {
            uint256 bySkew = trading.scale() * price * trading.maxSkewBps() / (WadMath.BPS * WadMath.WAD);
            uint256 byCapital = WadMath.positive(capital(s, poolCash, price)) * liquidity.exposureBps() / WadMath.BPS;
            return WadMath.min(bySkew, byCapital);
        }
    }

    /// @notice Brings the accumulators and the pool's quote to this block.
    /// @param price The newest recorded price, WAD; 0 where there is none: only the clock moves.
    /// @return changed Whether any time had passed.
    function accrue(
        MarketState memory s,
        TradingConfig trading,
        LiquidityConfig liquidity,
        int256 poolCash,
        uint256 price
    ) internal view returns (bool changed) {
        uint256 elapsed = block.timestamp - s.accruedAt;
        if (elapsed == 0) return false;
        s.accruedAt = block.timestamp;
        if (price == 0) return true;

        int256 skew = s.skew();
        int256 down;
        int256 up;
        {
            int256 area = _advanceRate(s, trading, liquidity, skew, int256(elapsed));
            int256 product = area * int256(price);
            down = WadMath.floorDiv(product, DAY * 1e9);
            up = WadMath.ceilDiv(product, DAY * 1e9);
        }
        uint256 fee = skew == 0 ? 0 : _utilisationFee(s, trading, liquidity, poolCash, price, elapsed);

        s.longG += WadMath.ceilDiv(int256(s.longK) * up, RAY);
        s.shortG += WadMath.floorDiv(int256(s.shortK) * down, RAY);
        if (skew > 0) s.longG += int256(WadMath.divUp(s.longK * fee, s.openLong));
        if (skew < 0) s.shortG -= int256(WadMath.divUp(s.shortK * fee, s.openShort));
        s.poolQuote += WadMath.floorDiv(skew * (skew >= 0 ? down : up), RAY) + int256(fee);
        return true;
    }

    /// @dev Moves the rate and returns its exact integral over the time elapsed, in WAD · seconds (per-day rate).
    function _advanceRate(
        MarketState memory s,
        TradingConfig trading,
        LiquidityConfig liquidity,
        int256 skew,
        int256 elapsed
    ) private pure returns (int256 area) {
        unchecked {
            int256 scale = int256(trading.scale());
            int256 limit = int256(liquidity.maxFundingRate());
            int256 start = s.rate;
            int256 clamped = skew > scale ? scale : skew < -scale ? -scale : skew;
            int256 velocity = int256(liquidity.maxFundingVelocity()) * clamped / scale;
            int256 end = start + velocity * elapsed / DAY;
            if (end <= limit && end >= -limit) {
                area = (start + end) * elapsed / 2;
            } else {
                end = end > 0 ? limit : -limit;
                area = end * elapsed - (end - start) * (end - start) * DAY / (2 * velocity);
            }
            s.rate = end;
        }
    }

    /// @dev The kinked fee on the pool's exposure, WAD dollars, rounded down.
    function _utilisationFee(
        MarketState memory s,
        TradingConfig trading,
        LiquidityConfig liquidity,
        int256 poolCash,
        uint256 price,
        uint256 elapsed
    ) private pure returns (uint256) {
        uint256 limit = exposureLimit(s, trading, liquidity, poolCash, price);
        uint256 exposure = WadMath.abs(s.skew()) * price;
        uint256 used = limit == 0 ? WadMath.WAD : WadMath.min(WadMath.WAD, exposure / limit);
        uint256 kink = liquidity.kinkBps() * 1e14;
        uint256 atKink = liquidity.rateAtKinkBps() * 1e14;
        uint256 rate = used <= kink
            ? atKink * used / kink
            : atKink + (liquidity.rateAtFullBps() * 1e14 - atKink) * (used - kink) / (WadMath.WAD - kink);
        return rate * exposure * elapsed / (1e36 * uint256(DAY));
    }
}
