// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice One accepted price of a market in one word; zero means that there is none.
/// @dev sequence (32) | state (8) | publishedAt (40) | confidence (80) | price (96), from the high bits to the low.
/// Prices and confidences are WAD dollars: up to 7.9e10 and 1.2e6 dollars.
type PriceRecord is uint256;

using PriceRecordLib for PriceRecord global;

/// @notice What the world looked like when a price was recorded. The order is the storage format.
enum GuardState {
    Open,
    Doubtful,
    Grace,
    Down
}

library PriceRecordLib {
    error PriceRecord_OutOfRange(uint256 price, uint256 confidence, uint256 publishedAt);

    /// @notice Packs a record; reverts where a field does not fit.
    function pack(uint256 price_, uint256 confidence_, uint256 publishedAt_, GuardState state_, uint256 sequence_)
        internal
        pure
        returns (PriceRecord)
    {
        if (price_ >> 96 != 0 || confidence_ >> 80 != 0 || publishedAt_ >> 40 != 0 || sequence_ >> 32 != 0) {
            revert PriceRecord_OutOfRange(price_, confidence_, publishedAt_);
        }
        return
            PriceRecord.wrap(
                price_ | confidence_ << 96 | publishedAt_ << 176 | uint256(state_) << 216 | sequence_ << 224
            );
    }

    /// @return WAD dollars per unit of base.
    function price(PriceRecord record) internal pure returns (uint256) {
        return uint96(PriceRecord.unwrap(record));
    }

    /// @return WAD dollars, the half-width that covers the sources' own doubt and their dispersion.
    function confidence(PriceRecord record) internal pure returns (uint256) {
        return uint80(PriceRecord.unwrap(record) >> 96);
    }

    /// @return Unix seconds, the oldest publish time that the record rests on.
    function publishedAt(PriceRecord record) internal pure returns (uint256) {
        return uint40(PriceRecord.unwrap(record) >> 176);
    }

    function state(PriceRecord record) internal pure returns (GuardState) {
        return GuardState(uint8(PriceRecord.unwrap(record) >> 216));
    }

    /// @return 1 for a market's first record, one more for each.
    function sequence(PriceRecord record) internal pure returns (uint256) {
        return PriceRecord.unwrap(record) >> 224;
    }

    function exists(PriceRecord record) internal pure returns (bool) {
        return PriceRecord.unwrap(record) != 0;
    }

    /// @notice Whether the record is at most `maxAge` seconds old.
    function isFresh(PriceRecord record, uint256 maxAge) internal view returns (bool) {
        return record.exists() && block.timestamp <= record.publishedAt() + maxAge;
    }
}
