"""Flat figures of a variant: final values, jitter, spread over seeds, drift."""
