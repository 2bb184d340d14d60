// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {ISignedAdapter} from "./ISignedAdapter.sol";

/// @title Pyth's feeds; a feed id is Pyth's price id.
/// @notice An update is one element of Pyth's updateData; it may speak of other feeds too. Pyth takes a fee for each, whether its
/// price is newer or not. Prices of 0 to 36 decimals (expo 0 to −36) become WAD, rounded down, confidences rounded up; any other
/// expo and a negative price read as 0. publishedAt is publishTime.
interface IPythAdapter is ISignedAdapter {
    /// @notice Pyth's contract.
    function pyth() external view returns (address);
}
