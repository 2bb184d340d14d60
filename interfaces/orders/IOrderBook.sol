// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

enum OrderKind {
    Market,
    Limit
}

/// @notice An order against the pool.
/// @param base WAD, signed. @param acceptablePrice WAD: at most for a buy, at least for a sell; a limit order's limit.
/// @param reduceOnly Clamps to what is left of the position. @param expiry Unix seconds, 0 for none; market orders have none.
/// @param salt Anything that makes the order new: a hash is spent for ever.
struct Order {
    uint256 account;
    uint256 marketId;
    OrderKind kind;
    int256 base;
    uint256 acceptablePrice;
    bool reduceOnly;
    uint256 expiry;
    uint256 salt;
}

/// @notice What governance sets for a market's orders.
/// @param executionFee WAD dollars to whoever executes. @param feeReserveBps Of the notional, reserved by a market order.
/// @param settlementDelay, settlementWindow Seconds.
struct OrderConfig {
    uint64 executionFee;
    uint16 feeReserveBps;
    uint16 settlementDelay;
    uint16 settlementWindow;
}

/// @notice An order's one slot.
/// @param settleFrom T, Unix seconds. @param sequence Its place in the market's queue, 0 for an order that waits for its price.
struct Commitment {
    OrderStatus status;
    uint40 settleFrom;
    uint40 sequence;
    uint64 executionFee;
    uint96 feeReserve;
}

enum OrderStatus {
    None,
    Queued,
    Waiting,
    Spent
}

/// @title Orders against the pool: commitments, a queue a market, and prices that nobody chooses.
interface IOrderBook {
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
    /// @notice The order was filled, as the market's Traded before it says.
    event OrderExecuted(bytes32 indexed hash, uint256 indexed account, address indexed executor);
    /// @notice The order's record never came: taker fee back, `paid` to the executor.
    event OrderVoided(bytes32 indexed hash, uint256 indexed account, address indexed executor, uint256 paid);
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

    error OrderBook_NotOwner(uint256 account, address caller);
    error OrderBook_NotListed(uint256 marketId);
    error OrderBook_ZeroSize();
    error OrderBook_ExpiryNotAllowed();
    error OrderBook_Expired(uint256 expiry);
    error OrderBook_AlreadyUsed(bytes32 hash);
    error OrderBook_UnknownOrder(bytes32 hash);
    error OrderBook_NotCancellable(bytes32 hash);
    error OrderBook_NotNext(uint256 sequence, uint256 head);
    error OrderBook_NoPrice(uint256 marketId);
    error OrderBook_NoRecord(uint256 notBefore);
    error OrderBook_MarketOrdersPending(uint256 marketId);
    error OrderBook_InsufficientCash(int256 free, uint256 required);
    error OrderBook_TooLittleGas(uint256 left, uint256 required);
    error OrderBook_InvalidConfig(bytes32 rule);

    /// @notice Commits to an order of an account of the caller. A market order takes its place in the queue and reserves
    /// its execution fee and `feeReserveBps` of its notional; a limit order reserves nothing.
    /// @return hash The order's EIP-712 struct hash.
    function place(Order calldata order) external returns (bytes32 hash);

    /// @notice Ends an order that waits. A queued market order can't be cancelled.
    function cancel(Order calldata order) external;

    /// @notice Settles an order: fills it, or ends it where it is void or a rule refuses it. Anyone may call, and is paid the execution fee.
    /// @param priceData Passed to the oracle first where it isn't empty.
    function execute(Order calldata order, bytes[] calldata priceData) external payable;

    /// @notice As execute, for each order in turn; what can't be executed now is skipped with an event.
    function executeBatch(Order[] calldata orders, bytes[] calldata priceData) external payable;

    function setOrderConfig(uint256 marketId, OrderConfig calldata config) external;

    function hashOf(Order calldata order) external pure returns (bytes32);

    function commitment(bytes32 hash) external view returns (Commitment memory);

    /// @notice A market's order terms and where its queue stands; zeros where governance has set no terms.
    /// @return config The terms of orders that are placed now.
    /// @return next The sequence that the next market order gets.
    /// @return head The sequence that settles next; equal to `next` where the queue is empty.
    function queue(uint256 marketId) external view returns (OrderConfig memory config, uint256 next, uint256 head);
}
