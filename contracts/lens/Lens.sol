// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IInsuranceFund} from "interfaces/insurance/IInsuranceFund.sol";
import {
    AccountView,
    ILens,
    MarketView,
    ParamsView,
    PoolMarketView,
    PositionView,
    ProtocolView,
    QueueView,
    RecordView,
    VaultView
} from "interfaces/lens/ILens.sol";
import {ILiquidator} from "interfaces/liquidation/ILiquidator.sol";
import {IPerpMarket} from "interfaces/market/IPerpMarket.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {IOrderBook} from "interfaces/orders/IOrderBook.sol";
import {ILiquidityPool} from "interfaces/pool/ILiquidityPool.sol";
import {IRequestVault} from "interfaces/pool/IRequestVault.sol";
import {IMarginGuard, IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {MarginMath} from "../libraries/MarginMath.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountBalance, AccountIds, Core} from "../types/Accounts.sol";
import {LiquidityConfig, MarginConfig, TradingConfig} from "../types/MarketConfig.sol";
import {MarketState} from "../types/MarketState.sol";
import {PriceRecord} from "../types/PriceRecord.sol";

/// @title Lens
/// @notice Read-only snapshots of accounts, markets and the protocol. Holds nothing, and nothing depends on it.
contract Lens is ILens {
    using WadMath for int256;

    IMarginVault private immutable VAULT;
    IPerpMarket private immutable MARKET;
    IOrderBook private immutable ORDER_BOOK;
    ILiquidator private immutable LIQUIDATOR;
    ILiquidityPool private immutable POOL;
    IInsuranceFund private immutable FUND;
    IPriceRecords private immutable ORACLE;
    address private immutable TOKEN;
    address private immutable TREASURY;

    constructor(Core memory core) {
        (VAULT, MARKET, ORACLE) = (IMarginVault(core.vault), IPerpMarket(core.market), IPriceRecords(core.oracle));
        (ORDER_BOOK, LIQUIDATOR) = (IOrderBook(core.orderBook), ILiquidator(core.liquidator));
        (POOL, FUND) = (ILiquidityPool(core.pool), IInsuranceFund(core.fund));
        (TOKEN, TREASURY) = (core.token, core.treasury);
    }

    /// @inheritdoc ILens
    /// @custom:req LN-01
    function account(uint256 id) public view returns (AccountView memory v) {
        AccountBalance balance = VAULT.balanceOf(id);
        (v.account, v.cash, v.reserved) = (id, balance.cash(), balance.reserved());
        v.equity = MARKET.equity(id);
        (v.initial, v.maintenance) = MARKET.requirements(id);
        v.health = LIQUIDATOR.health(id);
        v.positions = _positions(id, balance.markets());
        if (balance.markets() == 0) {
            v.free = v.cash - int256(v.reserved);
        } else {
            try IMarginGuard(address(MARKET)).freeCollateral(id, balance) returns (int256 free) {
                v.free = free;
            } catch {
                v.isStale = true;
            }
        }
        v.withdrawable = v.free.positive() / VAULT.unit();
    }

    /// @inheritdoc ILens
    function accounts(uint256[] calldata ids) external view returns (AccountView[] memory list) {
        list = new AccountView[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            list[i] = account(ids[i]);
        }
    }

    /// @inheritdoc ILens
    /// @custom:req LN-02
    function market(uint256 id) public view returns (MarketView memory v) {
        MarketState memory s = MARKET.marketState(id);
        v.marketId = id;
        v.params = _params(id);
        v.record = _record(id, v.params.maxPriceAge);
        v.markPrice = MARKET.markPrice(id);
        (v.fundingRate, v.openLong, v.openShort, v.skew) = (s.rate, s.openLong, s.openShort, s.skew());
        (v.insuranceFees, v.treasuryFees) = MARKET.unsweptFees(id);
        v.pool = _pool(id, s.poolQuote);
        v.queue = _queue(id);
    }

    /// @inheritdoc ILens
    /// @custom:req LN-03
    function protocol() external view returns (ProtocolView memory v) {
        v.timestamp = block.timestamp;
        v.tokensHeld = IERC20(TOKEN).balanceOf(address(VAULT));
        v.pool = _vault(POOL);
        v.fund = _vault(FUND);
        v.fundBalance = FUND.balance();
        v.coverage = FUND.coverage();
        v.treasury = VAULT.cashOf(AccountIds.main(TREASURY));
        v.markets = new MarketView[](MARKET.marketCount());
        for (uint256 i; i < v.markets.length; ++i) {
            v.markets[i] = market(i + 1);
        }
    }

    function _positions(uint256 id, uint256 markets) private view returns (PositionView[] memory list) {
        uint256 count;
        for (uint256 left = markets; left != 0; left &= left - 1) {
            ++count;
        }
        list = new PositionView[](count);
        count = 0;
        for (uint256 marketId = 1; markets != 0; (markets >>= 1, ++marketId)) {
            if (markets & 1 == 1) list[count++] = _position(id, marketId);
        }
    }

    function _position(uint256 id, uint256 marketId) private view returns (PositionView memory v) {
        (, TradingConfig trading,) = MARKET.marketConfig(marketId);
        PriceRecord newest = ORACLE.newest(marketId);
        v.marketId = marketId;
        (v.base, v.quote, v.owed) = MARKET.position(id, marketId);
        v.indexPrice = newest.price();
        v.healthPrice = MarginMath.healthPrice(trading, newest, v.base, false);
        v.unrealised = v.base.worthDown(v.indexPrice) + v.quote - v.owed;
        v.isFresh = newest.isFresh(trading.maxPriceAge());
    }

    function _record(uint256 marketId, uint256 maxPriceAge) private view returns (RecordView memory) {
        PriceRecord r = ORACLE.newest(marketId);
        return RecordView({
            price: r.price(),
            confidence: r.confidence(),
            publishedAt: r.publishedAt(),
            state: uint8(r.state()),
            sequence: r.sequence(),
            isFresh: r.isFresh(maxPriceAge)
        });
    }

    function _pool(uint256 marketId, int256 quote) private view returns (PoolMarketView memory v) {
        v.cash = VAULT.cashOf(AccountIds.pack(address(POOL), marketId, 0));
        v.quote = quote;
        (v.capital, v.exposureLimit) = MARKET.poolCapital(marketId);
        v.equity = POOL.equityOf(marketId);
        v.weightBps = POOL.weights()[marketId - 1];
    }

    function _queue(uint256 marketId) private view returns (QueueView memory v) {
        (v.config, v.next, v.head) = ORDER_BOOK.queue(marketId);
        (v.windowStart, v.moved, v.absorbedHour, v.absorbed) = LIQUIDATOR.counters(marketId);
    }

    function _params(uint256 marketId) private view returns (ParamsView memory v) {
        (MarginConfig margin, TradingConfig trading, LiquidityConfig liquidity) = MARKET.marketConfig(marketId);
        (v.imBaseBps, v.imSlopeBps) = (margin.imBaseBps(), margin.imSlopeBps());
        (v.mmBaseBps, v.mmSlopeBps, v.mmFraction) = (margin.mmBaseBps(), margin.mmSlopeBps(), margin.mmFraction());
        (v.penaltyBps, v.mmPenaltyBps) = (margin.penaltyBps(), margin.mmPenaltyBps());
        (v.keeperMin, v.mmKeeperMin) = (margin.keeperMin(), margin.mmKeeperMin());
        (v.scale, v.makerBps, v.takerBps) = (trading.scale(), trading.makerBps(), trading.takerBps());
        (v.maxSkewBps, v.minPosition) = (trading.maxSkewBps(), trading.minPosition());
        (v.maxPriceAge, v.staleWidenBps) = (trading.maxPriceAge(), trading.staleWidenBps());
        v.isolatedOnly = trading.isolatedOnly();
        (v.maxFundingVelocity, v.maxFundingRate) = (liquidity.maxFundingVelocity(), liquidity.maxFundingRate());
        (v.openInterestBps, v.exposureBps) = (liquidity.openInterestBps(), liquidity.exposureBps());
        (v.kinkBps, v.rateAtKinkBps, v.rateAtFullBps) =
        (liquidity.kinkBps(), liquidity.rateAtKinkBps(), liquidity.rateAtFullBps());
        v.haltUntil = liquidity.haltUntil();
    }

    function _vault(IRequestVault vault) private view returns (VaultView memory v) {
        uint256 unit = VAULT.unit();
        (v.assets, v.supply) = (vault.totalAssets(), vault.totalSupply());
        v.sharePrice = vault.convertToAssets(10 ** vault.decimals()) * unit;
        v.pendingAssets = VAULT.cashOf(vault.escrowAccount()).positive() / unit;
        v.pendingShares = vault.balanceOf(address(vault));
    }
}
