// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ISignedAdapter} from "./ISignedAdapter.sol";

/// @title Chainlink's Data Streams: reports that more than f of a set of signers have signed; a feed id is the stream's.
/// @notice An update is Chainlink's signed report, abi.encode(bytes32[3] context, bytes report, bytes32[] rs, bytes32[] ss,
/// bytes32 rawVs), with a report of schema 3: (bytes32 feedId, uint32 validFromTimestamp, uint32 observationsTimestamp,
/// uint192 nativeFee, uint192 linkFee, uint32 expiresAt, int192 price, int192 bid, int192 ask), prices with 18 decimals.
/// publishedAt is observationsTimestamp; confidence is how far the farther of bid and ask is from the price; a negative price reads as 0.
/// @dev For verifiers without a fee manager, where reports are paid for elsewhere; with one that isn't free, updates revert.
interface IDataStreamsAdapter is ISignedAdapter {
    /// @dev The report at that index is of another schema.
    error DataStreamsAdapter_Schema(uint256 index, bytes32 feedId, uint256 length);

    /// @notice Chainlink's contract.
    function verifier() external view returns (address);
}
