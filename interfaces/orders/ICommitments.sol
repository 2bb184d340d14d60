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

/// @notice What a delegate may do with an account, besides nothing: never withdraw, never transfer.
/// @param markets Bitmap, bit m−1 for market m. @param until The last second in which the scope holds.
/// @param dailyBudget Whole dollars of notional a day (UTC), reductions included.
/// @param mayMatch, mayTakeOver Trading against others moves money at prices of their choice: apart, and off by default.
struct Scope {
    uint16 markets;
    uint40 until;
    uint64 dailyBudget;
    bool mayMatch;
    bool mayTakeOver;
}

/// @title What all parts of the order book share.
interface ICommitments {
    /// @notice The order was filled, as the market's Traded before it says.
    event OrderExecuted(bytes32 indexed hash, uint256 indexed account, address indexed executor);
    /// @notice The order can never be filled any more: its record never came, nothing is left to reduce, or its parent ended unfilled.
    /// What was reserved is free, less `paid` to the executor.
    event OrderVoided(bytes32 indexed hash, uint256 indexed account, address indexed executor, uint256 paid);
    /// @notice Whoever brought a signed cancellation or delegation was paid `fee`, WAD dollars, from the account's cash.
    event Relayed(uint256 indexed account, address indexed relayer, uint256 fee);

    error OrderBook_ZeroSize();
    /// @notice field: the field of the order, or the parameter, that makes no sense with the others.
    error OrderBook_InvalidTerms(bytes32 field);
    error OrderBook_Expired(uint256 expiry);
    /// @notice counter: the account's present one.
    error OrderBook_WrongCounter(uint256 account, uint256 counter);
    error OrderBook_BadSignature(uint256 account);
    error OrderBook_AlreadyUsed(bytes32 hash);
    error OrderBook_UnknownOrder(bytes32 hash);
    error OrderBook_ParentPending(bytes32 parent);
    error OrderBook_NoPrice(uint256 marketId);
    error OrderBook_InsufficientCash(int256 free, uint256 required);
    error OrderBook_TooLittleGas(uint256 left, uint256 required);
    /// @notice The caller, or the signer (zero where nobody could be recovered), is neither the owner nor a delegate with the scope for it.
    error OrderBook_NotPermitted(uint256 account, address caller);
    /// @notice left, wanted: whole dollars of today's budget.
    error OrderBook_BudgetExceeded(uint256 account, address delegate, uint256 left, uint256 wanted);
    error OrderBook_NotModule(address caller);
}
