// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Every kind of answer that a test harness has to understand.
contract EvmProbe {
    enum Side {
        Long,
        Short
    }

    struct Inner {
        address owner;
        int128 size;
    }

    struct Outer {
        uint64 id;
        Inner inner;
        bytes32[2] words;
    }

    struct Dynamic {
        string label;
        Inner[] inners;
        bytes blob;
    }

    error EvmProbe_Rejected(address caller, int256 amount, Inner inner);
    error EvmProbe_Plain();

    event Recorded(address indexed caller, string indexed label, Outer value, Side side);

    uint256 public counter;
    uint256 private transient _guard;

    constructor() payable {}

    function count() external returns (uint256) {
        return ++counter;
    }

    function countThenRevert() external payable {
        ++counter;
        revert EvmProbe_Plain();
    }

    function reject(int256 amount, Inner calldata inner) external view {
        revert EvmProbe_Rejected(msg.sender, amount, inner);
    }

    function rejectWithText(string calldata text) external pure {
        revert(text);
    }

    function rejectInSilence() external pure {
        revert();
    }

    function divide(uint256 a, uint256 b) external pure returns (uint256) {
        return a / b;
    }

    function burnGas() external pure {
        while (true) {}
    }

    function record(string calldata label, Outer calldata value, Side side) external {
        emit Recorded(msg.sender, label, value, side);
    }

    function outer(Outer calldata value) external pure returns (Outer memory) {
        return value;
    }

    function dynamic(Dynamic calldata value, uint8 count_) external pure returns (Dynamic memory twice, uint8 number) {
        return (value, count_);
    }

    function pick(uint256) external pure returns (string memory) {
        return "integer";
    }

    function pick(address) external pure returns (string memory) {
        return "address";
    }

    function block_() external view returns (uint256 number, uint256 timestamp, address coinbase) {
        return (block.number, block.timestamp, block.coinbase);
    }

    function chain() external view returns (uint256) {
        return block.chainid;
    }

    function whoAmI() external payable returns (address sender, uint256 value) {
        return (msg.sender, msg.value);
    }

    /// @notice Reverts the second time in one transaction.
    function once() external {
        require(_guard == 0, "again");
        _guard = 1;
    }
}
