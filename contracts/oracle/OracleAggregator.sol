// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {SSTORE2} from "solady/src/utils/SSTORE2.sol";
import {IOracleAdapter} from "interfaces/oracle/IOracleAdapter.sol";
import {IOracleAggregator} from "interfaces/oracle/IOracleAggregator.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {ISequencerGuard} from "interfaces/oracle/ISequencerGuard.sol";
import {PriceAggregation} from "../libraries/PriceAggregation.sol";
import {PriceRing} from "../libraries/PriceRing.sol";
import {OracleConfig, Reading, Source} from "../types/Oracle.sol";
import {GuardState, PriceRecord} from "../types/PriceRecord.sol";
import {OracleBounds} from "./OracleBounds.sol";

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
        address settings; // code that holds abi.encode(config, sources): one cold read instead of eight
        uint256 missingSince; // 8 × uint32, by index of the source; Unix seconds until 2106
    }

    /// @inheritdoc IOracleAggregator
    address public immutable sequencerGuard;

    mapping(uint256 marketId => Market) private _markets;

    constructor(address authority_, address sequencerGuard_) AccessManaged(authority_) {
        sequencerGuard = sequencerGuard_;
    }

    /// @inheritdoc IOracleAggregator
    function setMarket(uint256 marketId, OracleConfig calldata config_, Source[] calldata sources_)
        external
        restricted
    {
        OracleBounds.validate(config_, sources_);
        Market storage market = _markets[marketId];
        market.settings = SSTORE2.write(abi.encode(config_, sources_));
        market.missingSince = 0;
        emit MarketConfigured(marketId, config_, sources_);
    }

    /// @inheritdoc IOracleAggregator
    function update(bytes[] calldata priceData) external payable {
        uint256 value = msg.value;
        for (uint256 i; i < priceData.length; ++i) {
            (uint256 marketId, bytes[] memory payloads) = abi.decode(priceData[i], (uint256, bytes[]));
            (OracleConfig memory config_, Source[] memory sources_) = _settings(marketId);
            Reading[] memory readings_;
            (readings_, value) = _read(marketId, sources_, payloads, value);
            _record(marketId, config_, sources_, readings_);
        }
        if (value != 0) revert Oracle_ValueUnused(value);
    }

    /// @inheritdoc IOracleAggregator
    function reportMissing(uint256 marketId, uint256 index) external {
        (OracleConfig memory config_, Source[] memory sources_) = _settings(marketId);
        if (index >= _pullCount(sources_)) revert Oracle_UnknownSource(marketId, index);
        Market storage market = _markets[marketId];
        uint256 since = uint32(market.missingSince >> 32 * index);
        if (since != 0) revert Oracle_AlreadyReported(marketId, index, since);
        uint256 publishedAt = _peek(sources_, index, index + 1)[0].publishedAt;
        if (PriceAggregation.isTimely(publishedAt, market.ring.newest.publishedAt(), config_.recordWindow)) {
            revert Oracle_SourcePresent(marketId, index, publishedAt);
        }
        market.missingSince |= block.timestamp << 32 * index;
        emit SourceReported(marketId, index, block.timestamp);
    }

    /// @inheritdoc IOracleAggregator
    function forcedPrice(uint256 marketId, uint256 notBefore, uint256 maxAge, bytes[] calldata payloads)
        external
        payable
        returns (uint256, uint256, uint256)
    {
        if (maxAge > MAX_FORCED_AGE) revert Oracle_MaxAgeOutOfBounds(maxAge, MAX_FORCED_AGE);
        (OracleConfig memory config_, Source[] memory sources_) = _settings(marketId);
        (Reading[] memory readings_, uint256 unused) = _read(marketId, sources_, payloads, msg.value);
        if (unused != 0) revert Oracle_ValueUnused(unused);
        PriceAggregation.Result memory result = PriceAggregation.aggregate(
            config_,
            PriceAggregation.Terms({
                marketId: marketId,
                newerThan: notBefore == 0 ? 0 : notBefore - 1,
                maxAge: maxAge,
                required: _required(_markets[marketId].missingSince, config_.silentAfter)
            }),
            readings_
        );
        if (result.stale != 0) {
            revert Oracle_NotNewer(marketId, result.stale - 1, readings_[result.stale - 1].publishedAt);
        }
        return (result.price, result.confidence, result.publishedAt);
    }

    /// @inheritdoc IOracleAggregator
    function boundPrice(uint256 marketId, uint256 notBefore)
        external
        view
        returns (uint256 price_, uint256 publishedAt)
    {
        (, Source[] memory sources_) = _settings(marketId);
        uint256 pulls = _pullCount(sources_);
        Reading[] memory bounds = _peek(sources_, pulls, sources_.length);
        uint256[] memory prices = new uint256[](bounds.length);
        uint256 count;
        publishedAt = type(uint256).max;
        for (uint256 i; i < bounds.length; ++i) {
            Reading memory bound = bounds[i];
            if (bound.publishedAt < notBefore || !_bounds(bound, sources_[pulls + i].maxAge)) continue;
            PriceAggregation.insert(prices, count++, bound.price);
            if (bound.publishedAt < publishedAt) publishedAt = bound.publishedAt;
        }
        if (count == 0) revert Oracle_NoBound(marketId, notBefore);
        price_ = PriceAggregation.median(prices, count);
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
    function config(uint256 marketId) external view returns (OracleConfig memory config_) {
        (config_,) = _settings(marketId);
    }

    /// @inheritdoc IOracleAggregator
    function sources(uint256 marketId) external view returns (Source[] memory sources_) {
        (, sources_) = _settings(marketId);
    }

    /// @inheritdoc IOracleAggregator
    function readings(uint256 marketId) external view returns (Reading[] memory) {
        (, Source[] memory sources_) = _settings(marketId);
        return _peek(sources_, 0, sources_.length);
    }

    /// @inheritdoc IOracleAggregator
    function missingSince(uint256 marketId, uint256 index) external view returns (uint256) {
        return uint32(_markets[marketId].missingSince >> 32 * index);
    }

    /// @inheritdoc IOracleAggregator
    function isRequired(uint256 marketId, uint256 index) external view returns (bool) {
        (OracleConfig memory config_, Source[] memory sources_) = _settings(marketId);
        if (index >= _pullCount(sources_)) return false;
        return _required(_markets[marketId].missingSince, config_.silentAfter) >> index & 1 != 0;
    }

    function _settings(uint256 marketId) private view returns (OracleConfig memory, Source[] memory) {
        address settings = _markets[marketId].settings;
        if (settings == address(0)) revert Oracle_UnknownMarket(marketId);
        return abi.decode(SSTORE2.read(settings), (OracleConfig, Source[]));
    }

    /// @dev Applies the payloads and reads the pull sources, each adapter once; returns the ether that is left.
    function _read(uint256 marketId, Source[] memory sources_, bytes[] memory payloads, uint256 value)
        private
        returns (Reading[] memory all, uint256)
    {
        uint256 pulls = _pullCount(sources_);
        if (payloads.length == 0) return (_peek(sources_, 0, pulls), value);
        if (payloads.length != pulls) revert Oracle_PayloadCount(marketId, payloads.length, pulls);
        all = new Reading[](pulls);
        for (uint256 start; start < pulls;) {
            (IOracleAdapter adapter, bytes32[] memory feedIds) = _group(sources_, start, pulls);
            bytes[] memory updates = new bytes[](feedIds.length);
            for (uint256 i; i < updates.length; ++i) {
                updates[i] = payloads[start + i];
            }
            uint256 fee = value == 0 ? 0 : adapter.fee(updates);
            value -= fee;
            start = _place(all, start, adapter.read{value: fee}(feedIds, updates));
        }
        return (all, value);
    }

    /// @dev What the sources from `start` to before `end` hold.
    function _peek(Source[] memory sources_, uint256 start, uint256 end) private view returns (Reading[] memory all) {
        all = new Reading[](end - start);
        for (uint256 next = start; next < end;) {
            (IOracleAdapter adapter, bytes32[] memory feedIds) = _group(sources_, next, end);
            next = start + _place(all, next - start, adapter.peek(feedIds));
        }
    }

    /// @dev The sources from `start` on that share its adapter.
    function _group(Source[] memory sources_, uint256 start, uint256 end)
        private
        pure
        returns (IOracleAdapter, bytes32[] memory feedIds)
    {
        address adapter = sources_[start].adapter;
        uint256 next = start + 1;
        while (next < end && sources_[next].adapter == adapter) ++next;
        feedIds = new bytes32[](next - start);
        for (uint256 i; i < feedIds.length; ++i) {
            feedIds[i] = sources_[start + i].feedId;
        }
        return (IOracleAdapter(adapter), feedIds);
    }

    function _place(Reading[] memory all, uint256 start, Reading[] memory part) private pure returns (uint256 next) {
        for (uint256 i; i < part.length; ++i) {
            all[start + i] = part[i];
        }
        return start + part.length;
    }

    function _record(
        uint256 marketId,
        OracleConfig memory config_,
        Source[] memory sources_,
        Reading[] memory readings_
    ) private {
        Market storage market = _markets[marketId];
        PriceRecord last = market.ring.newest;
        uint256 missing = market.missingSince;
        PriceAggregation.Result memory result = PriceAggregation.aggregate(
            config_,
            PriceAggregation.Terms({
                marketId: marketId,
                newerThan: last.publishedAt(),
                maxAge: config_.recordWindow,
                required: _required(missing, config_.silentAfter)
            }),
            readings_
        );
        if (result.stale != 0) {
            emit UpdateSkipped(marketId, result.stale - 1, readings_[result.stale - 1].publishedAt);
            return;
        }
        if (last.exists()) _checkMove(marketId, config_, result.price, last);
        bool doubtful = _checkBounds(marketId, config_, sources_, readings_.length, result.price)
            || PriceAggregation.exceeds(result.confidence, config_.openConfidenceBps, result.price);
        GuardState state = ISequencerGuard(sequencerGuard).state();
        if (doubtful && state == GuardState.Open) state = GuardState.Doubtful;

        PriceRecord record = market.ring.push(result.price, result.confidence, result.publishedAt, state);
        if (missing != 0) _welcome(marketId, missing, result.timely, config_.silentAfter);
        emit PriceRecorded(
            marketId, result.price, result.confidence, result.publishedAt, state, record.sequence(), result.kept
        );
    }

    /// @dev Step 8. The limit widens with time, so that a real crash gets through.
    function _checkMove(uint256 marketId, OracleConfig memory config_, uint256 price_, PriceRecord last) private view {
        uint256 interval = config_.moveInterval;
        uint256 lastPrice = last.price();
        uint256 limit = lastPrice * config_.moveBps * (interval + block.timestamp - last.publishedAt())
            / (interval * PriceAggregation.BPS);
        if (PriceAggregation.distance(price_, lastPrice) > limit) {
            revert Oracle_MoveTooLarge(marketId, price_, lastPrice, limit);
        }
    }

    /// @dev Step 9: whether a push source is off; reverts where enough of them are far off.
    function _checkBounds(
        uint256 marketId,
        OracleConfig memory config_,
        Source[] memory sources_,
        uint256 pulls,
        uint256 price_
    ) private view returns (bool off) {
        if (pulls == sources_.length) return false;
        Reading[] memory bounds = _peek(sources_, pulls, sources_.length);
        uint256 far;
        for (uint256 i; i < bounds.length; ++i) {
            if (!_bounds(bounds[i], sources_[pulls + i].maxAge)) continue;
            uint256 deviation = PriceAggregation.distance(bounds[i].price, price_);
            if (PriceAggregation.exceeds(deviation, config_.boundReduceBps, price_)) off = true;
            if (PriceAggregation.exceeds(deviation, config_.boundRefuseBps, price_) && ++far == config_.boundQuorum) {
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
        if (left != missing) _markets[marketId].missingSince = left;
    }

    /// @dev Bitmap of the sources that are not silent; bits of push sources mean nothing.
    function _required(uint256 missing, uint256 silentAfter) private view returns (uint256 required) {
        required = type(uint8).max;
        for (uint256 i; missing != 0; (missing >>= 32, ++i)) {
            uint256 since = uint32(missing);
            if (since != 0 && block.timestamp - since >= silentAfter) required ^= 1 << i;
        }
    }

    function _bounds(Reading memory bound, uint256 maxAge) private view returns (bool) {
        return bound.price != 0 && bound.price < PriceAggregation.PRICE_END
            && PriceAggregation.isTimely(bound.publishedAt, 0, maxAge);
    }

    function _pullCount(Source[] memory sources_) private pure returns (uint256 count) {
        while (count < sources_.length && !sources_[count].isPush) ++count;
    }
}
