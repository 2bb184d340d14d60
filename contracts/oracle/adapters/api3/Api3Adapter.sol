// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IApi3Adapter} from "interfaces/oracle/IApi3Adapter.sol";
import {IApi3ServerV1} from "interfaces/oracle/IApi3ServerV1.sol";
import {IOracleAdapter} from "interfaces/oracle/IOracleAdapter.sol";
import {Reading} from "../../../types/Oracle.sol";

/// @title API3's beacons for the aggregator; documented in IApi3Adapter.
contract Api3Adapter is IApi3Adapter {
    /// @inheritdoc IApi3Adapter
    address public immutable server;

    constructor(address server_) {
        server = server_;
    }

    /// @inheritdoc IOracleAdapter
    function read(bytes32[] calldata feedIds, bytes[] calldata updates)
        external
        payable
        returns (Reading[] memory readings)
    {
        if (updates.length != feedIds.length) revert Api3Adapter_UpdateCount(feedIds.length, updates.length);
        readings = peek(feedIds);
        for (uint256 i; i < updates.length; ++i) {
            if (updates[i].length != 0) _apply(i, feedIds[i], updates[i], readings[i]);
        }
    }

    /// @inheritdoc IOracleAdapter
    function peek(bytes32[] calldata feedIds) public view returns (Reading[] memory readings) {
        readings = new Reading[](feedIds.length);
        for (uint256 i; i < feedIds.length; ++i) {
            (int224 value, uint32 timestamp) = IApi3ServerV1(server).dataFeeds(feedIds[i]);
            _set(readings[i], value, timestamp);
        }
    }

    /// @inheritdoc IOracleAdapter
    function fee(bytes[] calldata) external pure returns (uint256) {
        return 0;
    }

    /// @dev Skips what the server would refuse as not newer, so that nobody breaks a batch by being first, and what is from the
    /// future: the server takes up to an hour of it, and would then hold nothing else until that time has come.
    function _apply(uint256 index, bytes32 feedId, bytes calldata update, Reading memory reading) private {
        (address airnode, bytes32 templateId, uint256 timestamp, bytes memory data, bytes memory signature) =
            abi.decode(update, (address, bytes32, uint256, bytes, bytes));
        bytes32 beaconId = keccak256(abi.encodePacked(airnode, templateId));
        if (beaconId != feedId) revert Api3Adapter_WrongFeed(index, feedId, beaconId);
        if (timestamp <= reading.publishedAt || timestamp > block.timestamp) return;
        IApi3ServerV1(server).updateBeaconWithSignedData(airnode, templateId, timestamp, data, signature);
        _set(reading, abi.decode(data, (int256)), timestamp);
    }

    function _set(Reading memory reading, int256 value, uint256 timestamp) private pure {
        reading.price = value > 0 ? uint256(value) : 0;
        reading.publishedAt = timestamp;
    }
}
