// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title Who may be liquidated, how much, and at what price. Everything is permissionless.
interface ILiquidator {
    /// @notice A close-out's receipt: WAD dollars, all at `healthPrice`. equity and maintenance are the account's before.
    event Liquidated(
        uint256 indexed account,
        uint256 indexed marketId,
        address indexed keeper,
        int256 base,
        int256 quote,
        uint256 healthPrice,
        uint256 publishedAt,
        int256 equity,
        uint256 maintenance,
        uint256 cost,
        uint256 reward,
        uint256 topUp
    );
    event TakenOver(
        uint256 indexed account,
        uint256 indexed marketId,
        uint256 indexed toAccount,
        int256 base,
        int256 quote,
        uint256 healthPrice,
        uint256 publishedAt,
        int256 equity,
        uint256 maintenance,
        uint256 discount,
        uint256 fee
    );
    /// @notice One of a bankrupt account's positions went to the pool.
    event PositionAbsorbed(
        uint256 indexed account, uint256 indexed marketId, int256 base, int256 quote, uint256 publishedAt
    );
    event Absorbed(uint256 indexed account, address indexed keeper, int256 equity, uint256 reward);
    /// @notice A debt without an owner: what the insurance fund paid of it, and what the pool was charged, of which a market's other side may bear a
    /// part (`SideCharged`).
    event DebtCovered(uint256 indexed account, uint256 debt, uint256 byFund, uint256 byPool);
    event GasMarketChanged(uint256 marketId);

    error Liquidator_PriceUnusable(uint256 marketId, uint256 publishedAt, uint8 state);
    error Liquidator_NoPosition(uint256 account, uint256 marketId);
    error Liquidator_Healthy(uint256 account, int256 equity, uint256 maintenance);
    error Liquidator_Bankrupt(uint256 account, int256 equity);
    error Liquidator_NothingDue(uint256 marketId);
    error Liquidator_NotBankrupt(uint256 account, int256 equity);
    /// @dev Until that time close-outs may move the market by `room` more, WAD base, which is too little for a chunk.
    error Liquidator_CapReached(uint256 marketId, uint256 until, uint256 room);
    error Liquidator_SameAccount(uint256 account);
    error Liquidator_WrongSize(int256 base, int256 position);
    error Liquidator_BelowMinimumPosition(uint256 notional, uint256 minimum);

    /// @notice Closes part of an unhealthy account's position against the pool. The caller's main account is paid.
    /// @param priceData Passed to the oracle first where it isn't empty.
    function liquidate(uint256 account, uint256 marketId, bytes[] calldata priceData) external payable;

    /// @notice Takes part of an unhealthy account's position into an account of the caller, at a discount that grows as health falls.
    /// @param base WAD, with the position's sign.
    /// @param data Empty, or for the callback of a flash take-over: the caller is called back before his margin is judged.
    /// @param priceData As in `liquidate`.
    function takeOver(
        uint256 account,
        uint256 marketId,
        int256 base,
        uint256 toAccount,
        bytes calldata data,
        bytes[] calldata priceData
    ) external payable;

    /// @notice Closes, pro rata and in the time of one, what of the side opposite the pool it could not pay any more.
    function deleverage(uint256 marketId, bytes[] calldata priceData) external payable;

    /// @notice Closes all that a bankrupt account has against the pool, and covers its debt. The caller's main account is paid.
    /// @param priceData As in `liquidate`.
    function absorb(uint256 account, bytes[] calldata priceData) external payable;

    /// @notice The market whose price values gas, 0 for none.
    function setGasMarket(uint256 marketId) external;

    /// @notice Equity by maintenance margin at health prices.
    /// @return WAD, rounded down. Without a requirement: int256.max, or int256.min for an account in debt.
    function health(uint256 account) external view returns (int256);

    function isLiquidatable(uint256 account) external view returns (bool);

    /// @notice What the caps of a market count.
    /// @return windowStart Unix seconds; the window may be over.
    /// @return moved WAD base that liquidations moved since then.
    /// @return hour Unix hours.
    /// @return absorbed WAD base by which absorptions grew the skew in that hour.
    function counters(uint256 marketId)
        external
        view
        returns (uint256 windowStart, uint256 moved, uint256 hour, uint256 absorbed);
}
