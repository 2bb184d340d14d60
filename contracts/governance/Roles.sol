// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice The roles of the authority, and what each is for.
///
/// | role     | may                                                             | delay                           |
/// | -------- | --------------------------------------------------------------- | ------------------------------- |
/// | ADMIN    | grant and revoke roles, say which role a function needs         | the longest                     |
/// | RISK     | change parameters, fees, delays and weights; resume opening     | long enough to leave before it  |
/// | GUARDIAN | `haltOpening`, and nothing else                                 | none                            |
/// | LISTING  | list a market with its order terms and sources                  | as RISK                         |
library Roles {
    uint64 internal constant ADMIN = 0;
    uint64 internal constant RISK = 1;
    uint64 internal constant GUARDIAN = 2;
    uint64 internal constant LISTING = 3;
}
