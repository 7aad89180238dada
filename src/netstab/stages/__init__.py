"""One thin entry a DVC stage; no logic."""
