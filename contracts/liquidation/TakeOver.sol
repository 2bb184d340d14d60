// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILiquidator} from "interfaces/liquidation/ILiquidator.sol";
import {ITakeOverCallback} from "interfaces/liquidation/ITakeOverCallback.sol";
import {Exchange, Standing} from "interfaces/market/IPerpMarket.sol";
import {IDelegates} from "interfaces/orders/IDelegates.sol";
import {LiquidationTerms} from "../libraries/LiquidationTerms.sol";
import {MarginMath} from "../libraries/MarginMath.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds, Core} from "../types/Accounts.sol";
import {Liquidations} from "./Liquidations.sol";

/// @title TakeOver
/// @notice A keeper with capital takes a part of an unhealthy position into an account of his own, at a discount that grows as health falls.
abstract contract TakeOver is Liquidations {
    using AccountIds for uint256;
    using WadMath for int256;

    IDelegates private immutable DELEGATES;

    constructor(Core memory core) {
        DELEGATES = IDelegates(core.orderBook);
    }

    /// @inheritdoc ILiquidator
    /// @custom:req LQ-02
    function takeOver(
        uint256 account,
        uint256 marketId,
        int256 base,
        uint256 toAccount,
        bytes calldata data,
        bytes[] calldata priceData
    ) external payable {
        if (toAccount == account) revert Liquidator_SameAccount(account);
        _update(priceData);
        if (msg.sender != toAccount.ownerOf()) DELEGATES.useForTakeOver(toAccount, msg.sender, marketId, base.abs());
        MARKET.accrue(marketId);
        Standing memory s = _unhealthy(account, marketId);
        uint256 price = MarginMath.healthPrice(s.trading, s.newest, s.base, false);
        base = _takeable(s, base, price);

        (int256 quote, uint256 discount) = _takeOverTerms(s, base, price);
        uint256 fee = WadMath.divUp(quote.abs() * s.trading.takerBps(), WadMath.BPS);
        MARKET.exchange(
            Exchange({
                marketId: marketId,
                from: account,
                to: toAccount,
                base: base,
                quote: -quote,
                fromFee: 0,
                toFee: fee,
                payee: address(0),
                payment: 0,
                fromReduceOnly: false,
                toReduceOnly: false,
                newest: s.newest,
                isFlash: data.length != 0
            })
        );
        emit TakenOver(
            account,
            marketId,
            toAccount,
            base,
            quote,
            price,
            s.newest.publishedAt(),
            s.equity,
            s.maintenance,
            discount,
            fee
        );
        if (data.length == 0) return;
        ITakeOverCallback(msg.sender).onTakeOver(account, marketId, base, -quote, toAccount, data);
        MARKET.endFlash(toAccount);
    }

    /// @return What is taken: no more than there is, so that a small take-over just before doesn't stop a whole one.
    function _takeable(Standing memory s, int256 base, uint256 price) private pure returns (int256) {
        if (base == 0 || (base > 0) != (s.base > 0)) revert Liquidator_WrongSize(base, s.base);
        if (base.abs() > s.base.abs()) base = s.base;
        uint256 rest = (s.base - base).abs();
        if (rest != 0 && rest < WadMath.divUp(s.trading.minPosition() * WadMath.WAD, price)) {
            revert Liquidator_BelowMinimumPosition(rest * price / WadMath.WAD, s.trading.minPosition());
        }
        return base;
    }

    /// @return quote What the account gets, WAD dollars, signed. @return discount In the taker's favour.
    function _takeOverTerms(Standing memory s, int256 base, uint256 price)
        private
        view
        returns (int256 quote, uint256 discount)
    {
        quote = base.worthUp(price);
        uint256 notional = quote.abs();
        uint256 required = s.maintenance;
        uint256 byHealth =
            (required - uint256(s.equity)) * notional * LiquidationTerms.MAX_DISCOUNT_BPS / (required * WadMath.BPS);
        uint256 byMaintenance = uint256(s.equity) * _released(s, base.abs(), price) / required;
        discount = WadMath.min(byHealth, byMaintenance);
        quote -= int256(discount);
    }
}
