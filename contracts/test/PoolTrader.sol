// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Tests and development networks only: what of a Uniswap v3 pool is called here, with Uniswap's names.
interface ITradedPool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function mint(address recipient, int24 tickLower, int24 tickUpper, uint128 amount, bytes calldata data)
        external
        returns (uint256 amount0, uint256 amount1);
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata data
    ) external returns (int256 amount0, int256 amount1);
}

interface IMintable {
    function mint(address to, uint256 amount) external;
}

/// @notice Tests and development networks only: adds liquidity to pools of tokens that anyone mints, and swaps in them.
contract PoolTrader {
    /// @notice Liquidity between two ticks, owned by this contract for ever.
    function addLiquidity(ITradedPool pool, int24 lower, int24 upper, uint128 liquidity) external {
        pool.mint(address(this), lower, upper, liquidity, "");
    }

    /// @notice Swaps until the pool's price is `sqrtPriceX96`; nothing if it is.
    function swapTo(ITradedPool pool, uint160 current, uint160 sqrtPriceX96) external {
        if (current == sqrtPriceX96) return;
        pool.swap(address(this), sqrtPriceX96 < current, type(int128).max, sqrtPriceX96, "");
    }

    function uniswapV3MintCallback(uint256 amount0, uint256 amount1, bytes calldata) external {
        _pay(amount0, amount1);
    }

    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata) external {
        _pay(amount0 > 0 ? uint256(amount0) : 0, amount1 > 0 ? uint256(amount1) : 0);
    }

    function _pay(uint256 amount0, uint256 amount1) private {
        if (amount0 != 0) IMintable(ITradedPool(msg.sender).token0()).mint(msg.sender, amount0);
        if (amount1 != 0) IMintable(ITradedPool(msg.sender).token1()).mint(msg.sender, amount1);
    }
}
