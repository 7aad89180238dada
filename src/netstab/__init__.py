"""netstab: what does learning-rate decay do in training?

A map of the package. Data flows down this list once, and imports go up it only. What stands in
backquotes behind a room are files in it, not all of them.

* `params/`     params.yaml as validated, frozen models, a docstring a field; its only reader
* `study/`      pure: `experiments` (which rate each block has when, what is frozen), `schedule`,
                `plan` (the tree of shared pasts), `keys` (what determines a state), `cost`
* `data/`       images: `sources` finds and reads them, `prepare` makes checked tensors, `batches`
* `results/`    the files of a run: `schema` states their columns, `write` and `read`
* `store/`      `states` and `measurements` under keys; `wanted` says which the parameters ask for,
                `ledger` which are there; `faults` sets aside what is damaged
* `measure/`    what is evaluated on a state: `stability`, `sharpness`, `similarity`, `views`
* `training/`   all that moves numbers: `model`, `optimizer`, `engine`, `state`, `trajectory`;
                `numerics` holds them to golden values
* `exchange/`   finished runs as small files for another machine
* `sweep/`      many runs at once: `jobs`, `forecast`; `local/` on this machine, `ray/` on clusters
* `evidence/`   from result files to judgement and pictures: `summary/` (final figures, jitter),
                `claims/` (`statements` and `mechanisms` say what each compares, `judge` with which
                verdict), `figures/` (`theme` has the colours), `page/`; `report` joins them
* `stages/`     one thin entry a DVC stage
* `commands/`   one file a command; `cli` names them and their options

`runtime` in params.yaml says how to run, never what: no key has it (`study/keys`) and no stage
tracks it (dvc.yaml), so a change there reruns nothing.

Below all of them: `paths` (where every file lies), `errors` (what is refused), `exits` (with which
code), `files` (written whole or not at all), `locks` (who writes), `machine` (cores and devices),
`text` (words for people) and `plain_json` (JSON read within bounds, and its hash).
"""

__version__ = "0.2.0"
