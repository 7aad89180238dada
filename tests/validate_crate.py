"""Validate a crate by roc-validator without a network; run by an environment that has it.

    python tests/validate_crate.py CRATE CONTEXT [SEVERITY]

The validator brings the profiles, and wants the JSON-LD context of RO-Crate 1.1 from the network.
CONTEXT is that of a later version, as `rocrate` has it in its package: what is used here has the
same IRIs in it, but for four terms, which are set to those of 1.1.
"""

import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from rocrate_validator import models, services
from urllib3 import HTTPResponse

URL = "https://w3id.org/ro/crate/1.1/context"
BIOSCHEMAS = "https://bioschemas.org/"
TERMS = {
    "ComputationalWorkflow": f"{BIOSCHEMAS}ComputationalWorkflow",
    "FormalParameter": f"{BIOSCHEMAS}FormalParameter",
    "input": f"{BIOSCHEMAS}ComputationalWorkflow#input",
    "output": f"{BIOSCHEMAS}ComputationalWorkflow#output",
}


class Canned(HTTPAdapter):
    """Answers every request alike."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        """The answer."""
        headers = {"Content-Type": "application/ld+json"}
        body = io.BytesIO(self.body)
        raw = HTTPResponse(body, headers=headers, status=200, preload_content=False)
        return self.build_response(request, raw)


def keep_context(context: Path, cache: str) -> None:
    """Put the context into the validator's cache of what it fetches."""
    content = json.loads(context.read_text(encoding="utf-8"))
    content["@context"] |= TERMS
    session = CachedSession(cache_name=cache, backend="sqlite")
    session.mount("https://", Canned(json.dumps(content).encode()))
    session.get(URL)


def main(crate: str, context: str, severity: str = "REQUIRED") -> int:
    """Print every issue; the number of them."""
    with tempfile.TemporaryDirectory() as folder:
        cache = str(Path(folder) / "cache")
        keep_context(Path(context), cache)
        settings = services.ValidationSettings(
            rocrate_uri=models.URI(crate),
            profile_identifier="workflow-run-crate",
            requirement_severity=models.Severity[severity],
            cache_path=Path(cache),
            offline=True,
        )
        issues = services.validate(settings).get_issues(models.Severity[severity])
    for issue in issues:
        print(f"{issue.severity.name}: {issue.check.identifier}: {issue.message}")
    return len(issues)


if __name__ == "__main__":
    sys.exit(min(1, main(*sys.argv[1:])))
