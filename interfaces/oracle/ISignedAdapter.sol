// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IOracleAdapter} from "./IOracleAdapter.sol";

/// @title An adapter that keeps the newest verified price of each feed itself.
/// @notice Anyone may bring a signed price; it is kept if it is newer than the one before and not from the future. Prices beyond
/// 2^112 − 1 are kept as 0, confidences beyond it as that.
interface ISignedAdapter is IOracleAdapter {
    error SignedAdapter_UpdateCount(uint256 feeds, uint256 updates);
    /// @dev The update at that index is for another feed.
    error SignedAdapter_WrongFeed(uint256 index, bytes32 feedId, bytes32 updateFeedId);
    /// @dev The ether sent is not what the vendor takes.
    error SignedAdapter_Fee(uint256 paid, uint256 due);
}
