"""What transactions of the protocol cost on a rollup: bytes, compressed size, L1 data fee, L2 gas."""
