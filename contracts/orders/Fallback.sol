// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Commitment, Order, OrderStatus} from "interfaces/orders/ICommitments.sol";
import {IOracleAggregator} from "interfaces/oracle/IOracleAggregator.sol";
import {IFallback} from "interfaces/orders/IFallback.sol";
import {IOrderBook} from "interfaces/orders/IOrderBook.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {GuardState, PriceRecord, PriceRecordLib} from "../types/PriceRecord.sol";
import {Filling} from "./Filling.sol";

/// @title Fallback
/// @notice Reduce-only orders settle without a record where publishers or keepers are gone.
abstract contract Fallback is IFallback, Filling {
    /// @dev Seconds after an order's time, and of silence, from which signed data will do.
    uint256 public constant FALLBACK_DELAY = 60;
    /// @dev Seconds: how old that data may be, and how long a silence opens the push sources.
    uint256 public constant FORCED_WINDOW = 120;
    /// @dev Against the order: more than prices move in the window, most of the time.
    uint256 public constant FORCED_FEE_BPS = 50;

    /// @inheritdoc IFallback
    /// @custom:req OB-09
    function executeForced(Order calldata order, bytes[] calldata payloads) external payable {
        bytes32 hash = _hash(order);
        Commitment memory c = _commitments[hash];
        if (c.status != OrderStatus.Waiting) revert OrderBook_UnknownOrder(hash);
        if (!order.reduceOnly) revert OrderBook_InvalidTerms("reduceOnly");
        uint256 opens = c.settleFrom + FALLBACK_DELAY;
        if (block.timestamp < opens) revert OrderBook_TooEarly(opens);
        (bytes memory refusal, bool isOrphan) = _whyNotAlive(order);
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);
        if (msg.value != 0 && (isOrphan || payloads.length == 0)) revert IOracleAggregator.Oracle_ValueUnused(msg.value);
        if (isOrphan) return _void(order, hash, c, 0);

        PriceRecord newest = ORACLE.newest(order.marketId);
        PriceRecord forced = _forcedRecord(order, c, newest, payloads);
        // A vendor's contract that called back may have had it filled.
        if (_commitments[hash].status != OrderStatus.Waiting) revert OrderBook_UnknownOrder(hash);
        refusal = _trade(order, hash, c, forced, newest);
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);
        emit OrderForced(hash, order.account, forced.price(), forced.confidence(), forced.publishedAt());
    }

    /// @dev The price as a record that was never made: newer than any that was, and against the order.
    function _forcedRecord(Order calldata order, Commitment memory c, PriceRecord newest, bytes[] calldata payloads)
        private
        returns (PriceRecord)
    {
        uint256 id = order.marketId;
        uint256 quiet = payloads.length == 0 ? FORCED_WINDOW : FALLBACK_DELAY;
        if (block.timestamp <= newest.publishedAt() + quiet) revert OrderBook_NotSilent(id, newest.publishedAt());
        uint256 since = WadMath.max(c.settleFrom, newest.publishedAt() + 1);
        (uint256 price, uint256 doubt, uint256 publishedAt) = payloads.length == 0
            ? ORACLE.boundPrice(id, since)
            : ORACLE.forcedPrice{value: msg.value}(id, since, FORCED_WINDOW, payloads);
        doubt += WadMath.divUp(price * FORCED_FEE_BPS, WadMath.BPS);

        if (!_isTriggered(order, price)) {
            revert IOrderBook.OrderBook_NotTriggered(price, order.triggerPrice);
        }
        // Gains that nobody recorded are not paid at push sources: the market may yet close at its newest record.
        if (payloads.length == 0) {
            price = order.base > 0 ? WadMath.max(price, newest.price()) : WadMath.min(price, newest.price());
        }
        MARKET.accrue(id);
        price = MARKET.backedPrice(order.account, id, order.base, price);
        PriceRecord forced = PriceRecordLib.pack(price, doubt, publishedAt, GuardState.Open, 0);
        if (!_isOnlyPrice(id, forced)) revert IOrderBook.OrderBook_SecondPrice(id);
        return forced;
    }
}
