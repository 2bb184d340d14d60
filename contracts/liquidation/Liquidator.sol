// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ILiquidator} from "interfaces/liquidation/ILiquidator.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {Core} from "../types/Accounts.sol";
import {Attempts} from "./Attempts.sol";
import {Backstop} from "./Backstop.sol";
import {CloseOut} from "./CloseOut.sol";
import {Liquidations} from "./Liquidations.sol";
import {TakeOver} from "./TakeOver.sol";

/// @title Liquidator
/// @notice Close-out, take-over and backstop. Total: nothing here fails because a sum is negative, a fund empty or a counterpart gone.
contract Liquidator is CloseOut, TakeOver, Backstop, Attempts, AccessManaged {
    constructor(Core memory core) Liquidations(core) TakeOver(core) AccessManaged(core.authority) {}

    /// @inheritdoc ILiquidator
    function setGasMarket(uint256 marketId) external restricted {
        gasMarket = marketId;
        emit GasMarketChanged(marketId);
    }

    /// @inheritdoc ILiquidator
    function health(uint256 account) external view returns (int256) {
        (int256 equity, uint256 maintenance) = MARKET.healthOf(account);
        if (maintenance == 0) return equity < 0 ? type(int256).min : type(int256).max;
        return WadMath.floorDiv(equity * WadMath.IWAD, int256(maintenance));
    }

    /// @inheritdoc ILiquidator
    function isLiquidatable(uint256 account) external view returns (bool) {
        (int256 equity, uint256 maintenance) = MARKET.healthOf(account);
        return equity < int256(maintenance);
    }
}
