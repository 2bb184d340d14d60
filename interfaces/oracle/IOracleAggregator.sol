// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {OracleConfig, Reading, Source} from "contracts/types/Oracle.sol";
import {GuardState, PriceRecord} from "contracts/types/PriceRecord.sol";
import {IPriceRecords} from "./IPriceRecords.sol";

/// @title Records one price per market from several sources.
/// @notice Pull sources set the price, push sources only bound it. The rules, and why they are so, are section 8 of
/// docs/specification.md. Anyone records; what is refused says why. Prices and confidences are WAD dollars, times Unix
/// seconds.
interface IOracleAggregator is IPriceRecords {
    /// @dev A parameter of a configuration lies outside its constant bounds.
    error Oracle_ParameterOutOfBounds(bytes32 parameter, uint256 value, uint256 min, uint256 max);
    /// @dev Pull sources come first, sources of one adapter stand together, and push sources (only) have a maxAge.
    error Oracle_SourceOrder(uint256 index);
    /// @dev Two sources are the same feed: one voice would count twice.
    error Oracle_DuplicateSource(uint256 first, uint256 second);
    error Oracle_UnknownMarket(uint256 marketId);
    error Oracle_UnknownSource(uint256 marketId, uint256 index);
    /// @dev An item brings payloads, but not one (possibly empty) per pull source.
    error Oracle_PayloadCount(uint256 marketId, uint256 count, uint256 expected);
    /// @dev More ether was sent than the sources take.
    error Oracle_ValueUnused(uint256 unused);

    /// @dev A source that must be there has no reading that can be recorded now: none, too old, or from the future.
    error Oracle_SourceMissing(uint256 marketId, uint256 index);
    /// @dev A source that must be there has nothing from notBefore on (forcedPrice only; `update` skips).
    error Oracle_NotNewer(uint256 marketId, uint256 index, uint256 publishedAt);
    /// @dev Too few readings are left after dropping those without a price or too uncertain.
    error Oracle_QuorumMissing(uint256 marketId, uint256 have, uint256 need);
    /// @dev Too few readings lie close enough to the median.
    error Oracle_Dispersed(uint256 marketId, uint256 have, uint256 need);
    error Oracle_TooUncertain(uint256 marketId, uint256 confidence, uint256 limit);
    error Oracle_MoveTooLarge(uint256 marketId, uint256 price, uint256 last, uint256 limit);
    error Oracle_OutOfBounds(uint256 marketId, uint256 price, uint256 bound);

    error Oracle_SourcePresent(uint256 marketId, uint256 index, uint256 publishedAt);
    error Oracle_AlreadyReported(uint256 marketId, uint256 index, uint256 missingSince);
    /// @dev No push source has answered since notBefore.
    error Oracle_NoBound(uint256 marketId, uint256 notBefore);
    error Oracle_MaxAgeOutOfBounds(uint256 maxAge, uint256 max);

    event MarketConfigured(uint256 indexed marketId, OracleConfig config, Source[] sources);
    /// @param sources Bitmap of the sources that the record rests on.
    event PriceRecorded(
        uint256 indexed marketId,
        uint256 price,
        uint256 confidence,
        uint256 publishedAt,
        GuardState state,
        uint256 sequence,
        uint256 sources
    );
    /// @notice Nothing to record: the reading of that source is not newer than the newest record.
    event UpdateSkipped(uint256 indexed marketId, uint256 index, uint256 publishedAt);
    event SourceReported(uint256 indexed marketId, uint256 index, uint256 missingSince);
    /// @notice The source was there again; records need it from now on.
    event SourceReturned(uint256 indexed marketId, uint256 index);

    /// @notice Adds a market or changes its rules; reports of missing sources are forgotten, records stay. Restricted.
    /// @param sources_ Pull sources first, at least 3; at most 8 in all; sources of one adapter stand together.
    function setMarket(uint256 marketId, OracleConfig calldata config_, Source[] calldata sources_) external;

    /// @inheritdoc IPriceRecords
    /// @dev Each item is abi.encode(uint256 marketId, bytes[] payloads): one payload per pull source, empty where there is nothing
    /// new, or no payloads at all to record what the sources hold. The ether sent must be what the sources take, exactly.
    function update(bytes[] calldata priceData) external payable;

    /// @notice Says in public that a pull source has no reading that could be recorded now. If `silentAfter` seconds pass
    /// without a record that has it, records no longer need it, for ten minutes at least and until it is back.
    /// @dev Oracle_SourcePresent if it has one, Oracle_AlreadyReported if it is reported.
    function reportMissing(uint256 marketId, uint256 index) external;

    /// @notice The newest record; zeros where there is none.
    function price(uint256 marketId) external view returns (uint256 price_, uint256 confidence, uint256 publishedAt);

    /// @notice One of the last 64 records; the zero record if it is not among them.
    function recordAt(uint256 marketId, uint256 sequence) external view returns (PriceRecord record);

    function config(uint256 marketId) external view returns (OracleConfig memory);

    function sources(uint256 marketId) external view returns (Source[] memory);

    /// @notice What the sources hold now, each kind in the order of `sources`.
    function readings(uint256 marketId) external view returns (Reading[] memory pulls, Reading[] memory pushes);

    /// @notice When a pull source was reported missing; 0 while it is not.
    function missingSince(uint256 marketId, uint256 index) external view returns (uint256);

    /// @notice Whether a record needs that pull source now.
    function isRequired(uint256 marketId, uint256 index) external view returns (bool);

    /// @notice The ISequencerGuard whose state records carry.
    function sequencerGuard() external view returns (address);
}
