"""What netstab costs in time and memory: commands that print a table and write JSON.

* `epoch`      an epoch against a plain PyTorch loop, and how much cheaper a frozen one is
* `sharing`    what training shared pasts once saves, in epochs and in (computed) time
* `memory`     peak resident memory of a trainer in a process of its own
* `pipeline`   `dvc repro` with nothing to do, `netstab plan`, a stage whose run is stored

Run as `PYTHONPATH=src python -m benchmarks.NAME --help`, from the checkout, on an idle machine.
"""
