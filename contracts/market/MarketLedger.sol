// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IMarketOperations} from "interfaces/market/IMarketOperations.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {FundingMath} from "../libraries/FundingMath.sol";
import {PositionMath} from "../libraries/PositionMath.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountBalance, AccountIds, Core, Posting} from "../types/Accounts.sol";
import {LiquidityConfig, MarginConfig, TradingConfig} from "../types/MarketConfig.sol";
import {EpochEnd, MarketSlots, MarketState, Position, PositionSlots} from "../types/MarketState.sol";
import {PriceRecord} from "../types/PriceRecord.sol";

/// @title MarketLedger
/// @notice What both parts of the market share: its storage, how an account is opened in a market, and how it is stored.
abstract contract MarketLedger {
    IMarginVault internal immutable VAULT;
    IPriceRecords internal immutable ORACLE;
    address internal immutable ORDER_BOOK;
    address internal immutable LIQUIDATOR;
    address internal immutable CONFIGURATOR;
    address internal immutable POOL;
    address internal immutable FUND;
    address internal immutable TREASURY;

    struct Config {
        MarginConfig margin;
        TradingConfig trading;
        LiquidityConfig liquidity;
    }

    /// @dev What one call works on: an account in one market, in memory. stored: its cash as the vault has it.
    struct Context {
        uint256 account;
        uint256 marketId;
        Config config;
        MarketState state;
        Position position;
        int256 cash;
        uint256 reserved;
        uint256 markets;
        int256 poolCash;
        int256 stored;
        AccountBalance balance;
    }

    uint256 internal _marketCount;
    mapping(uint256 marketId => Config) internal _configs;
    mapping(uint256 marketId => MarketSlots) internal _markets;
    mapping(uint256 marketId => mapping(bool isLong => mapping(uint256 epoch => EpochEnd))) internal _ends;
    mapping(uint256 account => mapping(uint256 marketId => PositionSlots)) internal _positions;

    /// @dev Between a flash exchange and its end.
    bool internal transient _isFlashPending;

    modifier onlyModule(address module) {
        if (msg.sender != module) revert IMarketOperations.PerpMarket_NotModule(msg.sender);
        _;
    }

    modifier notInFlash() {
        if (_isFlashPending) revert IMarketOperations.PerpMarket_FlashPending();
        _;
    }

    constructor(Core memory core) {
        (VAULT, ORACLE) = (IMarginVault(core.vault), IPriceRecords(core.oracle));
        (ORDER_BOOK, LIQUIDATOR) = (core.orderBook, core.liquidator);
        (CONFIGURATOR, POOL, FUND, TREASURY) = (core.configurator, core.pool, core.fund, core.treasury);
    }

    /// @dev Loads an account and a market, and accrues. Nothing is stored yet, and the account not settled.
    function _open(uint256 account, uint256 marketId, uint256 newestPrice) internal returns (Context memory c) {
        (c.account, c.marketId) = (account, marketId);
        c.config = _configs[marketId];
        (AccountBalance balance, AccountBalance pool) = VAULT.balancesOf(account, _poolAccount(marketId));
        c.poolCash = pool.cash();
        c.state = _markets[marketId].load();
        if (FundingMath.accrue(c.state, c.config.trading, c.config.liquidity, c.poolCash, newestPrice)) {
            _emitAccrued(marketId, c.state);
        }
        c.balance = balance;
    }

    /// @dev The account's balance, and its position settled.
    function _settle(Context memory c) internal view {
        int256 owed;
        AccountBalance balance = c.balance;
        (c.stored, c.reserved, c.markets) = (balance.cash(), balance.reserved(), balance.markets());
        (c.position, owed) = _settled(c.account, c.marketId, c.state);
        c.cash = c.stored - owed;
    }

    /// @dev Stores what _open loaded and posts what changed: cash and the released reservation to the account, `payment` to `payee`.
    function _save(Context memory c, uint256 released, address payee, uint256 payment) internal {
        _markets[c.marketId].store(c.state);
        if (c.position.base != 0 || c.markets & _bit(c.marketId) != 0) {
            _positions[c.account][c.marketId].store(c.position);
        }
        Posting memory own = _posting(c, released);
        if (own.cash == 0 && released == 0 && own.flips == 0 && payment == 0) return;
        Posting[] memory postings = new Posting[](payment == 0 ? 1 : 2);
        postings[0] = own;
        if (payment != 0) postings[1] = Posting(AccountIds.main(payee), int256(payment), 0, 0);
        VAULT.post(postings);
    }

    /// @dev What changed for an account against what the vault has.
    function _posting(Context memory c, uint256 released) internal pure returns (Posting memory) {
        uint256 flips = (c.position.base != 0) != (c.markets & _bit(c.marketId) != 0) ? _bit(c.marketId) : 0;
        return Posting(c.account, c.cash - c.stored, -int256(released), flips);
    }

    /// @dev The state as of this block.
    function _current(uint256 marketId) internal view returns (MarketState memory s, PriceRecord newest) {
        s = _markets[marketId].load();
        newest = ORACLE.newest(marketId);
        if (s.accruedAt == block.timestamp) return (s, newest);
        Config storage config = _configs[marketId];
        if (s.longK == 0) revert IMarketOperations.PerpMarket_NotListed(marketId);
        int256 poolCash = VAULT.cashOf(_poolAccount(marketId));
        FundingMath.accrue(s, config.trading, config.liquidity, poolCash, newest.price());
    }

    function _settled(uint256 account, uint256 marketId, MarketState memory s)
        internal
        view
        returns (Position memory p, int256 owed)
    {
        p = _positions[account][marketId].load();
        owed = PositionMath.settle(p, s, _ends[marketId][p.base > 0]);
    }

    function _emitAccrued(uint256 marketId, MarketState memory s) internal {
        emit IMarketOperations.Accrued(marketId, s.rate, s.longG, s.shortG, s.poolQuote);
    }

    /// @dev The pool's part of a fee at once, the others' to the unswept sums; `insurance` goes there whole.
    function _splitFee(uint256 marketId, MarketState memory s, uint256 fee, uint256 insurance) internal {
        if (fee + insurance == 0) return;
        MarketSlots storage slots = _markets[marketId];
        uint256 toInsurance = fee * slots.insuranceShareBps / WadMath.BPS;
        uint256 toTreasury = fee * slots.treasuryShareBps / WadMath.BPS;
        slots.insuranceFees = SafeCast.toUint112(slots.insuranceFees + toInsurance + insurance);
        slots.treasuryFees = SafeCast.toUint112(slots.treasuryFees + toTreasury);
        s.poolQuote += int256(fee - toInsurance - toTreasury);
    }

    function _poolAccount(uint256 marketId) internal view returns (uint256) {
        return AccountIds.pack(POOL, marketId, 0);
    }

    function _bit(uint256 marketId) internal pure returns (uint256) {
        return 1 << (marketId - 1);
    }
}
