// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GuardState, PriceRecord, PriceRecordLib} from "../types/PriceRecord.sol";

/// @notice The last 64 price records of a market, publish times strictly increasing, sequence numbers without a gap.
/// @dev The newest is a word of its own, so that reading it needs no second one. Record n moves to older[n % 64] when
/// record n + 1 comes.
library PriceRing {
    /// @dev How many records can be asked for, the newest included.
    uint256 internal constant HELD = 64;

    struct Ring {
        PriceRecord newest;
        PriceRecord[64] older;
    }

    error PriceRing_NotNewer(uint256 publishedAt, uint256 newestPublishedAt);

    /// @notice Makes a record the newest one.
    /// @param last The newest one so far, which the caller has read anyway.
    function push(
        Ring storage self,
        PriceRecord last,
        uint256 price,
        uint256 confidence,
        uint256 publishedAt,
        GuardState state
    ) internal returns (PriceRecord record) {
        if (publishedAt <= last.publishedAt()) {
            revert PriceRing_NotNewer(publishedAt, last.publishedAt());
        }
        record = PriceRecordLib.pack(price, confidence, publishedAt, state, last.sequence() + 1);
        if (last.exists()) self.older[last.sequence() % HELD] = last;
        self.newest = record;
    }

    /// @notice The record with that sequence number; the zero record where it is not among the last 64.
    function get(Ring storage self, uint256 sequence) internal view returns (PriceRecord record) {
        PriceRecord last = self.newest;
        if (sequence == 0 || sequence > last.sequence() || last.sequence() - sequence >= HELD) return record;
        return sequence == last.sequence() ? last : self.older[sequence % HELD];
    }

    /// @notice The first record with publishedAt ≥ notBefore, and the newest.
    /// @dev Walks back, since what is asked for is nearly always the newest or the one before; at most 64 words. The zero
    /// record also where all 64 are at or after notBefore although there were older ones: the first may be gone.
    function settlement(Ring storage self, uint256 notBefore)
        internal
        view
        returns (PriceRecord first, PriceRecord last)
    {
        last = self.newest;
        uint256 newestSequence = last.sequence();
        PriceRecord record = last;
        for (uint256 sequence = newestSequence; sequence != 0; --sequence) {
            if (newestSequence - sequence == HELD) return (PriceRecord.wrap(0), last);
            if (sequence != newestSequence) record = self.older[sequence % HELD];
            if (record.publishedAt() < notBefore) break;
            first = record;
        }
    }
}
