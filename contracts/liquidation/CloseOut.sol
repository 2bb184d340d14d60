// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILiquidator} from "interfaces/liquidation/ILiquidator.sol";
import {Standing} from "interfaces/market/IPerpMarket.sol";
import {LiquidationTerms} from "../libraries/LiquidationTerms.sol";
import {MarginMath} from "../libraries/MarginMath.sol";
import {TradeMath} from "../libraries/TradeMath.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {Liquidations} from "./Liquidations.sol";

/// @title CloseOut
/// @notice A keeper without capital closes a chunk of an unhealthy position against the pool.
abstract contract CloseOut is Liquidations {
    using WadMath for int256;

    /// @dev Without the transaction's part: less than what one costs that comes after another.
    uint256 private constant LIQUIDATE_GAS = 65_000;

    /// @dev A part of a position, and what closing it against the pool does.
    struct Chunk {
        uint256 size;
        int256 base;
        int256 quote;
        int256 loss;
        uint256 released;
        uint256 cost;
    }

    /// @inheritdoc ILiquidator
    /// @custom:req LQ-01
    function liquidate(uint256 account, uint256 marketId, bytes[] calldata priceData) external payable {
        _update(priceData);
        MARKET.accrue(marketId);
        Standing memory s = _unhealthy(account, marketId);
        uint256 price = MarginMath.healthPrice(s.trading, s.newest, s.base, false);
        Chunk memory c = _chunkToClose(s, marketId, price);
        _count(marketId, s.newest, c.size, 0);
        (uint256 reward, uint256 topUp) = _reward(c.cost, s.margin.mmKeeperMin());
        int256 toFund = int256(c.cost) - int256(reward);
        (int256 cash, uint256 markets) =
            MARKET.fill(_withPool(account, marketId, c.base, c.quote, c.cost, reward, toFund));
        emit Liquidated(
            account,
            marketId,
            msg.sender,
            c.base,
            c.quote,
            price,
            s.newest.publishedAt(),
            s.equity,
            s.maintenance,
            c.cost,
            reward,
            topUp
        );
        if (markets == 0 && cash < 0) _coverDebtOf(account, marketId, s.base);
    }

    /// @dev How much of the position is closed: enough for the target health, within what one record allows.
    function _chunkToClose(Standing memory s, uint256 marketId, uint256 price) private view returns (Chunk memory c) {
        uint256 all = s.base.abs();
        uint256 minBase = WadMath.divUp(s.trading.minPosition() * WadMath.WAD, price);
        c = _chunk(s, all, price);
        uint256 size = WadMath.max(_sizeForTarget(s, c.loss, price), minBase);
        if (size < all && all - size >= minBase) {
            Chunk memory part = _chunk(s, size, price);
            int256 left = s.equity - part.loss - int256(part.cost);
            if (left >= int256(s.maintenance - part.released)) c = part;
        }

        (uint256 room, uint256 until) = _roomToClose(marketId, s.trading, s.newest, minBase);
        if (c.size > room) {
            size = all > minBase ? WadMath.min(room, all - minBase) : 0;
            if (size < minBase) revert Liquidator_CapReached(marketId, until, room);
            c = _chunk(s, size, price);
        }
    }

    /// @dev Notional (targetHealth × M − E) / (targetHealth × m − penalty − impact), as a size; all of it where that has no solution.
    function _sizeForTarget(Standing memory s, int256 lossOfAll, uint256 price) private view returns (uint256) {
        uint256 all = s.base.abs();
        uint256 notional = WadMath.divUp(all * price, WadMath.WAD);
        uint256 own = MarginMath.maintenance(s.margin, s.trading, all, price);
        int256 missing =
            int256(WadMath.divUp(LiquidationTerms.TARGET_HEALTH_BPS * s.maintenance, WadMath.BPS)) - s.equity;
        int256 divisor = int256(LiquidationTerms.TARGET_HEALTH_BPS * own * 1e14 / notional)
            - int256(s.margin.mmPenaltyBps() * 1e14)
            - int256(WadMath.divUp(lossOfAll.positive() * WadMath.WAD, notional));
        if (divisor <= 0) return all;
        uint256 wanted = WadMath.divUp(uint256(missing) * WadMath.WAD, uint256(divisor));
        return WadMath.divUp(wanted * WadMath.WAD, price);
    }

    /// @dev Closing `size` of the position against the pool: sum, loss, maintenance released, cost.
    function _chunk(Standing memory s, uint256 size, uint256 price) private view returns (Chunk memory c) {
        c.size = size;
        c.base = s.base > 0 ? -int256(size) : int256(size);
        (, c.quote) = TradeMath.fill(s.trading, s.skew, c.base, s.newest.price(), s.newest.confidence());
        c.loss = s.base.worthDown(price) - (s.base + c.base).worthDown(price) - c.quote;
        c.released = _released(s, size, price);
        c.cost = MarginMath.liquidationCost(
            s.margin, WadMath.divUp(size * price, WadMath.WAD), s.equity, s.maintenance, c.released, c.loss
        );
    }

    /// @dev The keeper's part of a cost, or his gas and the minimum; the fund tops it up by no more than his gas and a tenth, so that the
    /// minimum comes out of the account alone. Gas is not asked for where the share is more than it can be.
    function _reward(uint256 cost, uint256 keeperMin) private returns (uint256 reward, uint256 topUp) {
        uint256 gasCost;
        if (LiquidationTerms.reward(cost, 0) < keeperMin + GAS_COST_MAX) gasCost = _gasCost(LIQUIDATE_GAS);
        reward = LiquidationTerms.reward(cost, keeperMin + gasCost);
        if (reward > cost) {
            topUp = WadMath.min(WadMath.min(reward - cost, gasCost * 11 / 10), _fundCash());
            reward = cost + topUp;
        }
    }

    /// @dev After a close-out in one market that left nothing but debt.
    function _coverDebtOf(uint256 account, uint256 marketId, int256 base) private {
        Lost[] memory lost = new Lost[](1);
        lost[0] = Lost(marketId, base, 0);
        _coverDebt(account, lost);
    }
}
