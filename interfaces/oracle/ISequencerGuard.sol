// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {GuardState} from "contracts/types/PriceRecord.sol";

/// @title Whether the rollup's sequencer runs, and has for a while.
interface ISequencerGuard {
    error SequencerGuard_GraceOutOfBounds(uint256 graceSeconds, uint256 min, uint256 max);

    /// @notice Down: the sequencer is reported down. Grace: it came back less than graceSeconds ago. Doubtful: the feed does
    /// not answer, or with nonsense: nothing opens, but a broken feed never stops liquidations. Open otherwise, and always
    /// without a feed.
    function state() external view returns (GuardState);

    /// @notice The uptime feed; the zero address where there is none.
    function feed() external view returns (address);

    /// @notice Seconds from the sequencer's return to Open.
    function graceSeconds() external view returns (uint256);
}
