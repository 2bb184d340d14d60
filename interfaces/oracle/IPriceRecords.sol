// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {PriceRecord} from "contracts/types/PriceRecord.sol";

/// @title What the other rooms need of the oracle aggregator.
interface IPriceRecords {
    /// @notice The newest record of a market; the zero record where there is none.
    function newest(uint256 marketId) external view returns (PriceRecord record);

    /// @notice The record that settles an order, and the newest one.
    /// @param notBefore Unix seconds T.
    /// @return first The first record with publishedAt ≥ T among the last 64; the zero record where there is none, or where
    /// every record still held is at or after T although older ones were overwritten (which of them was the first can't be known).
    /// @return newest_ The newest record, the zero record where there is none.
    function settlement(uint256 marketId, uint256 notBefore)
        external
        view
        returns (PriceRecord first, PriceRecord newest_);

    /// @notice Applies signed pull updates and records a price for each market that they name; what is not newer is skipped.
    function update(bytes[] calldata priceData) external payable;
}
