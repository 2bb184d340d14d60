// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAggregatorV3} from "interfaces/oracle/IAggregatorV3.sol";

/// @notice Reads Chainlink-style feeds without ever reverting: whatever a feed answers, the caller goes on.
library RoundReader {
    /// @dev Enough for a proxy and its aggregator several times over, and a feed that burns it all stops nobody.
    uint256 private constant GAS = 100_000;

    struct Round {
        uint80 roundId;
        int256 answer;
        uint256 startedAt;
        uint256 updatedAt;
    }

    /// @return answered False where the feed is no contract, reverts, or answers too little or out of range.
    function latest(address feed) internal view returns (bool answered, Round memory round) {
        (bool ok, bytes memory data) = feed.staticcall{gas: GAS}(abi.encodeCall(IAggregatorV3.latestRoundData, ()));
        if (!ok || data.length < 160) return (false, round);
        (uint256 roundId, int256 answer, uint256 startedAt, uint256 updatedAt) =
            abi.decode(data, (uint256, int256, uint256, uint256));
        if (roundId > type(uint80).max) return (false, round);
        return (true, Round(uint80(roundId), answer, startedAt, updatedAt));
    }

    function decimals(address feed) internal view returns (bool answered, uint256 value) {
        (bool ok, bytes memory data) = feed.staticcall{gas: GAS}(abi.encodeCall(IAggregatorV3.decimals, ()));
        if (!ok || data.length < 32) return (false, 0);
        return (true, abi.decode(data, (uint256)));
    }
}
