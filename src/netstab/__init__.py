"""netstab: what does learning-rate decay do in training?

A map of the package. Data flows down this list once, and imports go up it only.

* `params/`     params.yaml as validated, frozen models; its only reader
* `study/`      schedules of the interventions, the tree of pasts they share, keys, costs (pure)
* `data/`       images: from archives to checked tensors, and to batches
* `results/`    the files of a run: their columns, how they are written, read and checked
* `store/`      states and measurements under keys; what the parameters want of them (`ledger`)
* `measure/`    what is evaluated on a state: stability, sharpness, similarity
* `training/`   all that moves numbers: model, optimizer, engine, state, trajectory
* `exchange/`   finished runs as small files for another machine
* `sweep/`      many runs at once: jobs, processes, progress, estimates; `sweep/ray/` for clusters
* `evidence/`   from result files to judgement and pictures: `summary/`, `claims/`, `figures/`,
                `page/`, and `report`, which puts them together
* `stages/`     one thin entry a DVC stage
* `commands/`   one file a command; `cli` names them and their options

Below all of them: `paths` (where every file lies), `errors` (what is refused), `files` (written
whole or not at all), `locks` (who writes), `machine` (cores and devices), `text` (words for
people) and `plain_json` (JSON read within bounds).
"""

__version__ = "0.2.0"
