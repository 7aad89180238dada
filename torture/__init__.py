"""What is done to netstab so that nothing is lost and no one let in; figures in `results/`."""
