// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Permissions} from "../libraries/Permissions.sol";
import {GuardState} from "../types/PriceRecord.sol";

/// @notice Tests only: the table of what is allowed when.
contract PermissionsProbe {
    function allowed(Permissions.Action action, GuardState state) external pure returns (bool) {
        return Permissions.allowed(action, state);
    }
}
