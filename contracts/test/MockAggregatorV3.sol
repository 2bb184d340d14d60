// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAggregatorV3} from "interfaces/oracle/IAggregatorV3.sol";

/// @notice Tests only: a Chainlink feed, of prices or of the sequencer's uptime, that anyone sets.
contract MockAggregatorV3 is IAggregatorV3 {
    enum Fault {
        None,
        Revert,
        ShortAnswer,
        BurnGas
    }

    error MockAggregatorV3_Broken();

    uint8 public decimals;
    Fault public fault;
    uint80 private _roundId;
    int256 private _answer;
    uint256 private _startedAt;
    uint256 private _updatedAt;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    /// @notice A new round, started and updated at one time.
    function setAnswer(int256 answer, uint256 updatedAt) external {
        setRound(_roundId + 1, answer, updatedAt, updatedAt);
    }

    function setRound(uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt) public {
        (_roundId, _answer, _startedAt, _updatedAt) = (roundId, answer, startedAt, updatedAt);
    }

    function setDecimals(uint8 decimals_) external {
        decimals = decimals_;
    }

    function setFault(Fault fault_) external {
        fault = fault_;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        if (fault == Fault.Revert) revert MockAggregatorV3_Broken();
        if (fault == Fault.BurnGas) while (true) {}
        if (fault == Fault.ShortAnswer) {
            // An answer that no Solidity function gives.
            // solhint-disable-next-line no-inline-assembly
            assembly {
                mstore(0, 1)
                return(0, 32)
            }
        }
        return (_roundId, _answer, _startedAt, _updatedAt, _roundId);
    }
}
