// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ILiquidator} from "interfaces/liquidation/ILiquidator.sol";
import {ITakeOverCallback} from "interfaces/liquidation/ITakeOverCallback.sol";
import {Fill} from "interfaces/market/IMarketOperations.sol";
import {Exchange, Standing} from "interfaces/market/IPerpMarket.sol";
import {IDelegates} from "interfaces/orders/IDelegates.sol";
import {IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {LiquidationTerms} from "../libraries/LiquidationTerms.sol";
import {MarginMath} from "../libraries/MarginMath.sol";
import {Permissions} from "../libraries/Permissions.sol";
import {TradeMath} from "../libraries/TradeMath.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds, Core, Posting} from "../types/Accounts.sol";
import {TradingConfig} from "../types/MarketConfig.sol";
import {PriceRecord} from "../types/PriceRecord.sol";
import {Attempts} from "./Attempts.sol";
import {KeeperPay} from "./KeeperPay.sol";
import {Shutdown} from "./Shutdown.sol";

/// @title Liquidator
/// @notice Close-out, take-over and backstop. Total: nothing here fails because a sum is negative, a fund empty or a counterpart gone.
contract Liquidator is ILiquidator, Attempts, Shutdown, KeeperPay, AccessManaged {
    using AccountIds for uint256;
    using WadMath for int256;

    /// @notice Length of the windows, by time of publication, in which close-outs may move a market by its maker and taker fee of the
    /// scale: a window begins at least a second more than that after the last one. A record belongs to one window, whatever its age when
    /// it is used.
    uint256 public constant CAP_SECONDS = 4;
    /// @dev Without the transaction's part: less than what one costs that comes after another.
    uint256 private constant LIQUIDATE_GAS = 65_000;
    uint256 private constant ABSORB_GAS = 20_000;
    uint256 private constant ABSORB_GAS_A_POSITION = 65_000;

    IMarginVault private immutable VAULT;
    IDelegates private immutable DELEGATES;
    address private immutable FUND;

    /// @dev One slot a market.
    struct Counters {
        uint40 windowStart;
        uint96 moved;
        uint24 hour;
        uint96 absorbed;
    }

    /// @dev A part of a position, and what closing it against the pool does.
    struct Chunk {
        uint256 size;
        int256 base;
        int256 quote;
        int256 loss;
        uint256 released;
        uint256 cost;
    }

    mapping(uint256 marketId => Counters) private _counters;

    constructor(Core memory core) Shutdown(core) KeeperPay(core) AccessManaged(core.authority) {
        (VAULT, DELEGATES, FUND) = (IMarginVault(core.vault), IDelegates(core.orderBook), core.fund);
    }

    // --- close-out ---

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

        (uint256 room, uint256 until) = _room(s, marketId, minBase);
        if (c.size > room) {
            size = all > minBase ? WadMath.min(room, all - minBase) : 0;
            if (size < minBase) revert Liquidator_CapReached(marketId, until, room);
            c = _chunk(s, size, price);
        }
    }

    /// @dev What close-outs may still move in this window, WAD base, and the publish time at which the next one begins. Room for a minimum
    /// position and a remainder is in any window, so that the cap of a small market stops no close-out.
    function _room(Standing memory s, uint256 marketId, uint256 minBase)
        private
        view
        returns (uint256 room, uint256 until)
    {
        Counters memory c = _counters[marketId];
        uint256 cap = s.trading.scale() * (s.trading.makerBps() + s.trading.takerBps()) / WadMath.BPS;
        cap = WadMath.max(cap, 2 * minBase);
        until = c.windowStart + CAP_SECONDS + 1;
        if (s.newest.publishedAt() >= until) return (cap, until);
        return (cap > c.moved ? cap - c.moved : 0, until);
    }

    /// @dev Counts what liquidations moved in this window, and what absorptions added to the skew in this hour.
    function _count(uint256 marketId, PriceRecord newest, uint256 moved, uint256 absorbed) private {
        Counters memory c = _counters[marketId];
        uint256 publishedAt = newest.publishedAt();
        if (publishedAt > c.windowStart + CAP_SECONDS) (c.windowStart, c.moved) = (uint40(publishedAt), 0);
        uint256 hour = block.timestamp / 1 hours;
        if (c.hour != hour) (c.hour, c.absorbed) = (uint24(hour), 0);
        c.moved = SafeCast.toUint96(c.moved + moved);
        c.absorbed = SafeCast.toUint96(c.absorbed + absorbed);
        _counters[marketId] = c;
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

    function _released(Standing memory s, uint256 size, uint256 price) private view returns (uint256) {
        uint256 all = s.base.abs();
        return MarginMath.maintenance(s.margin, s.trading, all, price)
            - MarginMath.maintenance(s.margin, s.trading, all - size, price);
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

    function _withPool(
        uint256 account,
        uint256 marketId,
        int256 base,
        int256 quote,
        uint256 charge,
        uint256 reward,
        int256 toFund
    ) private view returns (Fill memory) {
        return Fill({
            marketId: marketId,
            account: account,
            base: base,
            quote: quote,
            charge: charge,
            keeper: msg.sender,
            reward: reward,
            toFund: toFund
        });
    }

    // --- take-over ---

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

    // --- deleveraging ---

    /// @inheritdoc ILiquidator
    /// @custom:req LQ-04
    function deleverage(uint256 marketId, bytes[] calldata priceData) external payable {
        _update(priceData);
        if (!MARKET.accrue(marketId)) revert Liquidator_NothingDue(marketId);
    }

    // --- backstop ---

    /// @inheritdoc ILiquidator
    /// @custom:req LQ-03
    function absorb(uint256 account, bytes[] calldata priceData) external payable {
        _update(priceData);
        uint256 markets = VAULT.balanceOf(account).markets();
        for (uint256 id = 1; markets >> id - 1 != 0; ++id) {
            if (markets >> id - 1 & 1 != 0) MARKET.accrue(id);
        }
        int256 equity = _bankruptEquity(account, markets);

        uint256[] memory ids = new uint256[](16);
        uint256[] memory losses = new uint256[](16);
        int256[] memory bases = new int256[](16);
        uint256 count;
        uint256 totalLoss;
        for (uint256 id = 1; markets != 0; (markets >>= 1, ++id)) {
            if (markets & 1 == 0) continue;
            ids[count] = id;
            (losses[count], bases[count]) = _absorbPosition(account, id);
            totalLoss += losses[count];
            ++count;
        }
        uint256 reward = _payAbsorb(count);
        emit Absorbed(account, msg.sender, equity, reward);
        _coverDebt(account, ids, losses, bases, count, totalLoss);
    }

    /// @dev At health prices, where a market of the account has a usable one; at plain ones where all are usable or closing.
    function _bankruptEquity(uint256 account, uint256 markets) private view returns (int256 equity) {
        (bool one, bool all, bool closing) = _usability(markets);
        if (closing && all) equity = MARKET.equity(account);
        if (!closing || !all || equity > 0) (equity,) = MARKET.healthOf(account);
        // Without a position a trader has no debt; the pool's accounts may have, and it is none: their positions are elsewhere.
        if (equity > 0 || markets == 0) revert Liquidator_NotBankrupt(account, equity);
        if (one) return equity;
        uint256 first = 1;
        while (markets >> first - 1 & 1 == 0) {
            ++first;
        }
        PriceRecord newest = ORACLE.newest(first);
        revert Liquidator_PriceUnusable(first, newest.publishedAt(), uint8(newest.state()));
    }

    /// @return one Whether one of the markets has a price to absorb at. @return all Whether each has. @return closing Whether one of them is closing.
    function _usability(uint256 markets) private view returns (bool one, bool all, bool closing) {
        all = true;
        for (uint256 id = 1; markets != 0; (markets >>= 1, ++id)) {
            if (markets & 1 == 0) continue;
            bool usable = _isUsable(ORACLE.newest(id), id);
            if (!usable && _isClosing(id)) (usable, closing) = (true, true);
            if (usable) one = true;
            else all = false;
        }
    }

    /// @dev To the pool at its fill price as far as the caps go, the rest against the other side at the price that leaves no debt.
    /// @return loss Unrealised at the index before the fill, WAD dollars, 0 for a gain. @return held The position, WAD base.
    function _absorbPosition(uint256 account, uint256 marketId) private returns (uint256 loss, int256 held) {
        Standing memory s = MARKET.standing(account, marketId);
        uint256 price = s.newest.price();
        held = s.base;
        loss = WadMath.positive(-(s.base.worthDown(price) + s.quote));
        (uint256 grown, uint256 excess) = _excess(s, marketId);
        uint256 zeroPrice =
            excess == 0 ? 0 : _zeroPrice(s, price, WadMath.min(loss, WadMath.positive(-MARKET.equity(account))));

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

        Counters memory c = _counters[marketId];
        uint256 moved = s.newest.publishedAt() > c.windowStart + CAP_SECONDS ? 0 : c.moved;
        uint256 absorbed = c.hour == block.timestamp / 1 hours ? c.absorbed : 0;
        uint256 scale = s.trading.scale();
        uint256 room = WadMath.min(
            _difference(scale * (s.trading.makerBps() + s.trading.takerBps()) / WadMath.BPS, moved),
            _difference(scale * LiquidationTerms.ABSORB_CAP_BPS / WadMath.BPS, absorbed)
        );
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

    /// @dev a − b, or 0.
    function _difference(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }

    /// @dev The caller's gas and a tenth more, out of the fund.
    function _payAbsorb(uint256 positions) private returns (uint256 reward) {
        reward = _gasCost(ABSORB_GAS + ABSORB_GAS_A_POSITION * positions) * 11 / 10;
        reward = WadMath.min(reward, _fundCash());
        if (reward != 0) _post(AccountIds.main(msg.sender), int256(reward), -int256(reward));
    }

    // --- debt ---

    /// @dev After a close-out in one market that left nothing but debt.
    function _coverDebtOf(uint256 account, uint256 marketId, int256 base) private {
        uint256[] memory ids = new uint256[](1);
        int256[] memory bases = new int256[](1);
        (ids[0], bases[0]) = (marketId, base);
        _coverDebt(account, ids, new uint256[](1), bases, 1, 0);
    }

    /// @dev What an account without positions owes goes to the fund, the rest to the pool's accounts of the markets closed, by their losses;
    /// what one of those can't bear to the side opposite the position there.
    function _coverDebt(
        uint256 account,
        uint256[] memory ids,
        uint256[] memory losses,
        int256[] memory bases,
        uint256 count,
        uint256 totalLoss
    ) private {
        uint256 debt = WadMath.positive(-VAULT.cashOf(account));
        if (debt == 0) return;
        uint256 byFund = WadMath.min(debt, _fundCash());
        uint256 rest = debt - byFund;
        uint256 left = rest;
        for (uint256 i; i < count && left != 0; ++i) {
            uint256 share = totalLoss == 0 ? rest / count : rest * losses[i] / totalLoss;
            if (i == count - 1) share = left;
            left -= share;
            if (share != 0) MARKET.chargePool(ids[i], share, bases[i]);
        }
        _post(account, int256(byFund + rest), -int256(byFund));
        emit DebtCovered(account, debt, byFund, rest);
    }

    // --- governance and views ---

    /// @inheritdoc ILiquidator
    function setGasMarket(uint256 marketId) external restricted {
        gasMarket = marketId;
        emit GasMarketChanged(marketId);
    }

    /// @inheritdoc ILiquidator
    function health(uint256 account) external view returns (int256) {
        (int256 equity, uint256 maintenance) = MARKET.healthOf(account);
        if (maintenance == 0) return equity < 0 ? type(int256).min : type(int256).max;
        return WadMath.floorDiv(equity * WadMath.IWAD, int256(maintenance));
    }

    /// @inheritdoc ILiquidator
    function isLiquidatable(uint256 account) external view returns (bool) {
        (int256 equity, uint256 maintenance) = MARKET.healthOf(account);
        return equity < int256(maintenance);
    }

    /// @inheritdoc ILiquidator
    function counters(uint256 marketId) external view returns (uint256, uint256, uint256, uint256) {
        Counters memory c = _counters[marketId];
        return (c.windowStart, c.moved, c.hour, c.absorbed);
    }

    // --- internals ---

    function _update(bytes[] calldata priceData) private {
        if (priceData.length != 0 || msg.value != 0) ORACLE.update{value: msg.value}(priceData);
    }

    /// @dev The account's standing, where it is liquidatable but not bankrupt and the price allows it.
    function _unhealthy(uint256 account, uint256 marketId) private view returns (Standing memory s) {
        s = MARKET.standing(account, marketId);
        Permissions.Action action = Permissions.Action.Liquidate;
        if (!s.newest.isFresh(s.trading.maxPriceAge()) || !Permissions.allowed(action, s.newest.state())) {
            revert Liquidator_PriceUnusable(marketId, s.newest.publishedAt(), uint8(s.newest.state()));
        }
        if (s.base == 0) revert Liquidator_NoPosition(account, marketId);
        if (s.equity >= int256(s.maintenance)) revert Liquidator_Healthy(account, s.equity, s.maintenance);
        if (s.equity <= 0) revert Liquidator_Bankrupt(account, s.equity);
    }

    function _isUsable(PriceRecord newest, uint256 marketId) private view returns (bool) {
        (, TradingConfig trading,) = MARKET.marketConfig(marketId);
        if (newest.isFresh(trading.maxPriceAge()) && Permissions.allowed(Permissions.Action.Liquidate, newest.state()))
        {
            return true;
        }
        (uint256 long, uint256 short) = MARKET.openInterest(marketId);
        return long + short == 0; // what is left there is cash
    }

    function _fundCash() private view returns (uint256) {
        return VAULT.cashOf(AccountIds.main(FUND)).positive();
    }

    /// @dev Adds to an account, and to the fund.
    function _post(uint256 account, int256 cash, int256 toFund) private {
        Posting[] memory postings = new Posting[](2);
        postings[0] = Posting(account, cash, 0, 0);
        postings[1] = Posting(AccountIds.main(FUND), toFund, 0, 0);
        VAULT.post(postings);
    }
}
