// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

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

/// @title Who may act for an account.
interface IDelegates {
    event DelegateSet(uint256 indexed account, address indexed delegate, Scope scope);

    /// @notice The caller, or the signer (zero where nobody could be recovered), is neither the owner nor a delegate with the scope for it.
    error OrderBook_NotPermitted(uint256 account, address caller);
    /// @notice left, wanted: whole dollars of today's budget.
    error OrderBook_BudgetExceeded(uint256 account, address delegate, uint256 left, uint256 wanted);

    /// @notice Sets a delegate's scope and forgets what was used of the last; the owner only. An empty scope ends it.
    function setDelegate(uint256 account, address delegate, Scope calldata scope) external;

    /// @notice As setDelegate, on the owner's signature over Delegation(…). Anyone may bring it, and is paid `relayFee` from the account's cash.
    /// @param salt The account's counter (high 128 bits) and anything that makes the signature new. @param relayFee WAD dollars.
    function setDelegateFor(
        uint256 account,
        address delegate,
        Scope calldata scope,
        uint256 salt,
        uint256 relayFee,
        bytes calldata signature
    ) external;

    /// @notice Counts a take-over against a delegate's budget; the liquidator only. Reverts where the delegate may not.
    /// @param size WAD base.
    function useForTakeOver(uint256 account, address delegate, uint256 marketId, uint256 size) external;

    /// @return scope As set, also after its end. @return usedToday Whole dollars of the budget.
    function delegation(uint256 account, address delegate) external view returns (Scope memory scope, uint256 usedToday);
}
