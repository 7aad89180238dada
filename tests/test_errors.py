"""What holds for every error of ours."""

import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_type_hints

import pytest

import netstab
from netstab.errors import NetstabError, ParameterError
from netstab.evidence.claims.judgement import Verdict

SAMPLES: dict[Any, Any] = {
    int: 15,
    str: "params.yaml",
    list[str]: ["seeds: is empty; name one", "expB: is unknown"],
    Sequence[Mapping[str, Any]]: [{"epoch": 0}],
    Verdict: Verdict.MISSING_RUN,
}
"""An argument of each type that an error of ours takes; another type is added here."""


def errors() -> Iterator[type[BaseException]]:
    """Every class of errors that the package defines."""
    for module in pkgutil.walk_packages(netstab.__path__, "netstab."):
        if module.name == "netstab.__main__":
            continue
        try:
            found = vars(importlib.import_module(module.name))
        except ModuleNotFoundError as error:
            assert error.name and error.name.startswith("ray"), "only Ray may be missing"
            continue
        for thing in found.values():
            is_error = isinstance(thing, type) and issubclass(thing, BaseException)
            if is_error and thing.__module__ == module.name:
                yield thing


def made(error: type[BaseException]) -> BaseException:
    if not inspect.isfunction(error.__init__):
        return error("why it is refused")
    types = get_type_hints(error.__init__)
    return error(*(SAMPLES[kind] for name, kind in types.items() if name != "return"))


@pytest.fixture(scope="module")
def every() -> list[BaseException]:
    return [made(error) for error in errors()]


def test_an_error_from_another_process_keeps_its_kind_its_arguments_and_its_message(
    every: list[BaseException],
) -> None:
    assert {NetstabError, ParameterError} < {type(error) for error in every}
    for error in every:
        received = pickle.loads(pickle.dumps(error))
        assert type(received) is type(error)
        assert received.args == error.args
        assert vars(received) == vars(error)
        assert str(received) == str(error) != ""


def test_faults_of_parameters_are_listed_under_their_file() -> None:
    one, two = (ParameterError("a.yaml", ["x: is wrong"] * count) for count in (1, 2))
    assert str(one) == "a.yaml: 1 fault\n  x: is wrong"
    assert str(two) == "a.yaml: 2 faults\n  x: is wrong\n  x: is wrong"
