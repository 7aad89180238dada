"""`python -m torture.audit`: known weaknesses of the pinned packages, by pip-audit.

Exit 0: all were looked up, and none has any. 1: some have. 2: not all could be looked up, which
says nothing about them.
"""

import json
import subprocess
import sys
from pathlib import Path

PINNED = Path(__file__).parents[1] / "constraints.txt"
COMMAND = ["-m", "pip_audit", "--requirement", str(PINNED), "--no-deps", "--disable-pip"]
SERVICES = ("pypi", "osv")
"""Of pip-audit; the second is asked where the first does not know the packages."""


def main() -> int:
    """Look up every pinned package."""
    for service in SERVICES:
        options = ["--vulnerability-service", service, "--format", "json", "--timeout", "15"]
        done = subprocess.run(
            [sys.executable, *COMMAND, *options], capture_output=True, text=True, check=False
        )
        found, missed = judge(done.stdout)
        if not missed:
            print("\n".join(found) or "no known weakness in any pinned package")
            return 1 if found else 0
        last = done.stderr.strip().splitlines()[-1:] if done.returncode else []
        print(f"{service}: {missed} {' '.join(last)[:200]}", file=sys.stderr)
    print(
        "not audited: the service could not be asked about every package, so nothing is known of "
        "them. Run make audit on a machine that reaches one of pip-audit's services",
        file=sys.stderr,
    )
    return 2


def judge(answer: str) -> tuple[list[str], str]:
    """What pip-audit's JSON says: weaknesses, and in words what was not looked up (empty: all)."""
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, TypeError, KeyError):
        return [], "no package was looked up"
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped or not packages:
        return [], f"{len(skipped)} of {len(packages)} packages were not looked up"
    found = [
        f"{package['name']} {package['version']}: {weakness['id']}, mended in "
        f"{', '.join(weakness['fix_versions']) or 'no version yet'}"
        for package in packages
        for weakness in package["vulns"]
    ]
    return found, ""


if __name__ == "__main__":
    sys.exit(main())
