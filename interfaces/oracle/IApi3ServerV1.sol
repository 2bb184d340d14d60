// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title The part of API3's Api3ServerV1 that is used here, with API3's names.
interface IApi3ServerV1 {
    function updateBeaconWithSignedData(
        address airnode,
        bytes32 templateId,
        uint256 timestamp,
        bytes calldata data,
        bytes calldata signature
    ) external returns (bytes32 beaconId);

    function dataFeeds(bytes32 dataFeedId) external view returns (int224 value, uint32 timestamp);
}
