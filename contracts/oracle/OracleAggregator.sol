// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {SSTORE2} from "solady/src/utils/SSTORE2.sol";
import {IOracleAggregator} from "interfaces/oracle/IOracleAggregator.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {ISequencerGuard} from "interfaces/oracle/ISequencerGuard.sol";
import {PriceAggregation} from "../libraries/PriceAggregation.sol";
import {PriceRing} from "../libraries/PriceRing.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {OracleConfig, PackedOracleConfig, Reading, Source} from "../types/Oracle.sol";
import {GuardState, PriceRecord} from "../types/PriceRecord.sol";
import {OracleBounds} from "./OracleBounds.sol";
import {OracleSettings} from "./OracleSettings.sol";

/// @title Records one price per market from several sources; documented in IOracleAggregator.
contract OracleAggregator is IOracleAggregator, AccessManaged {
    using PriceRing for PriceRing.Ring;

    /// @dev Seconds for which a source that was silent stays optional after it: one that keeps coming back for a moment can't stop
    /// the market each time.
    uint256 public constant PROBATION = 600;
    /// @dev Seconds; the oldest data that `forcedPrice` takes.
    uint256 public constant MAX_FORCED_AGE = 120;

    struct Market {
        PriceRing.Ring ring; // slot 0: newest; slots 1–64: older
        address settings; // code that holds abi.encode(OracleSettings.Settings): one cold read instead of eight
        bool reported; // whether missingSince is worth a read
        uint256 missingSince; // 8 × uint32, by index of the source; Unix seconds until 2106
    }

    /// @inheritdoc IOracleAggregator
    address public immutable sequencerGuard;
    /// @dev A guard without a feed, which it can't get later, is always Open: not asked, for 3,000 gas an update.
    bool private immutable GUARDED;

    mapping(uint256 marketId => Market) private _markets;

    constructor(address authority_, address sequencerGuard_) AccessManaged(authority_) {
        sequencerGuard = sequencerGuard_;
        GUARDED = ISequencerGuard(sequencerGuard_).feed() != address(0);
    }

    /// @inheritdoc IOracleAggregator
    function setMarket(uint256 marketId, OracleConfig calldata config_, Source[] calldata sources_)
        external
        restricted
    {
        OracleBounds.validate(config_, sources_);
        Market storage market = _markets[marketId];
        market.settings = SSTORE2.write(abi.encode(OracleSettings.pack(config_, sources_)));
        _setMissing(market, 0);
        emit MarketConfigured(marketId, config_, sources_);
    }

    /// @inheritdoc IOracleAggregator
    function update(bytes[] calldata priceData) external payable {
        uint256 value = msg.value;
        for (uint256 i; i < priceData.length; ++i) {
            (uint256 marketId, bytes[] memory payloads) = abi.decode(priceData[i], (uint256, bytes[]));
            OracleSettings.Settings memory settings = _settings(marketId);
            Reading[] memory readings_;
            (readings_, value) = _read(marketId, settings, payloads, value);
            _record(marketId, settings, readings_);
        }
        if (value != 0) revert Oracle_ValueUnused(value);
    }

    /// @inheritdoc IOracleAggregator
    function reportMissing(uint256 marketId, uint256 index) external {
        OracleSettings.Settings memory settings = _settings(marketId);
        if (index >= settings.pullCount) revert Oracle_UnknownSource(marketId, index);
        Market storage market = _markets[marketId];
        uint256 missing = market.missingSince;
        uint256 since = uint32(missing >> 32 * index);
        if (since != 0) revert Oracle_AlreadyReported(marketId, index, since);
        uint256 publishedAt = _peek(settings.pulls, settings.pullCount)[index].publishedAt;
        if (PriceAggregation.isTimely(publishedAt, market.ring.newest.publishedAt(), settings.config.recordWindow())) {
            revert Oracle_SourcePresent(marketId, index, publishedAt);
        }
        _setMissing(market, missing | block.timestamp << 32 * index);
        emit SourceReported(marketId, index, block.timestamp);
    }

    /// @inheritdoc IPriceRecords
    function forcedPrice(uint256 marketId, uint256 notBefore, uint256 maxAge, bytes[] calldata payloads)
        external
        payable
        returns (uint256, uint256, uint256)
    {
        if (maxAge > MAX_FORCED_AGE) revert Oracle_MaxAgeOutOfBounds(maxAge, MAX_FORCED_AGE);
        OracleSettings.Settings memory settings = _settings(marketId);
        (Reading[] memory readings_, uint256 unused) = _read(marketId, settings, payloads, msg.value);
        if (unused != 0) revert Oracle_ValueUnused(unused);
        PriceAggregation.Result memory result = PriceAggregation.aggregate(
            settings.config,
            PriceAggregation.Terms({
                marketId: marketId,
                newerThan: notBefore == 0 ? 0 : notBefore - 1,
                maxAge: maxAge,
                required: PriceAggregation.required(_markets[marketId].missingSince, settings.config.silentAfter())
            }),
            readings_
        );
        if (result.stale != 0) {
            revert Oracle_NotNewer(marketId, result.stale - 1, readings_[result.stale - 1].publishedAt);
        }
        return (result.price, result.confidence, result.publishedAt);
    }

    /// @inheritdoc IPriceRecords
    function boundPrice(uint256 marketId, uint256 notBefore)
        external
        view
        returns (uint256 price_, uint256 tolerance, uint256 publishedAt)
    {
        OracleSettings.Settings memory settings = _settings(marketId);
        Reading[] memory bounds = _peek(settings.pushes, settings.maxAges.length);
        uint256[] memory prices = new uint256[](bounds.length);
        uint256 count;
        publishedAt = type(uint256).max;
        for (uint256 i; i < bounds.length; ++i) {
            Reading memory bound = bounds[i];
            if (bound.publishedAt < notBefore || !_bounds(bound, settings.maxAges[i])) continue;
            if (!PriceAggregation.isPlausible(bound, settings.config.maxConfidenceBps())) continue; // an average sets none
            PriceAggregation.insert(prices, count++, bound.price);
            if (bound.publishedAt < publishedAt) publishedAt = bound.publishedAt;
        }
        if (count == 0) revert Oracle_NoBound(marketId, notBefore);
        price_ = PriceAggregation.median(prices, count);
        tolerance = WadMath.divUp(price_ * settings.config.boundReduceBps(), PriceAggregation.BPS);
    }

    /// @inheritdoc IPriceRecords
    function sequencerState() public view returns (GuardState) {
        return GUARDED ? ISequencerGuard(sequencerGuard).state() : GuardState.Open;
    }

    /// @inheritdoc IOracleAggregator
    function price(uint256 marketId) external view returns (uint256, uint256, uint256) {
        PriceRecord last = _markets[marketId].ring.newest;
        return (last.price(), last.confidence(), last.publishedAt());
    }

    /// @inheritdoc IPriceRecords
    function newest(uint256 marketId) external view returns (PriceRecord) {
        return _markets[marketId].ring.newest;
    }

    /// @inheritdoc IPriceRecords
    function settlement(uint256 marketId, uint256 notBefore) external view returns (PriceRecord, PriceRecord) {
        return _markets[marketId].ring.settlement(notBefore);
    }

    /// @inheritdoc IOracleAggregator
    function recordAt(uint256 marketId, uint256 sequence) external view returns (PriceRecord) {
        return _markets[marketId].ring.get(sequence);
    }

    /// @inheritdoc IOracleAggregator
    function config(uint256 marketId) external view returns (OracleConfig memory) {
        return _settings(marketId).config.unpack();
    }

    /// @inheritdoc IOracleAggregator
    function sources(uint256 marketId) external view returns (Source[] memory) {
        return OracleSettings.sources(_settings(marketId));
    }

    /// @inheritdoc IOracleAggregator
    function readings(uint256 marketId) external view returns (Reading[] memory pulls, Reading[] memory pushes) {
        OracleSettings.Settings memory settings = _settings(marketId);
        return (_peek(settings.pulls, settings.pullCount), _peek(settings.pushes, settings.maxAges.length));
    }

    /// @inheritdoc IOracleAggregator
    function missingSince(uint256 marketId, uint256 index) external view returns (uint256) {
        return uint32(_markets[marketId].missingSince >> 32 * index);
    }

    /// @inheritdoc IOracleAggregator
    function isRequired(uint256 marketId, uint256 index) external view returns (bool) {
        OracleSettings.Settings memory settings = _settings(marketId);
        if (index >= settings.pullCount) return false;
        return
            PriceAggregation.required(_markets[marketId].missingSince, settings.config.silentAfter()) >> index & 1 != 0;
    }

    function _settings(uint256 marketId) private view returns (OracleSettings.Settings memory) {
        address settings = _markets[marketId].settings;
        if (settings == address(0)) revert Oracle_UnknownMarket(marketId);
        return abi.decode(SSTORE2.read(settings), (OracleSettings.Settings));
    }

    /// @dev Applies the payloads and reads the pull sources, each adapter once; returns the ether that is left.
    function _read(uint256 marketId, OracleSettings.Settings memory settings, bytes[] memory payloads, uint256 value)
        private
        returns (Reading[] memory all, uint256)
    {
        if (payloads.length == 0) return (_peek(settings.pulls, settings.pullCount), value);
        if (payloads.length != settings.pullCount) {
            revert Oracle_PayloadCount(marketId, payloads.length, settings.pullCount);
        }
        if (settings.pulls.length == 1) return _readGroup(settings.pulls[0], payloads, value);
        all = new Reading[](settings.pullCount);
        uint256 next;
        for (uint256 g; g < settings.pulls.length; ++g) {
            OracleSettings.Group memory group = settings.pulls[g];
            bytes[] memory updates = new bytes[](group.feedIds.length);
            for (uint256 i; i < updates.length; ++i) {
                updates[i] = payloads[next + i];
            }
            Reading[] memory part;
            (part, value) = _readGroup(group, updates, value);
            next = _place(all, next, part);
        }
        return (all, value);
    }

    function _readGroup(OracleSettings.Group memory group, bytes[] memory updates, uint256 value)
        private
        returns (Reading[] memory, uint256)
    {
        uint256 fee = value == 0 ? 0 : group.adapter.fee(updates);
        return (group.adapter.read{value: fee}(group.feedIds, updates), value - fee);
    }

    function _peek(OracleSettings.Group[] memory groups, uint256 count) private view returns (Reading[] memory all) {
        all = new Reading[](count);
        uint256 next;
        for (uint256 g; g < groups.length; ++g) {
            next = _place(all, next, groups[g].adapter.peek(groups[g].feedIds));
        }
    }

    function _place(Reading[] memory all, uint256 start, Reading[] memory part) private pure returns (uint256 next) {
        for (uint256 i; i < part.length; ++i) {
            all[start + i] = part[i];
        }
        return start + part.length;
    }

    function _record(uint256 marketId, OracleSettings.Settings memory settings, Reading[] memory readings_) private {
        Market storage market = _markets[marketId];
        PackedOracleConfig config_ = settings.config;
        PriceRecord last = market.ring.newest;
        uint256 missing = market.reported ? market.missingSince : 0;
        PriceAggregation.Result memory result = PriceAggregation.aggregate(
            config_,
            PriceAggregation.Terms({
                marketId: marketId,
                newerThan: last.publishedAt(),
                maxAge: config_.recordWindow(),
                required: PriceAggregation.required(missing, config_.silentAfter())
            }),
            readings_
        );
        if (result.stale != 0) {
            emit UpdateSkipped(marketId, result.stale - 1, readings_[result.stale - 1].publishedAt);
            return;
        }
        PriceAggregation.checkMove(config_, marketId, result.price, last);
        bool doubtful = _checkBounds(marketId, settings, result.price)
            || PriceAggregation.exceeds(result.confidence, config_.openConfidenceBps(), result.price);
        GuardState state = sequencerState();
        if (doubtful && state == GuardState.Open) state = GuardState.Doubtful;

        PriceRecord record = market.ring.push(last, result.price, result.confidence, result.publishedAt, state);
        if (missing != 0) _welcome(marketId, missing, result.timely, config_.silentAfter());
        emit PriceRecorded(
            marketId, result.price, result.confidence, result.publishedAt, state, record.sequence(), result.kept
        );
    }

    /// @dev Step 9: whether a push source is off; reverts where enough of them are far off.
    function _checkBounds(uint256 marketId, OracleSettings.Settings memory settings, uint256 price_)
        private
        view
        returns (bool off)
    {
        if (settings.pushes.length == 0) return false;
        PackedOracleConfig config_ = settings.config;
        Reading[] memory bounds = _peek(settings.pushes, settings.maxAges.length);
        uint256 far;
        for (uint256 i; i < bounds.length; ++i) {
            if (!_bounds(bounds[i], settings.maxAges[i])) continue;
            uint256 deviation = PriceAggregation.distance(bounds[i].price, price_);
            if (PriceAggregation.exceeds(deviation, config_.boundReduceBps(), price_)) off = true;
            if (PriceAggregation.exceeds(deviation, config_.boundRefuseBps(), price_) && ++far == config_.boundQuorum())
            {
                revert Oracle_OutOfBounds(marketId, price_, bounds[i].price);
            }
        }
    }

    /// @dev Step 11: reports end for the sources that are back.
    function _welcome(uint256 marketId, uint256 missing, uint256 timely, uint256 silentAfter) private {
        uint256 left = missing;
        for (uint256 i; i < OracleBounds.MAX_SOURCES; ++i) {
            uint256 since = uint32(missing >> 32 * i);
            if (since == 0 || timely >> i & 1 == 0) continue;
            uint256 elapsed = block.timestamp - since;
            if (elapsed >= silentAfter && elapsed < silentAfter + PROBATION) continue;
            left ^= since << 32 * i;
            emit SourceReturned(marketId, i);
        }
        if (left != missing) _setMissing(_markets[marketId], left);
    }

    function _setMissing(Market storage market, uint256 missing) private {
        market.missingSince = missing;
        market.reported = missing != 0;
    }

    function _bounds(Reading memory bound, uint256 maxAge) private view returns (bool) {
        return bound.price != 0 && bound.price < PriceAggregation.PRICE_END
            && PriceAggregation.isTimely(bound.publishedAt, 0, maxAge);
    }
}
