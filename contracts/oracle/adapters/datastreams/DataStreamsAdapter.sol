// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDataStreamsAdapter} from "interfaces/oracle/IDataStreamsAdapter.sol";
import {IDestinationVerifierProxy} from "interfaces/oracle/IDestinationVerifierProxy.sol";
import {IOracleAdapter} from "interfaces/oracle/IOracleAdapter.sol";
import {Reading} from "../../../types/Oracle.sol";
import {SignedAdapter} from "../SignedAdapter.sol";

/// @title Chainlink's Data Streams for the aggregator; documented in IDataStreamsAdapter.
contract DataStreamsAdapter is IDataStreamsAdapter, SignedAdapter {
    uint256 private constant SCHEMA = 3; // the first two bytes of a stream's id
    uint256 private constant REPORT_LENGTH = 9 * 32;

    /// @dev Chainlink's ReportDataV3, with Chainlink's names.
    struct Report {
        bytes32 feedId;
        uint32 validFromTimestamp;
        uint32 observationsTimestamp;
        uint192 nativeFee;
        uint192 linkFee;
        uint32 expiresAt;
        int192 price;
        int192 bid;
        int192 ask;
    }

    /// @inheritdoc IDataStreamsAdapter
    address public immutable verifier;

    constructor(address verifier_) {
        verifier = verifier_;
    }

    /// @inheritdoc IOracleAdapter
    function fee(bytes[] calldata) public pure override(IOracleAdapter, SignedAdapter) returns (uint256) {
        return 0;
    }

    /// @inheritdoc SignedAdapter
    function _verify(uint256 index, bytes32 feedId, bytes calldata update)
        internal
        override
        returns (Reading memory reading)
    {
        bytes memory verified = IDestinationVerifierProxy(verifier).verify(update, "");
        bytes32 found = bytes32(verified);
        if (found != feedId) revert SignedAdapter_WrongFeed(index, feedId, found);
        if (uint256(feedId) >> 240 != SCHEMA || verified.length != REPORT_LENGTH) {
            revert DataStreamsAdapter_Schema(index, feedId, verified.length);
        }
        Report memory report = abi.decode(verified, (Report));
        reading.publishedAt = report.observationsTimestamp;
        if (report.price <= 0) return reading;
        reading.price = uint256(int256(report.price));
        uint256 below = _distance(report.price, report.bid);
        uint256 above = _distance(report.ask, report.price);
        reading.confidence = above > below ? above : below;
    }

    function _distance(int256 a, int256 b) private pure returns (uint256) {
        return uint256(a > b ? a - b : b - a);
    }
}
