// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IRequestVault} from "interfaces/pool/IRequestVault.sol";

/// @title The insurance fund: the first to pay what a bankrupt account owes.
/// @notice Every inflow and payout is a `Posted` event of its account at the margin vault.
interface IInsuranceFund is IRequestVault {
    /// @notice The fund's cash, WAD dollars. Fees that no one has swept yet are not in it.
    function balance() external view returns (uint256);

    /// @notice Balance by the open interest of both sides of all markets at the newest prices: WAD, rounded down; the largest number
    /// without open interest.
    function coverage() external view returns (uint256);
}
