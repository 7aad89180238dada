"""What to train: schedules as pure data, and the tree of pasts that runs share."""
