"""Bots that keep the protocol moving: publish prices, execute orders, liquidate. One file a job, `runner` runs them.

Each job is `decide(snapshot) → [action]`, pure, and an idempotent act: everything is simulated before it is sent, all
state is rebuilt from the chain, and doing the same again finds nothing left to do.
"""
