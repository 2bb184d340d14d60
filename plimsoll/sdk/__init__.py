"""What a trader or an integrator imports."""
