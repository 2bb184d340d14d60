// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Exchange, IPerpMarket} from "interfaces/market/IPerpMarket.sol";
import {IMatching, MakerFill} from "interfaces/orders/IMatching.sol";
import {Commitment, Order, OrderKind, OrderStatus, TimeInForce} from "interfaces/orders/ICommitments.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds, Core} from "../types/Accounts.sol";
import {TradingConfig} from "../types/MarketConfig.sol";
import {PriceRecord} from "../types/PriceRecord.sol";
import {Commitments} from "./Commitments.sol";
import {Delegates} from "./Delegates.sol";
import {Fallback} from "./Fallback.sol";

/// @title Matching
/// @notice Signed limit orders filled against each other: no pool, no delay, the maker's price, a band around the index.
/// @dev With Delegates and Fallback the second part of the order book's code, which is too large for one contract: OrderBook passes these calls on by
/// delegatecall, so that all here runs on its storage, whose layout both have from Commitments. Called by itself it has no say anywhere.
contract Matching is IMatching, Delegates, Fallback {
    using AccountIds for uint256;
    using SafeCast for uint256;
    using WadMath for int256;

    uint256 public constant MATCH_BAND_BPS = 25;

    address private immutable SELF = address(this);

    /// @dev A taker whose order and signature were found good.
    struct Taker {
        bytes32 hash;
        address signer;
    }

    constructor(Core memory core) Commitments(core) {}

    /// @inheritdoc IMatching
    /// @custom:req OB-07
    function matchOrders(
        Order calldata maker,
        bytes calldata makerSignature,
        Order calldata taker,
        bytes calldata takerSignature,
        uint256 base
    ) external {
        _requirePair(maker, taker, base);
        Taker memory t = Taker(_hash(taker), address(0));
        t.signer = _admit(taker, t.hash, takerSignature, base);
        if (taker.timeInForce == TimeInForce.FillOrKill && base != taker.base.abs()) {
            revert OrderBook_FillOrKill(t.hash, base);
        }
        _match(maker, makerSignature, taker, t, base);
        _end(taker, t.hash);
    }

    /// @inheritdoc IMatching
    /// @custom:req OB-08
    function matchBatch(Order calldata taker, bytes calldata takerSignature, MakerFill[] calldata makers)
        external
        returns (uint256 matched)
    {
        _requireTakerTerms(taker);
        Taker memory t = Taker(_hash(taker), address(0));
        t.signer = _admit(taker, t.hash, takerSignature, 0);
        for (uint256 i; i < makers.length; ++i) {
            MakerFill calldata m = makers[i];
            bytes memory pair = abi.encodeCall(this.matchPair, (m.order, m.signature, taker, t, m.base));
            if (LowLevelCall.delegatecallNoReturn(SELF, pair)) {
                matched += m.base;
            } else {
                bytes memory reason = LowLevelCall.returnData();
                if (reason.length == 0) revert OrderBook_TooLittleGas(gasleft(), 0);
                emit MatchSkipped(_hash(m.order), reason);
            }
        }
        if (matched == 0) revert OrderBook_NothingMatched(t.hash);
        if (taker.timeInForce == TimeInForce.FillOrKill && matched != taker.base.abs()) {
            revert OrderBook_FillOrKill(t.hash, matched);
        }
        _end(taker, t.hash);
    }

    /// @notice One match of a batch, apart so that it can fail alone; of no use to anybody else.
    function matchPair(
        Order calldata maker,
        bytes calldata makerSignature,
        Order calldata taker,
        Taker calldata t,
        uint256 base
    ) external {
        _requirePair(maker, taker, base);
        uint256 left = taker.base.abs() - _commitments[t.hash].amount;
        if (base > left) revert OrderBook_Overfilled(t.hash, left);
        _match(maker, makerSignature, taker, t, base);
    }

    /// @dev Admits the maker, and moves base and quote.
    function _match(
        Order calldata maker,
        bytes calldata makerSignature,
        Order calldata taker,
        Taker memory t,
        uint256 base
    ) private {
        bytes32 makerHash = _hash(maker);
        address makerSigner = _admit(maker, makerHash, makerSignature, base);
        _use(taker.account, t.signer, taker.marketId, base);
        _use(maker.account, makerSigner, maker.marketId, base);

        Exchange memory x = _terms(maker, taker, base);
        if (_remember(taker, t.hash, base)) {
            (x.payee, x.payment) = (msg.sender, _queues[taker.marketId].executionFee);
        }
        _remember(maker, makerHash, base);
        MARKET.exchange(x);
        emit OrdersMatched(makerHash, t.hash, x.marketId, x.from, x.to, x.base, x.quote, x.fromFee, x.toFee, x.payment);
    }

    /// @dev The sums of a match: the product is computed once, rounded against the taker.
    function _terms(Order calldata maker, Order calldata taker, uint256 base) private view returns (Exchange memory x) {
        (x.marketId, x.from, x.to) = (taker.marketId, maker.account, taker.account);
        (x.fromReduceOnly, x.toReduceOnly) = (maker.reduceOnly, taker.reduceOnly);
        (, TradingConfig trading,) = MARKET.marketConfig(x.marketId);
        uint256 price = maker.acceptablePrice;
        x.newest = _newestInBand(x.marketId, trading, price);
        _requireWorthwhile(maker, taker, base, price, trading.minPosition());
        int256 given = taker.base > 0 ? -int256(base) : int256(base);
        (x.base, x.quote) = (-given, given.worthDown(price));
        x.fromFee = WadMath.divUp(x.quote.abs() * trading.makerBps(), WadMath.BPS);
        x.toFee = WadMath.divUp(x.quote.abs() * trading.takerBps(), WadMath.BPS);
    }

    function _newestInBand(uint256 marketId, TradingConfig trading, uint256 price)
        private
        view
        returns (PriceRecord newest)
    {
        newest = ORACLE.newest(marketId);
        if (!newest.isFresh(trading.maxPriceAge())) {
            revert IPerpMarket.PerpMarket_StalePrice(marketId, newest.publishedAt());
        }
        uint256 index = newest.price();
        uint256 distance = price > index ? price - index : index - price;
        if (distance > index * MATCH_BAND_BPS / WadMath.BPS) revert OrderBook_OutsideBand(price, index);
    }

    /// @dev A match is of the minimum position, or of all that is left of the taker, or of a maker who was larger: dust would only use up
    /// what others signed.
    function _requireWorthwhile(
        Order calldata maker,
        Order calldata taker,
        uint256 base,
        uint256 price,
        uint256 minimum
    ) private view {
        uint256 notional = base * price / WadMath.WAD;
        if (notional >= minimum || base == _left(taker)) return;
        bool isDust = maker.base.abs() * price / WadMath.WAD < minimum; // or anyone could bring a wei of his own
        if (isDust || base != _left(maker)) revert OrderBook_TooSmall(notional, minimum);
    }

    function _left(Order calldata order) private view returns (uint256) {
        return order.base.abs() - _commitments[_hash(order)].amount;
    }

    // --- one order, one pair ---

    function _requireMayMatch(uint256 account, address signer, uint256 marketId) internal view {
        _requirePermitted(account, signer, marketId);
        if (signer != account.ownerOf() && !_delegations[account][signer].mayMatch) {
            revert OrderBook_NotPermitted(account, signer);
        }
    }

    function _requirePair(Order calldata maker, Order calldata taker, uint256 base) private pure {
        if (base == 0) revert OrderBook_ZeroSize();
        if (maker.kind != OrderKind.Limit || taker.kind != OrderKind.Limit) revert OrderBook_InvalidTerms("kind");
        if (maker.marketId != taker.marketId) revert OrderBook_InvalidTerms("marketId");
        if ((maker.base > 0) == (taker.base > 0)) revert OrderBook_InvalidTerms("side");
        if (
            taker.timeInForce == TimeInForce.PostOnly || maker.timeInForce == TimeInForce.ImmediateOrCancel
                || maker.timeInForce == TimeInForce.FillOrKill
        ) revert OrderBook_InvalidTerms("timeInForce");
        if (maker.parent != 0 || taker.parent != 0) revert OrderBook_InvalidTerms("parent");
        address owner = taker.account.ownerOf();
        if (maker.account.ownerOf() == owner) revert OrderBook_SelfMatch(owner);
        (uint256 asked, uint256 given) = (maker.acceptablePrice, taker.acceptablePrice);
        if (taker.base > 0 ? given < asked : given > asked) revert OrderBook_NotCrossing(asked, given);
    }

    function _requireTakerTerms(Order calldata taker) private pure {
        if (taker.kind != OrderKind.Limit) revert OrderBook_InvalidTerms("kind");
        if (taker.timeInForce == TimeInForce.PostOnly) revert OrderBook_InvalidTerms("timeInForce");
        if (taker.parent != 0) revert OrderBook_InvalidTerms("parent");
    }

    /// @dev An order that may be matched: alive, with `base` left, and signed by somebody who may. Returns who that is.
    function _admit(Order calldata order, bytes32 hash, bytes calldata signature, uint256 base)
        private
        view
        returns (address signer)
    {
        if (_isExpired(order)) revert OrderBook_Expired(order.expiry);
        _requireCounter(order.account, order.salt);
        Commitment storage c = _commitments[hash];
        OrderStatus status = c.status;
        if (status != OrderStatus.None && status != OrderStatus.Matching) revert OrderBook_UnknownOrder(hash);
        uint256 left = order.base.abs() - c.amount;
        if (base > left) revert OrderBook_Overfilled(hash, left);
        signer = _signerOf(order.account, hash, signature);
        _requireMayMatch(order.account, signer, order.marketId);
    }

    /// @return isFirst Whether nothing of the order was matched before.
    function _remember(Order calldata order, bytes32 hash, uint256 base) private returns (bool isFirst) {
        Commitment storage c = _commitments[hash];
        uint256 before = c.amount;
        c.amount = (before + base).toUint96();
        c.status = before + base == order.base.abs() ? OrderStatus.Filled : OrderStatus.Matching;
        return before == 0;
    }

    /// @dev What is left of an order that does not wait.
    function _end(Order calldata taker, bytes32 hash) private {
        if (taker.timeInForce == TimeInForce.ImmediateOrCancel && _commitments[hash].status == OrderStatus.Matching) {
            _commitments[hash].status = OrderStatus.Spent;
        }
    }
}
