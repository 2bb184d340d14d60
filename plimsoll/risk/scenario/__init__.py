"""What a replay is made of: prices, a population of accounts, and how keepers behave."""
