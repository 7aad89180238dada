"""What is added to the sources of a checkout that is tortured: a log of what its processes do."""

SPY = """

# --- added by torture/spy.py: what this process does, and when (CLOCK_MONOTONIC) ---
def _spied():
    import json, os, time

    path = os.environ.get("TORTURE_LOG")
    if not path:
        return
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(doing, begins, **more):
        row = {"t": time.monotonic(), "pid": os.getpid(), "doing": doing, "begins": begins}
        os.write(file, (json.dumps(row | more) + "\\n").encode())

    def spy(owner, name, doing, told=lambda *_, **__: {}):
        done = getattr(owner, name)

        def spied(*arguments, **named):
            more = told(*arguments, **named)
            say(doing, True, **more)
            result = done(*arguments, **named)
            say(doing, False, **more)
            return result

        setattr(owner, name, spied)

    def epoch(self, number, aboard):
        return {"run": self._run.name, "key": self._ledger.key(self._run, number + 1)}

    def save(self, number, aboard, *, interim):
        return {"run": self._run.name, "key": self._ledger.key(self._run, number)}

    from netstab.store import finished
    from netstab.training import observer
    spy(_Segment, "_epoch", "training", epoch)
    spy(_Segment, "_save", "saving", save)
    spy(observer.Observer, "_sharpness", "measuring")
    spy(observer.Observer, "_signals", "measuring")
    spy(finished, "write", "collecting")
    say("loading", True)


_spied()
"""
"""Behind `training/trajectory.py`, which every process that trains imports."""
