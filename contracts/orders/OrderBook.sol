// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPerpMarket, Trade} from "interfaces/market/IPerpMarket.sol";
import {Commitment, IOrderBook, Order, OrderConfig, OrderKind, OrderStatus} from "interfaces/orders/IOrderBook.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountBalance, AccountIds, Core, Posting} from "../types/Accounts.sol";
import {PriceRecord} from "../types/PriceRecord.sol";

/// @title OrderBook
/// @notice Orders are commitments; whoever executes brings the order back.
contract OrderBook is IOrderBook, AccessManaged {
    using AccountIds for uint256;
    using SafeCast for uint256;

    bytes32 public constant ORDER_TYPEHASH = keccak256(
        "Order(uint256 account,uint256 marketId,uint8 kind,int256 base,uint256 acceptablePrice,bool reduceOnly,uint256 expiry,uint256 salt)"
    );
    /// @notice Gas that must be left before an order is tried, so that an order never fails for want of it.
    uint256 public constant MIN_EXECUTION_GAS = 450_000;
    uint256 private constant MAX_EXECUTION_FEE = 10e18;
    uint256 private constant MAX_FEE_RESERVE_BPS = 100;
    uint256 private constant MAX_DELAY = 60;

    IMarginVault private immutable VAULT;
    IPerpMarket private immutable MARKET;
    IPriceRecords private immutable ORACLE;
    address private immutable FUND;

    /// @dev One slot a market.
    struct Queue {
        OrderConfig config;
        uint40 next;
        uint40 head;
    }

    mapping(uint256 marketId => Queue) private _queues;
    mapping(bytes32 hash => Commitment) private _commitments;

    constructor(Core memory core) AccessManaged(core.authority) {
        (VAULT, MARKET) = (IMarginVault(core.vault), IPerpMarket(core.market));
        (ORACLE, FUND) = (IPriceRecords(core.oracle), core.fund);
    }

    /// @inheritdoc IOrderBook
    /// @custom:req OB-01
    function place(Order calldata order) external returns (bytes32 hash) {
        _requireOwner(order.account);
        if (order.base == 0) revert OrderBook_ZeroSize();
        bool isMarket = order.kind == OrderKind.Market;
        if (isMarket && order.expiry != 0) revert OrderBook_ExpiryNotAllowed();
        if (order.expiry != 0 && order.expiry < block.timestamp) revert OrderBook_Expired(order.expiry);
        Queue memory q = _queues[order.marketId];
        if (q.config.settlementWindow == 0) revert OrderBook_NotListed(order.marketId);
        hash = hashOf(order);
        if (_commitments[hash].status != OrderStatus.None) revert OrderBook_AlreadyUsed(hash);

        Commitment memory c;
        c.settleFrom = uint40(block.timestamp + q.config.settlementDelay);
        c.executionFee = q.config.executionFee;
        if (isMarket) {
            (c.status, c.sequence) = (OrderStatus.Queued, q.next);
            _queues[order.marketId].next = q.next + 1;
            c.feeReserve = _reserve(order, q.config);
        } else {
            c.status = OrderStatus.Waiting;
        }
        _commitments[hash] = c;
        emit OrderPlaced(
            hash, order.account, order.marketId, order, c.settleFrom, c.sequence, c.executionFee, c.feeReserve
        );
    }

    /// @inheritdoc IOrderBook
    /// @custom:req OB-02
    function cancel(Order calldata order) external {
        _requireOwner(order.account);
        bytes32 hash = hashOf(order);
        Commitment memory c = _commitments[hash];
        if (c.status == OrderStatus.None || c.status == OrderStatus.Spent) revert OrderBook_UnknownOrder(hash);
        if (c.status == OrderStatus.Queued) revert OrderBook_NotCancellable(hash);
        _commitments[hash].status = OrderStatus.Spent;
        uint256 reserved = _reservedBy(order, c);
        if (reserved != 0) _post(order.account, 0, reserved, 0, 0);
        emit OrderCancelled(hash, order.account);
    }

    /// @inheritdoc IOrderBook
    /// @custom:req OB-03
    function execute(Order calldata order, bytes[] calldata priceData) external payable {
        _update(priceData);
        bytes memory refusal = _attempt(order, hashOf(order));
        if (refusal.length != 0) LowLevelCall.bubbleRevert(refusal);
    }

    /// @inheritdoc IOrderBook
    /// @custom:req OB-04
    function executeBatch(Order[] calldata orders, bytes[] calldata priceData) external payable {
        _update(priceData);
        for (uint256 i; i < orders.length; ++i) {
            bytes32 hash = hashOf(orders[i]);
            bytes memory refusal = _attempt(orders[i], hash);
            if (refusal.length != 0) emit OrderSkipped(hash, refusal);
        }
    }

    /// @inheritdoc IOrderBook
    function setOrderConfig(uint256 marketId, OrderConfig calldata config) external restricted {
        if (marketId == 0 || marketId > MARKET.marketCount()) revert OrderBook_NotListed(marketId);
        if (config.executionFee > MAX_EXECUTION_FEE) revert OrderBook_InvalidConfig("executionFee");
        if (config.feeReserveBps > MAX_FEE_RESERVE_BPS) revert OrderBook_InvalidConfig("feeReserve");
        if (config.settlementDelay == 0 || config.settlementDelay > MAX_DELAY) {
            revert OrderBook_InvalidConfig("settlementDelay");
        }
        if (config.settlementWindow == 0 || config.settlementWindow > MAX_DELAY) {
            revert OrderBook_InvalidConfig("settlementWindow");
        }
        Queue storage q = _queues[marketId];
        q.config = config;
        if (q.next == 0) (q.next, q.head) = (1, 1);
        emit OrderConfigChanged(marketId, config);
    }

    /// @inheritdoc IOrderBook
    function hashOf(Order calldata order) public pure returns (bytes32) {
        return keccak256(abi.encode(ORDER_TYPEHASH, order));
    }

    /// @inheritdoc IOrderBook
    function commitment(bytes32 hash) external view returns (Commitment memory) {
        return _commitments[hash];
    }

    /// @inheritdoc IOrderBook
    function queue(uint256 marketId) external view returns (OrderConfig memory, uint256, uint256) {
        Queue memory q = _queues[marketId];
        return (q.config, q.next, q.head);
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
        uint256 window = q.config.settlementWindow;
        if (!first.exists() && block.timestamp <= c.settleFrom + 2 * window) {
            return abi.encodeWithSelector(OrderBook_NoRecord.selector, uint256(c.settleFrom));
        }
        _queues[order.marketId].head = q.head + 1;
        if (first.exists() && first.publishedAt() <= c.settleFrom + window) {
            bytes memory reason = _trade(order, hash, c, first, newest);
            if (reason.length != 0) _fail(order, hash, c, reason);
        } else if (order.reduceOnly) {
            _commitments[hash].status = OrderStatus.Waiting;
            emit OrderLeftQueue(hash, order.account);
        } else {
            _commitments[hash].status = OrderStatus.Spent;
            uint256 paid = WadMath.min(c.executionFee, WadMath.positive(VAULT.cashOf(order.account)));
            _post(order.account, paid, _reservedBy(order, c), paid, 0);
            emit OrderVoided(hash, order.account, msg.sender, paid);
        }
    }

    /// @dev A limit order, or a reduce-only one that missed its record: at the newest record.
    function _attemptWaiting(Order calldata order, bytes32 hash, Commitment memory c)
        private
        returns (bytes memory refusal)
    {
        Queue memory q = _queues[order.marketId];
        PriceRecord newest = ORACLE.newest(order.marketId);
        if (!newest.isFresh(q.config.settlementWindow) || newest.publishedAt() < c.settleFrom) {
            return abi.encodeWithSelector(OrderBook_NoRecord.selector, uint256(c.settleFrom));
        }
        if (order.expiry != 0 && block.timestamp > order.expiry) {
            return abi.encodeWithSelector(OrderBook_Expired.selector, order.expiry);
        }
        if (!order.reduceOnly && q.head != q.next) {
            return abi.encodeWithSelector(OrderBook_MarketOrdersPending.selector, order.marketId);
        }
        return _trade(order, hash, c, newest, newest);
    }

    /// @return reason A listed error of the market, which means that nothing was filled; any other failure reverts everything.
    function _trade(Order calldata order, bytes32 hash, Commitment memory c, PriceRecord record, PriceRecord newest)
        private
        returns (bytes memory reason)
    {
        _commitments[hash].status = OrderStatus.Spent;
        Trade memory t = Trade({
            account: order.account,
            marketId: order.marketId,
            base: order.base,
            acceptablePrice: order.acceptablePrice,
            reduceOnly: order.reduceOnly,
            executionFee: c.executionFee,
            reserved: _reservedBy(order, c),
            executor: msg.sender,
            record: record,
            newest: newest
        });
        try MARKET.trade(t) {
            emit OrderExecuted(hash, order.account, msg.sender);
        } catch (bytes memory refusal) {
            if (!_isListed(refusal)) LowLevelCall.bubbleRevert(refusal);
            _commitments[hash].status = c.status;
            return refusal;
        }
    }

    /// @dev Ends a market order that a rule refused. Only its own margin costs it the fee reserve.
    function _fail(Order calldata order, bytes32 hash, Commitment memory c, bytes memory reason) private {
        _commitments[hash].status = OrderStatus.Spent;
        uint256 cash = WadMath.positive(VAULT.cashOf(order.account));
        uint256 paid = WadMath.min(c.executionFee, cash);
        uint256 forfeited = bytes4(reason) == IPerpMarket.PerpMarket_InsufficientMargin.selector
            ? WadMath.min(c.feeReserve, cash - paid)
            : 0;
        _post(order.account, paid + forfeited, _reservedBy(order, c), paid, forfeited);
        emit OrderFailed(hash, order.account, msg.sender, paid, forfeited, reason);
    }

    /// @dev Whether a refusal of the market is one that ends an order, rather than a failure of the machine.
    function _isListed(bytes memory refusal) private pure returns (bool) {
        bytes4 s = bytes4(refusal);
        return s == IPerpMarket.PerpMarket_InsufficientMargin.selector
            || s == IPerpMarket.PerpMarket_PriceNotAcceptable.selector
            || s == IPerpMarket.PerpMarket_NothingToReduce.selector
            || s == IPerpMarket.PerpMarket_OpeningHalted.selector
            || s == IPerpMarket.PerpMarket_OpenInterestLimit.selector || s == IPerpMarket.PerpMarket_SkewLimit.selector
            || s == IPerpMarket.PerpMarket_ExposureLimit.selector
            || s == IPerpMarket.PerpMarket_BelowMinimumPosition.selector
            || s == IPerpMarket.PerpMarket_StalePrice.selector || s == IPerpMarket.PerpMarket_TooManyMarkets.selector
            || s == IPerpMarket.PerpMarket_Bankrupt.selector || s == IPerpMarket.PerpMarket_WrongMarket.selector
            || s == IPerpMarket.PerpMarket_IsolatedOnly.selector || s == IPerpMarket.PerpMarket_PriceOutOfRange.selector;
    }

    // --- money set aside ---

    /// @dev Reserves the execution fee and part of the notional at the newest price. A reduce-only order may back it with equity,
    /// so that nobody is locked in who has gains but no cash.
    function _reserve(Order calldata order, OrderConfig memory config) private returns (uint96 feeReserve) {
        PriceRecord newest = ORACLE.newest(order.marketId);
        if (!newest.exists()) revert OrderBook_NoPrice(order.marketId);
        uint256 notional = WadMath.divUp(WadMath.abs(order.base) * newest.price(), WadMath.WAD);
        feeReserve = WadMath.divUp(notional * config.feeReserveBps, WadMath.BPS).toUint96();
        uint256 required = config.executionFee + uint256(feeReserve);
        AccountBalance balance = VAULT.balanceOf(order.account);
        int256 free = balance.cash() - int256(balance.reserved());
        if (free < int256(required) && order.reduceOnly) {
            free = MARKET.equity(order.account) - int256(balance.reserved());
        }
        if (free < int256(required)) revert OrderBook_InsufficientCash(free, required);
        Posting[] memory postings = new Posting[](1);
        postings[0] = Posting(order.account, 0, int256(required), 0);
        VAULT.post(postings);
    }

    function _reservedBy(Order calldata order, Commitment memory c) private pure returns (uint256) {
        return order.kind == OrderKind.Market ? uint256(c.executionFee) + c.feeReserve : 0;
    }

    /// @dev Takes `cash` from the account and ends its reservation; pays the executor and the fund.
    function _post(uint256 account, uint256 cash, uint256 reserved, uint256 paid, uint256 forfeited) private {
        Posting[] memory postings = new Posting[](1 + (paid == 0 ? 0 : 1) + (forfeited == 0 ? 0 : 1));
        postings[0] = Posting(account, -int256(cash), -int256(reserved), 0);
        if (paid != 0) postings[1] = Posting(AccountIds.main(msg.sender), int256(paid), 0, 0);
        if (forfeited != 0) {
            postings[postings.length - 1] = Posting(AccountIds.main(FUND), int256(forfeited), 0, 0);
        }
        VAULT.post(postings);
    }

    function _requireOwner(uint256 account) private view {
        if (msg.sender != account.ownerOf()) revert OrderBook_NotOwner(account, msg.sender);
    }
}
