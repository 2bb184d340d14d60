// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IMarginGuard, IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountBalance, AccountBalanceLib, AccountIds, Core, Posting} from "../types/Accounts.sol";

/// @title MarginVault
/// @notice Tokens, and every account's cash.
contract MarginVault is IMarginVault {
    using AccountIds for uint256;
    using SafeERC20 for IERC20Metadata;

    address public immutable token;
    uint256 public immutable unit;
    address private immutable MARKET;
    address private immutable ORDER_BOOK;
    address private immutable LIQUIDATOR;
    address private immutable POOL;
    address private immutable FUND;
    address private immutable TREASURY;
    address private immutable GATEWAY;

    mapping(uint256 account => AccountBalance) private _balances;

    constructor(Core memory core) {
        uint256 decimals = IERC20Metadata(core.token).decimals();
        if (decimals < 6 || decimals > 18) revert MarginVault_UnsupportedToken(core.token, decimals);
        token = core.token;
        unit = 10 ** (18 - decimals);
        (MARKET, ORDER_BOOK, LIQUIDATOR) = (core.market, core.orderBook, core.liquidator);
        (POOL, FUND, TREASURY) = (core.pool, core.fund, core.treasury);
        GATEWAY = core.gateway;
    }

    /// @inheritdoc IMarginVault
    /// @custom:req MV-01
    function deposit(uint256 account, uint256 amount) external {
        if (amount == 0) revert MarginVault_ZeroAmount();
        _requireDepositable(account);
        IERC20Metadata(token).safeTransferFrom(msg.sender, address(this), amount);
        int256 cash = _add(account, int256(amount * unit));
        emit Deposited(account, msg.sender, amount, cash);
    }

    /// @inheritdoc IMarginVault
    /// @custom:req MV-02
    function withdraw(uint256 account, uint256 amount, address to) external {
        if (amount == 0) revert MarginVault_ZeroAmount();
        if (msg.sender != GATEWAY) _requireOwner(account); // the gateway asked already, who may
        if (to == address(0) || to == address(this)) revert MarginVault_InvalidRecipient(to);
        _requireWithdrawable(account, amount);
        int256 cash = _add(account, -int256(amount * unit));
        emit Withdrawn(account, to, amount, cash);
        IERC20Metadata(token).safeTransfer(to, amount);
    }

    /// @inheritdoc IMarginVault
    /// @custom:req MV-03
    function transfer(uint256 from, uint256 to, uint256 amount) external {
        if (amount == 0) revert MarginVault_ZeroAmount();
        _requireOwner(from);
        if (from.ownerOf() != to.ownerOf()) revert MarginVault_DifferentOwners(from, to);
        _requireDepositable(to);
        _requireWithdrawable(from, amount);
        _add(from, -int256(amount * unit));
        _add(to, int256(amount * unit));
        emit Transferred(from, to, amount);
    }

    /// @inheritdoc IMarginVault
    /// @custom:req MV-04
    function post(Posting[] calldata postings) external {
        if (
            msg.sender != MARKET && msg.sender != ORDER_BOOK && msg.sender != LIQUIDATOR && msg.sender != POOL
                && msg.sender != FUND
        ) revert MarginVault_NotModule(msg.sender);
        for (uint256 i; i < postings.length; ++i) {
            Posting calldata p = postings[i];
            AccountBalance last = _balances[p.account];
            uint256 reserved = uint256(int256(last.reserved()) + p.reserved);
            AccountBalance balance = AccountBalanceLib.pack(last.cash() + p.cash, reserved, last.markets() ^ p.flips);
            _balances[p.account] = balance;
            emit Posted(p.account, balance);
        }
    }

    /// @inheritdoc IMarginVault
    function cashOf(uint256 account) external view returns (int256) {
        return _balances[account].cash();
    }

    /// @inheritdoc IMarginVault
    function withdrawable(uint256 account) public view returns (uint256) {
        AccountBalance balance = _balances[account];
        int256 free = balance.markets() == 0
            ? balance.cash() - int256(balance.reserved())
            : IMarginGuard(MARKET).freeCollateral(account, balance);
        return WadMath.positive(free) / unit;
    }

    /// @inheritdoc IMarginVault
    function balanceOf(uint256 account) external view returns (AccountBalance) {
        return _balances[account];
    }

    /// @inheritdoc IMarginVault
    function balancesOf(uint256 first, uint256 second) external view returns (AccountBalance, AccountBalance) {
        return (_balances[first], _balances[second]);
    }

    /// @dev The accounts of the pool, the fund and the treasury take nothing from outside: their cash is what the ledger gives them.
    function _requireDepositable(uint256 account) private view {
        address owner = account.ownerOf();
        if (owner == address(0) || owner == POOL || owner == FUND || owner == TREASURY) {
            revert MarginVault_InvalidAccount(account);
        }
    }

    function _requireOwner(uint256 account) private view {
        if (msg.sender != account.ownerOf()) revert MarginVault_NotOwner(account, msg.sender);
    }

    function _requireWithdrawable(uint256 account, uint256 amount) private view {
        uint256 available = withdrawable(account);
        if (amount > available) revert MarginVault_InsufficientMargin(available, amount);
    }

    function _add(uint256 account, int256 delta) private returns (int256 cash) {
        AccountBalance last = _balances[account];
        cash = last.cash() + delta;
        _balances[account] = AccountBalanceLib.pack(cash, last.reserved(), last.markets());
    }
}
