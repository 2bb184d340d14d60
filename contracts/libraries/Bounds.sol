// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MarketParams} from "../types/MarketConfig.sol";

/// @notice What no vote can pass: bounds of a market's parameters, constants.
library Bounds {
    /// @dev initial margin with the penalty: 50x at most.
    uint256 internal constant MIN_MARGIN_BPS = 200;
    uint256 internal constant MAX_PENALTY_BPS = 300;
    uint256 internal constant MAX_KEEPER_MIN_CENTS = 10_000;
    uint256 internal constant MAX_FEE_BPS = 100;
    uint256 internal constant MAX_SKEW_BPS = 1000;
    uint256 internal constant MAX_FUNDING_VELOCITY = 10e18;
    uint256 internal constant MAX_FUNDING_RATE = 1e18;
    uint256 internal constant MAX_EXPOSURE_BPS = 20_000;
    uint256 internal constant MAX_OPEN_INTEREST_BPS = 100_000;
    uint256 internal constant MAX_UTILISATION_BPS_A_DAY = 1000;
    uint256 internal constant MAX_PRICE_AGE = 600;
    uint256 internal constant MAX_STALE_WIDEN_BPS = 2000;

    /// @dev `rule` names what failed, in the parameters' own names.
    error Bounds_Refused(bytes32 rule);

    /// @notice Reverts unless every parameter is within its bounds and a position of the minimum size can bear its own liquidation.
    function check(MarketParams calldata p) internal pure {
        _require(p.imBaseBps <= 10_000 && uint256(p.imBaseBps) + p.penaltyBps >= MIN_MARGIN_BPS, "imBase");
        _require(p.imSlopeBps <= 1_000_000, "imSlope");
        _require(p.mmFractionBps >= 1000 && p.mmFractionBps <= 9000, "mmFraction");
        _require(p.penaltyBps > 0 && p.penaltyBps <= MAX_PENALTY_BPS, "penalty");
        _require(p.keeperMinCents <= MAX_KEEPER_MIN_CENTS, "keeperMin");
        _require(p.makerBps <= p.takerBps && p.takerBps > 0 && p.takerBps <= MAX_FEE_BPS, "fees"); // the cap of close-outs rests on them
        _require(uint256(p.insuranceShareBps) + p.treasuryShareBps <= 10_000, "shares");
        _require(p.maxSkewBps > 0 && p.maxSkewBps <= MAX_SKEW_BPS, "maxSkew");
        _require(p.openInterestBps <= MAX_OPEN_INTEREST_BPS && p.exposureBps <= MAX_EXPOSURE_BPS, "limits");
        _require(p.maxFundingVelocity <= MAX_FUNDING_VELOCITY && p.maxFundingRate <= MAX_FUNDING_RATE, "funding");
        _require(p.kinkBps > 0 && p.kinkBps < 10_000, "kink");
        _require(p.rateAtFullBps >= p.rateAtKinkBps && p.rateAtFullBps <= MAX_UTILISATION_BPS_A_DAY, "utilisation");
        _require(p.maxPriceAge > 0 && p.maxPriceAge <= MAX_PRICE_AGE, "maxPriceAge");
        _require(p.staleWidenBps <= MAX_STALE_WIDEN_BPS, "staleWiden");

        // Maintenance beyond the penalty covers the impact of closing where the skew is at its limit.
        uint256 cushion = uint256(p.imBaseBps) * p.mmFractionBps;
        _require(cushion >= uint256(p.maxSkewBps) * 10_000, "impact");
        // minPosition ≥ 2 keeperMin / (imBase (1 − mmFraction) − penalty)
        uint256 opening = uint256(p.imBaseBps) * (10_000 - p.mmFractionBps);
        uint256 penalty = uint256(p.penaltyBps) * 10_000;
        _require(opening > penalty, "penaltyAgainstMargin");
        _require(p.minPositionUsd > 0, "minPosition");
        _require(
            uint256(p.minPositionUsd) * 100 * (opening - penalty) >= 2 * uint256(p.keeperMinCents) * 1e8, "minPosition"
        );
    }

    function _require(bool holds, bytes32 rule) private pure {
        if (!holds) revert Bounds_Refused(rule);
    }
}
