"""Pickles of plain values and integer arrays, read with no power to execute anything."""

import pickle
import re
import struct
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netstab.errors import DataError

INTEGERS = re.compile(r"[iu][1248]")

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


class _Inert:
    """Stands for a name in a pickle: it takes values and does nothing.

    Every stand-in has `__setstate__`, since without it a pickle could set its attributes.
    """

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it sets the state of something other than an array")


class _NdArray(_Inert):
    """`numpy.ndarray`, which pickles name and never call."""

    __slots__ = ()

    def __init__(self) -> None:
        raise pickle.UnpicklingError("it calls numpy.ndarray")


class _Latin1(_Inert):
    """`_codecs.encode(text, 'latin1')`: how protocol 2 spells bytes."""

    __slots__ = ()

    def __new__(cls, text: str, encoding: str) -> bytes:  # type: ignore[misc]
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"it encodes as {encoding!a}")
        return text.encode("latin1")


class _DType(_Inert):
    """`numpy.dtype('u1', ...)` and its state, of which only the byte order matters."""

    __slots__ = ("dtype",)

    def __init__(self, code: str | bytes, *_flags: object) -> None:
        text = _text(code)
        if not INTEGERS.fullmatch(text):
            raise pickle.UnpicklingError(f"it holds an array of type {text!a}, not of integers")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order = _text(state[1])
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"it has byte order {order!a}")
        self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class _Array(_Inert):
    """`_reconstruct(...)`, filled by its state: (version, shape, dtype, Fortran order, bytes)."""

    __slots__ = ("array",)

    def __init__(self, *_arguments: object) -> None:
        self.array: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        shape, dtype, fortran, content = state[-4:]
        self.array = _array(content, dtype, shape, "F" if fortran else "C")


class _FromBuffer(_Inert):
    """`_frombuffer(bytes, dtype, shape, order)`: how protocol 5 spells an array."""

    __slots__ = ()

    def __new__(cls, content: Any, dtype: Any, shape: Any, order: Any) -> _Array:  # type: ignore[misc]
        array = _Array()
        array.array = _array(content, dtype, shape, order)
        return array


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _DType):
        raise pickle.UnpicklingError("it holds an array of objects")
    if order not in ("C", "F"):
        raise pickle.UnpicklingError(f"it holds an array in order {order!a}")
    return np.frombuffer(content, dtype.dtype).reshape(tuple(shape), order=order)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, str):
        raise pickle.UnpicklingError(f"it has a {type(value).__name__} where text belongs")
    return value


STAND_INS: dict[tuple[str, str], type] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _FromBuffer,
    ("numpy._core.numeric", "_frombuffer"): _FromBuffer,
    ("numpy", "ndarray"): _NdArray,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _Latin1,
}
"""All names that a pickle may use; none of them is numpy's own code."""


# In Python on purpose: the C unpickler allocates what a five-byte memo index claims.
class _ArraysOnly(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return STAND_INS[module, name]


def load(content: bytes, name: str) -> dict[str, Any]:
    """Read a pickled dictionary of plain values and integer arrays.

    Keys that Python 2 wrote as bytes become text. Arrays are read-only.

    Args:
        content: the pickle.
        name: what errors call it.

    Raises:
        DataError: it names anything but arrays, is damaged, or is not a dictionary.
    """
    try:
        value = _ArraysOnly(BytesIO(content), encoding="bytes").load()
        if not isinstance(value, dict):
            raise pickle.UnpicklingError(f"it holds a {type(value).__name__}, not a dictionary")
        return {_text(key): _plain(item) for key, item in value.items()}
    except DAMAGE as error:
        raise DataError(
            f"{name}: is no pickle of arrays alone, or is damaged "
            f"({type(error).__name__}: {str(error)[:200]!a}). "
            "Use the official archive or one from a source that you trust."
        ) from error


def _plain(value: object) -> object:
    return value.array if isinstance(value, _Array) else value
