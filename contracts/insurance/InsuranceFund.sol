// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {IInsuranceFund} from "interfaces/insurance/IInsuranceFund.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {RequestVault} from "../libraries/RequestVault.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds, Core, Posting} from "../types/Accounts.sol";

/// @title InsuranceFund
/// @notice Shares over the fund's account. It has no positions and needs no price.
contract InsuranceFund is IInsuranceFund, RequestVault {
    using WadMath for int256;

    IPriceRecords private immutable ORACLE;

    constructor(Core memory core, string memory name_, string memory symbol_) RequestVault(core, name_, symbol_) {
        ORACLE = IPriceRecords(core.oracle);
    }

    /// @notice The fund's cash: token units, rounded down.
    function totalAssets() public view override(ERC4626, IERC4626) returns (uint256) {
        return balance() / UNIT;
    }

    /// @inheritdoc IInsuranceFund
    function balance() public view returns (uint256) {
        return VAULT.cashOf(_account()).positive();
    }

    /// @inheritdoc IInsuranceFund
    function coverage() external view returns (uint256) {
        uint256 count = MARKET.marketCount();
        uint256 notional;
        for (uint256 id = 1; id <= count; ++id) {
            (uint256 long, uint256 short) = MARKET.openInterest(id);
            notional += (long + short) * ORACLE.newest(id).price() / WadMath.WAD;
        }
        return notional == 0 ? type(uint256).max : balance() * WadMath.WAD / notional;
    }

    /// @dev Fees wait in the markets until anyone sweeps them: whoever enters or leaves pays for or gets his part of them.
    function _prepare(uint256) internal override {
        uint256 count = MARKET.marketCount();
        for (uint256 id = 1; id <= count; ++id) {
            (uint256 insurance,) = MARKET.unsweptFees(id);
            if (insurance != 0) MARKET.sweep(id);
        }
    }

    function _entry(uint256 value) internal view override returns (Posting[] memory postings) {
        postings = new Posting[](2);
        postings[1] = Posting(_account(), int256(value), 0, 0);
    }

    function _exit(uint256 value) internal view override returns (Posting[] memory postings) {
        postings = new Posting[](2);
        postings[1] = Posting(_account(), -int256(value), 0, 0);
    }

    function _requireLimits() internal view override {}

    function _account() private view returns (uint256) {
        return AccountIds.main(address(this));
    }
}
