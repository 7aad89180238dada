"""Reading `params.yaml`: every fault found, each named by its key, before anything runs."""

import difflib
import re
import warnings
from collections.abc import Container, Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning
from ruamel.yaml.events import AliasEvent

from netstab.errors import ParameterError
from netstab.params.changes import SHAPES
from netstab.params.epochs import cyclical_faults, own_faults, reference_faults, time_faults
from netstab.params.interventions import ExpE
from netstab.params.models import Params, Timing
from netstab.params.networks import Model, last_side, model_faults, partition_faults

MOST_TEXT = 256 * 2**10
"""Characters of the file; the shipped one has some 8,000."""
DEEPEST = 100
"""Brackets in brackets: the parser's time grows with the square of their depth."""
MOST_UNKNOWN = 100
"""Unknown sections that are named one by one."""

NO_KEYS = ("[key]", "[rate]", *SHAPES)
"""Steps to a fault that are pydantic's own: that it is in a key, and which shape a change is."""
RESTORE = "restore it: git checkout -- params.yaml"

Kind = TypeVar("Kind", bound=BaseModel)


class _AliasError(Exception):
    """A value that is stated by reference to another one."""


class _NoAliases(Composer):
    """Refuses aliases: DVC writes what it sets in the one place into the other, or into neither."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            alias = self.parser.peek_event()
            raise _AliasError(
                f"line {alias.start_mark.line + 1}: an alias (*{alias.anchor}); write the value "
                "out, for dvc exp run -S would change it in both places"
            )
        return super().compose_node(parent, index)


def read(path: Path) -> Params:
    """Read and check `params.yaml`.

    Raises:
        ParameterError: with every fault found, each named by its key.
    """
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParameterError(source, [f"is missing; {RESTORE}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(source, [f"cannot be read ({error}); {RESTORE}"]) from error
    if len(text) > MOST_TEXT:
        raise ParameterError(source, [f"has more than {MOST_TEXT:,} characters; {RESTORE}"])
    if _deepest(text) > DEEPEST:
        fault = f"is not valid YAML: more than {DEEPEST} brackets in brackets"
        raise ParameterError(source, [fault])
    if re.search("^%", text, re.MULTILINE):
        # Versions and tags of YAML: the library stumbles over some, and none has a use here.
        raise ParameterError(source, ["has a line that begins with %; leave it out"])
    # Pure Python on purpose: the C parser does not refuse duplicate keys.
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _NoAliases
    try:
        with warnings.catch_warnings(action="error", category=YAMLWarning):
            content = yaml.load(text)
    except _AliasError as error:
        raise ParameterError(source, [str(error)]) from None
    except (YAMLError, MarkedYAMLError, YAMLWarning, ValueError, RecursionError) as error:
        raise ParameterError(source, [f"is not valid YAML: {_one_line(error)}"]) from error
    return check(content, source)


def _deepest(text: str) -> int:
    """How deep brackets lie in brackets at most, wherever in the text they stand."""
    return max(accumulate(1 if c in "[{" else -1 for c in text if c in "[]{}"), default=0)


def check(content: object, source: str = "params.yaml") -> Params:
    """Check the parsed content of `params.yaml`; see `read`."""
    if not isinstance(content, dict):
        raise ParameterError(source, ["is not a mapping of sections; restore it from git"])
    faults = [*_unknown(content)]
    sections: dict[str, Any] = {}
    # Each section by itself, so that a fault in one hides none between the others.
    for name, kind in get_type_hints(Params, include_extras=True).items():
        if name not in content:
            faults.append(f"{name}: is missing; add the section")
            continue
        try:
            sections[name] = TypeAdapter(kind).validate_python(content[name])
        except ValidationError as error:
            faults += _readable(name, error, kind)
    # What `train` says of time, and which network `model` names, whatever else they say.
    timing = _partly(Timing, content.get("train"), Timing.model_fields)
    network = _partly(Model, content.get("model"), ("name", "parts"))
    faults += _cross_checks(sections, timing, network)
    if faults:
        raise ParameterError(source, faults)
    return Params.model_construct(**sections)


def _partly(kind: type[Kind], section: object, keys: Container[str]) -> Kind | None:
    """What a section says by some of its keys: a fault in the others hides none elsewhere."""
    if not isinstance(section, dict):
        return None
    try:
        return kind.model_validate({k: v for k, v in section.items() if k in keys})
    except ValidationError:
        return None


def _unknown(content: dict[Any, Any]) -> Iterator[str]:
    unknown = [str(key) for key in content if key not in Params.model_fields]
    for key in islice(unknown, MOST_UNKNOWN):
        yield f"{key}: is not a section{_did_you_mean(key, Params.model_fields)}"
    if len(unknown) > MOST_UNKNOWN:
        yield f"{len(unknown) - MOST_UNKNOWN} more are no sections either"


def _did_you_mean(key: str, known: Any) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known) or 'none'}"


def _readable(section: str, error: ValidationError, model: Any) -> Iterator[str]:
    """One line a fault in place of pydantic's paragraphs."""
    for fault in error.errors(include_url=False):
        steps = [*map(str, fault["loc"])]
        location = [step for step in steps if step not in NO_KEYS]
        if fault["type"] == "extra_forbidden":
            location = [*(step for step in steps[:-1] if step not in NO_KEYS), steps[-1]]
        key = ".".join([section, *location])
        if fault["type"] == "extra_forbidden":
            within = next((SHAPES[step] for step in steps if step in SHAPES), model)
            known = [field.alias or name for name, field in within.model_fields.items()]
            yield f"{key}: is not a parameter{_did_you_mean(location[-1], known)}"
        elif fault["type"] == "missing":
            yield f"{key}: is missing; add it"
        elif "[key]" in steps and fault["type"] == "string_type":
            yield f"{key}: put the key in quotes: '{fault['input']}'"
        else:
            if fault["input"] is None and (none := _none(section, location)):
                yield f"{key}: is empty; write {none} for none"
                continue
            said = re.sub("^(Value error,|Input|String) ", "", fault["msg"])
            said = said.replace("valid tuple", "list")
            said = re.sub("valid dictionary( or instance of .*)?", "mapping", said)
            hint = ""
            if fault["type"] == "tuple_type" and isinstance(fault["input"], str | int | float):
                hint = f"; write [{_short(fault['input'])}]"
            yield f"{key}: {said[0].lower()}{said[1:]} (found {_short(fault['input'])}){hint}"


