// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Order} from "./ICommitments.sol";

/// @notice A maker's signed order in a batch, and how much of it is matched: WAD base, unsigned.
struct MakerFill {
    Order order;
    bytes signature;
    uint256 base;
}

/// @title Signed limit orders filled against each other.
interface IMatching {
    /// @notice base, quote: WAD, what the taker got. executionFee: WAD dollars from the taker to the caller. The market's Filled say the rest.
    event OrdersMatched(
        bytes32 indexed makerHash,
        bytes32 indexed takerHash,
        uint256 indexed marketId,
        uint256 makerAccount,
        uint256 takerAccount,
        int256 base,
        int256 quote,
        uint256 makerFee,
        uint256 takerFee,
        uint256 executionFee
    );
    /// @notice In a batch: this maker's order could not be matched now, and nothing happened to it.
    event MatchSkipped(bytes32 indexed makerHash, bytes reason);

    error OrderBook_SelfMatch(address owner);
    error OrderBook_NotCrossing(uint256 makerPrice, uint256 takerPrice);
    /// @notice left: WAD base of the order that was not matched yet.
    error OrderBook_Overfilled(bytes32 hash, uint256 left);
    /// @notice WAD dollars: less than the minimum position, and not all that is left of either order.
    error OrderBook_TooSmall(uint256 notional, uint256 minimum);
    error OrderBook_FillOrKill(bytes32 hash, uint256 matched);
    error OrderBook_OutsideBand(uint256 price, uint256 indexPrice);
    error OrderBook_NothingMatched(bytes32 takerHash);

    /// @notice Fills two signed limit orders against each other at the maker's price, inside a band around the newest index price. Anyone may
    /// call, and is paid the market's execution fee by the taker's order once.
    /// @param base WAD, unsigned: how much.
    function matchOrders(
        Order calldata maker,
        bytes calldata makerSignature,
        Order calldata taker,
        bytes calldata takerSignature,
        uint256 base
    ) external;

    /// @notice Fills one taker's order against several makers'. A maker whose match is refused is skipped with an event.
    /// @return matched WAD base.
    function matchBatch(Order calldata taker, bytes calldata takerSignature, MakerFill[] calldata makers)
        external
        returns (uint256 matched);
}
