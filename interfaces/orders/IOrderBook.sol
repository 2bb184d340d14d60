// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

enum OrderKind {
    Market,
    Limit,
    StopLoss,
    TakeProfit
}

enum TimeInForce {
    GoodTillTime,
    PostOnly,
    ImmediateOrCancel,
    FillOrKill
}

/// @notice An order: placed on-chain against the pool, or signed and matched with another.
/// @param base WAD, signed. @param acceptablePrice WAD: at most for a buy, at least for a sell; the limit of a limit order.
/// @param triggerPrice WAD, index price: a stop-loss is due at it or beyond it in the order's direction, a take-profit against it; else 0.
/// @param reduceOnly Clamps to what is left of the position; void with nothing left. @param timeInForce Of orders that are matched.
/// @param expiry Unix seconds, 0 for none: the last second in which the order may be placed (a market order), matched or executed.
/// @param parent Hash of an order that has to be filled first, at least in part; 0 for none.
/// @param salt The account's counter (high 128 bits) and anything that makes the order new: a hash is spent for ever.
struct Order {
    uint256 account;
    uint256 marketId;
    OrderKind kind;
    int256 base;
    uint256 acceptablePrice;
    uint256 triggerPrice;
    bool reduceOnly;
    TimeInForce timeInForce;
    uint256 expiry;
    bytes32 parent;
    uint256 salt;
}

/// @notice What governance sets for a market's orders.
/// @param executionFee WAD dollars to whoever executes. @param feeReserveBps Of the notional, reserved by a market order.
/// @param settlementDelay, settlementWindow Seconds. @param relayFee WAD dollars to whoever places a signed order.
struct OrderConfig {
    uint64 executionFee;
    uint16 feeReserveBps;
    uint16 settlementDelay;
    uint16 settlementWindow;
    uint64 relayFee;
}

/// @notice An order's one slot.
/// @param settleFrom T, Unix seconds. @param sequence Its place in the market's queue, 0 for an order that waits for its price.
/// @param amount WAD dollars, the fee reserve of a market order that has not ended; or WAD base, what was matched of a signed one.
struct Commitment {
    OrderStatus status;
    uint40 settleFrom;
    uint40 sequence;
    uint64 executionFee;
    uint96 amount;
}

/// @dev Matching: signed, filled in part. Filled: against the pool or matched, all of it. Spent: any other end.
enum OrderStatus {
    None,
    Queued,
    Waiting,
    Matching,
    Filled,
    Spent
}

/// @notice A maker's signed order in a batch, and how much of it is matched: WAD base, unsigned.
struct MakerFill {
    Order order;
    bytes signature;
    uint256 base;
}

/// @title Orders: commitments against the pool, a queue a market, prices that nobody chooses; and signed orders matched with each other.
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
    /// @notice All of the account's orders are void that don't carry this counter, but market orders already queued.
    event AllCancelled(uint256 indexed account, uint256 counter);
    /// @notice The order was filled, as the market's Traded before it says.
    event OrderExecuted(bytes32 indexed hash, uint256 indexed account, address indexed executor);
    /// @notice The order can never be filled any more: its record never came, nothing is left to reduce, or its parent ended unfilled.
    /// What was reserved is free, less `paid` to the executor.
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
    /// @notice base, quote: WAD, what the taker got. executionFee: WAD dollars from the taker to the caller. The market's Filled say the rest.
    event OrdersMatched(
        bytes32 indexed makerHash,
        bytes32 indexed takerHash,
        uint256 indexed marketId,
        uint256 makerAccount,
        uint256 takerAccount,
        int256 base,
        int256 quote,
        uint256 makerFee,
        uint256 takerFee,
        uint256 executionFee
    );
    /// @notice In a batch: this maker's order could not be matched now, and nothing happened to it.
    event MatchSkipped(bytes32 indexed makerHash, bytes reason);
    event Relayed(uint256 indexed account, address indexed relayer, uint256 fee);
    event OrderConfigChanged(uint256 indexed marketId, OrderConfig config);

    error OrderBook_NotListed(uint256 marketId);
    error OrderBook_ZeroSize();
    /// @notice field: the field of the order, or the parameter, that makes no sense with the others.
    error OrderBook_InvalidTerms(bytes32 field);
    error OrderBook_Expired(uint256 expiry);
    /// @notice counter: the account's present one.
    error OrderBook_WrongCounter(uint256 account, uint256 counter);
    error OrderBook_BadSignature(uint256 account);
    error OrderBook_AlreadyUsed(bytes32 hash);
    error OrderBook_UnknownOrder(bytes32 hash);
    error OrderBook_NotCancellable(bytes32 hash);
    error OrderBook_NotNext(uint256 sequence, uint256 head);
    error OrderBook_NoPrice(uint256 marketId);
    error OrderBook_NoRecord(uint256 notBefore);
    error OrderBook_NotTriggered(uint256 price, uint256 triggerPrice);
    error OrderBook_ParentPending(bytes32 parent);
    error OrderBook_MarketOrdersPending(uint256 marketId);
    error OrderBook_InsufficientCash(int256 free, uint256 required);
    error OrderBook_TooLittleGas(uint256 left, uint256 required);
    error OrderBook_InvalidConfig(bytes32 rule);
    error OrderBook_SelfMatch(address owner);
    error OrderBook_NotCrossing(uint256 makerPrice, uint256 takerPrice);
    /// @notice left: WAD base of the order that was not matched yet.
    error OrderBook_Overfilled(bytes32 hash, uint256 left);
    error OrderBook_FillOrKill(bytes32 hash, uint256 matched);
    error OrderBook_OutsideBand(uint256 price, uint256 indexPrice);
    error OrderBook_NothingMatched(bytes32 takerHash);
    error OrderBook_NotModule(address caller);

    /// @notice Commits to an order; owner or delegate. A market order takes its place in the queue and reserves
    /// its execution fee and `feeReserveBps` of its notional; the others reserve nothing.
    /// @return hash The order's EIP-712 struct hash.
    function place(Order calldata order) external returns (bytes32 hash);

    /// @notice As place, on the signature of owner or delegate. Anyone may bring it, and is paid the market's relay fee from the account's
    /// cash. A market order needs an expiry.
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

    /// @notice Fills two signed limit orders against each other at the maker's price, inside a band around the newest index price. Anyone may
    /// call, and is paid the market's execution fee by the taker's order once.
    /// @param base WAD, unsigned: how much.
    function matchOrders(
        Order calldata maker,
        bytes calldata makerSignature,
        Order calldata taker,
        bytes calldata takerSignature,
        uint256 base
    ) external;

    /// @notice Fills one taker's order against several makers'. A maker whose match is refused is skipped with an event.
    /// @return matched WAD base.
    function matchBatch(Order calldata taker, bytes calldata takerSignature, MakerFill[] calldata makers)
        external
        returns (uint256 matched);

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
}
