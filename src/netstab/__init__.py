"""netstab: what does learning-rate decay do in training?

A map of the package, in the order in which data flows through it:

* `params`      params.yaml as validated, frozen models
* `study/`      schedules of the interventions and the tree of pasts they share (pure)
* `data/`       images: from archives to checked tensors, and to batches
* `training/`   model, engine, states and their store: no epoch is trained twice
* `cluster/`    the same on many machines, by Ray
* `measure/`    what is evaluated on a state
* `evidence/`   figures and charts from the runs' histories (no torch)
* `stages/`     one entry a DVC stage
* `commands/`   what is no stage: `netstab plan`, `sweep`, `collect`, `study` ... (`cli` names them)
* `paths`, `errors`   where files lie, what is refused
* `locks`, `writing`  who writes, and that files are there whole or not at all
"""

__version__ = "0.1.0"
