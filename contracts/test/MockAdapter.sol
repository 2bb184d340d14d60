// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOracleAdapter} from "interfaces/oracle/IOracleAdapter.sol";
import {Reading} from "../types/Oracle.sol";

/// @notice Tests only: an adapter whose readings anyone sets. An update is abi.encode(Reading) and always applies; each
/// costs `feePerUpdate`.
contract MockAdapter is IOracleAdapter {
    error MockAdapter_Fee(uint256 paid, uint256 due);

    uint256 public feePerUpdate;
    uint256 public calls;
    mapping(bytes32 feedId => Reading) private _readings;

    function set(bytes32 feedId, uint256 price, uint256 confidence, uint256 publishedAt) external {
        _readings[feedId] = Reading(price, confidence, publishedAt);
    }

    function setFee(uint256 feePerUpdate_) external {
        feePerUpdate = feePerUpdate_;
    }

    function read(bytes32[] calldata feedIds, bytes[] calldata updates)
        external
        payable
        returns (Reading[] memory readings)
    {
        if (msg.value != fee(updates)) revert MockAdapter_Fee(msg.value, fee(updates));
        ++calls;
        for (uint256 i; i < updates.length; ++i) {
            if (updates[i].length != 0) _readings[feedIds[i]] = abi.decode(updates[i], (Reading));
        }
        return peek(feedIds);
    }

    function peek(bytes32[] calldata feedIds) public view returns (Reading[] memory readings) {
        readings = new Reading[](feedIds.length);
        for (uint256 i; i < feedIds.length; ++i) {
            readings[i] = _readings[feedIds[i]];
        }
    }

    function fee(bytes[] calldata updates) public view returns (uint256 total) {
        for (uint256 i; i < updates.length; ++i) {
            if (updates[i].length != 0) total += feePerUpdate;
        }
    }
}
