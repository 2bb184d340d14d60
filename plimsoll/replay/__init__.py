"""A crash replayed minute by minute: on the real contracts beside the reference model, or on the model alone.

Each action is carried out in the model first, then sent as a signed transaction in a block of the same time; what the
chain stored and emitted is compared with what the model expected.
"""
