"""Pickles of plain values and arrays of numbers, read with no power to execute anything."""

import pickle
import re
import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netstab.errors import DataError

NUMBERS = re.compile(r"b1|[iu][1248]|f[248]")
TEXT = re.compile(r"[SU][0-9]{1,6}")
"""Of numpy's scalars alone: what an array of text holds can be many times its size."""
OWN = (
    "A pickle of your own may hold text, numbers and numpy arrays of numbers: "
    '{"data": np.asarray(data, np.uint8), "labels": [int(label) for label in labels]}.'
)
MOST_STEPS = 2_000_000
"""Instructions in a pickle: each may make an object of many times its own size. An official batch
has some 300,000 at most."""

MOST_DIMENSIONS = 8
"""Of an array."""
LONGEST_NAME = 1000
"""Characters of a key."""

DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""What the unpickler raises on nonsense."""


class _DType:
    """`numpy.dtype('u1', ...)` and its state, of which only the byte order matters."""

    def __init__(self, code: str | bytes, *_flags: object) -> None:
        text = _text(code)
        if not (NUMBERS.fullmatch(text) or TEXT.fullmatch(text)):
            raise _not_numbers(text)
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order = _text(state[1])
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"it has byte order {order!a}")
        self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class _Array:
    """`_reconstruct(...)`, filled by its state: (version, shape, dtype, Fortran order, bytes)."""

    def __init__(self, *_arguments: object) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        shape, dtype, fortran, content = state[-4:]
        self.array = _array(content, dtype, shape, "F" if fortran else "C")


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    """`_frombuffer(bytes, dtype, shape, order)`: how protocol 5 spells an array."""
    found = _Array()
    found.array = _array(content, dtype, shape, order)
    return found


def _scalar(dtype: Any, content: Any) -> Any:
    """`scalar(dtype, bytes)`: one of numpy's own numbers or texts, as Python's."""
    if not isinstance(content, bytes) or not isinstance(dtype, _DType):
        raise pickle.UnpicklingError("it holds a number of no type")
    return np.frombuffer(content, dtype.dtype).item()


def _not_numbers(code: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"it holds an array of type {code!a}, not of numbers")


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _DType):
        raise pickle.UnpicklingError("it holds an array of objects")
    if dtype.dtype.kind in "SU":
        raise _not_numbers(dtype.dtype.str[1:])
    if order not in ("C", "F"):
        raise pickle.UnpicklingError(f"it holds an array in order {order!a}")
    if not isinstance(shape, tuple) or len(shape) > MOST_DIMENSIONS:
        raise pickle.UnpicklingError("it holds an array whose shape is none")
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


def _text(value: object) -> str:
    if not isinstance(value, str | bytes):
        raise pickle.UnpicklingError(f"it has a {type(value).__name__} where text belongs")
    if len(value) > LONGEST_NAME:
        raise pickle.UnpicklingError("it has a name that is longer than any")
    return value.decode("latin1") if isinstance(value, bytes) else value


STAND_INS: dict[tuple[str, str], Callable[..., Any] | None] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): None,  # pickles name it, and never call it
    ("numpy", "dtype"): _DType,
}
"""With `_codecs.encode` all names that a pickle may use; none of them is numpy's own code."""


Step = Callable[[Any], None]


class _Steps(dict[int, Step]):
    """The instructions of a pickle, so many of them at most."""

    def __init__(self, steps: Mapping[int, Step]) -> None:
        super().__init__(steps)
        self.left = MOST_STEPS

    def __getitem__(self, code: int) -> Step:
        self.left -= 1
        if self.left < 0:
            raise pickle.UnpicklingError(f"it has more than {MOST_STEPS:,} instructions")
        return super().__getitem__(code)


