// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {MarketParams} from "contracts/types/MarketConfig.sol";

/// @title The only way into a market's configuration: by roles, within bounds that no vote passes.
interface IMarketConfigurator {
    event MarketListed(uint256 indexed marketId, uint256 scale);
    event ParamsChanged(uint256 indexed marketId, MarketParams params);
    event OpeningHalted(uint256 indexed marketId, uint256 until);

    error MarketConfigurator_InvalidMarket(uint256 marketId, uint256 expected);
    error MarketConfigurator_InvalidScale(uint256 scale);
    error MarketConfigurator_NotListed(uint256 marketId);
    error MarketConfigurator_HaltOutOfRange(uint256 until, uint256 latest);

    /// @notice Lists the next market.
    /// @param scale S, WAD base, fixed for ever.
    function listMarket(uint256 marketId, uint256 scale, MarketParams calldata params) external;

    /// @notice Changes a market's parameters. The market accrues at the old ones first; of maintenance only the fraction rises, along a ramp.
    function setParams(uint256 marketId, MarketParams calldata params) external;

    /// @notice Stops opening in a market until a time, at most seven days ahead; only ever longer.
    function haltOpening(uint256 marketId, uint256 until) external;

    /// @notice Ends a halt.
    function resumeOpening(uint256 marketId) external;
}
