"""Who may be liquidated among very many accounts: bounds by NumPy with a proven margin, the rest by the model."""
