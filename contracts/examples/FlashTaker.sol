// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ILiquidator} from "interfaces/liquidation/ILiquidator.sol";
import {ITakeOverCallback} from "interfaces/liquidation/ITakeOverCallback.sol";
import {Order, OrderKind, TimeInForce} from "interfaces/orders/ICommitments.sol";
import {IMatching, MakerFill} from "interfaces/orders/IMatching.sol";
import {IOrderBook} from "interfaces/orders/IOrderBook.sol";
import {IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {AccountIds} from "../types/Accounts.sol";

/// @title FlashTaker
/// @notice An example: takes an unhealthy position over and matches all of it against makers' signed orders in one transaction, with no capital
/// of its own. What the discount was worth beyond the fees goes to the owner.
contract FlashTaker is ITakeOverCallback, IERC1271, Ownable {
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    ILiquidator private immutable LIQUIDATOR;
    IOrderBook private immutable ORDER_BOOK;
    IMarginVault private immutable VAULT;

    /// @dev What this contract signs: its own order, while it is matched.
    bytes32 private transient _digest;
    uint256 private _orders;

    error FlashTaker_NotLiquidator(address caller);

    constructor(ILiquidator liquidator, IOrderBook orderBook, IMarginVault vault, address owner) Ownable(owner) {
        (LIQUIDATOR, ORDER_BOOK, VAULT) = (liquidator, orderBook, vault);
    }

    /// @notice Takes `base` (WAD, signed as the position is) over, matches it, and pays out.
    /// @param limit WAD dollars: the worst price at which it is matched.
    function run(
        uint256 account,
        uint256 marketId,
        int256 base,
        uint256 limit,
        MakerFill[] calldata makers,
        bytes[] calldata priceData
    ) external onlyOwner {
        uint256 own = AccountIds.main(address(this));
        LIQUIDATOR.takeOver(account, marketId, base, own, abi.encode(limit, makers), priceData);
        uint256 won = VAULT.withdrawable(own);
        if (won != 0) VAULT.withdraw(own, won, owner());
    }

    /// @inheritdoc ITakeOverCallback
    function onTakeOver(uint256, uint256 marketId, int256 base, int256, uint256 toAccount, bytes calldata data)
        external
    {
        if (msg.sender != address(LIQUIDATOR)) revert FlashTaker_NotLiquidator(msg.sender);
        (uint256 limit, MakerFill[] memory makers) = abi.decode(data, (uint256, MakerFill[]));
        Order memory order = Order({
            account: toAccount,
            marketId: marketId,
            kind: OrderKind.Limit,
            base: -base,
            acceptablePrice: limit,
            triggerPrice: 0,
            reduceOnly: true,
            timeInForce: TimeInForce.FillOrKill,
            expiry: block.timestamp,
            parent: 0,
            salt: ORDER_BOOK.counterOf(toAccount) << 128 | ++_orders
        });
        _digest = MessageHashUtils.toTypedDataHash(_domain(), ORDER_BOOK.hashOf(order));
        IMatching(address(ORDER_BOOK)).matchBatch(order, "", makers);
        _digest = 0;
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest != 0 && digest == _digest ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    function _domain() private view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Plimsoll"), keccak256("1"), block.chainid, address(ORDER_BOOK))
        );
    }
}
