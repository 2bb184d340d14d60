// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOracleAdapter} from "interfaces/oracle/IOracleAdapter.sol";
import {ISignedAdapter} from "interfaces/oracle/ISignedAdapter.sol";
import {Reading} from "../../types/Oracle.sol";

/// @title An adapter over a vendor that verifies signed prices but doesn't keep them: the newest of each feed is kept here.
/// @dev Documented in ISignedAdapter. What isn't newer is verified all the same, so that a vendor's fee depends on the updates
/// alone: nobody can break another's batch by being first.
abstract contract SignedAdapter is ISignedAdapter {
    struct Held {
        uint112 price; // WAD dollars
        uint112 confidence; // WAD dollars
        uint32 publishedAt; // Unix seconds until 2106
    }

    mapping(bytes32 feedId => Held) private _held;

    /// @inheritdoc IOracleAdapter
    function read(bytes32[] calldata feedIds, bytes[] calldata updates)
        external
        payable
        returns (Reading[] memory readings)
    {
        if (updates.length != feedIds.length) revert SignedAdapter_UpdateCount(feedIds.length, updates.length);
        uint256 due = fee(updates);
        if (msg.value != due) revert SignedAdapter_Fee(msg.value, due);
        for (uint256 i; i < feedIds.length; ++i) {
            if (updates[i].length != 0) _hold(feedIds[i], _verify(i, feedIds[i], updates[i]));
        }
        return peek(feedIds);
    }

    /// @inheritdoc IOracleAdapter
    function peek(bytes32[] calldata feedIds) public view returns (Reading[] memory readings) {
        readings = new Reading[](feedIds.length);
        for (uint256 i; i < feedIds.length; ++i) {
            Held memory held = _held[feedIds[i]];
            readings[i] = Reading(held.price, held.confidence, held.publishedAt);
        }
    }

    /// @inheritdoc IOracleAdapter
    function fee(bytes[] calldata updates) public view virtual returns (uint256);

    /// @dev What a signed update says of that feed; reverts where it is for another or not genuine. Called once for each
    /// update that `fee` counts, and to pay what that says of it.
    function _verify(uint256 index, bytes32 feedId, bytes calldata update) internal virtual returns (Reading memory);

    function _hold(bytes32 feedId, Reading memory reading) private {
        uint256 publishedAt = reading.publishedAt;
        if (publishedAt > block.timestamp || publishedAt <= _held[feedId].publishedAt) return;
        // The block's time and all before it fit 32 bits; a price beyond 112 is none, a width beyond them wide.
        uint112 price = reading.price > type(uint112).max ? 0 : uint112(reading.price);
        uint112 confidence = reading.confidence > type(uint112).max ? type(uint112).max : uint112(reading.confidence);
        _held[feedId] = Held(price, confidence, uint32(publishedAt));
    }
}
