// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Scope} from "./ICommitments.sol";

/// @title Who may act for an account.
interface IDelegates {
    event DelegateSet(uint256 indexed account, address indexed delegate, Scope scope);

    /// @notice Sets a delegate's scope and forgets what was used of the last; the owner only. An empty scope ends it.
    function setDelegate(uint256 account, address delegate, Scope calldata scope) external;

    /// @notice As setDelegate, on the owner's signature over Delegation(…). Anyone may bring it, and is paid `relayFee` from the account's cash.
    /// @param salt The account's counter (high 128 bits) and anything that makes the signature new. @param relayFee WAD dollars.
    function setDelegateFor(
        uint256 account,
        address delegate,
        Scope calldata scope,
        uint256 salt,
        uint256 relayFee,
        bytes calldata signature
    ) external;

    /// @notice Counts a take-over against a delegate's budget; the liquidator only. Reverts where the delegate may not.
    /// @param size WAD base.
    function useForTakeOver(uint256 account, address delegate, uint256 marketId, uint256 size) external;
}
