// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title The part of Chainlink's Data Streams verifier that is used here, with Chainlink's names.
interface IDestinationVerifierProxy {
    function verify(bytes calldata payload, bytes calldata parameterPayload)
        external
        payable
        returns (bytes memory verifierResponse);
}
