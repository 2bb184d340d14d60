// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title L1's side: a deposit into a margin account of the rollup in one transaction.
/// @notice Tokens go over the standard bridge and a message after them says whose account they are for. Both are relayed in the L2 block
/// that follows; if one fails there, anyone may relay it again, and what the account itself refuses the claimant may take.
interface IL1Gateway {
    event DepositStarted(uint256 indexed account, address indexed from, uint256 amount, address claimant);

    error L1Gateway_ZeroAmount();
    error L1Gateway_InvalidAccount(uint256 account);
    /// @dev Without a claimant nobody could take what the account refuses.
    error L1Gateway_InvalidClaimant();

    /// @notice Sends tokens of the caller into an account.
    /// @param account On L2: owner (160 bits) | isolatedMarket (32, 0 = cross) | index (64).
    /// @param amount Token units.
    /// @param claimant Address on L2 that may take the tokens there if the account refuses them.
    function deposit(uint256 account, uint256 amount, address claimant) external;

    /// @notice As deposit, on the caller's permit (ERC-2612) of `amount` to this contract. One that somebody else used before is no error.
    function depositWithPermit(
        uint256 account,
        uint256 amount,
        address claimant,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
}
