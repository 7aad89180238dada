"""Training: from a state and a schedule to the next state."""
