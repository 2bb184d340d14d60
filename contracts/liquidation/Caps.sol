// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ILiquidator} from "interfaces/liquidation/ILiquidator.sol";
import {LiquidationTerms} from "../libraries/LiquidationTerms.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {TradingConfig} from "../types/MarketConfig.sol";
import {PriceRecord} from "../types/PriceRecord.sol";

/// @title Caps
/// @notice How far liquidations may move a market: in a window by close-outs and absorptions, in an hour by absorptions.
abstract contract Caps is ILiquidator {
    /// @notice Length of the windows, by time of publication, in which close-outs may move a market by its maker and taker fee of the
    /// scale: a window begins at least a second more than that after the last one. A record belongs to one window, whatever its age when
    /// it is used.
    uint256 public constant CAP_SECONDS = 4;

    /// @dev One slot a market.
    struct Counters {
        uint40 windowStart;
        uint96 moved;
        uint24 hour;
        uint96 absorbed;
    }

    mapping(uint256 marketId => Counters) private _counters;

    /// @inheritdoc ILiquidator
    function counters(uint256 marketId) external view returns (uint256, uint256, uint256, uint256) {
        Counters memory c = _counters[marketId];
        return (c.windowStart, c.moved, c.hour, c.absorbed);
    }

    /// @dev What close-outs may still move in the window of a record, WAD base, and the publish time at which the next one begins. Room for
    /// a minimum position and a remainder is in any window, so that the cap of a small market stops no close-out.
    function _roomToClose(uint256 marketId, TradingConfig trading, PriceRecord newest, uint256 minBase)
        internal
        view
        returns (uint256 room, uint256 until)
    {
        Counters memory c = _counters[marketId];
        uint256 cap = WadMath.max(_windowCap(trading), 2 * minBase);
        return (_left(cap, _moved(c, newest)), c.windowStart + CAP_SECONDS + 1);
    }

    /// @dev What absorptions may still add to the skew at a record, WAD base.
    function _roomToAbsorb(uint256 marketId, TradingConfig trading, PriceRecord newest)
        internal
        view
        returns (uint256)
    {
        Counters memory c = _counters[marketId];
        uint256 absorbed = c.hour == block.timestamp / 1 hours ? c.absorbed : 0;
        uint256 cap = trading.scale() * LiquidationTerms.ABSORB_CAP_BPS / WadMath.BPS;
        return WadMath.min(_left(_windowCap(trading), _moved(c, newest)), _left(cap, absorbed));
    }

    /// @dev Counts what liquidations moved in this window, and what absorptions added to the skew in this hour.
    function _count(uint256 marketId, PriceRecord newest, uint256 moved, uint256 absorbed) internal {
        Counters memory c = _counters[marketId];
        uint256 publishedAt = newest.publishedAt();
        if (publishedAt > c.windowStart + CAP_SECONDS) (c.windowStart, c.moved) = (uint40(publishedAt), 0);
        uint256 hour = block.timestamp / 1 hours;
        if (c.hour != hour) (c.hour, c.absorbed) = (uint24(hour), 0);
        c.moved = SafeCast.toUint96(c.moved + moved);
        c.absorbed = SafeCast.toUint96(c.absorbed + absorbed);
        _counters[marketId] = c;
    }

    function _windowCap(TradingConfig trading) private pure returns (uint256) {
        return trading.scale() * (trading.makerBps() + trading.takerBps()) / WadMath.BPS;
    }

    /// @dev In the window of that record.
    function _moved(Counters memory c, PriceRecord newest) private pure returns (uint256) {
        return newest.publishedAt() > c.windowStart + CAP_SECONDS ? 0 : c.moved;
    }

    function _left(uint256 cap, uint256 used) private pure returns (uint256) {
        return cap > used ? cap - used : 0;
    }
}
