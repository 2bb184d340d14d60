// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @notice Several calls in one transaction, as keepers' own contracts make them.
contract Batcher {
    /// @notice Calls one after the other; all or none.
    function run(address[] calldata targets, bytes[] calldata data) external {
        for (uint256 i; i < targets.length; ++i) {
            Address.functionCall(targets[i], data[i]);
        }
    }
}
