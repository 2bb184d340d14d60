// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IOracleAdapter} from "./IOracleAdapter.sol";

/// @title Time-weighted average prices of Uniswap v3 pools, as push sources: they bound a price and never set it.
/// @notice A feed id says what to read and how, from the low bits to the high: pool (160) | windowSeconds (32) | decimals of the pool's
/// token0 (8) | of token1 (8) | 1 where token1 is the base (1); the rest is zero. The other token stands for a dollar.
/// @notice The price is the geometric mean over the window, WAD, with an error below 1e-15 of it. Confidence is the price itself, so that an
/// average, which lags, never sets a price: not as a pull source, and not in `boundPrice`.
/// publishedAt is when the window began, or the last time that a swap or a change of liquidity moved the pool's observations, if that
/// is earlier. So a source's maxAge has to exceed the window, and what is younger than T rests on nothing from before T.
/// @notice Zeros: no pool, a window out of bounds or longer than the pool remembers, more than 18 decimals, a price beyond e^26 dollars.
interface IUniswapV3Adapter is IOracleAdapter {
    /// @dev Pools take no updates.
    error UniswapV3Adapter_NothingToUpdate(uint256 index);

    /// @notice Seconds; a shorter average follows a single block's price too closely.
    function MIN_WINDOW() external view returns (uint256);

    function MAX_WINDOW() external view returns (uint256);
}
