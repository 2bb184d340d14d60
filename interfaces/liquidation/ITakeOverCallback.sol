// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title What a flash taker implements.
interface ITakeOverCallback {
    /// @notice Called by the liquidator once the taker has the position and before its margin is judged. Until it returns nothing is filled but
    /// matches of signed orders. Afterwards the account's collateral must cover its initial margin.
    /// @param base, quote WAD: what `toAccount` got, the fee not taken off. @param data As given to takeOver.
    function onTakeOver(
        uint256 account,
        uint256 marketId,
        int256 base,
        int256 quote,
        uint256 toAccount,
        bytes calldata data
    ) external;
}
