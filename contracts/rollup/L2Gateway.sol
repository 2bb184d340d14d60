// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IOrderBook} from "interfaces/orders/IOrderBook.sol";
import {Order} from "interfaces/orders/ICommitments.sol";
import {Agent, IL2Gateway} from "interfaces/rollup/IL2Gateway.sol";
import {IBridgedToken, ICrossDomainMessenger, IStandardBridge} from "interfaces/rollup/IOptimism.sol";
import {IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {AccountIds, Core} from "../types/Accounts.sol";

/// @title L2Gateway
/// @notice Documented in IL2Gateway.
/// @dev Vault and order book take this contract's word as the owner's: every function that uses it asks first who the caller is.
contract L2Gateway is IL2Gateway {
    using AccountIds for uint256;
    using SafeERC20 for IERC20;

    /// @dev Predeploys, at the same addresses on every rollup of the OP stack.
    ICrossDomainMessenger private constant MESSENGER =
        ICrossDomainMessenger(0x4200000000000000000000000000000000000007);
    IStandardBridge private constant BRIDGE = IStandardBridge(0x4200000000000000000000000000000000000010);
    /// @dev An L1 contract appears on L2 at its address plus this, so that nobody is taken for it who has its address here.
    uint160 private constant ALIAS_OFFSET = uint160(0x1111000000000000000000000000000000001111);
    /// @dev For the bridge on L1 to pay out.
    uint32 private constant PAYMENT_GAS = 200_000;

    address public immutable l1Gateway;
    address public immutable l1Token;
    IERC20 private immutable TOKEN;
    IMarginVault private immutable VAULT;
    IOrderBook private immutable ORDER_BOOK;

    uint256 public totalClaims;
    mapping(uint256 account => mapping(address claimant => uint256 amount)) public claimOf;
    mapping(address owner => Agent) private _agents;

    constructor(Core memory core, address l1Gateway_) {
        (TOKEN, VAULT, ORDER_BOOK) = (IERC20(core.token), IMarginVault(core.vault), IOrderBook(core.orderBook));
        (l1Gateway, l1Token) = (l1Gateway_, IBridgedToken(core.token).remoteToken());
        TOKEN.forceApprove(core.vault, type(uint256).max);
    }

    // --- from L1 ---

    /// @inheritdoc IL2Gateway
    /// @custom:req RG-02
    function credit(uint256 account, uint256 amount, address claimant) external {
        if (msg.sender != address(MESSENGER) || MESSENGER.xDomainMessageSender() != l1Gateway) {
            revert L2Gateway_NotFromL1Gateway(msg.sender);
        }
        uint256 available = TOKEN.balanceOf(address(this)) - totalClaims;
        if (available < amount) revert L2Gateway_NotArrived(available, amount);
        try VAULT.deposit(account, amount) {
            emit Credited(account, amount);
        } catch (bytes memory reason) {
            claimOf[account][claimant] += amount;
            totalClaims += amount;
            emit CreditRefused(account, claimant, amount, reason);
        }
    }

    /// @inheritdoc IL2Gateway
    /// @custom:req RG-03
    function retry(uint256 account, address claimant) external {
        uint256 amount = _takeClaim(account, claimant);
        emit Credited(account, amount);
        VAULT.deposit(account, amount);
    }

    /// @inheritdoc IL2Gateway
    /// @custom:req RG-03
    function reclaim(uint256 account, address to) external {
        if (to == address(0) || to == address(this)) revert L2Gateway_InvalidRecipient(to);
        uint256 amount = _takeClaim(account, msg.sender);
        emit Reclaimed(account, msg.sender, to, amount);
        TOKEN.safeTransfer(to, amount);
    }

    function _takeClaim(uint256 account, address claimant) private returns (uint256 amount) {
        amount = claimOf[account][claimant];
        if (amount == 0) revert L2Gateway_NothingToClaim(account, claimant);
        delete claimOf[account][claimant];
        totalClaims -= amount;
    }

    // --- to L1 ---

    /// @inheritdoc IL2Gateway
    /// @custom:req RG-04
    function withdraw(uint256 account, uint256 amount, address to) external returns (uint256) {
        if (msg.sender != account.ownerOf()) {
            Agent memory agent = _requireAgent(account);
            if (to != agent.l1Address) revert L2Gateway_InvalidRecipient(to);
        }
        if (to == address(0)) revert L2Gateway_InvalidRecipient(to);
        if (amount == type(uint256).max) amount = VAULT.withdrawable(account);
        emit WithdrawalStarted(account, to, amount);
        VAULT.withdraw(account, amount, address(this));
        BRIDGE.bridgeERC20To(address(TOKEN), l1Token, to, amount, PAYMENT_GAS, "");
        return amount;
    }

    // --- who acts for an owner from L1 ---

    /// @inheritdoc IL2Gateway
    /// @custom:req RG-05
    function setAgent(Agent calldata agent) external {
        _agents[msg.sender] = agent;
        emit AgentSet(msg.sender, agent);
    }

    /// @inheritdoc IL2Gateway
    /// @custom:req RG-05
    function place(Order calldata order) external returns (bytes32) {
        _requireAgent(order.account);
        if (!order.reduceOnly) revert L2Gateway_NotReduceOnly(order.account);
        return ORDER_BOOK.place(order);
    }

    /// @inheritdoc IL2Gateway
    function cancel(Order calldata order) external {
        _requireAgent(order.account);
        ORDER_BOOK.cancel(order);
    }

    /// @inheritdoc IL2Gateway
    function cancelAll(uint256 account) external {
        _requireAgent(account);
        ORDER_BOOK.cancelAll(account);
    }

    /// @inheritdoc IL2Gateway
    function agentOf(address owner) external view returns (Agent memory) {
        return _agents[owner];
    }

    /// @dev The caller is the agent of the account's owner, under the address that a call of his from L1 has here.
    function _requireAgent(uint256 account) private view returns (Agent memory agent) {
        agent = _agents[account.ownerOf()];
        uint160 caller = uint160(agent.l1Address);
        unchecked {
            if (agent.isContract) caller += ALIAS_OFFSET; // wraps around, as the portal's sum does
        }
        if (agent.l1Address == address(0) || msg.sender != address(caller)) {
            revert L2Gateway_NotPermitted(account, msg.sender);
        }
    }
}
