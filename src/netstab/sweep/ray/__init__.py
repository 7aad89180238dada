"""A sweep on many machines by Ray: every job is a task. Only this room knows Ray."""
