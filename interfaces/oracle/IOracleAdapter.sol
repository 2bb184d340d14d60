// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Reading} from "contracts/types/Oracle.sol";

/// @title One vendor's feeds as the aggregator reads them.
/// @dev A feed that is dead, unknown or answers nonsense gives a reading of zeros or of price 0; it never reverts, so that it
/// can't stop the other sources. Only what the caller brought along may revert.
interface IOracleAdapter {
    /// @notice Applies signed updates, then reads.
    /// @param feedIds The feeds to read.
    /// @param updates Signed data for the feed at the same index; empty where there is nothing new. Data that is not newer
    /// than what the vendor's contract holds, or from the future, is skipped; data for another feed or with a wrong
    /// signature reverts.
    /// @return readings One for each feed, in order.
    function read(bytes32[] calldata feedIds, bytes[] calldata updates)
        external
        payable
        returns (Reading[] memory readings);

    /// @notice Reads what the vendor's contract holds now.
    function peek(bytes32[] calldata feedIds) external view returns (Reading[] memory readings);

    /// @notice What `read` takes for these updates, exactly, in wei.
    function fee(bytes[] calldata updates) external view returns (uint256);
}
