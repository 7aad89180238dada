"""Stage `settings`: what all runs share, for their stages to depend on as one small file."""

from netstab import params, paths
from netstab.data.manifest import read_manifest
from netstab.exits import exit_codes
from netstab.locks import results_lock
from netstab.results.write import write_json
from netstab.store.settings import settings


def main() -> None:
    """Write metrics/settings.json: versions of the numerics, images, and shared sections."""
    with exit_codes():
        content = settings(params.read(paths.PARAMS), read_manifest())
        with results_lock("settings"):
            write_json(paths.SETTINGS, content)


if __name__ == "__main__":
    main()
