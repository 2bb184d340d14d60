// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IRequestVault} from "./IRequestVault.sol";

/// @title The liquidity pool: the counterpart of every trader, with an account of its own in each market.
interface ILiquidityPool is IRequestVault {
    /// @notice By market from 1 on, bps, summing to 10^4.
    event WeightsChanged(uint16[] weightsBps);
    event CapitalMoved(uint256 indexed fromMarket, uint256 indexed toMarket, uint256 assets);

    /// @dev A market in which the pool has a position has no record after the request's maturity, or a stale one, or one that allows no entry.
    error RequestVault_PriceUnusable(uint256 marketId, uint256 publishedAt, uint8 state);
    /// @dev An exit that would leave the market's exposure above what may be opened.
    error RequestVault_OpeningLimit(uint256 marketId, uint256 exposure, uint256 limit);
    /// @dev An entry would pay for this market's losses, of more than a dollar, before it gets its shares.
    error LiquidityPool_Insolvent(uint256 marketId, int256 equity);
    error LiquidityPool_InvalidWeights(uint256 sum, uint256 count);
    error LiquidityPool_InsufficientEquity(uint256 marketId, int256 equity, uint256 required);

    /// @notice Sets how entries are split: one weight a listed market, bps, summing to 10^4.
    function setWeights(uint16[] calldata weightsBps) external;

    /// @notice Moves capital between two of the pool's accounts; the first keeps what its opening limit needs. In token units.
    function moveCapital(uint256 fromMarket, uint256 toMarket, uint256 assets) external;

    /// @notice By market from 1 on, bps; 0 for one listed since they were set.
    function weights() external view returns (uint256[] memory);

    /// @notice The pool's equity in a market with its position at what unwinding it would cost, P (1 + k/2S): WAD dollars, rounded down.
    /// At the newest price, whatever its age.
    function equityOf(uint256 marketId) external view returns (int256);
}
