"""Code appended to a checkout's `training/trajectory.py`, which every process that trains imports.

It logs what its process does, and can stop it before an epoch.
"""

SPY = """

# --- added by tests/spy.py ---
def _spied():
    import hashlib, json, os, pathlib, time

    path, gate = os.environ.get("SPY_LOG"), os.environ.get("SPY_GATE")
    if not path:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def log(doing, begins, **more):
        row = {"t": time.monotonic(), "pid": os.getpid(), "doing": doing, "begins": begins}
        os.write(file, (json.dumps(row | more) + "\\n").encode())

    def spy(owner, name, doing, more=lambda *_, **__: {}):
        done = getattr(owner, name)

        def spied(*arguments, **named):
            details = more(*arguments, **named)
            log(doing, True, **details)
            result = done(*arguments, **named)
            log(doing, False, **details)
            return result

        setattr(owner, name, spied)

    def state(segment, epoch):
        return {"run": segment._run.name, "key": segment._ledger.key(segment._run, epoch)}

    def epoch(engine, phase, training, validation, seed, number, *_):
        start = hashlib.sha256()
        for tensor in engine.model.state_dict().values():
            start.update(tensor.cpu().numpy().tobytes())
        now = {"seed": seed, "epoch": number, "start": start.hexdigest()}
        return now | {"settings": phase.settings}

    def stopped(epoch_of):
        def epoch(engine, phase, training, validation, seed, number, *more):
            for _ in range(30_000):  # ten minutes: a test that was killed leaves no trainer behind
                if not gate or not pathlib.Path(f"{gate}-{number}").exists():
                    break
                time.sleep(0.02)
            return epoch_of(engine, phase, training, validation, seed, number, *more)

        return epoch

    from netstab.store import finished
    from netstab.training import observer
    from netstab.training.engine import Engine
    Engine.epoch = stopped(Engine.epoch)
    spy(Engine, "epoch", "epoch", epoch)
    spy(_Segment, "_epoch", "training", lambda self, number: state(self, number + 1))
    spy(_Segment, "_save", "saving", lambda self, number, *, interim: state(self, number))
    spy(observer.Observer, "_sharpness", "measuring")
    spy(observer.Observer, "_signals", "measuring")
    spy(finished, "write", "collecting")
    log("loading", True)


_spied()
"""
"""A row of the log is JSON: `t` (CLOCK_MONOTONIC, s), `pid`, `doing`, `begins`, and more of it.

`doing` is one of

* loading: the module; it only begins
* epoch: an epoch of the engine, also to measure a state of the past, with seed, epoch, settings and
  the digest of the weights at its start; it stops before that while a file `GATE-EPOCH` is there
* training: an epoch of a run, with the key of the state that it leads to
* saving: a state, by its key
* measuring: stability or sharpness
* collecting: writing the files of a run
"""
