// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {GuardState} from "../types/PriceRecord.sol";

/// @notice What is allowed when: the one table `action × state`.
///
/// | action    | Open | Doubtful | Grace | Down |
/// | --------- | ---- | -------- | ----- | ---- |
/// | Deposit   | yes  | yes      | yes   | yes  |
/// | Withdraw  | yes  | yes      | yes   | yes  |
/// | Reduce    | yes  | yes      | yes   | yes  |
/// | Open      | yes  |          |       |      |
/// | Pool      | yes  |          |       |      |
/// | Liquidate | yes  | yes      |       |      |
library Permissions {
    enum Action {
        Deposit,
        Withdraw,
        Reduce,
        Open,
        Pool,
        Liquidate
    }

    function allowed(Action action, GuardState state) internal pure returns (bool) {
        if (action <= Action.Reduce) return true;
        if (action == Action.Liquidate) return state <= GuardState.Doubtful;
        return state == GuardState.Open;
    }
}