# In Python on purpose: the C unpickler allocates what a five-byte memo index claims.
class _ArraysOnly(pickle._Unpickler):
    def __init__(self, content: bytes) -> None:
        super().__init__(BytesIO(content), encoding="bytes")
        self.dispatch = _Steps(STEPS)  # type: ignore[misc]
        self._left = len(content)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return self._encode
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it names {module[:80]}.{name[:80]}")
        return STAND_INS[module, name]

    def _encode(self, text: str, encoding: str) -> bytes:
        """`_codecs.encode(text, 'latin1')`: how protocol 2 spells bytes.

        A text that is encoded over and over costs the pickle a few bytes each time, and memory its
        whole length: all of them together are allowed what the pickle itself is long.
        """
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"it encodes as {encoding!a}")
        self._left -= len(text)
        if self._left < 0:
            raise pickle.UnpicklingError("it encodes a text again and again")
        return text.encode("latin1")


def _build(unpickler: Any) -> None:
    """Fills arrays and their types, where Python's own step sets attributes of anything."""
    state = unpickler.stack.pop()
    filled = unpickler.stack[-1]
    if not isinstance(filled, _Array | _DType):
        raise pickle.UnpicklingError("it sets the state of something other than an array")
    filled.__setstate__(state)


def _bytearray(unpickler: Any) -> None:
    """Bytes that are there, where Python's own step makes room for as many as are claimed."""
    (size,) = struct.unpack("<Q", unpickler.read(8))
    content = unpickler.read(size)
    if len(content) < size:
        raise EOFError("it ends within bytes")
    unpickler.append(bytearray(content))


def _with_plain_keys(code: bytes, keys: slice) -> Step:
    """An instruction that fills a dictionary from the stack, where `keys` lie on it.

    To hash tuples in tuples in tuples would overflow the interpreter's stack.
    """
    step: Step = pickle._Unpickler.dispatch[code[0]]

    def checked(unpickler: Any) -> None:
        if not all(isinstance(key, str | bytes | int) for key in unpickler.stack[keys]):
            raise pickle.UnpicklingError("it has a key that is neither text nor a number")
        step(unpickler)

    return checked


UNUSED = (
    *(pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET, pickle.PERSID, pickle.BINPERSID),
    *(pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.INST, pickle.OBJ, pickle.NEWOBJ),
    *(pickle.NEWOBJ_EX, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER),
)
"""Instructions that no pickle of plain values and arrays needs."""

STEPS: dict[int, Step] = {
    **{code: s for code, s in pickle._Unpickler.dispatch.items() if bytes([code]) not in UNUSED},
    pickle.BUILD[0]: _build,
    pickle.BYTEARRAY8[0]: _bytearray,
    pickle.SETITEM[0]: _with_plain_keys(pickle.SETITEM, slice(-2, -1)),
    pickle.SETITEMS[0]: _with_plain_keys(pickle.SETITEMS, slice(0, None, 2)),
    pickle.DICT[0]: _with_plain_keys(pickle.DICT, slice(0, None, 2)),
}


def load(content: bytes, name: str) -> dict[str, Any]:
    """Read a pickled dictionary of plain values and arrays of numbers.

    Keys that Python 2 wrote as bytes become text, numpy's scalars Python's. Arrays are read-only.

    Args:
        content: the pickle.
        name: what errors call it.

    Raises:
        DataError: it names anything but arrays, is damaged, or is not a dictionary.
    """
    try:
        value = _ArraysOnly(content).load()
        if not isinstance(value, dict):
            raise pickle.UnpicklingError(f"it holds a {type(value).__name__}, not a dictionary")
        return {_text(key): _plain(item) for key, item in value.items()}
    except DAMAGE as error:
        raise DataError(
            f"{name}: is no pickle of arrays alone, or is damaged "
            f"({type(error).__name__}: {str(error)[:200]!a}). "
            f"Use the official archive or one from a source that you trust. {OWN}"
        ) from error


def dump(content: object) -> bytes:
    """A pickle of plain values and arrays, in the official files' protocol: what `load` reads."""
    return pickle.dumps(content, protocol=2)


def _plain(value: object) -> object:
    return value.array if isinstance(value, _Array) else value
