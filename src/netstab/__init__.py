"""netstab: what does learning-rate decay do in training?

A map of the package. A package imports only from those above it in this list.
Names in backquotes behind a package are files or folders in it, not all of them.

* `params/`     params.yaml as validated, frozen models, a docstring a field; nothing else reads it
* `study/`      pure: `experiments` (which rate each block has when, what is frozen), `courses`
                (changes that come into force, and shapes of rates), `schedule`, `plan` (the tree of
                shared pasts), `keys` (what determines a state), `differences` (which parameters
                tell two states apart), `barriers` (which states are joined), `cost`
* `data/`       images: `sources` finds and reads them, `prepare` makes checked tensors, `batches`
* `results/`    the files of a run: `schema` states their columns, `write` and `read`; `barriers`:
                which of them are of the runs of today
* `networks/`   what is trained: `resnet`, `wide`, `vit`; `network` builds one and assigns its
                parameters to parts, `own` calls a function of the user's and checks its network
* `store/`      `states` and `measurements` under their keys; `wanted`: which ones the parameters
                ask for, `ledger`: which of them are there, `why`: how a run differs from them;
                `faults` sets aside what is damaged
* `measure/`    what is evaluated on a state: `stability`, `field`, `sharpness`, `similarity`,
                `barriers` (the loss between two states),
                `views` (the baseline with averaged weights or recomputed batch-norm statistics)
* `training/`   everything that changes weights: `modes`, `optimizer`, `engine`, `state`,
                `trajectory`, `device`; `numerics` compares them with stored golden values
* `exchange/`   finished runs as small files for another machine; `crate`: a study to publish
* `sweep/`      many runs at once: `jobs`, `forecast`, `local/` (`calibration`: how many processes
                side by side) and `ray/` for clusters
* `evidence/`   from result files to verdicts and pictures: `summary/` (final figures, jitter),
                `claims/` (`statements` and `mechanisms`: what each claim compares, `judge`: its
                verdict), `figures/` (`theme` has the colours), `page/`; `report` joins them
* `stages/`     the entry points of DVC's stages; `train` serves five of them, by `run`
* `commands/`   what each command does

At the top level stands `cli` (the commands' names and options), and what every package may import:
`paths` (where every file is), `errors` (what is refused), `exits` (exit codes), `stops` (signals
that end a command), `files` (written whole or not at all), `locks` (one writer at a time, turns on
cores), `source_code` (of a network of one's own, hashed), `machine` (cores, memory, whether a GPU
is there), `text` (words for people) and `plain_json` (JSON read within bounds, and its hash).

The section `runtime` of params.yaml says how to run. No key holds it (`study/keys`) and no stage
tracks it (dvc.yaml), so a change there reruns nothing.
"""

__version__ = "0.2.0"
