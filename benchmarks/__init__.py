"""What netstab costs in time and memory: commands that print a table and write JSON.

* `epoch`          an epoch beside plain PyTorch loops, with parts frozen, beside a matrix product
* `measuring`      measurements of stability and sharpness beside an epoch
* `memory`         peak resident memory of a trainer
* `pipeline`       DVC and netstab where every run is stored
* `cluster`        a sweep by Ray beside its prediction, and a cluster on paper
* `gpu_programme`  what needs a GPU, item by item, unattended and resumable

Run as `PYTHONPATH=src python -m benchmarks.NAME --help`, from the checkout, on an idle machine.
docs/PERFORMANCE.md has the figures. `common` times and reports, `sizes` has the parameters and
images of each size, `trainer` the engine, `plain_loop` what it is compared with.
"""
