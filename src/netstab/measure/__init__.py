"""What is evaluated on a state of the network."""