def _none(section: str, location: list[str]) -> str | None:
    """How none is written where an empty value would be none to a reader, but not to DVC."""
    if section == "own" or (section == "expE" and not location):
        return "{}"
    return "[]" if (section, *location) in (("experiments",), ("expF", "shapes")) else None


def _short(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int of thousands of digits
        return "a number out of all bounds"
    except RecursionError:
        return "lists or mappings in each other without end"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _cross_checks(
    sections: dict[str, Any], timing: Timing | None, network: Model | None
) -> Iterator[str]:
    """What no section can tell by itself; skipped where a section needed has faults."""
    seeds = sections.get("seeds", (0,))
    if not seeds:
        yield "seeds: name no seed; add one"
    if len(set(seeds)) < len(seeds):
        yield "seeds: name a seed twice; remove one"
    experiments = sections.get("experiments", ())
    if len(set(experiments)) < len(experiments):
        yield "experiments: name an experiment twice; remove one"
    model, data = sections.get("model"), sections.get("data")
    if model:
        yield from model_faults(model, data.image_size if data else None)
    if "blocks" in sections and network:
        yield from partition_faults(sections["blocks"], network)
    ceiling = sections.get("ceiling")
    if ceiling and (len(ceiling.seeds) not in (0, 2) or len(set(ceiling.seeds)) == 1):
        yield "ceiling.seeds: name two different seeds, or none ([])"
    if data and data.sha256 and not data.source:
        yield "data.sha256: needs data.source; the official archive's hash is built in"
    if data and model and model.has_batch_norm and last_side(data.image_size, model) == 1:
        yield from _batch_norm_faults(data.image_size, sections)
    if timing:
        yield from time_faults(timing, sections)
    for name in ("baseline", "outpost"):
        if name in sections:
            yield from reference_faults(name, sections[name], timing)
    if "expF" in sections:
        yield from cyclical_faults(sections["expF"], timing)
    if "own" in sections:
        yield from own_faults(sections["own"], sections.get("blocks"), timing)


def _batch_norm_faults(image_size: int, sections: dict[str, Any]) -> Iterator[str]:
    """What leaves a channel of the last layer a single value, where it sees a single pixel."""
    views = sections.get("expE", ExpE()).views
    counts = {
        f"expE.{name}.batch_norm_images": view.batch_norm_images for name, view in views.items()
    }
    if train := sections.get("train"):
        counts = {"train.batch_size": train.batch_size} | counts
    for key, count in counts.items():
        if count == 1:
            yield (
                f"{key}: 1 is too few: the last layer sees one pixel of an image of size "
                f"{image_size}, and batch norm needs two values a channel; raise it to 2, or "
                "data.image_size"
            )


def _one_line(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())
