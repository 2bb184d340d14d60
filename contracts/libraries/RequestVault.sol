// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IPerpMarket} from "interfaces/market/IPerpMarket.sol";
import {IRequestVault, Request, RequestDelays} from "interfaces/pool/IRequestVault.sol";
import {IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {AccountIds, Core, Posting} from "../types/Accounts.sol";

/// @notice What the share vaults of the pool and of the insurance fund have in common: shares, requests, escrow, delays.
/// @dev Shares have six decimals more than the token, and as many virtual shares stand against one virtual unit of assets, so that
/// to inflate the price of a share by a unit takes a million units.
abstract contract RequestVault is IRequestVault, ERC4626, AccessManaged {
    uint256 public constant MIN_DELAY = 5;
    uint256 public constant MAX_DEPOSIT_DELAY = 1 days;
    uint256 public constant MAX_REDEEM_COOLDOWN = 14 days;
    uint256 public constant MIN_EXECUTION_WINDOW = 1 minutes;
    uint256 public constant MAX_EXECUTION_WINDOW = 1 days;

    IMarginVault internal immutable VAULT;
    IPerpMarket internal immutable MARKET;
    uint256 internal immutable UNIT;
    address private immutable POOL;
    address private immutable FUND;
    address private immutable TREASURY;

    uint256 public requestCount;
    RequestDelays private _delays;
    mapping(uint256 requestId => Request) private _requests;

    constructor(Core memory core, string memory name_, string memory symbol_)
        ERC20(name_, symbol_)
        ERC4626(IERC20(core.token))
        AccessManaged(core.authority)
    {
        (VAULT, MARKET) = (IMarginVault(core.vault), IPerpMarket(core.market));
        UNIT = 10 ** (18 - IERC20Metadata(core.token).decimals());
        (POOL, FUND, TREASURY) = (core.pool, core.fund, core.treasury);
        _setDelays(RequestDelays({depositDelay: 1 minutes, redeemCooldown: 1 days, executionWindow: 10 minutes}));
    }

    // --- requests ---

    /// @inheritdoc IRequestVault
    /// @custom:req LP-01
    function requestDeposit(uint256 assets, address controller, address owner) external returns (uint256 requestId) {
        _requireMayAsk(assets, controller, owner);
        uint256 account = AccountIds.main(owner);
        uint256 available = VAULT.withdrawable(account);
        if (assets > available) revert RequestVault_InsufficientMargin(available, assets);
        Request memory r;
        (requestId, r) = _add(assets, controller, owner, false);
        _transferCash(account, escrowAccount(), assets);
        emit DepositRequested(requestId, controller, owner, assets, r.maturity, r.deadline);
    }

    /// @inheritdoc IRequestVault
    /// @custom:req LP-02
    function requestRedeem(uint256 shares, address controller, address owner) external returns (uint256 requestId) {
        _requireMayAsk(shares, controller, owner);
        Request memory r;
        (requestId, r) = _add(shares, controller, owner, true);
        _transfer(owner, address(this), shares);
        emit RedeemRequested(requestId, controller, owner, shares, r.maturity, r.deadline);
    }

    /// @inheritdoc IRequestVault
    /// @custom:req LP-03
    function executeRequest(uint256 requestId) external returns (bool lapsed, uint256 given) {
        Request memory r = _requests[requestId];
        if (r.owner == address(0)) revert RequestVault_Unknown(requestId);
        delete _requests[requestId];
        if (block.timestamp > r.deadline) {
            if (r.isRedeem) _transfer(address(this), r.owner, r.amount);
            else _transferCash(escrowAccount(), AccountIds.main(r.owner), r.amount);
            emit RequestLapsed(requestId, r.owner, r.isRedeem, r.amount);
            return (true, r.amount);
        }
        if (block.timestamp < r.maturity) revert RequestVault_NotMature(r.maturity);
        _prepare(r.maturity);
        given = r.isRedeem ? _executeRedeem(requestId, r) : _executeDeposit(requestId, r);
    }

    function _executeDeposit(uint256 requestId, Request memory r) private returns (uint256 shares) {
        shares = convertToShares(r.amount);
        if (shares == 0) revert RequestVault_ZeroAmount();
        Posting[] memory postings = _entry(r.amount * UNIT);
        postings[0] = Posting(escrowAccount(), -int256(r.amount * UNIT), 0, 0);
        _mint(r.controller, shares);
        VAULT.post(postings);
        emit Deposit(r.owner, r.controller, r.amount, shares);
        emit RequestExecuted(requestId, msg.sender, r.amount, shares, totalAssets(), totalSupply());
    }

    function _executeRedeem(uint256 requestId, Request memory r) private returns (uint256 assets) {
        assets = convertToAssets(r.amount);
        Posting[] memory postings = _exit(assets * UNIT);
        postings[0] = Posting(AccountIds.main(r.controller), int256(assets * UNIT), 0, 0);
        _burn(address(this), r.amount);
        VAULT.post(postings);
        _requireLimits();
        emit Withdraw(msg.sender, r.controller, r.owner, assets, r.amount);
        emit RequestExecuted(requestId, msg.sender, assets, r.amount, totalAssets(), totalSupply());
    }

    // --- what the two vaults differ in ---

    /// @dev Reverts unless the share price of this moment may be used for a request of that maturity; brings the ledger up to date.
    function _prepare(uint256 maturity) internal virtual;

    /// @dev Where `value` WAD dollars go; the first posting is left for the escrow.
    function _entry(uint256 value) internal view virtual returns (Posting[] memory);

    /// @dev Where `value` WAD dollars come from; the first posting is left for the receiver.
    function _exit(uint256 value) internal view virtual returns (Posting[] memory);

    /// @dev Reverts where an exit took what is needed.
    function _requireLimits() internal view virtual;

    // --- governance ---

    /// @inheritdoc IRequestVault
    function setDelays(RequestDelays calldata delays_) external restricted {
        _setDelays(delays_);
    }

    function _setDelays(RequestDelays memory d) private {
        if (d.depositDelay < MIN_DELAY || d.depositDelay > MAX_DEPOSIT_DELAY) {
            revert RequestVault_InvalidDelay("depositDelay");
        }
        if (d.redeemCooldown < MIN_DELAY || d.redeemCooldown > MAX_REDEEM_COOLDOWN) {
            revert RequestVault_InvalidDelay("redeemCooldown");
        }
        if (d.executionWindow < MIN_EXECUTION_WINDOW || d.executionWindow > MAX_EXECUTION_WINDOW) {
            revert RequestVault_InvalidDelay("executionWindow");
        }
        _delays = d;
        emit DelaysChanged(d);
    }

    // --- views ---

    /// @inheritdoc IRequestVault
    function delays() external view returns (RequestDelays memory) {
        return _delays;
    }

    /// @inheritdoc IRequestVault
    function request(uint256 requestId) external view returns (Request memory) {
        return _requests[requestId];
    }

    /// @inheritdoc IRequestVault
    function escrowAccount() public view returns (uint256) {
        return AccountIds.pack(address(this), 0, 1);
    }

    // --- ERC-4626 ---

    /// @notice Refused: see requestDeposit.
    function deposit(uint256, address) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert RequestVault_Asynchronous();
    }

    /// @notice Refused: see requestDeposit.
    function mint(uint256, address) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert RequestVault_Asynchronous();
    }

    /// @notice Refused: see requestRedeem.
    function withdraw(uint256, address, address) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert RequestVault_Asynchronous();
    }

    /// @notice Refused: see requestRedeem.
    function redeem(uint256, address, address) public pure override(ERC4626, IERC4626) returns (uint256) {
        revert RequestVault_Asynchronous();
    }

    /// @return Zero: nothing can be deposited at once.
    function maxDeposit(address) public pure override(ERC4626, IERC4626) returns (uint256) {
        return 0;
    }

    /// @return Zero: nothing can be minted at once.
    function maxMint(address) public pure override(ERC4626, IERC4626) returns (uint256) {
        return 0;
    }

    /// @return Zero: nothing can be withdrawn at once.
    function maxWithdraw(address) public pure override(ERC4626, IERC4626) returns (uint256) {
        return 0;
    }

    /// @return Zero: nothing can be redeemed at once.
    function maxRedeem(address) public pure override(ERC4626, IERC4626) returns (uint256) {
        return 0;
    }

    function _decimalsOffset() internal pure override returns (uint8) {
        return 6;
    }

    // --- internals ---

    function _requireMayAsk(uint256 amount, address controller, address owner) private view {
        if (msg.sender != owner) revert RequestVault_NotOwner(owner, msg.sender);
        if (amount == 0) revert RequestVault_ZeroAmount();
        if (controller == address(0) || controller == POOL || controller == FUND || controller == TREASURY) {
            revert RequestVault_InvalidController(controller);
        }
    }

    function _add(uint256 amount, address controller, address owner, bool isRedeem)
        private
        returns (uint256 requestId, Request memory r)
    {
        RequestDelays memory d = _delays;
        requestId = ++requestCount;
        (r.owner, r.controller, r.amount, r.isRedeem) = (owner, controller, amount, isRedeem);
        r.maturity = uint40(block.timestamp + (isRedeem ? d.redeemCooldown : d.depositDelay));
        r.deadline = r.maturity + d.executionWindow;
        _requests[requestId] = r;
    }

    function _transferCash(uint256 from, uint256 to, uint256 assets) private {
        Posting[] memory postings = new Posting[](2);
        postings[0] = Posting(from, -int256(assets * UNIT), 0, 0);
        postings[1] = Posting(to, int256(assets * UNIT), 0, 0);
        VAULT.post(postings);
    }
}
