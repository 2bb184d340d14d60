// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOracleAggregator} from "interfaces/oracle/IOracleAggregator.sol";
import {PackedOracleConfig, Reading} from "../types/Oracle.sol";
import {PriceRecord} from "../types/PriceRecord.sol";

/// @notice One price from the readings of a market's pull sources: steps 1 to 8 of section 8 of docs/specification.md.
library PriceAggregation {
    uint256 internal constant BPS = 10_000;
    /// @dev Where a record's price ends; also keeps every product here far below 2^256.
    uint256 internal constant PRICE_END = 1 << 96;

    /// @dev The question: which readings count.
    struct Terms {
        uint256 marketId;
        uint256 newerThan; // Unix seconds, exclusive
        uint256 maxAge; // seconds
        uint256 required; // bitmap of the sources that can't be left out
    }

    /// @dev The answer; `stale` is 1 + the index of a required source that has nothing newer, and then the rest is empty.
    struct Result {
        uint256 price;
        uint256 confidence;
        uint256 publishedAt;
        uint256 timely; // bitmap
        uint256 kept; // bitmap
        uint256 stale;
    }

    function aggregate(PackedOracleConfig config, Terms memory terms, Reading[] memory readings)
        internal
        view
        returns (Result memory result)
    {
        uint256 candidates;
        (candidates, result.price) = _candidates(config, terms, readings, result);
        if (result.stale == 0) _keep(config, terms.marketId, readings, candidates, result);
    }

    /// @dev Steps 1 to 4: who is there, who is plausible, and the median of those.
    function _candidates(PackedOracleConfig config, Terms memory terms, Reading[] memory readings, Result memory result)
        private
        view
        returns (uint256 candidates, uint256 m)
    {
        uint256[] memory prices = new uint256[](readings.length);
        uint256 count;
        uint256 timely;
        for (uint256 i; i < readings.length; ++i) {
            Reading memory reading = readings[i];
            uint256 publishedAt = reading.publishedAt;
            if (isTimely(publishedAt, terms.newerThan, terms.maxAge)) {
                timely |= 1 << i;
                if (!isPlausible(reading, config.maxConfidenceBps())) continue;
                candidates |= 1 << i;
                insert(prices, count++, reading.price);
            }
        }
        result.timely = timely;
        uint256 absent = terms.required & ~timely & ((1 << readings.length) - 1);
        if (absent != 0) {
            result.stale = _explain(terms, readings, absent);
            return (0, 0);
        }
        if (count < config.quorum()) {
            revert IOracleAggregator.Oracle_QuorumMissing(terms.marketId, count, config.quorum());
        }
        m = median(prices, count);
    }

    /// @dev Some required source isn't timely. Either there is nothing newer to record, and then it is no error that another
    /// source has become too old meanwhile; or one is missing.
    function _explain(Terms memory terms, Reading[] memory readings, uint256 absent)
        private
        pure
        returns (uint256 stale)
    {
        uint256 missing;
        for (uint256 i = readings.length; i != 0; --i) {
            if (absent >> (i - 1) & 1 == 0) continue;
            uint256 publishedAt = readings[i - 1].publishedAt;
            if (publishedAt == 0 || publishedAt > terms.newerThan) missing = i;
            else stale = i;
        }
        if (stale == 0) revert IOracleAggregator.Oracle_SourceMissing(terms.marketId, missing - 1);
    }

    /// @dev Steps 5 to 7: who agrees, and how well.
    function _keep(
        PackedOracleConfig config,
        uint256 marketId,
        Reading[] memory readings,
        uint256 candidates,
        Result memory result
    ) private pure {
        uint256 m = result.price;
        uint256[] memory widths = new uint256[](readings.length);
        uint256 count;
        uint256 kept;
        uint256 oldest = type(uint256).max;
        for (uint256 i; i < readings.length; ++i) {
            if (candidates >> i & 1 == 0) continue;
            Reading memory reading = readings[i];
            uint256 deviation = distance(reading.price, m);
            if (exceeds(deviation, config.dispersionBps(), m)) continue;
            kept |= 1 << i;
            insert(widths, count++, deviation + reading.confidence);
            uint256 publishedAt = reading.publishedAt;
            if (publishedAt < oldest) oldest = publishedAt;
        }
        uint256 quorum = config.quorum();
        if (count < quorum) revert IOracleAggregator.Oracle_Dispersed(marketId, count, quorum);
        // A quorum's width, not the widest: a minority can't make a price doubtful.
        uint256 width = widths[quorum - 1];
        uint256 limit = m * config.maxConfidenceBps() / BPS;
        if (width > limit) revert IOracleAggregator.Oracle_TooUncertain(marketId, width, limit);
        result.kept = kept;
        result.confidence = width;
        result.publishedAt = oldest;
    }

    /// @dev Step 8. The limit widens with time, so that a real crash gets through.
    function checkMove(PackedOracleConfig config, uint256 marketId, uint256 price, PriceRecord last) internal view {
        if (!last.exists()) return;
        uint256 interval = config.moveInterval();
        uint256 lastPrice = last.price();
        uint256 limit =
            lastPrice * config.moveBps() * (interval + block.timestamp - last.publishedAt()) / (interval * BPS);
        if (distance(price, lastPrice) > limit) {
            revert IOracleAggregator.Oracle_MoveTooLarge(marketId, price, lastPrice, limit);
        }
    }

    /// @return sources Bitmap of the sources that a record can't do without: all but those that were reported missing
    /// `silentAfter` seconds ago; bits without a source are set too.
    /// @param missing 8 × uint32, by index of the source: when it was reported, 0 if it is not.
    function required(uint256 missing, uint256 silentAfter) internal view returns (uint256 sources) {
        sources = type(uint8).max;
        for (uint256 i; missing != 0; (missing >>= 32, ++i)) {
            uint256 since = uint32(missing);
            if (since != 0 && block.timestamp - since >= silentAfter) sources ^= 1 << i;
        }
    }

    function isTimely(uint256 publishedAt, uint256 newerThan, uint256 maxAge) internal view returns (bool) {
        unchecked {
            return publishedAt > newerThan && publishedAt <= block.timestamp && block.timestamp - publishedAt <= maxAge;
        }
    }

    /// @return Whether `value` is more than `bps` of `base`. All below 2^98, so that nothing overflows.
    function exceeds(uint256 value, uint256 bps, uint256 base) internal pure returns (bool) {
        unchecked {
            return value * BPS > base * bps;
        }
    }

    function distance(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            return a > b ? a - b : b - a;
        }
    }

    /// @notice Adds a value to the first `count` of an array, which are sorted upwards, and keeps them so.
    function insert(uint256[] memory values, uint256 count, uint256 value) internal pure {
        unchecked {
            for (; count != 0; --count) {
                uint256 before = values[count - 1];
                if (before <= value) break;
                values[count] = before;
            }
        }
        values[count] = value;
    }

    /// @return Of the first `count` values, which are sorted: the middle one, or the mean of the middle two, rounded down.
    function median(uint256[] memory values, uint256 count) internal pure returns (uint256) {
        uint256 upper = values[count / 2];
        return count % 2 == 1 ? upper : (values[count / 2 - 1] + upper) / 2; // of prices below 2^96
    }

    /// @return Whether a price can be set by this reading, by its range and its confidence.
    function isPlausible(Reading memory reading, uint256 maxConfidenceBps) internal pure returns (bool) {
        uint256 price = reading.price;
        uint256 confidence = reading.confidence;
        return
            price != 0 && price < PRICE_END && confidence < PRICE_END && !exceeds(confidence, maxConfidenceBps, price);
    }
}
