"""The figures, a file a kind: each builds complete Vega-Lite specs."""
