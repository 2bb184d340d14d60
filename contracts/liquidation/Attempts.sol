// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {IAttempts} from "interfaces/liquidation/IAttempts.sol";

/// @title Attempts
/// @notice Many calls of one caller in one transaction, each on its own.
/// @dev Not payable, so that no call sees ether that another one spent.
abstract contract Attempts is IAttempts {
    /// @inheritdoc IAttempts
    /// @custom:req LQ-06
    function attempt(bytes[] calldata calls) external returns (bytes[] memory reasons) {
        reasons = new bytes[](calls.length);
        for (uint256 i; i < calls.length; ++i) {
            if (LowLevelCall.delegatecallNoReturn(address(this), calls[i])) continue;
            bytes memory reason = LowLevelCall.returnData();
            if (reason.length == 0) revert Attempts_WithoutReason(i);
            reasons[i] = reason;
            emit AttemptFailed(i, reason);
        }
    }
}
