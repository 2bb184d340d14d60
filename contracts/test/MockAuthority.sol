// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Tests only: an AccessManager's answer to `restricted`, yes for one caller and no for all others.
contract MockAuthority {
    address public immutable admin;

    constructor(address admin_) {
        admin = admin_;
    }

    function canCall(address caller, address, bytes4) external view returns (bool immediate, uint32 delay) {
        return (caller == admin, 0);
    }
}
