// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IOracleAdapter} from "./IOracleAdapter.sol";

/// @title API3's beacons, one signer (Airnode) each; a feed id is keccak256(abi.encodePacked(airnode, templateId)).
/// @notice An update is abi.encode(address airnode, bytes32 templateId, uint256 timestamp, bytes data, bytes signature) with data =
/// abi.encode(int256 WAD price) and the signature over the Ethereum-signed-message hash of
/// keccak256(abi.encodePacked(templateId, timestamp, data)). Confidence is 0; a negative price reads as 0.
interface IApi3Adapter is IOracleAdapter {
    /// @dev The update at that index is for another beacon.
    error Api3Adapter_WrongFeed(uint256 index, bytes32 feedId, bytes32 beaconId);
    error Api3Adapter_UpdateCount(uint256 feeds, uint256 updates);

    /// @notice API3's contract.
    function server() external view returns (address);
}
