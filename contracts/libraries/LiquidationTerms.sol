// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {WadMath} from "./WadMath.sol";

/// @notice The terms that are the same in every market and for every way of liquidation: constants of the protocol.
library LiquidationTerms {
    uint256 internal constant TARGET_HEALTH_BPS = 12_500;
    uint256 internal constant KEEPER_SHARE_BPS = 3000;
    uint256 internal constant KEEPER_MAX = 500e18;
    uint256 internal constant MAX_DISCOUNT_BPS = 500;
    /// @dev Of a market's scale, per hour.
    uint256 internal constant ABSORB_CAP_BPS = 50;

    /// @notice The keeper's part of a liquidation's cost, WAD dollars: a share, at least `keeperMin`, at most KEEPER_MAX.
    function reward(uint256 cost, uint256 keeperMin) internal pure returns (uint256) {
        return WadMath.min(WadMath.max(cost * KEEPER_SHARE_BPS / WadMath.BPS, keeperMin), KEEPER_MAX);
    }
}
