"""A sweep on many machines, by Ray: every job a task. Nothing else of the project knows Ray."""
