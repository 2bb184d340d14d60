// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOracleAggregator} from "interfaces/oracle/IOracleAggregator.sol";
import {OracleConfig, Source} from "../types/Oracle.sol";

/// @notice What no configuration of a market's oracle may leave: constants, so that no vote can.
library OracleBounds {
    uint256 internal constant MAX_SOURCES = 8;
    uint256 internal constant MIN_PULL_SOURCES = 3;
    uint256 internal constant MAX_PUSH_AGE = 2 days;

    function validate(OracleConfig calldata config, Source[] calldata sources) internal pure {
        uint256 pulls = _validateSources(sources);
        // A majority, so that a minority makes no price, and not all, so that one alone can't stop the rest.
        _check("quorum", config.quorum, pulls / 2 + 1, pulls - 1);
        _check("boundQuorum", config.boundQuorum, 1, MAX_SOURCES);
        _check("dispersionBps", config.dispersionBps, 1, 200);
        _check("maxConfidenceBps", config.maxConfidenceBps, 1, 300);
        _check("openConfidenceBps", config.openConfidenceBps, 1, config.maxConfidenceBps);
        _check("recordWindow", config.recordWindow, 1, 30);
        _check("silentAfter", config.silentAfter, 10, 300);
        _check("moveBps", config.moveBps, 100, 5000);
        _check("moveInterval", config.moveInterval, 10, 600);
        _check("boundRefuseBps", config.boundRefuseBps, 100, 5000);
        _check("boundReduceBps", config.boundReduceBps, 10, config.boundRefuseBps);
    }

    function _validateSources(Source[] calldata sources) private pure returns (uint256 pulls) {
        _check("sources", sources.length, MIN_PULL_SOURCES, MAX_SOURCES);
        for (uint256 i; i < sources.length; ++i) {
            Source calldata source = sources[i];
            if (source.isPush) {
                _check("maxAge", source.maxAge, 1, MAX_PUSH_AGE);
            } else {
                if (i != pulls++) revert IOracleAggregator.Oracle_SourceOrder(i);
                _check("maxAge", source.maxAge, 0, 0);
            }
            for (uint256 j; j < i; ++j) {
                if (sources[j].adapter != source.adapter) continue;
                if (sources[j].feedId == source.feedId) revert IOracleAggregator.Oracle_DuplicateSource(j, i);
                // One call for each adapter: its sources of a kind stand together.
                if (sources[j].isPush == source.isPush && sources[i - 1].adapter != source.adapter) {
                    revert IOracleAggregator.Oracle_SourceOrder(i);
                }
            }
        }
        _check("pullSources", pulls, MIN_PULL_SOURCES, MAX_SOURCES);
    }

    function _check(bytes32 parameter, uint256 value, uint256 min, uint256 max) private pure {
        if (value < min || value > max) {
            revert IOracleAggregator.Oracle_ParameterOutOfBounds(parameter, value, min, max);
        }
    }
}
