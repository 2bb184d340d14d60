// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Order} from "./ICommitments.sol";

/// @title The way out where nobody records prices.
interface IFallback {
    /// @notice A reduce-only order was filled without a record; price and confidence are WAD, as the fill used them.
    event OrderForced(
        bytes32 indexed hash, uint256 indexed account, uint256 price, uint256 confidence, uint256 publishedAt
    );

    error OrderBook_TooEarly(uint256 until);
    /// @notice The market has a record that is too young for a price without one.
    error OrderBook_NotSilent(uint256 marketId, uint256 publishedAt);

    /// @notice Settles a reduce-only order that waits, at least a minute after its time, at signed data of up to two minutes that nobody
    /// recorded, or at the push sources, where these are no better for the account than the newest record; half a percent and what the price
    /// is in doubt against the order. Anyone may call, and is paid the execution fee. Any refusal reverts and leaves the order waiting.
    /// @param payloads Signed data, one per pull source of the market, empty where what the source holds is to count; or none at all for the
    /// price of the push sources.
    function executeForced(Order calldata order, bytes[] calldata payloads) external payable;
}
