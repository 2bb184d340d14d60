"""What the protocol's parameters do in real crashes: many runs of the reference model, with one thing changed each."""
