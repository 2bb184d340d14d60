// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {MarketWords} from "contracts/types/MarketConfig.sol";

/// @notice A fill against the pool at a sum that the liquidator computed.
/// @param base, quote WAD, what `account` gets; the pool gets the opposite.
/// @param charge WAD dollars from the account: `reward` to the keeper's main account and `toFund` (negative: the fund adds to it).
struct Fill {
    uint256 marketId;
    uint256 account;
    int256 base;
    int256 quote;
    uint256 charge;
    address keeper;
    uint256 reward;
    int256 toFund;
}

/// @title What is done to a market other than trading.
interface IMarketOperations {
    /// @notice A market's state after time was accrued.
    event Accrued(uint256 indexed marketId, int256 rate, int256 longG, int256 shortG, int256 poolQuote);
    /// @notice One side of a fill that is no order's against the pool. newBase, newQuote: the position that results. The pool's side goes without
    /// saying; counter is 0 where it is a whole side of the market.
    event Filled(
        uint256 indexed account,
        uint256 indexed marketId,
        uint256 indexed counter,
        int256 base,
        int256 quote,
        int256 newBase,
        int256 newQuote
    );
    /// @notice A fraction (WAD) of every position of a side was closed at `price` (WAD), because the pool could not bear it all. cut: WAD base
    /// of open interest; flow: WAD dollars from the pool to longs, or from shorts to the pool.
    event Deleveraged(
        uint256 indexed marketId, bool isLong, uint256 fraction, uint256 price, uint256 cut, uint256 flow
    );
    /// @notice What of a bankrupt account's position the pool's caps left over was closed against the other side, a fraction (WAD) of which
    /// it is, at the price that leaves no debt. base: WAD, what the account got; flow: WAD dollars to it where it was long, from it where it was short.
    event ClosedAgainstSide(
        uint256 indexed account,
        uint256 indexed marketId,
        int256 base,
        uint256 flow,
        uint256 zeroPrice,
        uint256 fraction
    );
    /// @notice Every position of a market without prices was closed at its last one, WAD; opening is halted until governance resumes it.
    event MarketClosed(uint256 indexed marketId, uint256 price);
    /// @notice A position that a closing of its side had left without a base paid what it owed: WAD dollars, positive where the account got them.
    event Settled(uint256 indexed account, uint256 indexed marketId, int256 cash);
    event FeesSwept(uint256 indexed marketId, uint256 insurance, uint256 treasury);
    /// @notice A debt that the insurance fund could not pay, WAD dollars, was charged to the pool's account of a market.
    event PoolCharged(uint256 indexed marketId, uint256 amount, int256 poolQuote);
    /// @notice What of it that account could not bear, WAD dollars, was charged to the side opposite the bankrupt position, every unit of base
    /// alike. g: the side's accumulator that results, RAY dollars a unit.
    event SideCharged(uint256 indexed marketId, bool isLong, uint256 amount, int256 g, int256 poolQuote);

    error PerpMarket_NotModule(address caller);
    /// @notice A flash take-over has not ended: only matches until then.
    error PerpMarket_FlashPending();
    error PerpMarket_NotListed(uint256 marketId);
    error PerpMarket_Bankrupt(uint256 account, int256 equity);
    error PerpMarket_StillOpen(uint256 account, uint256 marketId, int256 base);

    /// @notice Moves part of a position to the pool at a given sum; the liquidator only. Accrues and settles first.
    /// @return cash The account's cash afterwards, WAD dollars.
    /// @return markets Bitmap of the markets in which it has a position afterwards.
    function fill(Fill calldata f) external returns (int256 cash, uint256 markets);

    /// @notice Takes a debt that the fund can't pay from the pool's account of the market, and deleverages what that makes due; the liquidator
    /// only, which accrued before. What the account then is short of is charged to the side opposite the position that the debtor had, up
    /// to the price a unit of its open interest; beyond that it stays with the account, which owes more than it has.
    /// @param amount WAD dollars. @param base The position before it was closed; 0 where there was none: then no side is charged.
    function chargePool(uint256 marketId, uint256 amount, int256 base) external;

    /// @notice Closes the rest of an account's position against the side opposite to it; the liquidator only, which accrued before.
    /// @param price WAD dollars.
    function closeAgainstSide(uint256 account, uint256 marketId, uint256 price) external;

    /// @notice Closes both sides of a market with the pool at its last price; the liquidator only.
    function closeMarket(uint256 marketId) external;

    /// @notice Pays what a position owes that has no base left, so that a gain of it can be withdrawn. Anyone may call; nothing happens
    /// where there is none. A bankrupt account's is for `absorb`.
    function settle(uint256 account, uint256 marketId) external;

    /// @notice Brings a market to this block, and deleverages what is due. Anyone may call.
    function accrue(uint256 marketId) external returns (bool deleveraged);

    /// @notice Pays a market's unswept fees to the insurance fund and the treasury. Anyone may call.
    function sweep(uint256 marketId) external;

    /// @notice Writes a market's configuration, accrued at the old one first; the configurator only. An id one above the count is listed.
    function configure(uint256 marketId, MarketWords calldata words) external;

    /// @notice Halts opening until a time, 0 for no halt; the configurator only.
    function setHalt(uint256 marketId, uint256 until) external;
}
