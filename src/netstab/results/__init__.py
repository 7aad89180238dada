"""The files of a run: their columns, how they are written, and how they are read and checked."""
