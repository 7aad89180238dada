"""Networks of your own, for `model.name` in params.yaml: see docs/NETWORKS.md."""
