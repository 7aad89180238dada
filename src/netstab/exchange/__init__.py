"""Finished runs as small files for another machine."""
