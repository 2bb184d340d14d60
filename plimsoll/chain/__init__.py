"""The chain: build, providers, contracts, decoding, transactions."""
