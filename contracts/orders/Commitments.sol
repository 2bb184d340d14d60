// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IPerpMarket} from "interfaces/market/IPerpMarket.sol";
import {Commitment, IOrderBook, Order, OrderConfig} from "interfaces/orders/IOrderBook.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {AccountBalance, AccountIds, Core, Posting} from "../types/Accounts.sol";

/// @title Commitments
/// @notice What the parts of the order book share: orders' slots, hashes and signatures, and the relayer's pay.
abstract contract Commitments is IOrderBook, EIP712 {
    using AccountIds for uint256;

    bytes32 public constant ORDER_TYPEHASH = keccak256(
        "Order(uint256 account,uint256 marketId,uint8 kind,int256 base,uint256 acceptablePrice,uint256 triggerPrice,bool reduceOnly,uint8 timeInForce,uint256 expiry,bytes32 parent,uint256 salt)"
    );
    uint256 internal constant MAX_FEE = 10e18;
    uint256 private constant WALLET_GAS = 100_000;

    IMarginVault internal immutable VAULT;
    IPerpMarket internal immutable MARKET;
    IPriceRecords internal immutable ORACLE;
    address internal immutable LIQUIDATOR;
    address internal immutable FUND;

    /// @dev One slot a market.
    struct Queue {
        OrderConfig config;
        uint40 next;
        uint40 head;
    }

    mapping(uint256 marketId => Queue) internal _queues;
    mapping(bytes32 hash => Commitment) internal _commitments;
    mapping(uint256 account => uint256 counter) internal _counters;

    constructor(Core memory core) EIP712("Plimsoll", "1") {
        (VAULT, MARKET) = (IMarginVault(core.vault), IPerpMarket(core.market));
        (ORACLE, LIQUIDATOR, FUND) = (IPriceRecords(core.oracle), core.liquidator, core.fund);
    }

    /// @inheritdoc IOrderBook
    function hashOf(Order calldata order) public pure returns (bytes32) {
        return keccak256(abi.encode(ORDER_TYPEHASH, order));
    }

    /// @inheritdoc IOrderBook
    function commitment(bytes32 hash) external view returns (Commitment memory) {
        return _commitments[hash];
    }

    /// @inheritdoc IOrderBook
    function counterOf(uint256 account) external view returns (uint256) {
        return _counters[account];
    }

    /// @inheritdoc IOrderBook
    function queue(uint256 marketId) external view returns (OrderConfig memory, uint256, uint256) {
        Queue memory q = _queues[marketId];
        return (q.config, q.next, q.head);
    }

    function _requireCounter(uint256 account, uint256 salt) internal view {
        if (salt >> 128 != _counters[account]) revert OrderBook_WrongCounter(account, _counters[account]);
    }

    function _isExpired(Order calldata order) internal view returns (bool) {
        return order.expiry != 0 && block.timestamp > order.expiry;
    }

    /// @dev Whose word a signature is: the owner's, as a key or a wallet; else whoever signed, zero where nobody did.
    function _signerOf(uint256 account, bytes32 structHash, bytes calldata signature) internal view returns (address) {
        bytes32 digest = _hashTypedDataV4(structHash);
        (address signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
        address owner = account.ownerOf();
        return signer != owner && owner.code.length != 0 && _isWalletsWord(owner, digest, signature) ? owner : signer;
    }

    /// @dev ERC-1271, with little gas, so that a wallet can't burn its counterpart's.
    function _isWalletsWord(address wallet, bytes32 digest, bytes calldata signature) private view returns (bool) {
        // solhint-disable-next-line avoid-low-level-calls
        (bool success, bytes memory answer) =
            wallet.staticcall{gas: WALLET_GAS}(abi.encodeCall(IERC1271.isValidSignature, (digest, signature)));
        return success && answer.length >= 32 && bytes32(answer) == bytes32(IERC1271.isValidSignature.selector);
    }

    function _requireOwnersWord(uint256 account, bytes32 structHash, bytes calldata signature) internal view {
        address owner = account.ownerOf();
        if (owner == address(0) || _signerOf(account, structHash, signature) != owner) {
            revert OrderBook_BadSignature(account);
        }
    }

    /// @dev Pays whoever brought a signature, out of what the account has free.
    function _payRelayer(uint256 account, uint256 relayFee) internal {
        if (relayFee > MAX_FEE) revert OrderBook_InvalidTerms("relayFee");
        if (relayFee != 0) {
            (int256 free,) = _freeCash(account);
            if (free < int256(relayFee)) revert OrderBook_InsufficientCash(free, relayFee);
            Posting[] memory postings = new Posting[](2);
            postings[0] = Posting(account, -int256(relayFee), 0, 0);
            postings[1] = Posting(AccountIds.main(msg.sender), int256(relayFee), 0, 0);
            VAULT.post(postings);
        }
        emit Relayed(account, msg.sender, relayFee);
    }

    function _freeCash(uint256 account) internal view returns (int256 free, int256 reserved) {
        AccountBalance balance = VAULT.balanceOf(account);
        reserved = int256(balance.reserved());
        return (balance.cash() - reserved, reserved);
    }
}
