"""What netstab costs in time and memory: commands that print a table and write JSON.

* `epoch`      an epoch against plain PyTorch loops and what the device can do; frozen ones; what
               is paid once; a profile
* `study`      a whole study against separate runs: measured in parts, and computed from them
* `growth`     how time and memory grow with width, images, seeds and variants, and by what law
* `measuring`  what stability and sharpness cost
* `memory`     peak resident memory of a trainer in a process of its own
* `pipeline`   `dvc repro` with nothing to do, `netstab plan`, a stage whose run is stored

Run as `PYTHONPATH=src python -m benchmarks.NAME --help`, from the checkout, on an idle machine.
"""
