// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IOracleAdapter} from "./IOracleAdapter.sol";

/// @title Chainlink's push feeds; a feed id is the feed's address.
/// @notice Prices of 0 to 36 decimals become WAD, rounded down; confidence is 0. A feed that is no contract, reverts, has no
/// round, or whose answer is not positive or out of range gives zeros.
interface IChainlinkAdapter is IOracleAdapter {
    /// @dev Push feeds take no updates.
    error ChainlinkAdapter_NothingToUpdate(uint256 index);
}
