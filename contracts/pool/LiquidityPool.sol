// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {ILiquidityPool} from "interfaces/pool/ILiquidityPool.sol";
import {Permissions} from "../libraries/Permissions.sol";
import {RequestVault} from "../libraries/RequestVault.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds, Core, Posting} from "../types/Accounts.sol";
import {TradingConfig} from "../types/MarketConfig.sol";
import {MarketState} from "../types/MarketState.sol";
import {PriceRecord} from "../types/PriceRecord.sol";

/// @title LiquidityPool
/// @notice Shares over the pool's accounts, one a market. A trade's own impact can't move the share price, since it values each position
/// at what unwinding it would cost.
contract LiquidityPool is ILiquidityPool, RequestVault {
    using WadMath for int256;

    IPriceRecords private immutable ORACLE;

    /// @dev 16 bits a market, market 1 lowest.
    uint256 private _weights;

    constructor(Core memory core, string memory name_, string memory symbol_) RequestVault(core, name_, symbol_) {
        ORACLE = IPriceRecords(core.oracle);
    }

    // --- governance ---

    /// @inheritdoc ILiquidityPool
    /// @custom:req LP-04
    function setWeights(uint16[] calldata weightsBps) external restricted {
        uint256 word;
        uint256 sum;
        for (uint256 i; i < weightsBps.length; ++i) {
            word |= uint256(weightsBps[i]) << 16 * i;
            sum += weightsBps[i];
        }
        if (sum != WadMath.BPS || weightsBps.length != MARKET.marketCount()) {
            revert LiquidityPool_InvalidWeights(sum, weightsBps.length);
        }
        _weights = word;
        emit WeightsChanged(weightsBps);
    }

    /// @inheritdoc ILiquidityPool
    /// @custom:req LP-05
    function moveCapital(uint256 fromMarket, uint256 toMarket, uint256 assets) external restricted {
        _prepareMarket(fromMarket, 0);
        _prepareMarket(toMarket, 0);
        uint256 value = assets * UNIT;
        int256 equity = equityOf(fromMarket);
        if (equity < int256(value)) revert LiquidityPool_InsufficientEquity(fromMarket, equity, value);
        Posting[] memory postings = new Posting[](2);
        postings[0] = Posting(_account(fromMarket), -int256(value), 0, 0);
        postings[1] = Posting(_account(toMarket), int256(value), 0, 0);
        VAULT.post(postings);
        _requireLimit(fromMarket);
        emit CapitalMoved(fromMarket, toMarket, assets);
    }

    // --- views ---

    /// @notice What the shares are worth: token units, rounded down. A market in which the pool owes counts as zero.
    /// @dev At the newest prices, whatever their age.
    function totalAssets() public view override(ERC4626, IERC4626) returns (uint256) {
        uint256 count = MARKET.marketCount();
        uint256 total;
        for (uint256 id = 1; id <= count; ++id) {
            total += equityOf(id).positive();
        }
        return total / UNIT;
    }

    /// @inheritdoc ILiquidityPool
    function equityOf(uint256 marketId) public view returns (int256 equity) {
        MarketState memory s = MARKET.marketState(marketId);
        int256 skew = s.skew();
        equity = VAULT.cashOf(_account(marketId)) + s.poolQuote;
        if (skew == 0) return equity;
        (, TradingConfig trading,) = MARKET.marketConfig(marketId);
        int256 twice = 2 * int256(trading.scale());
        int256 scaled = int256(ORACLE.newest(marketId).price()) * (twice + skew);
        int256 unwinding = skew > 0 ? WadMath.ceilDiv(scaled, twice) : WadMath.floorDiv(scaled, twice);
        equity -= WadMath.ceilDiv(skew * unwinding, WadMath.IWAD);
    }

    /// @inheritdoc ILiquidityPool
    function weights() external view returns (uint256[] memory list) {
        list = new uint256[](MARKET.marketCount());
        for (uint256 i; i < list.length; ++i) {
            list[i] = _weight(i + 1);
        }
    }

    // --- requests ---

    /// @dev The newest record of every market in which the pool has a position is after the maturity, fresh and allows it. A market
    /// without one needs no price: one that has none yet, or is dead, locks nobody in.
    function _prepare(uint256 maturity) internal override {
        uint256 count = MARKET.marketCount();
        for (uint256 id = 1; id <= count; ++id) {
            _prepareMarket(id, maturity);
        }
    }

    function _prepareMarket(uint256 marketId, uint256 maturity) private {
        if (MARKET.skew(marketId) != 0) {
            (, TradingConfig trading,) = MARKET.marketConfig(marketId);
            PriceRecord newest = ORACLE.newest(marketId);
            if (
                newest.publishedAt() < maturity || !newest.isFresh(trading.maxPriceAge())
                    || !Permissions.allowed(Permissions.Action.Pool, newest.state())
            ) revert RequestVault_PriceUnusable(marketId, newest.publishedAt(), uint8(newest.state()));
        }
        MARKET.accrue(marketId);
    }

    /// @dev By weight, the last market that has one takes the remainder.
    function _entry(uint256 value) internal view override returns (Posting[] memory postings) {
        uint256 count = MARKET.marketCount();
        postings = new Posting[](count + 1);
        uint256 left = value;
        uint256 last;
        for (uint256 id = 1; id <= count; ++id) {
            uint256 share = value * _weight(id) / WadMath.BPS;
            postings[id] = Posting(_account(id), int256(share), 0, 0);
            left -= share;
            if (_weight(id) == 0) continue;
            last = id;
            int256 equity = equityOf(id);
            if (equity < -WadMath.IWAD) revert LiquidityPool_Insolvent(id, equity); // a dollar: roundings lock nobody out
        }
        if (last == 0) revert LiquidityPool_InvalidWeights(0, count);
        postings[last].cash += int256(left);
    }

    /// @dev From each market in proportion to its positive equity, the last one takes the remainder.
    function _exit(uint256 value) internal view override returns (Posting[] memory postings) {
        uint256 count = MARKET.marketCount();
        postings = new Posting[](count + 1);
        uint256[] memory equities = new uint256[](count + 1);
        uint256 total;
        for (uint256 id = 1; id <= count; ++id) {
            equities[id] = equityOf(id).positive();
            total += equities[id];
        }
        uint256 left = value;
        uint256 last;
        for (uint256 id = 1; id <= count; ++id) {
            uint256 share = total == 0 ? 0 : value * equities[id] / total;
            postings[id] = Posting(_account(id), -int256(share), 0, 0);
            left -= share;
            if (equities[id] != 0) last = id;
        }
        postings[last].cash -= int256(left);
    }

    function _requireLimits() internal view override {
        uint256 count = MARKET.marketCount();
        for (uint256 id = 1; id <= count; ++id) {
            _requireLimit(id);
        }
    }

    function _requireLimit(uint256 marketId) private view {
        uint256 size = MARKET.skew(marketId).abs();
        uint256 exposure = WadMath.divUp(size * ORACLE.newest(marketId).price(), WadMath.WAD);
        if (exposure <= WadMath.WAD) return; // a dollar: the dust that a deleveraging leaves locks nobody in
        (, uint256 limit) = MARKET.poolCapital(marketId);
        if (exposure > limit) revert RequestVault_OpeningLimit(marketId, exposure, limit);
    }

    function _account(uint256 marketId) private view returns (uint256) {
        return AccountIds.pack(address(this), marketId, 0);
    }

    function _weight(uint256 marketId) private view returns (uint256) {
        return uint16(_weights >> 16 * (marketId - 1));
    }
}
