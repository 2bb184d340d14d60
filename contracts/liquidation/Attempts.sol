// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";
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
            // What a delegated part of the market ran out of gas in is `FailedCall` by the time that it is here.
            if (reason.length == 0 || bytes4(reason) == Errors.FailedCall.selector) revert Attempts_WithoutReason(i);
            reasons[i] = reason;
            emit AttemptFailed(i, reason);
        }
    }
}
