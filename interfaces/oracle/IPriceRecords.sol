// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {GuardState, PriceRecord} from "contracts/types/PriceRecord.sol";

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

    /// @notice Aggregates signed data of up to `maxAge` seconds without recording it: for exits while nobody records. No move
    /// limit, no push bounds.
    /// @param notBefore Every reading that counts was published at or after it.
    /// @param maxAge At most MAX_FORCED_AGE.
    /// @param payloads One per pull source, empty where a source's own reading is to count.
    function forcedPrice(uint256 marketId, uint256 notBefore, uint256 maxAge, bytes[] calldata payloads)
        external
        payable
        returns (uint256 price_, uint256 confidence, uint256 publishedAt);

    /// @notice The median of the push sources that answered at or after notBefore and within their maxAge, certain enough to set a
    /// price (an average over time never is). Oracle_NoBound where there is none.
    /// @return price_ WAD dollars.
    /// @return tolerance WAD dollars, rounded up: farther from a record a push source would make it Doubtful.
    /// @return publishedAt The oldest publish time among them.
    function boundPrice(uint256 marketId, uint256 notBefore)
        external
        view
        returns (uint256 price_, uint256 tolerance, uint256 publishedAt);

    /// @notice Whether the sequencer runs, and has for long enough: Open, Grace or Down; Doubtful where its feed doesn't answer.
    function sequencerState() external view returns (GuardState);
}
