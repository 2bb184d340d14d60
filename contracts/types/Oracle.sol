// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice How a market's sources become a record; the rules are section 8 of docs/specification.md.
struct OracleConfig {
    uint8 quorum; // pull sources that must agree
    uint8 boundQuorum; // push sources that must be far off to refuse a record
    uint16 dispersionBps; // of the median; farther readings are dropped
    uint16 maxConfidenceBps; // wider ones are not recorded
    uint16 openConfidenceBps; // wider ones are Doubtful
    uint16 recordWindow; // seconds after publication in which a reading can be recorded
    uint16 silentAfter; // seconds after which a reported source may be left out
    uint16 moveBps; // largest move at once; it widens by as much again per moveInterval
    uint16 moveInterval; // seconds
    uint16 boundReduceBps; // farther from a push source: Doubtful
    uint16 boundRefuseBps; // farther from boundQuorum of them: refused
}

/// @notice One source of a market's price.
struct Source {
    address adapter;
    bool isPush; // only bounds the price, never sets it
    uint32 maxAge; // seconds, of a push source; 0 for a pull source
    bytes32 feedId; // what the adapter knows it by
}

/// @notice What a source says; all zeros where it has nothing.
struct Reading {
    uint256 price; // WAD dollars; 0 for a zero, negative or malformed answer
    uint256 confidence; // WAD dollars, half-width
    uint256 publishedAt; // Unix seconds
}

/// @notice An OracleConfig in one word, fields from the low bits to the high in its order: a record reads each of them once.
type PackedOracleConfig is uint256;

using PackedOracleConfigLib for PackedOracleConfig global;

library PackedOracleConfigLib {
    function pack(OracleConfig memory config) internal pure returns (PackedOracleConfig) {
        return PackedOracleConfig.wrap(
            uint256(config.quorum) | uint256(config.boundQuorum) << 8 | uint256(config.dispersionBps) << 16
                | uint256(config.maxConfidenceBps) << 32 | uint256(config.openConfidenceBps) << 48
                | uint256(config.recordWindow) << 64 | uint256(config.silentAfter) << 80 | uint256(config.moveBps) << 96
                | uint256(config.moveInterval) << 112 | uint256(config.boundReduceBps) << 128
                | uint256(config.boundRefuseBps) << 144
        );
    }

    function unpack(PackedOracleConfig self) internal pure returns (OracleConfig memory) {
        return OracleConfig({
            quorum: uint8(self.quorum()),
            boundQuorum: uint8(self.boundQuorum()),
            dispersionBps: uint16(self.dispersionBps()),
            maxConfidenceBps: uint16(self.maxConfidenceBps()),
            openConfidenceBps: uint16(self.openConfidenceBps()),
            recordWindow: uint16(self.recordWindow()),
            silentAfter: uint16(self.silentAfter()),
            moveBps: uint16(self.moveBps()),
            moveInterval: uint16(self.moveInterval()),
            boundReduceBps: uint16(self.boundReduceBps()),
            boundRefuseBps: uint16(self.boundRefuseBps())
        });
    }

    function quorum(PackedOracleConfig self) internal pure returns (uint256) {
        return uint8(PackedOracleConfig.unwrap(self));
    }

    function boundQuorum(PackedOracleConfig self) internal pure returns (uint256) {
        return uint8(PackedOracleConfig.unwrap(self) >> 8);
    }

    function dispersionBps(PackedOracleConfig self) internal pure returns (uint256) {
        return uint16(PackedOracleConfig.unwrap(self) >> 16);
    }

    function maxConfidenceBps(PackedOracleConfig self) internal pure returns (uint256) {
        return uint16(PackedOracleConfig.unwrap(self) >> 32);
    }

    function openConfidenceBps(PackedOracleConfig self) internal pure returns (uint256) {
        return uint16(PackedOracleConfig.unwrap(self) >> 48);
    }

    function recordWindow(PackedOracleConfig self) internal pure returns (uint256) {
        return uint16(PackedOracleConfig.unwrap(self) >> 64);
    }

    function silentAfter(PackedOracleConfig self) internal pure returns (uint256) {
        return uint16(PackedOracleConfig.unwrap(self) >> 80);
    }

    function moveBps(PackedOracleConfig self) internal pure returns (uint256) {
        return uint16(PackedOracleConfig.unwrap(self) >> 96);
    }

    function moveInterval(PackedOracleConfig self) internal pure returns (uint256) {
        return uint16(PackedOracleConfig.unwrap(self) >> 112);
    }

    function boundReduceBps(PackedOracleConfig self) internal pure returns (uint256) {
        return uint16(PackedOracleConfig.unwrap(self) >> 128);
    }

    function boundRefuseBps(PackedOracleConfig self) internal pure returns (uint256) {
        return uint16(PackedOracleConfig.unwrap(self) >> 144);
    }
}
