// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {WadMath} from "./WadMath.sol";
import {MarginConfig, TradingConfig} from "../types/MarketConfig.sol";
import {PriceRecord} from "../types/PriceRecord.sol";

/// @notice Margin requirements, the price of health, and the cost of a liquidation. Source: specification, sections 2, 4 and 6.
/// @dev Unchecked where the widths of what is stored leave no room for an overflow: sizes 128 bits, prices 96, basis points 24.
library MarginMath {
    uint256 private constant MAX_FAVOUR_BPS = 25;

    /// @notice The price at which a position's health is measured: in the account's favour by what the price is in doubt.
    /// @param base The position, whose sign decides. @param own Whether the record counts as fresh whatever its age.
    function healthPrice(TradingConfig trading, PriceRecord record, int256 base, bool own)
        internal
        view
        returns (uint256)
    {
        unchecked {
            uint256 price = record.price();
            uint256 favour = own || record.isFresh(trading.maxPriceAge())
                ? WadMath.min(record.confidence(), price * MAX_FAVOUR_BPS / WadMath.BPS)
                : price * trading.staleWidenBps() / WadMath.BPS;
            return base > 0 ? price + favour : price - favour;
        }
    }

    /// @notice Initial margin of a position of `size` at a price: WAD dollars, rounded up.
    function initial(MarginConfig margin, TradingConfig trading, uint256 size, uint256 price)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            if (size == 0) return 0;
            uint256 notional = WadMath.divUp(size * price, WadMath.WAD);
            uint256 fraction = _fraction(margin.imBaseBps(), margin.imSlopeBps(), size, trading.scale());
            return
                WadMath.divUp(notional * fraction, WadMath.WAD)
                    + _cost(notional, margin.penaltyBps(), margin.keeperMin());
        }
    }

    /// @notice Maintenance margin of a position of `size` at a price: WAD dollars, rounded up.
    function maintenance(MarginConfig margin, TradingConfig trading, uint256 size, uint256 price)
        internal
        view
        returns (uint256)
    {
        unchecked {
            if (size == 0) return 0;
            uint256 notional = WadMath.divUp(size * price, WadMath.WAD);
            uint256 fraction = _fraction(margin.mmBaseBps(), margin.mmSlopeBps(), size, trading.scale());
            uint256 scaled = WadMath.divUp(notional * fraction, WadMath.WAD) * margin.mmFraction();
            return WadMath.divUp(scaled, 1e8) + penalty(margin, notional);
        }
    }

    /// @notice What liquidating a notional costs at most: WAD dollars, rounded up.
    function penalty(MarginConfig margin, uint256 notional) internal pure returns (uint256) {
        return _cost(notional, margin.mmPenaltyBps(), margin.mmKeeperMin());
    }

    /// @notice The cost charged for liquidating a chunk: never more than leaves the account as healthy as it was.
    /// @param notional Of the chunk. @param equity, required Of the account before; equity > 0.
    /// @param released Maintenance that the chunk frees. @param loss What filling the chunk took from equity.
    function liquidationCost(
        MarginConfig margin,
        uint256 notional,
        int256 equity,
        uint256 required,
        uint256 released,
        int256 loss
    ) internal pure returns (uint256) {
        int256 bearable = int256(uint256(equity) * released / required) - loss;
        return WadMath.min(penalty(margin, notional), WadMath.positive(bearable));
    }

    function _fraction(uint256 baseBps, uint256 slopeBps, uint256 size, uint256 scale) private pure returns (uint256) {
        unchecked {
            return WadMath.min(WadMath.WAD, baseBps * 1e14 + WadMath.divUp(size * slopeBps * 1e14, scale));
        }
    }

    function _cost(uint256 notional, uint256 penaltyBps, uint256 keeperMin) private pure returns (uint256) {
        unchecked {
            return WadMath.max(WadMath.divUp(notional * penaltyBps, WadMath.BPS), keeperMin);
        }
    }
}
