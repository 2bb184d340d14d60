// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISequencerGuard} from "interfaces/oracle/ISequencerGuard.sol";
import {GuardState} from "../types/PriceRecord.sol";
import {RoundReader} from "./adapters/chainlink/RoundReader.sol";

/// @title Whether the sequencer runs; documented in ISequencerGuard.
contract SequencerGuard is ISequencerGuard {
    /// @dev Seconds. A long grace is a danger too: nothing is liquidated in it.
    uint256 public constant MIN_GRACE = 60;
    uint256 public constant MAX_GRACE = 1800;

    /// @inheritdoc ISequencerGuard
    address public immutable feed;
    /// @inheritdoc ISequencerGuard
    uint256 public immutable graceSeconds;

    /// @param feed_ Chainlink's L2 sequencer uptime feed (answer 1 = down, startedAt = since when); zero for none.
    constructor(address feed_, uint256 graceSeconds_) {
        if (graceSeconds_ < MIN_GRACE || graceSeconds_ > MAX_GRACE) {
            revert SequencerGuard_GraceOutOfBounds(graceSeconds_, MIN_GRACE, MAX_GRACE);
        }
        feed = feed_;
        graceSeconds = graceSeconds_;
    }

    /// @inheritdoc ISequencerGuard
    function state() external view returns (GuardState) {
        if (feed == address(0)) return GuardState.Open;
        (bool answered, RoundReader.Round memory round) = RoundReader.latest(feed);
        if (!answered || uint256(round.answer) > 1) return GuardState.Doubtful;
        if (round.answer == 1 || round.startedAt == 0) return GuardState.Down; // 0: the feed has never started
        if (round.startedAt > block.timestamp) return GuardState.Grace;
        return block.timestamp - round.startedAt < graceSeconds ? GuardState.Grace : GuardState.Open;
    }
}
