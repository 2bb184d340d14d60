"""The soak: hours of a chain's time with many accounts, workers that are killed and nodes that fail: `make soak`."""
