"""Generated bad input, judged: accepted rightly, or refused by a message that names what was wrong.

* `bounds`      runs one input under a guard: memory, seconds, files, processes, sockets
* `nonsense`    what any kind of input can be broken with
* `settings`, `images`, `stored`, `results`, `words`   the targets, by where input comes from
* `targets`     all of them by name
* `covered`     one target under atheris (guided by coverage), in a process of its own
* `__main__`    `python -m torture.fuzz TARGET ... --runs 10000`
"""
