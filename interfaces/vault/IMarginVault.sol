// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {AccountBalance, Posting} from "contracts/types/Accounts.sol";

/// @title The vault: tokens, and every account's cash. The only contract that moves a token.
interface IMarginVault {
    event Deposited(uint256 indexed account, address indexed from, uint256 amount, int256 cash);
    event Withdrawn(uint256 indexed account, address indexed to, uint256 amount, int256 cash);
    event Transferred(uint256 indexed from, uint256 indexed to, uint256 amount);
    /// @notice An entry of another room, and the account's packed slot that results.
    event Posted(uint256 indexed account, AccountBalance balance);

    error MarginVault_ZeroAmount();
    error MarginVault_InvalidAccount(uint256 account);
    error MarginVault_NotOwner(uint256 account, address caller);
    error MarginVault_InvalidRecipient(address to);
    /// @dev In token units.
    error MarginVault_InsufficientMargin(uint256 available, uint256 required);
    error MarginVault_DifferentOwners(uint256 from, uint256 to);
    error MarginVault_NotModule(address caller);
    error MarginVault_UnsupportedToken(address token, uint256 decimals);

    /// @notice Adds tokens of the caller to any account but the protocol's own. Always open.
    /// @param amount Token units, exactly `amount × 10^(18 − decimals)` WAD dollars of cash.
    function deposit(uint256 account, uint256 amount) external;

    /// @notice Pays cash out to `to`, for the owner or for the gateway, which asks for whom it acts. Needs a fresh price of every market in which the account has a position, and none without one.
    function withdraw(uint256 account, uint256 amount, address to) external;

    /// @notice Moves cash between two accounts of the caller, within what is withdrawable from the first.
    function transfer(uint256 from, uint256 to, uint256 amount) external;

    /// @notice Adds entries to accounts; other rooms of the core only. The caller answers for the sum.
    function post(Posting[] calldata postings) external;

    /// @return Settled cash, WAD dollars; the reserved part is included.
    function cashOf(uint256 account) external view returns (int256);

    /// @notice What an account's owner may withdraw or transfer now.
    /// @return amount Token units, rounded down.
    function withdrawable(uint256 account) external view returns (uint256 amount);

    function balanceOf(uint256 account) external view returns (AccountBalance);

    /// @notice Two accounts in one call.
    function balancesOf(uint256 first, uint256 second) external view returns (AccountBalance, AccountBalance);

    function token() external view returns (address);

    /// @return WAD dollars of one token unit: 10^(18 − decimals).
    function unit() external view returns (uint256);
}

/// @title What the vault asks before cash leaves an account that has positions.
interface IMarginGuard {
    /// @notice Cash that no requirement needs, WAD dollars; negative where it falls short. Gains count for nothing.
    /// Reverts where a market of the account has no fresh price.
    function freeCollateral(uint256 account, AccountBalance balance) external view returns (int256);
}
