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
