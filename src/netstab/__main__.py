"""`python -m netstab`: the command line, as `netstab` starts it."""

from netstab.cli import app

if __name__ == "__main__":
    app(prog_name="netstab")
