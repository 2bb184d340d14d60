// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";

/// @notice Who holds a role. `delay` is what he waits between scheduling and executing, seconds; `pendingDelay` replaces it at `effect`
/// (Unix seconds, 0 for no change). `since`: Unix seconds from which he is a member.
struct RoleMember {
    address account;
    uint48 since;
    uint32 delay;
    uint32 pendingDelay;
    uint48 effect;
}

/// @notice A role with its members. `grantDelay`: seconds until a new member is one.
struct RoleView {
    uint64 id;
    uint64 admin;
    uint64 guardian;
    uint32 grantDelay;
    RoleMember[] members;
}

/// @notice A function that another role than ADMIN may call, or once could.
struct FunctionView {
    address target;
    bytes4 selector;
    uint64 role;
}

/// @notice A call that waits. `readyAt`: Unix seconds from which `caller` may execute it.
struct Operation {
    bytes32 id;
    address caller;
    address target;
    uint48 readyAt;
    bytes data;
}

/// @title The authority of the core: OpenZeppelin's AccessManager, with lists of what it knows.
interface IGovernance is IAccessManager {
    /// @dev The core's authority can't be exchanged for one without delays.
    error Governance_AuthorityFixed(address target);

    /// @notice Every role that ever had a member.
    function roles() external view returns (RoleView[] memory);

    /// @notice Every function whose role was ever set. All other restricted functions need ADMIN.
    function functions() external view returns (FunctionView[] memory);

    /// @notice Every call that waits for its time or its executor; expired ones are left out.
    function scheduled() external view returns (Operation[] memory);
}
