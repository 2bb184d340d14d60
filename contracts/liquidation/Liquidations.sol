// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ILiquidator} from "interfaces/liquidation/ILiquidator.sol";
import {Fill} from "interfaces/market/IMarketOperations.sol";
import {Standing} from "interfaces/market/IPerpMarket.sol";
import {IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {MarginMath} from "../libraries/MarginMath.sol";
import {Permissions} from "../libraries/Permissions.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds, Core, Posting} from "../types/Accounts.sol";
import {Caps} from "./Caps.sol";
import {KeeperPay} from "./KeeperPay.sol";
import {Shutdown} from "./Shutdown.sol";

/// @title Liquidations
/// @notice What close-out, take-over and backstop share: who is unhealthy, what of a maintenance is released, fund and debts.
abstract contract Liquidations is ILiquidator, Caps, Shutdown, KeeperPay {
    using AccountIds for uint256;
    using WadMath for int256;

    /// @dev What an account had in a market before it was closed: WAD base, and its loss at the index in WAD dollars, 0 for a gain.
    struct Lost {
        uint256 marketId;
        int256 base;
        uint256 loss;
    }

    IMarginVault internal immutable VAULT;
    address internal immutable FUND;

    constructor(Core memory core) Shutdown(core) KeeperPay(core) {
        (VAULT, FUND) = (IMarginVault(core.vault), core.fund);
    }

    function _update(bytes[] calldata priceData) internal {
        if (priceData.length != 0 || msg.value != 0) ORACLE.update{value: msg.value}(priceData);
    }

    /// @dev The account's standing, where it is liquidatable but not bankrupt and the price allows it.
    function _unhealthy(uint256 account, uint256 marketId) internal view returns (Standing memory s) {
        s = MARKET.standing(account, marketId);
        Permissions.Action action = Permissions.Action.Liquidate;
        if (!s.newest.isFresh(s.trading.maxPriceAge()) || !Permissions.allowed(action, s.newest.state())) {
            revert Liquidator_PriceUnusable(marketId, s.newest.publishedAt(), uint8(s.newest.state()));
        }
        if (s.base == 0) revert Liquidator_NoPosition(account, marketId);
        if (s.equity >= int256(s.maintenance)) revert Liquidator_Healthy(account, s.equity, s.maintenance);
        if (s.equity <= 0) revert Liquidator_Bankrupt(account, s.equity);
    }

    function _released(Standing memory s, uint256 size, uint256 price) internal view returns (uint256) {
        uint256 all = s.base.abs();
        return MarginMath.maintenance(s.margin, s.trading, all, price)
            - MarginMath.maintenance(s.margin, s.trading, all - size, price);
    }

    function _withPool(
        uint256 account,
        uint256 marketId,
        int256 base,
        int256 quote,
        uint256 charge,
        uint256 reward,
        int256 toFund
    ) internal view returns (Fill memory) {
        return Fill({
            marketId: marketId,
            account: account,
            base: base,
            quote: quote,
            charge: charge,
            keeper: msg.sender,
            reward: reward,
            toFund: toFund
        });
    }

    /// @dev What an account without positions owes goes to the fund, the rest to the pool's accounts of the markets closed, by their losses;
    /// what one of those can't bear to the side opposite the position there.
    function _coverDebt(uint256 account, Lost[] memory lost) internal {
        uint256 debt = WadMath.positive(-VAULT.cashOf(account));
        if (debt == 0) return;
        uint256 total;
        for (uint256 i; i < lost.length; ++i) {
            total += lost[i].loss;
        }
        uint256 byFund = WadMath.min(debt, _fundCash());
        uint256 rest = debt - byFund;
        uint256 left = rest;
        for (uint256 i; i < lost.length && left != 0; ++i) {
            uint256 share = total == 0 ? rest / lost.length : rest * lost[i].loss / total;
            if (i == lost.length - 1) share = left;
            left -= share;
            if (share != 0) MARKET.chargePool(lost[i].marketId, share, lost[i].base);
        }
        _post(account, int256(byFund + rest), -int256(byFund));
        emit DebtCovered(account, debt, byFund, rest);
    }

    function _fundCash() internal view returns (uint256) {
        return VAULT.cashOf(AccountIds.main(FUND)).positive();
    }

    /// @dev Adds to an account, and to the fund.
    function _post(uint256 account, int256 cash, int256 toFund) internal {
        Posting[] memory postings = new Posting[](2);
        postings[0] = Posting(account, cash, 0, 0);
        postings[1] = Posting(AccountIds.main(FUND), toFund, 0, 0);
        VAULT.post(postings);
    }
}
