// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title Many calls of one caller in one transaction, each on its own.
interface IAttempts {
    /// @notice One of the calls changed nothing. `reason`: what it reverted with.
    event AttemptFailed(uint256 index, bytes reason);

    /// @dev A call ran out of gas, or there is no such function: nothing of the batch was done.
    error Attempts_WithoutReason(uint256 index);

    /// @notice Makes calls of this contract one after the other, as the caller. What reverts changes nothing and stops none of the others,
    /// so that a keeper's batch loses to another's no more than what that one did.
    /// @param calls Encoded calls, without ether: prices that cost a fee are recorded before.
    /// @return reasons For each call nothing, or what it reverted with.
    function attempt(bytes[] calldata calls) external returns (bytes[] memory reasons);
}
