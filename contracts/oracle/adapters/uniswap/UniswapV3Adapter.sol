// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";
import {IOracleAdapter} from "interfaces/oracle/IOracleAdapter.sol";
import {IUniswapV3Adapter} from "interfaces/oracle/IUniswapV3Adapter.sol";
import {Reading} from "../../../types/Oracle.sol";
import {PoolReader} from "./PoolReader.sol";

/// @title Averages of Uniswap v3 pools for the aggregator; documented in IUniswapV3Adapter.
contract UniswapV3Adapter is IUniswapV3Adapter {
    /// @inheritdoc IUniswapV3Adapter
    uint256 public constant MIN_WINDOW = 60;
    /// @inheritdoc IUniswapV3Adapter
    uint256 public constant MAX_WINDOW = 1 days;

    uint256 private constant MAX_DECIMALS = 18;
    uint256 private constant FEED_BITS = 209;
    /// @dev ln(1.0001) × 1e36 and ln(10) × 1e18: a tick's and a decimal's part of the exponent.
    int256 private constant LN_TICK = 99995000333308335333166680951131;
    int256 private constant LN_TEN = 2302585092994045684;
    int256 private constant MAX_EXPONENT = 26e18;

    /// @dev A feed id, unpacked.
    struct Feed {
        address pool;
        uint256 window; // seconds
        uint256 decimals0;
        uint256 decimals1;
        bool isInverted; // token1 is the base
    }

    /// @inheritdoc IOracleAdapter
    function read(bytes32[] calldata feedIds, bytes[] calldata updates)
        external
        payable
        returns (Reading[] memory readings)
    {
        for (uint256 i; i < updates.length; ++i) {
            if (updates[i].length != 0) revert UniswapV3Adapter_NothingToUpdate(i);
        }
        return peek(feedIds);
    }

    /// @inheritdoc IOracleAdapter
    function peek(bytes32[] calldata feedIds) public view returns (Reading[] memory readings) {
        readings = new Reading[](feedIds.length);
        for (uint256 i; i < feedIds.length; ++i) {
            uint256 id = uint256(feedIds[i]);
            Feed memory feed =
                Feed(address(uint160(id)), uint32(id >> 160), uint8(id >> 192), uint8(id >> 200), id >> 208 == 1);
            if (id >> FEED_BITS == 0 && _isSound(feed)) readings[i] = _read(feed);
        }
    }

    /// @inheritdoc IOracleAdapter
    function fee(bytes[] calldata) external pure returns (uint256) {
        return 0;
    }

    function _isSound(Feed memory feed) private pure returns (bool) {
        return feed.window >= MIN_WINDOW && feed.window <= MAX_WINDOW && feed.decimals0 <= MAX_DECIMALS
            && feed.decimals1 <= MAX_DECIMALS;
    }

    function _read(Feed memory feed) private view returns (Reading memory reading) {
        (bool observed, int256 tickSeconds) = PoolReader.tickSeconds(feed.pool, feed.window);
        (bool known, uint256 updatedAt) = PoolReader.lastObservation(feed.pool);
        if (!observed || !known) return reading;
        // ln of the price of token0's unit in units of token1, then of whole tokens: the mean is never rounded to a tick.
        int256 exponent = tickSeconds * LN_TICK / (int256(feed.window) * 1e18);
        exponent += (int256(feed.decimals0) - int256(feed.decimals1)) * LN_TEN;
        if (feed.isInverted) exponent = -exponent;
        if (exponent > MAX_EXPONENT) return reading;
        reading.price = uint256(FixedPointMathLib.expWad(exponent));
        reading.confidence = reading.price;
        uint256 began = block.timestamp - feed.window;
        reading.publishedAt = updatedAt < began ? updatedAt : began;
    }
}
