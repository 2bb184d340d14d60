"""Between L1 and margin accounts: deposits, withdrawals followed to their end, and the way out through L1.

```python
rollup = Rollup(contracts, l1)                     # every address on L1 is read from the chains
deposit(rollup, signer, 10_000 * 10**6, account)
for one in followed(rollup, owner):
    print(one.words)
```

Nothing is remembered but on the two chains: a program may end anywhere and be started again, and after a
reorganisation of L1 what it says is of the new chain.
"""
