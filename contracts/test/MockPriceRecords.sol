// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {PriceRing} from "../libraries/PriceRing.sol";
import {GuardState, PriceRecord} from "../types/PriceRecord.sol";

/// @notice Tests only: the aggregator's records without its rules. Anyone records whatever he likes, except that publish
/// times increase strictly.
contract MockPriceRecords is IPriceRecords {
    using PriceRing for PriceRing.Ring;

    error MockPriceRecords_ValueUnused(uint256 unused);

    error Oracle_NotNewer(uint256 marketId, uint256 index, uint256 publishedAt);
    error Oracle_SourceMissing(uint256 marketId, uint256 index);
    error Oracle_NoBound(uint256 marketId, uint256 notBefore);

    struct Bound {
        uint256 price;
        uint256 tolerance;
        uint256 publishedAt;
    }

    mapping(uint256 marketId => PriceRing.Ring) private _rings;
    mapping(uint256 marketId => Bound) private _bounds;

    /// @inheritdoc IPriceRecords
    GuardState public sequencerState;

    /// @notice Records; reverts with PriceRing_NotNewer where publishedAt is not after the newest record's.
    function record(uint256 marketId, uint256 price_, uint256 confidence, uint256 publishedAt, GuardState state)
        external
    {
        PriceRing.Ring storage ring = _rings[marketId];
        ring.push(ring.newest, price_, confidence, publishedAt, state);
    }

    /// @inheritdoc IPriceRecords
    /// @dev Items are abi.encode(marketId, price, confidence, publishedAt, state); one that isn't newer is skipped.
    function update(bytes[] calldata priceData) external payable {
        for (uint256 i; i < priceData.length; ++i) {
            (uint256 marketId, uint256 price_, uint256 confidence, uint256 publishedAt, GuardState state) =
                abi.decode(priceData[i], (uint256, uint256, uint256, uint256, GuardState));
            PriceRing.Ring storage ring = _rings[marketId];
            PriceRecord last = ring.newest;
            if (publishedAt > last.publishedAt()) ring.push(last, price_, confidence, publishedAt, state);
        }
        if (msg.value != 0) revert MockPriceRecords_ValueUnused(msg.value);
    }

    /// @inheritdoc IPriceRecords
    function newest(uint256 marketId) external view returns (PriceRecord) {
        return _rings[marketId].newest;
    }

    /// @inheritdoc IPriceRecords
    function settlement(uint256 marketId, uint256 notBefore)
        external
        view
        returns (PriceRecord first, PriceRecord newest_)
    {
        return _rings[marketId].settlement(notBefore);
    }

    /// @notice What `boundPrice` answers.
    function setBound(uint256 marketId, uint256 price_, uint256 tolerance, uint256 publishedAt) external {
        _bounds[marketId] = Bound(price_, tolerance, publishedAt);
    }

    function setSequencerState(GuardState state) external {
        sequencerState = state;
    }

    /// @inheritdoc IPriceRecords
    /// @dev The one payload is abi.encode(price, confidence, publishedAt).
    function forcedPrice(uint256 marketId, uint256 notBefore, uint256 maxAge, bytes[] calldata payloads)
        external
        payable
        returns (uint256 price_, uint256 confidence, uint256 publishedAt)
    {
        if (msg.value != 0) revert MockPriceRecords_ValueUnused(msg.value);
        (price_, confidence, publishedAt) = abi.decode(payloads[0], (uint256, uint256, uint256));
        if (publishedAt < notBefore) revert Oracle_NotNewer(marketId, 0, publishedAt);
        if (publishedAt > block.timestamp || block.timestamp - publishedAt > maxAge) {
            revert Oracle_SourceMissing(marketId, 0);
        }
    }

    /// @inheritdoc IPriceRecords
    function boundPrice(uint256 marketId, uint256 notBefore)
        external
        view
        returns (uint256 price_, uint256 tolerance, uint256 publishedAt)
    {
        Bound memory bound = _bounds[marketId];
        (price_, tolerance, publishedAt) = (bound.price, bound.tolerance, bound.publishedAt);
        if (publishedAt < notBefore || price_ == 0) revert Oracle_NoBound(marketId, notBefore);
    }

    /// @notice As IOracleAggregator's.
    function price(uint256 marketId) external view returns (uint256, uint256, uint256) {
        PriceRecord last = _rings[marketId].newest;
        return (last.price(), last.confidence(), last.publishedAt());
    }

    /// @notice As IOracleAggregator's.
    function recordAt(uint256 marketId, uint256 sequence) external view returns (PriceRecord) {
        return _rings[marketId].get(sequence);
    }
}
