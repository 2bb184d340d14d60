// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {TransientSlot} from "@openzeppelin/contracts/utils/TransientSlot.sol";
import {IMarketOperations} from "interfaces/market/IMarketOperations.sol";
import {IPerpMarket, Trade} from "interfaces/market/IPerpMarket.sol";
import {Commitment, Order, OrderKind, OrderStatus} from "interfaces/orders/ICommitments.sol";
import {AccountIds, Posting} from "../types/Accounts.sol";
import {PriceRecord} from "../types/PriceRecord.sol";
import {Commitments} from "./Commitments.sol";

/// @title Filling
/// @notice How an order against the pool is filled or ended, whichever way its price came.
abstract contract Filling is Commitments {
    using TransientSlot for bytes32;
    using TransientSlot for TransientSlot.Bytes32Slot;

    /// @dev Whether an order that waits may still be filled: counter, expiry, parent.
    /// @return refusal Why not now; empty where nothing refuses it. @return isOrphan Its parent ended unfilled: it never can be.
    function _whyNotAlive(Order calldata order) internal view returns (bytes memory refusal, bool isOrphan) {
        if (order.kind != OrderKind.Market) {
            uint256 counter = _counters[order.account];
            if (order.salt >> 128 != counter) {
                return (abi.encodeWithSelector(OrderBook_WrongCounter.selector, order.account, counter), false);
            }
            if (_isExpired(order)) return (abi.encodeWithSelector(OrderBook_Expired.selector, order.expiry), false);
        }
        if (order.parent == 0) return ("", false);
        Commitment memory p = _commitments[order.parent];
        bool hasEnded = p.status == OrderStatus.Spent;
        if (p.status == OrderStatus.Filled || (p.amount != 0 && (hasEnded || p.status == OrderStatus.Matching))) {
            return ("", false);
        }
        if (hasEnded) return ("", true);
        return (abi.encodeWithSelector(OrderBook_ParentPending.selector, order.parent), false);
    }

    /// @dev Whether no other record of the market was used for orders that wait in this transaction: who chooses between two prices that he
    /// knows, and is in and out at once, takes no risk.
    function _isOnlyPrice(uint256 marketId, PriceRecord record) internal returns (bool) {
        TransientSlot.Bytes32Slot slot = keccak256(abi.encode(ORDER_TYPEHASH, marketId)).asBytes32();
        bytes32 used = slot.tload();
        if (used == 0) slot.tstore(bytes32(PriceRecord.unwrap(record)));
        return used == 0 || used == bytes32(PriceRecord.unwrap(record));
    }

    /// @dev By the index price alone, which neither side can move: a stop-loss with the order's direction, a take-profit against it.
    function _isTriggered(Order calldata order, uint256 price) internal pure returns (bool) {
        if (order.triggerPrice == 0 || price == order.triggerPrice) return true;
        return (price > order.triggerPrice) == ((order.base > 0) == (order.kind == OrderKind.StopLoss));
    }

    /// @return reason A listed error of the market, which means that nothing was filled; any other failure reverts everything.
    function _trade(Order calldata order, bytes32 hash, Commitment memory c, PriceRecord record, PriceRecord newest)
        internal
        returns (bytes memory reason)
    {
        _commitments[hash].status = OrderStatus.Filled;
        Trade memory t = Trade({
            account: order.account,
            marketId: order.marketId,
            base: order.base,
            acceptablePrice: order.acceptablePrice,
            reduceOnly: order.reduceOnly,
            executionFee: c.executionFee,
            reserved: _reservedBy(order, c),
            executor: msg.sender,
            record: record,
            newest: newest
        });
        try MARKET.trade(t) {
            emit OrderExecuted(hash, order.account, msg.sender);
        } catch (bytes memory refusal) {
            if (!_isListed(refusal)) LowLevelCall.bubbleRevert(refusal);
            _commitments[hash].status = c.status;
            return refusal;
        }
    }

    /// @dev Whether a refusal of the market is one that ends an order, rather than a failure of the machine.
    function _isListed(bytes memory refusal) internal pure returns (bool) {
        bytes4 s = bytes4(refusal);
        return s == IPerpMarket.PerpMarket_InsufficientMargin.selector
            || s == IPerpMarket.PerpMarket_PriceNotAcceptable.selector
            || s == IPerpMarket.PerpMarket_NothingToReduce.selector
            || s == IPerpMarket.PerpMarket_OpeningHalted.selector
            || s == IPerpMarket.PerpMarket_OpenInterestLimit.selector || s == IPerpMarket.PerpMarket_SkewLimit.selector
            || s == IPerpMarket.PerpMarket_ExposureLimit.selector
            || s == IPerpMarket.PerpMarket_BelowMinimumPosition.selector
            || s == IPerpMarket.PerpMarket_StalePrice.selector || s == IPerpMarket.PerpMarket_TooManyMarkets.selector
            || s == IMarketOperations.PerpMarket_Bankrupt.selector || s == IPerpMarket.PerpMarket_WrongMarket.selector
            || s == IPerpMarket.PerpMarket_IsolatedOnly.selector || s == IPerpMarket.PerpMarket_PriceOutOfRange.selector;
    }

    /// @dev Ends an order that can't be filled any more.
    function _void(Order calldata order, bytes32 hash, Commitment memory c, uint256 paid) internal {
        uint256 reserved = _reservedBy(order, c);
        _spend(hash, c);
        if (reserved != 0) _post(order.account, paid, reserved, paid, 0);
        emit OrderVoided(hash, order.account, msg.sender, paid);
    }

    /// @dev The end of an order of which nothing was filled.
    function _spend(bytes32 hash, Commitment memory c) internal {
        (c.status, c.amount) = (OrderStatus.Spent, 0);
        _commitments[hash] = c;
    }

    function _reservedBy(Order calldata order, Commitment memory c) internal pure returns (uint256) {
        return order.kind == OrderKind.Market ? uint256(c.executionFee) + c.amount : 0;
    }

    /// @dev Takes `cash` from the account and ends its reservation; pays the executor and the fund.
    function _post(uint256 account, uint256 cash, uint256 reserved, uint256 paid, uint256 forfeited) internal {
        Posting[] memory postings = new Posting[](1 + (paid == 0 ? 0 : 1) + (forfeited == 0 ? 0 : 1));
        postings[0] = Posting(account, -int256(cash), -int256(reserved), 0);
        if (paid != 0) postings[1] = Posting(AccountIds.main(msg.sender), int256(paid), 0, 0);
        if (forfeited != 0) {
            postings[postings.length - 1] = Posting(AccountIds.main(FUND), int256(forfeited), 0, 0);
        }
        VAULT.post(postings);
    }
}
