// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
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
        readings = new Reading[](feedIds.length);
        for (uint256 i; i < feedIds.length; ++i) {
            bytes calldata update = updates[i];
            Reading memory reading = readings[i];
            bool applied = update.length != 0 && _apply(i, feedIds[i], update, reading);
            if (!applied) _peek(feedIds[i], reading);
        }
    }

    /// @inheritdoc IOracleAdapter
    function peek(bytes32[] calldata feedIds) external view returns (Reading[] memory readings) {
        readings = new Reading[](feedIds.length);
        for (uint256 i; i < feedIds.length; ++i) {
            _peek(feedIds[i], readings[i]);
        }
    }

    /// @inheritdoc IOracleAdapter
    function fee(bytes[] calldata) external pure returns (uint256) {
        return 0;
    }

    /// @dev An update is the argument list of the server's function, so it is passed on as it is. Skipped are what the server
    /// refuses because it holds something as new, so that nobody breaks a batch by being first; and what is from the
    /// future: the server takes up to an hour of it, and would then hold nothing else until that time has come.
    function _apply(uint256 index, bytes32 feedId, bytes calldata update, Reading memory reading)
        private
        returns (bool applied)
    {
        (address airnode, bytes32 templateId, uint256 timestamp, uint256 dataAt) =
            abi.decode(update, (address, bytes32, uint256, uint256));
        bytes32 beaconId = keccak256(abi.encodePacked(airnode, templateId));
        if (beaconId != feedId) revert Api3Adapter_WrongFeed(index, feedId, beaconId);
        if (timestamp > block.timestamp) return false;
        bytes memory call = abi.encodePacked(IApi3ServerV1.updateBeaconWithSignedData.selector, update);
        // solhint-disable-next-line avoid-low-level-calls
        (bool ok, bytes memory answer) = server.call(call);
        if (ok) {
            // The server has checked that there are 32 bytes of data at dataAt, after their length.
            _set(reading, int256(uint256(bytes32(update[dataAt + 32:dataAt + 64]))), timestamp);
            return true;
        }
        (, uint32 stored) = IApi3ServerV1(server).dataFeeds(feedId);
        if (timestamp > stored) Address.verifyCallResult(false, answer);
    }

    function _peek(bytes32 feedId, Reading memory reading) private view {
        (int224 value, uint32 timestamp) = IApi3ServerV1(server).dataFeeds(feedId);
        _set(reading, value, timestamp);
    }

    function _set(Reading memory reading, int256 value, uint256 timestamp) private pure {
        reading.price = value > 0 ? uint256(value) : 0;
        reading.publishedAt = timestamp;
    }
}
