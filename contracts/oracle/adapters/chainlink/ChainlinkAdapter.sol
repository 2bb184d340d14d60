// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IChainlinkAdapter} from "interfaces/oracle/IChainlinkAdapter.sol";
import {IOracleAdapter} from "interfaces/oracle/IOracleAdapter.sol";
import {Reading} from "../../../types/Oracle.sol";
import {RoundReader} from "./RoundReader.sol";

/// @title Chainlink's push feeds for the aggregator; documented in IChainlinkAdapter.
contract ChainlinkAdapter is IChainlinkAdapter {
    uint256 private constant WAD_DECIMALS = 18;
    uint256 private constant MAX_DECIMALS = 36;

    /// @inheritdoc IOracleAdapter
    function read(bytes32[] calldata feedIds, bytes[] calldata updates)
        external
        payable
        returns (Reading[] memory readings)
    {
        for (uint256 i; i < updates.length; ++i) {
            if (updates[i].length != 0) revert ChainlinkAdapter_NothingToUpdate(i);
        }
        return peek(feedIds);
    }

    /// @inheritdoc IOracleAdapter
    function peek(bytes32[] calldata feedIds) public view returns (Reading[] memory readings) {
        readings = new Reading[](feedIds.length);
        for (uint256 i; i < feedIds.length; ++i) {
            uint256 id = uint256(feedIds[i]);
            if (id >> 160 == 0) readings[i] = _read(address(uint160(id)));
        }
    }

    /// @inheritdoc IOracleAdapter
    function fee(bytes[] calldata) external pure returns (uint256) {
        return 0;
    }

    function _read(address feed) private view returns (Reading memory reading) {
        (bool answered, RoundReader.Round memory round) = RoundReader.latest(feed);
        if (!answered || round.roundId == 0 || round.answer <= 0) return reading;
        (bool known, uint256 decimals) = RoundReader.decimals(feed);
        if (!known || decimals > MAX_DECIMALS) return reading;
        uint256 answer = uint256(round.answer);
        if (answer > type(uint192).max) return reading; // × 10^18 stays below 2^256
        reading.price = decimals <= WAD_DECIMALS
            ? answer * 10 ** (WAD_DECIMALS - decimals)
            : answer / 10 ** (decimals - WAD_DECIMALS);
        reading.publishedAt = round.updatedAt;
    }
}
