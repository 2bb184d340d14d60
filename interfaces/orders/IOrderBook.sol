// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Commitment, ICommitments, Order, OrderConfig, Scope} from "./ICommitments.sol";

/// @title Orders against the pool: commitments, a queue a market, and prices that nobody chooses.
interface IOrderBook is ICommitments {
    event OrderPlaced(
        bytes32 indexed hash,
        uint256 indexed account,
        uint256 indexed marketId,
        Order order,
        uint256 settleFrom,
        uint256 sequence,
        uint256 executionFee,
        uint256 feeReserve
    );
    event OrderCancelled(bytes32 indexed hash, uint256 indexed account);
    /// @notice All of the account's orders are void that don't carry this counter, but market orders already queued.
    event AllCancelled(uint256 indexed account, uint256 counter);
    /// @notice A rule refused the order, whose own error `reason` is; `forfeited` of the fee reserve went to the insurance fund.
    event OrderFailed(
        bytes32 indexed hash,
        uint256 indexed account,
        address indexed executor,
        uint256 paid,
        uint256 forfeited,
        bytes reason
    );
    /// @notice A reduce-only market order without its record waits outside of the queue from now on.
    event OrderLeftQueue(bytes32 indexed hash, uint256 indexed account);
    /// @notice In a batch: this order could not be executed now, and nothing happened to it.
    event OrderSkipped(bytes32 indexed hash, bytes reason);
    event OrderConfigChanged(uint256 indexed marketId, OrderConfig config);

    error OrderBook_NotListed(uint256 marketId);
    error OrderBook_NotCancellable(bytes32 hash);
    error OrderBook_NotNext(uint256 sequence, uint256 head);
    error OrderBook_NoRecord(uint256 notBefore);
    /// @notice In this transaction orders that wait were filled at another price of the market already.
    error OrderBook_SecondPrice(uint256 marketId);
    error OrderBook_NotTriggered(uint256 price, uint256 triggerPrice);
    error OrderBook_MarketOrdersPending(uint256 marketId);
    error OrderBook_InvalidConfig(bytes32 rule);

    /// @notice Commits to an order; owner or delegate. A market order takes its place in the queue and reserves
    /// its execution fee and `feeReserveBps` of its notional; the others reserve nothing.
    /// @return hash The order's EIP-712 struct hash.
    function place(Order calldata order) external returns (bytes32 hash);

    /// @notice As place, on the signature of owner or delegate. Anyone may bring it, and is paid the market's relay fee from the account's
    /// cash. A market order needs an expiry. Limit orders are refused: signed they are there to be matched, and nobody shall take them
    /// out of the book for the fee.
    function placeFor(Order calldata order, bytes calldata signature) external returns (bytes32 hash);

    /// @notice Ends an order that waits, or one that was only signed; owner or delegate. A queued market order can't be cancelled.
    function cancel(Order calldata order) external;

    /// @notice As cancel, on the owner's signature over Cancel(orderHash, relayFee); `relayFee`, WAD dollars, goes from the account to the caller.
    function cancelFor(Order calldata order, uint256 relayFee, bytes calldata signature) external;

    /// @notice Ends all orders of an account, placed or signed, but market orders already queued; the owner only.
    function cancelAll(uint256 account) external;

    /// @notice As cancelAll, on the owner's signature over CancelAll(account, counter, relayFee).
    /// @param counter The new one: one more than the present.
    function cancelAllFor(uint256 account, uint256 counter, uint256 relayFee, bytes calldata signature) external;

    /// @notice Settles an order: fills it, or ends it where it is void or a rule refuses it. Anyone may call, and is paid the execution fee.
    /// @param priceData Passed to the oracle first where it isn't empty.
    function execute(Order calldata order, bytes[] calldata priceData) external payable;

    /// @notice As execute, for each order in turn; what can't be executed now is skipped with an event.
    function executeBatch(Order[] calldata orders, bytes[] calldata priceData) external payable;

    function setOrderConfig(uint256 marketId, OrderConfig calldata config) external;

    function hashOf(Order calldata order) external pure returns (bytes32);

    function commitment(bytes32 hash) external view returns (Commitment memory);

    /// @notice The counter that an account's new orders must carry.
    function counterOf(uint256 account) external view returns (uint256);

    /// @notice A market's order terms and where its queue stands; zeros where governance has set no terms.
    /// @return config The terms of orders that are placed now.
    /// @return next The sequence that the next market order gets.
    /// @return head The sequence that settles next; equal to `next` where the queue is empty.
    function queue(uint256 marketId) external view returns (OrderConfig memory config, uint256 next, uint256 head);

    /// @return scope As set, also after its end. @return usedToday Whole dollars of the budget.
    function delegation(uint256 account, address delegate) external view returns (Scope memory scope, uint256 usedToday);
}
