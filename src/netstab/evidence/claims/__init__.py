"""Statements, the checks behind them, and the verdict on each."""
