// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILiquidator} from "interfaces/liquidation/ILiquidator.sol";
import {Standing} from "interfaces/market/IPerpMarket.sol";
import {Permissions} from "../libraries/Permissions.sol";
import {TradeMath} from "../libraries/TradeMath.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds} from "../types/Accounts.sol";
import {TradingConfig} from "../types/MarketConfig.sol";
import {PriceRecord} from "../types/PriceRecord.sol";
import {Liquidations} from "./Liquidations.sol";

/// @title Backstop
/// @notice All that a bankrupt account has goes to the pool, and to the other side where that is too much at once; and deleveraging.
abstract contract Backstop is Liquidations {
    using WadMath for int256;

    /// @dev Without the transaction's part.
    uint256 private constant ABSORB_GAS = 20_000;
    uint256 private constant ABSORB_GAS_A_POSITION = 65_000;

    /// @inheritdoc ILiquidator
    /// @custom:req LQ-03
    function absorb(uint256 account, bytes[] calldata priceData) external payable {
        _update(priceData);
        uint256 markets = VAULT.balanceOf(account).markets();
        uint256 count;
        for (uint256 id = 1; markets >> id - 1 != 0; ++id) {
            if (markets >> id - 1 & 1 == 0) continue;
            MARKET.accrue(id);
            ++count;
        }
        int256 equity = _bankruptEquity(account, markets);

        Lost[] memory lost = new Lost[](count);
        uint256 place;
        for (uint256 id = 1; place != count; ++id) {
            if (markets >> id - 1 & 1 != 0) lost[place++] = _absorbPosition(account, id);
        }
        uint256 reward = _payAbsorb(count);
        emit Absorbed(account, msg.sender, equity, reward);
        _coverDebt(account, lost);
    }

    /// @inheritdoc ILiquidator
    /// @custom:req LQ-04
    function deleverage(uint256 marketId, bytes[] calldata priceData) external payable {
        _update(priceData);
        if (!MARKET.accrue(marketId)) revert Liquidator_NothingDue(marketId);
    }

    /// @dev At health prices, where a market of the account has a usable one; at plain ones where all are usable or closing.
    function _bankruptEquity(uint256 account, uint256 markets) private view returns (int256 equity) {
        (uint256 unusable, bool one, bool closing) = _usability(markets);
        if (closing && unusable == 0) equity = MARKET.equity(account);
        if (!closing || unusable != 0 || equity > 0) (equity,) = MARKET.healthOf(account);
        // Without a position a trader has no debt; the pool's accounts may have, and it is none: their positions are elsewhere.
        if (equity > 0 || markets == 0) revert Liquidator_NotBankrupt(account, equity);
        if (one || unusable == 0) return equity;
        PriceRecord newest = ORACLE.newest(unusable);
        revert Liquidator_PriceUnusable(unusable, newest.publishedAt(), uint8(newest.state()));
    }

    /// @dev A market without open interest needs no price, and lends none to the others: what is left there is cash.
    /// @return unusable The first market without a price to absorb at, 0 for none.
    /// @return one Whether one has such a price.
    /// @return closing Whether it is the last price of a market that is closing.
    function _usability(uint256 markets) private view returns (uint256 unusable, bool one, bool closing) {
        for (uint256 id = 1; markets != 0; (markets >>= 1, ++id)) {
            if (markets & 1 == 0) continue;
            if (_isUsable(ORACLE.newest(id), id)) one = true;
            else if (_isEmpty(id)) continue;
            else if (_isClosing(id)) (one, closing) = (true, true);
            else if (unusable == 0) unusable = id;
        }
    }

    function _isUsable(PriceRecord newest, uint256 marketId) private view returns (bool) {
        (, TradingConfig trading,) = MARKET.marketConfig(marketId);
        return
            newest.isFresh(trading.maxPriceAge()) && Permissions.allowed(Permissions.Action.Liquidate, newest.state());
    }

    function _isEmpty(uint256 marketId) private view returns (bool) {
        (uint256 long, uint256 short) = MARKET.openInterest(marketId);
        return long + short == 0;
    }

    /// @dev To the pool at its fill price as far as the caps go, the rest against the other side at the price that leaves no debt.
    function _absorbPosition(uint256 account, uint256 marketId) private returns (Lost memory lost) {
        Standing memory s = MARKET.standing(account, marketId);
        uint256 price = s.newest.price();
        lost = Lost(marketId, s.base, WadMath.positive(-(s.base.worthDown(price) + s.quote)));
        (uint256 grown, uint256 excess) = _excess(s, marketId);
        uint256 zeroPrice =
            excess == 0 ? 0 : _zeroPrice(s, price, WadMath.min(lost.loss, WadMath.positive(-MARKET.equity(account))));

        int256 base = s.base > 0 ? int256(excess) - s.base : -s.base - int256(excess);
        int256 quote;
        if (base != 0) (, quote) = TradeMath.fill(s.trading, s.skew, base, price, s.newest.confidence());
        if (base != 0 || s.base == 0) MARKET.fill(_withPool(account, marketId, base, quote, 0, 0, 0));
        if (grown != 0) _count(marketId, s.newest, grown, grown);
        emit PositionAbsorbed(account, marketId, base, quote, s.newest.publishedAt());
        if (excess != 0) MARKET.closeAgainstSide(account, marketId, zeroPrice);
    }

    /// @return grown What the pool's part adds to the skew. @return excess What passes the caps, at most the open interest of the other side.
    function _excess(Standing memory s, uint256 marketId) private view returns (uint256 grown, uint256 excess) {
        uint256 before = s.skew.abs();
        uint256 afterwards = (s.skew - s.base).abs();
        if (afterwards <= before) return (0, 0);
        grown = afterwards - before;

        uint256 room = _roomToAbsorb(marketId, s.trading, s.newest);
        if (grown <= room) return (grown, 0);
        (uint256 long, uint256 short) = MARKET.openInterest(marketId);
        excess = WadMath.min(grown - room, s.base > 0 ? short : long);
        grown -= excess;
    }

    /// @dev The price at which the position would cover `deficit`, WAD dollars; between nothing and twice the index.
    function _zeroPrice(Standing memory s, uint256 price, uint256 deficit) private pure returns (uint256) {
        uint256 distance = WadMath.divUp(deficit * WadMath.WAD, s.base.abs());
        distance = WadMath.min(distance, price);
        return s.base > 0 ? price + distance : price - distance;
    }

    /// @dev The caller's gas and a tenth more, out of the fund.
    function _payAbsorb(uint256 positions) private returns (uint256 reward) {
        reward = _gasCost(ABSORB_GAS + ABSORB_GAS_A_POSITION * positions) * 11 / 10;
        reward = WadMath.min(reward, _fundCash());
        if (reward != 0) _post(AccountIds.main(msg.sender), int256(reward), -int256(reward));
    }
}
