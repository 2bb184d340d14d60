// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {MarginConfig, LiquidityConfig, TradingConfig} from "contracts/types/MarketConfig.sol";
import {MarketState} from "contracts/types/MarketState.sol";
import {PriceRecord} from "contracts/types/PriceRecord.sol";
import {IMarketOperations} from "./IMarketOperations.sol";

/// @notice A fill against the pool, asked for by the order book.
/// @param base WAD, signed. @param acceptablePrice WAD: at most for a buy, at least for a sell.
/// @param executionFee WAD dollars, to `executor`'s main account. @param reserved WAD dollars of the account's reservation that end with it.
/// @param record The order's own price record. @param newest The newest record.
struct Trade {
    uint256 account;
    uint256 marketId;
    int256 base;
    uint256 acceptablePrice;
    bool reduceOnly;
    uint256 executionFee;
    uint256 reserved;
    address executor;
    PriceRecord record;
    PriceRecord newest;
}

/// @notice What a liquidation needs to know of an account in one market, as if accrued and settled now.
/// @param equity, maintenance Of the whole account at health prices, WAD dollars.
/// @param base, quote The effective position, WAD. @param skew Of the market, WAD base.
struct Standing {
    int256 equity;
    uint256 maintenance;
    uint256 markets;
    int256 base;
    int256 quote;
    int256 skew;
    PriceRecord newest;
    MarginConfig margin;
    TradingConfig trading;
}

/// @notice A fill between two accounts: a match, where the order book asks for it, or a take-over, where the liquidator does.
/// @param base, quote WAD, what `to` gets; `from` gets the opposite.
/// @param fromFee, toFee WAD dollars, split as fees are. @param payment WAD dollars out of `to`, to `payee`'s main account.
/// @param fromReduceOnly, toReduceOnly Whether the side may only shrink; `from` of a take-over is not asked anything. @param newest The newest record.
/// @param isFlash The margin of `to` is judged by endFlash; until then nothing is filled but matches.
struct Exchange {
    uint256 marketId;
    uint256 from;
    uint256 to;
    int256 base;
    int256 quote;
    uint256 fromFee;
    uint256 toFee;
    address payee;
    uint256 payment;
    bool fromReduceOnly;
    bool toReduceOnly;
    PriceRecord newest;
    bool isFlash;
}

/// @title Positions, funding, fills and margin of all markets.
interface IPerpMarket is IMarketOperations {
    /// @notice A fill against the pool by an order. newBase, newQuote: the position that results.
    event Traded(
        uint256 indexed account,
        uint256 indexed marketId,
        int256 base,
        int256 quote,
        uint256 fillPrice,
        uint256 fee,
        int256 newBase,
        int256 newQuote
    );
    error PerpMarket_WrongMarket(uint256 account, uint256 marketId);
    error PerpMarket_IsolatedOnly(uint256 marketId);
    error PerpMarket_ZeroSize();
    error PerpMarket_NothingToReduce(uint256 account, uint256 marketId);
    error PerpMarket_OpeningHalted(uint256 marketId, uint8 state, uint256 haltUntil);
    error PerpMarket_StalePrice(uint256 marketId, uint256 publishedAt);
    error PerpMarket_TooManyMarkets(uint256 account);
    error PerpMarket_PriceOutOfRange(uint256 marketId);
    error PerpMarket_PriceNotAcceptable(uint256 price, uint256 acceptable);
    error PerpMarket_BelowMinimumPosition(uint256 notional, uint256 minimum);
    error PerpMarket_OpenInterestLimit(uint256 openInterest, uint256 limit);
    error PerpMarket_SkewLimit(uint256 skew, uint256 limit);
    error PerpMarket_ExposureLimit(uint256 exposure, uint256 limit);
    error PerpMarket_InsufficientMargin(uint256 account, int256 available, uint256 required);
    error PerpMarket_LessHealthy(uint256 account, int256 equity, uint256 maintenance);

    /// @notice Fills an order against the pool; the order book only. Reverts with one of the errors above where a rule refuses.
    /// @return base What was filled, WAD; less than asked for where a reduce-only order was clamped.
    /// @return fillPrice WAD dollars.
    /// @return fee WAD dollars, execution fee and liquidation surcharge apart.
    function trade(Trade calldata t) external returns (int256 base, uint256 fillPrice, uint256 fee);

    /// @notice Moves base and quote between two accounts at a given sum; order book and liquidator only. Accrues and settles first, and
    /// judges the margin of `to`, in a match of both: who grew passes the test of opening, who shrank is not left less healthy.
    function exchange(Exchange calldata x) external;

    /// @notice Ends a flash exchange: the account's collateral must cover its initial margin now; the liquidator only.
    function endFlash(uint256 account) external;

    // --- views: everything as of this block, accrual included ---

    /// @notice An account's position after settling, and what settling it takes.
    /// @return base WAD, signed.
    /// @return quote WAD dollars, signed; what the position was entered for.
    /// @return owed WAD dollars that settling would take from cash, rounded up; negative where it would add to it.
    function position(uint256 account, uint256 marketId) external view returns (int256 base, int256 quote, int256 owed);

    /// @return Cash and unrealised results at the newest index prices, WAD dollars.
    function equity(uint256 account) external view returns (int256);

    /// @notice An account's margin requirements at the newest index prices, WAD dollars, rounded up.
    function requirements(uint256 account) external view returns (uint256 initial, uint256 maintenance);

    /// @notice An account's equity and maintenance margin at health prices, WAD dollars; their ratio is its health.
    function healthOf(uint256 account) external view returns (int256 equity_, uint256 maintenance);

    /// @notice An account's standing in a market, for liquidations.
    function standing(uint256 account, uint256 marketId) external view returns (Standing memory);

    /// @return Longs less shorts of all but the pool, WAD base.
    function skew(uint256 marketId) external view returns (int256);

    /// @notice The price of a fill of `base` (WAD, signed) against the pool at the newest record.
    /// @return WAD dollars, rounded against the caller.
    function fillPrice(uint256 marketId, int256 base) external view returns (uint256);

    /// @notice The mark price P (1 + k/S).
    /// @return WAD dollars, rounded down.
    function markPrice(uint256 marketId) external view returns (uint256);

    /// @return perDay WAD; positive where longs pay.
    function fundingRate(uint256 marketId) external view returns (int256 perDay);

    /// @notice The open interest of both sides, WAD base.
    function openInterest(uint256 marketId) external view returns (uint256 long, uint256 short);

    /// @notice The pool's capital in a market and the exposure that it allows, WAD dollars, at the newest price.
    function poolCapital(uint256 marketId) external view returns (int256 capital, uint256 exposureLimit);

    /// @notice What a reduction of `base` may be filled at, off the records: `price`, or where the pool would be worth less than nothing
    /// at it and the order makes its exposure smaller, so much worse that the order bears its part of what is missing, and no more than all
    /// of it. WAD dollars, rounded against the order.
    function backedPrice(uint256 account, uint256 marketId, int256 base, uint256 price) external view returns (uint256);

    function marketCount() external view returns (uint256);

    function marketConfig(uint256 marketId)
        external
        view
        returns (MarginConfig margin, TradingConfig trading, LiquidityConfig liquidity);

    /// @return The stored state, accrued to this block.
    function marketState(uint256 marketId) external view returns (MarketState memory);

    /// @notice Fees that wait for `sweep`, WAD dollars.
    function unsweptFees(uint256 marketId) external view returns (uint256 insurance, uint256 treasury);
}
