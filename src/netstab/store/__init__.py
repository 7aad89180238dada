"""States and measurements under their keys, and what the parameters want of them. No torch here."""
