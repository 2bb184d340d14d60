// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {FunctionView, IGovernance, Operation, RoleMember, RoleView} from "interfaces/governance/IGovernance.sol";
import {Roles} from "./Roles.sol";

/// @title Governance
/// @notice Who may change which parameter, after which delay. It holds no money and can't touch any.
contract Governance is IGovernance, AccessManager {
    using EnumerableSet for EnumerableSet.AddressSet;
    using EnumerableSet for EnumerableSet.Bytes32Set;
    using EnumerableSet for EnumerableSet.UintSet;

    EnumerableSet.UintSet private _roleIds;
    mapping(uint64 role => EnumerableSet.AddressSet) private _members;
    /// @dev target (160) | selector (32)
    EnumerableSet.UintSet private _functions;
    EnumerableSet.Bytes32Set private _operationIds;
    mapping(bytes32 id => Operation) private _operations;

    /// @param admin Holds ADMIN without a delay until the deployment is done and grants it to the DAO with one.
    constructor(address admin) AccessManager(admin) {
        emit RoleLabel(Roles.RISK, "RISK");
        emit RoleLabel(Roles.GUARDIAN, "GUARDIAN");
        emit RoleLabel(Roles.LISTING, "LISTING");
    }

    /// @inheritdoc IAccessManager
    function schedule(address target, bytes calldata data, uint48 when)
        public
        override(AccessManager, IAccessManager)
        returns (bytes32 id, uint32 nonce)
    {
        (id, nonce) = super.schedule(target, data, when);
        _operationIds.add(id);
        _operations[id] = Operation(id, _msgSender(), target, 0, data);
    }

    /// @inheritdoc IAccessManager
    function cancel(address caller, address target, bytes calldata data)
        public
        override(AccessManager, IAccessManager)
        returns (uint32 nonce)
    {
        nonce = super.cancel(caller, target, data);
        _forget(hashOperation(caller, target, data));
    }

    /// @notice Refused: whoever could exchange the authority could do without every delay.
    function updateAuthority(address target, address) public pure override(AccessManager, IAccessManager) {
        revert Governance_AuthorityFixed(target);
    }

    /// @inheritdoc IGovernance
    /// @custom:req GV-11
    function roles() external view returns (RoleView[] memory list) {
        list = new RoleView[](_roleIds.length());
        for (uint256 i; i < list.length; ++i) {
            uint64 id = uint64(_roleIds.at(i));
            (list[i].id, list[i].admin, list[i].guardian) = (id, getRoleAdmin(id), getRoleGuardian(id));
            list[i].grantDelay = getRoleGrantDelay(id);
            list[i].members = new RoleMember[](_members[id].length());
            for (uint256 j; j < list[i].members.length; ++j) {
                address account = _members[id].at(j);
                (uint48 since, uint32 delay, uint32 pendingDelay, uint48 effect) = getAccess(id, account);
                list[i].members[j] = RoleMember(account, since, delay, pendingDelay, effect);
            }
        }
    }

    /// @inheritdoc IGovernance
    /// @custom:req GV-12
    function functions() external view returns (FunctionView[] memory list) {
        list = new FunctionView[](_functions.length());
        for (uint256 i; i < list.length; ++i) {
            uint256 word = _functions.at(i);
            (list[i].target, list[i].selector) = (address(uint160(word >> 32)), bytes4(uint32(word)));
            list[i].role = getTargetFunctionRole(list[i].target, list[i].selector);
        }
    }

    /// @inheritdoc IGovernance
    /// @custom:req GV-13
    function scheduled() external view returns (Operation[] memory list) {
        bytes32[] memory ids = _operationIds.values();
        uint256 count;
        for (uint256 i; i < ids.length; ++i) {
            if (getSchedule(ids[i]) != 0) ids[count++] = ids[i];
        }
        list = new Operation[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = _operations[ids[i]];
            list[i].readyAt = getSchedule(ids[i]);
        }
    }

    function _grantRole(uint64 role, address account, uint32 grantDelay, uint32 executionDelay)
        internal
        override
        returns (bool isNew)
    {
        isNew = super._grantRole(role, account, grantDelay, executionDelay);
        _roleIds.add(role);
        _members[role].add(account);
    }

    function _revokeRole(uint64 role, address account) internal override returns (bool) {
        _members[role].remove(account);
        return super._revokeRole(role, account);
    }

    function _setTargetFunctionRole(address target, bytes4 selector, uint64 role) internal override {
        super._setTargetFunctionRole(target, selector, role);
        _functions.add(uint256(uint160(target)) << 32 | uint32(selector));
    }

    function _consumeScheduledOp(bytes32 id) internal override returns (uint32) {
        _forget(id);
        return super._consumeScheduledOp(id);
    }

    function _forget(bytes32 id) private {
        _operationIds.remove(id);
        delete _operations[id];
    }
}
