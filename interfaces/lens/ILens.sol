// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {OrderConfig} from "interfaces/orders/IOrderBook.sol";

/// @notice A position as of this block. base, quote, owed: WAD. unrealised: WAD dollars at the index price.
/// @param indexPrice Newest recorded price. @param healthPrice The one at which the position's health is measured.
/// @param isFresh Whether the record is young enough to open and to withdraw.
struct PositionView {
    uint256 marketId;
    int256 base;
    int256 quote;
    int256 owed;
    int256 unrealised;
    uint256 indexPrice;
    uint256 healthPrice;
    bool isFresh;
}

/// @notice An account as of this block, WAD dollars.
/// @param equity, initial, maintenance At index prices, whatever their age.
/// @param health WAD, at health prices; int256.max without requirement and debt, int256.min without requirement in debt.
/// @param free Cash that no requirement needs, negative where it falls short; 0 where `isStale`.
/// @param withdrawable Token units. @param isStale A market of the account has no fresh price: nothing can be withdrawn until it has.
struct AccountView {
    uint256 account;
    int256 cash;
    uint256 reserved;
    int256 equity;
    uint256 initial;
    uint256 maintenance;
    int256 health;
    int256 free;
    uint256 withdrawable;
    bool isStale;
    PositionView[] positions;
}

/// @notice The newest price record; all zeros where there is none. state: 0 Open, 1 Doubtful, 2 Grace, 3 Down.
struct RecordView {
    uint256 price;
    uint256 confidence;
    uint256 publishedAt;
    uint8 state;
    uint256 sequence;
    bool isFresh;
}

/// @notice What governance set for a market, in the units of MarketParams.
/// @param scale WAD base. @param keeperMin, mmKeeperMin, minPosition WAD dollars.
/// @param mmFraction At this moment of a ramp: bps × 10^4. @param haltUntil Unix seconds.
struct ParamsView {
    uint256 scale;
    uint256 imBaseBps;
    uint256 imSlopeBps;
    uint256 mmBaseBps;
    uint256 mmSlopeBps;
    uint256 mmFraction;
    uint256 penaltyBps;
    uint256 mmPenaltyBps;
    uint256 keeperMin;
    uint256 mmKeeperMin;
    uint256 makerBps;
    uint256 takerBps;
    uint256 maxSkewBps;
    uint256 minPosition;
    uint256 maxPriceAge;
    uint256 staleWidenBps;
    bool isolatedOnly;
    uint256 maxFundingVelocity;
    uint256 maxFundingRate;
    uint256 openInterestBps;
    uint256 exposureBps;
    uint256 kinkBps;
    uint256 rateAtKinkBps;
    uint256 rateAtFullBps;
    uint256 haltUntil;
}

/// @notice The pool in a market, WAD dollars. The position is −skew of the market.
/// @param capital At the index price; `exposureLimit` is what it allows. @param equity At what unwinding the position would cost.
struct PoolMarketView {
    int256 cash;
    int256 quote;
    int256 capital;
    uint256 exposureLimit;
    int256 equity;
    uint256 weightBps;
}

/// @notice A market's queue of market orders, and what liquidations have moved.
/// @param next The sequence of the next order. @param head The one that settles next.
/// @param moved WAD base that liquidations moved since `windowStart` (Unix seconds), which may be long over.
/// @param absorbed WAD base by which absorptions grew the skew in `absorbedHour` (Unix hours).
struct QueueView {
    OrderConfig config;
    uint256 next;
    uint256 head;
    uint256 windowStart;
    uint256 moved;
    uint256 absorbedHour;
    uint256 absorbed;
}

/// @notice A market as of this block. markPrice, fundingRate (per day), openLong, openShort, skew, fees: WAD.
struct MarketView {
    uint256 marketId;
    RecordView record;
    uint256 markPrice;
    int256 fundingRate;
    uint256 openLong;
    uint256 openShort;
    int256 skew;
    uint256 insuranceFees;
    uint256 treasuryFees;
    PoolMarketView pool;
    QueueView queue;
    ParamsView params;
}

/// @notice A share vault. assets, pendingAssets: token units; pendingAssets are in escrow. sharePrice: WAD dollars for one whole share.
struct VaultView {
    uint256 assets;
    uint256 supply;
    uint256 sharePrice;
    uint256 pendingAssets;
    uint256 pendingShares;
}

/// @notice The protocol as of this block.
/// @param tokensHeld By the margin vault, token units. @param fundBalance, treasury WAD dollars. @param coverage WAD.
struct ProtocolView {
    uint256 timestamp;
    uint256 tokensHeld;
    VaultView pool;
    VaultView fund;
    uint256 fundBalance;
    uint256 coverage;
    int256 treasury;
    MarketView[] markets;
}

/// @title Snapshots, one call each. A market without a price, or with an old one, spoils no view.
interface ILens {
    function account(uint256 id) external view returns (AccountView memory);

    function accounts(uint256[] calldata ids) external view returns (AccountView[] memory);

    /// @notice Reverts with PerpMarket_NotListed for a market that is not listed.
    function market(uint256 id) external view returns (MarketView memory);

    function protocol() external view returns (ProtocolView memory);
}
