// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IMarketConfigurator} from "interfaces/governance/IMarketConfigurator.sol";
import {IPerpMarket} from "interfaces/market/IPerpMarket.sol";
import {Bounds} from "../libraries/Bounds.sol";
import {Core} from "../types/Accounts.sol";
import {
    LiquidityConfig,
    MarginConfig,
    MarketConfigLib,
    MarketParams,
    MarketWords,
    TradingConfig
} from "../types/MarketConfig.sol";

/// @title MarketConfigurator
/// @notice Checks and packs what governance sets for a market.
contract MarketConfigurator is IMarketConfigurator, AccessManaged {
    uint256 public constant MAX_MARKETS = 16;
    uint256 public constant MAX_HALT_SECONDS = 7 days;

    IPerpMarket private immutable MARKET;

    constructor(Core memory core) AccessManaged(core.authority) {
        MARKET = IPerpMarket(core.market);
    }

    /// @inheritdoc IMarketConfigurator
    /// @custom:req GV-01
    function listMarket(uint256 marketId, uint256 scale, MarketParams calldata params) external restricted {
        uint256 expected = MARKET.marketCount() + 1;
        if (marketId != expected || marketId > MAX_MARKETS) {
            revert MarketConfigurator_InvalidMarket(marketId, expected);
        }
        if (scale == 0 || scale > type(uint112).max) revert MarketConfigurator_InvalidScale(scale);
        emit MarketListed(marketId, scale);
        _configure(marketId, MarginConfig.wrap(0), scale, 0, params);
    }

    /// @inheritdoc IMarketConfigurator
    /// @custom:req GV-02
    function setParams(uint256 marketId, MarketParams calldata params) external restricted {
        (MarginConfig margin, TradingConfig trading, LiquidityConfig liquidity) = _listed(marketId);
        // The favour of a stale price keeps accounts from liquidation: it can only become larger, and begin sooner.
        if (params.maxPriceAge > trading.maxPriceAge()) revert Bounds.Bounds_Refused("maxPriceAge");
        if (params.staleWidenBps < trading.staleWidenBps()) revert Bounds.Bounds_Refused("staleWiden");
        _configure(marketId, margin, trading.scale(), liquidity.haltUntil(), params);
    }

    /// @inheritdoc IMarketConfigurator
    /// @custom:req GV-03
    function haltOpening(uint256 marketId, uint256 until) external restricted {
        (,, LiquidityConfig liquidity) = _listed(marketId);
        uint256 latest = block.timestamp + MAX_HALT_SECONDS;
        if (until <= liquidity.haltUntil() || until > latest) {
            revert MarketConfigurator_HaltOutOfRange(until, latest);
        }
        _setHalt(marketId, until);
    }

    /// @inheritdoc IMarketConfigurator
    function resumeOpening(uint256 marketId) external restricted {
        _setHalt(marketId, 0);
    }

    function _configure(
        uint256 marketId,
        MarginConfig last,
        uint256 scale,
        uint256 haltUntil,
        MarketParams calldata params
    ) private {
        Bounds.check(params);
        MARKET.configure(
            marketId,
            MarketWords({
                margin: MarketConfigLib.packMargin(params, last),
                trading: MarketConfigLib.packTrading(params, scale),
                liquidity: MarketConfigLib.packLiquidity(params, haltUntil),
                insuranceShareBps: params.insuranceShareBps,
                treasuryShareBps: params.treasuryShareBps
            })
        );
        emit ParamsChanged(marketId, params);
    }

    function _setHalt(uint256 marketId, uint256 until) private {
        _listed(marketId);
        MARKET.setHalt(marketId, until);
        emit OpeningHalted(marketId, until);
    }

    function _listed(uint256 marketId) private view returns (MarginConfig, TradingConfig, LiquidityConfig) {
        (MarginConfig margin, TradingConfig trading, LiquidityConfig liquidity) = MARKET.marketConfig(marketId);
        if (trading.scale() == 0) revert MarketConfigurator_NotListed(marketId);
        return (margin, trading, liquidity);
    }
}
