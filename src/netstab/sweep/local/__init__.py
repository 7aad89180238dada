"""A sweep in processes of this machine."""
