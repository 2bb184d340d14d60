// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPerpMarket} from "interfaces/market/IPerpMarket.sol";
import {
    Commitment,
    Order,
    OrderConfig,
    OrderKind,
    OrderStatus,
    Scope,
    TimeInForce
} from "interfaces/orders/ICommitments.sol";
import {IDelegates} from "interfaces/orders/IDelegates.sol";
import {IFallback} from "interfaces/orders/IFallback.sol";
import {IMatching, MakerFill} from "interfaces/orders/IMatching.sol";
import {IOrderBook} from "interfaces/orders/IOrderBook.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds, Core, Posting} from "../types/Accounts.sol";
import {PriceRecord} from "../types/PriceRecord.sol";
import {Commitments} from "./Commitments.sol";
import {Filling} from "./Filling.sol";

/// @title OrderBook
/// @notice Orders are commitments; whoever executes brings the order back. Several calls of one caller go into one by `multicall`.
contract OrderBook is IOrderBook, IDelegates, IFallback, IMatching, Filling, AccessManaged, Multicall {
    using AccountIds for uint256;
    using SafeCast for uint256;

    /// @notice Gas that must be left before an order is tried, so that an order never fails for want of it.
    uint256 public constant MIN_EXECUTION_GAS = 450_000;
    uint256 private constant MAX_FEE_RESERVE_BPS = 100;
    uint256 private constant MAX_DELAY = 60;
    bytes32 private constant CANCEL_TYPEHASH = keccak256("Cancel(bytes32 orderHash,uint256 relayFee)");
    bytes32 private constant CANCEL_ALL_TYPEHASH =
        keccak256("CancelAll(uint256 account,uint256 counter,uint256 relayFee)");

    address private immutable MATCHING;

    constructor(Core memory core) Commitments(core) AccessManaged(core.authority) {
        MATCHING = core.matching;
    }

    /// @inheritdoc IOrderBook
    /// @custom:req OB-01
    function place(Order calldata order) external returns (bytes32 hash) {
        hash = _hash(order);
        _place(order, hash, msg.sender, false);
    }

    /// @inheritdoc IOrderBook
    /// @custom:req OB-05
    function placeFor(Order calldata order, bytes calldata signature) external returns (bytes32 hash) {
        hash = _hash(order);
        _place(order, hash, _signerOf(order.account, hash, signature), true);
    }

    /// @inheritdoc IOrderBook
    /// @custom:req OB-02
    function cancel(Order calldata order) external {
        _requirePermitted(order.account, msg.sender, order.marketId);
        _cancel(order, _hash(order));
    }

    /// @inheritdoc IOrderBook
    function cancelFor(Order calldata order, uint256 relayFee, bytes calldata signature) external {
        bytes32 hash = _hash(order);
        _requireOwnersWord(order.account, keccak256(abi.encode(CANCEL_TYPEHASH, hash, relayFee)), signature);
        _cancel(order, hash);
        _payRelayer(order.account, relayFee);
    }

    /// @inheritdoc IOrderBook
    function cancelAll(uint256 account) external {
        _requireOwner(account);
        emit AllCancelled(account, ++_counters[account]);
    }

    /// @inheritdoc IOrderBook
    function cancelAllFor(uint256 account, uint256 counter, uint256 relayFee, bytes calldata signature) external {
        _requireOwnersWord(account, keccak256(abi.encode(CANCEL_ALL_TYPEHASH, account, counter, relayFee)), signature);
        if (counter != _counters[account] + 1) revert OrderBook_WrongCounter(account, _counters[account]);
        emit AllCancelled(account, ++_counters[account]);
        _payRelayer(account, relayFee);
    }

    /// @inheritdoc IOrderBook
    /// @custom:req OB-03
    function execute(Order calldata order, bytes[] calldata priceData) external payable {
        _update(priceData);
        bytes memory refusal = _attempt(order, _hash(order));
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);
    }

    /// @inheritdoc IOrderBook
    /// @custom:req OB-04
    function executeBatch(Order[] calldata orders, bytes[] calldata priceData) external payable {
        _update(priceData);
        for (uint256 i; i < orders.length; ++i) {
            bytes32 hash = _hash(orders[i]);
            bytes memory refusal = _attempt(orders[i], hash);
            if (refusal.length != 0) emit OrderSkipped(hash, refusal);
        }
    }

    /// @inheritdoc IOrderBook
    function setOrderConfig(uint256 marketId, OrderConfig calldata config) external restricted {
        if (marketId == 0 || marketId > MARKET.marketCount()) revert OrderBook_NotListed(marketId);
        if (config.executionFee > MAX_FEE) revert OrderBook_InvalidConfig("executionFee");
        if (config.relayFee > MAX_FEE) revert OrderBook_InvalidConfig("relayFee");
        if (config.feeReserveBps == 0 || config.feeReserveBps > MAX_FEE_RESERVE_BPS) {
            revert OrderBook_InvalidConfig("feeReserve");
        }
        if (config.settlementDelay == 0 || config.settlementDelay > MAX_DELAY) {
            revert OrderBook_InvalidConfig("settlementDelay");
        }
        if (config.settlementWindow == 0 || config.settlementWindow > MAX_DELAY) {
            revert OrderBook_InvalidConfig("settlementWindow");
        }
        Queue storage q = _queues[marketId];
        (q.executionFee, q.feeReserveBps, q.relayFee) = (config.executionFee, config.feeReserveBps, config.relayFee);
        (q.settlementDelay, q.settlementWindow) = (config.settlementDelay, config.settlementWindow);
        if (q.next == 0) (q.next, q.head) = (1, 1);
        emit OrderConfigChanged(marketId, config);
    }

    // --- passed on to the other part ---

    /// @inheritdoc IMatching
    function matchOrders(Order calldata, bytes calldata, Order calldata, bytes calldata, uint256) external {
        _passOn();
    }

    /// @inheritdoc IMatching
    function matchBatch(Order calldata, bytes calldata, MakerFill[] calldata) external returns (uint256) {
        return abi.decode(_passOn(), (uint256));
    }

    /// @inheritdoc IDelegates
    function setDelegate(uint256, address, Scope calldata) external {
        _passOn();
    }

    /// @inheritdoc IDelegates
    function setDelegateFor(uint256, address, Scope calldata, uint256, uint256, bytes calldata) external {
        _passOn();
    }

    /// @inheritdoc IDelegates
    function useForTakeOver(uint256, address, uint256, uint256) external {
        _passOn();
    }

    /// @inheritdoc IFallback
    function executeForced(Order calldata, bytes[] calldata) external payable {
        _passOn();
    }

    function _passOn() private returns (bytes memory) {
        return Address.functionDelegateCall(MATCHING, msg.data);
    }

    // --- views ---

    /// @inheritdoc IOrderBook
    function hashOf(Order calldata order) external pure returns (bytes32) {
        return _hash(order);
    }

    /// @inheritdoc IOrderBook
    function commitment(bytes32 hash) external view returns (Commitment memory) {
        return _commitments[hash];
    }

    /// @inheritdoc IOrderBook
    function counterOf(uint256 account) external view returns (uint256) {
        return _counters[account];
    }

    /// @inheritdoc IOrderBook
    function queue(uint256 marketId) external view returns (OrderConfig memory, uint256, uint256) {
        Queue memory q = _queues[marketId];
        return (
            OrderConfig(q.executionFee, q.feeReserveBps, q.settlementDelay, q.settlementWindow, q.relayFee),
            q.next,
            q.head
        );
    }

    /// @inheritdoc IOrderBook
    function delegation(uint256 account, address delegate) external view returns (Scope memory, uint256) {
        Delegation memory d = _delegations[account][delegate];
        return (
            Scope(d.markets, d.until, d.dailyBudget, d.mayMatch, d.mayTakeOver),
            d.day == block.timestamp / 1 days ? d.used : 0
        );
    }

    // --- placing and cancelling ---

    /// @param caller Who wants it, by call or by signature.
    function _place(Order calldata order, bytes32 hash, address caller, bool isSigned) private {
        _requirePermitted(order.account, caller, order.marketId);
        _requireTerms(order, isSigned);
        if (_isExpired(order)) revert OrderBook_Expired(order.expiry);
        bool isMarket = order.kind == OrderKind.Market;
        if (isSigned || !isMarket) _requireCounter(order.account, order.salt);
        if (_commitments[hash].status != OrderStatus.None) revert OrderBook_AlreadyUsed(hash);
        Queue memory q = _queues[order.marketId];
        if (q.settlementWindow == 0) revert OrderBook_NotListed(order.marketId);
        _use(order.account, caller, order.marketId, WadMath.abs(order.base));

        Commitment memory c;
        c.settleFrom = uint40(block.timestamp + q.settlementDelay);
        c.executionFee = q.executionFee;
        c.status = OrderStatus.Waiting;
        if (isMarket) {
            (c.status, c.sequence) = (OrderStatus.Queued, q.next);
            _queues[order.marketId].next = q.next + 1;
            c.amount = _feeReserve(order, q);
        }
        _setAside(order, _reservedBy(order, c), isSigned ? q.relayFee : 0);
        _commitments[hash] = c;
        emit OrderPlaced(hash, order.account, order.marketId, order, c.settleFrom, c.sequence, c.executionFee, c.amount);
    }

    function _requireTerms(Order calldata order, bool isSigned) private pure {
        if (order.base == 0) revert OrderBook_ZeroSize();
        if (WadMath.abs(order.base) > type(uint96).max) revert OrderBook_InvalidTerms("base");
        if (order.timeInForce != TimeInForce.GoodTillTime) revert OrderBook_InvalidTerms("timeInForce");
        bool hasTrigger = order.kind == OrderKind.StopLoss || order.kind == OrderKind.TakeProfit;
        if ((order.triggerPrice != 0) != hasTrigger) revert OrderBook_InvalidTerms("triggerPrice");
        if (isSigned && order.kind == OrderKind.Limit) revert OrderBook_InvalidTerms("kind");
        if (order.kind != OrderKind.Market) return;
        if (order.parent != 0) revert OrderBook_InvalidTerms("parent");
        if (isSigned && order.expiry == 0) revert OrderBook_InvalidTerms("expiry");
    }

    function _cancel(Order calldata order, bytes32 hash) private {
        Commitment memory c = _commitments[hash];
        if (c.status == OrderStatus.Spent || c.status == OrderStatus.Filled) revert OrderBook_UnknownOrder(hash);
        if (c.status == OrderStatus.Queued) revert OrderBook_NotCancellable(hash);
        uint256 reserved = _reservedBy(order, c);
        if (c.status == OrderStatus.Waiting) c.amount = 0;
        c.status = OrderStatus.Spent;
        _commitments[hash] = c;
        if (reserved != 0) _post(order.account, 0, reserved, 0, 0);
        emit OrderCancelled(hash, order.account);
    }

    // --- execution ---

    function _update(bytes[] calldata priceData) private {
        if (priceData.length != 0 || msg.value != 0) ORACLE.update{value: msg.value}(priceData);
    }

    /// @return refusal Why nothing happened, as an error; empty where the order was settled or ended.
    function _attempt(Order calldata order, bytes32 hash) private returns (bytes memory refusal) {
        if (gasleft() < MIN_EXECUTION_GAS) revert OrderBook_TooLittleGas(gasleft(), MIN_EXECUTION_GAS);
        Commitment memory c = _commitments[hash];
        if (c.status == OrderStatus.Queued) return _attemptQueued(order, hash, c);
        if (c.status == OrderStatus.Waiting) return _attemptWaiting(order, hash, c);
        return abi.encodeWithSelector(OrderBook_UnknownOrder.selector, hash);
    }

    /// @dev A market order: in its turn, at the first record at or after T, or void.
    function _attemptQueued(Order calldata order, bytes32 hash, Commitment memory c)
        private
        returns (bytes memory refusal)
    {
        Queue memory q = _queues[order.marketId];
        if (c.sequence != q.head) {
            return abi.encodeWithSelector(OrderBook_NotNext.selector, uint256(c.sequence), uint256(q.head));
        }
        (PriceRecord first, PriceRecord newest) = ORACLE.settlement(order.marketId, c.settleFrom);
        uint256 window = q.settlementWindow;
        if (!first.exists() && block.timestamp <= c.settleFrom + 2 * window) {
            return abi.encodeWithSelector(OrderBook_NoRecord.selector, uint256(c.settleFrom));
        }
        _queues[order.marketId].head = q.head + 1;
        if (first.exists() && first.publishedAt() <= c.settleFrom + window) {
            bytes memory reason = _trade(order, hash, c, first, newest);
            if (
                bytes4(reason) == IPerpMarket.PerpMarket_StalePrice.selector
                    && block.timestamp <= c.settleFrom + 2 * window
            ) {
                _queues[order.marketId].head = q.head; // whoever brings the other market's price may still fill it
                return reason;
            }
            if (reason.length != 0) _fail(order, hash, c, reason);
        } else if (order.reduceOnly) {
            _commitments[hash].status = OrderStatus.Waiting;
            emit OrderLeftQueue(hash, order.account);
        } else {
            _void(order, hash, c, WadMath.min(c.executionFee, WadMath.positive(VAULT.cashOf(order.account))));
        }
    }

    /// @dev A trigger, or a reduce-only market order that missed its record: at the newest record. Refusals leave it as it was.
    function _attemptWaiting(Order calldata order, bytes32 hash, Commitment memory c)
        private
        returns (bytes memory refusal)
    {
        bool isOrphan;
        (refusal, isOrphan) = _whyNotAlive(order);
        if (refusal.length != 0) return refusal;
        if (isOrphan) {
            _void(order, hash, c, 0);
            return "";
        }
        refusal = _attemptNow(order, hash, c);
        if (refusal.length != 0 && order.reduceOnly && _nothingToReduce(order)) {
            _void(order, hash, c, 0);
            return "";
        }
    }

    function _attemptNow(Order calldata order, bytes32 hash, Commitment memory c)
        private
        returns (bytes memory refusal)
    {
        Queue memory q = _queues[order.marketId];
        PriceRecord newest = ORACLE.newest(order.marketId);
        if (!newest.isFresh(q.settlementWindow) || newest.publishedAt() < c.settleFrom) {
            return abi.encodeWithSelector(OrderBook_NoRecord.selector, uint256(c.settleFrom));
        }
        if (!_isTriggered(order, newest.price())) {
            return abi.encodeWithSelector(OrderBook_NotTriggered.selector, newest.price(), order.triggerPrice);
        }
        if (!order.reduceOnly && q.head != q.next) {
            return abi.encodeWithSelector(OrderBook_MarketOrdersPending.selector, order.marketId);
        }
        if (!_isOnlyPrice(order.marketId, newest)) {
            return abi.encodeWithSelector(OrderBook_SecondPrice.selector, order.marketId);
        }
        return _trade(order, hash, c, newest, newest);
    }

    function _nothingToReduce(Order calldata order) private view returns (bool) {
        (int256 held,,) = MARKET.position(order.account, order.marketId);
        return held == 0 || (held > 0) == (order.base > 0);
    }

    /// @dev Ends a market order that a rule refused. Only its own margin, or a price of its account that nobody brought, costs it the fee reserve.
    function _fail(Order calldata order, bytes32 hash, Commitment memory c, bytes memory reason) private {
        uint256 cash = WadMath.positive(VAULT.cashOf(order.account));
        uint256 paid = WadMath.min(c.executionFee, cash);
        bool isOwnFault = bytes4(reason) == IPerpMarket.PerpMarket_InsufficientMargin.selector
            || bytes4(reason) == IPerpMarket.PerpMarket_StalePrice.selector;
        uint256 forfeited = isOwnFault ? WadMath.min(c.amount, cash - paid) : 0;
        _post(order.account, paid + forfeited, _reservedBy(order, c), paid, forfeited);
        _spend(hash, c);
        emit OrderFailed(hash, order.account, msg.sender, paid, forfeited, reason);
    }

    // --- money set aside ---

    function _feeReserve(Order calldata order, Queue memory q) private view returns (uint96) {
        PriceRecord newest = ORACLE.newest(order.marketId);
        if (!newest.exists()) revert OrderBook_NoPrice(order.marketId);
        uint256 notional = WadMath.divUp(WadMath.abs(order.base) * newest.price(), WadMath.WAD);
        return WadMath.divUp(notional * q.feeReserveBps, WadMath.BPS).toUint96();
    }

    /// @dev Reserves a market order's fees and pays the relayer.
    function _setAside(Order calldata order, uint256 reserve, uint256 relayFee) private {
        uint256 required = reserve + relayFee;
        if (required == 0) return;
        _requireFree(order.account, required, order.reduceOnly);
        Posting[] memory postings = new Posting[](relayFee == 0 ? 1 : 2);
        postings[0] = Posting(order.account, -int256(relayFee), int256(reserve), 0);
        if (relayFee != 0) postings[1] = Posting(AccountIds.main(msg.sender), int256(relayFee), 0, 0);
        VAULT.post(postings);
    }
}
