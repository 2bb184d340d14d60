"""What leaving the rollup would take: when the dollars would be on L1, the cost of each step, the risk of the wait."""
