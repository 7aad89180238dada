"""An encoded image as a viewer shows it."""

import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose

from netstab.errors import DataError

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP")
"""No others, for Pillow hands some (EPS) to outside programs."""
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
"""Pillow's modes of 8 bits a channel: converting deeper ones would clip."""
ORIENTATION = 0x0112
"""The entry of EXIF that says how the camera was held."""
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    LookupError,
    NotImplementedError,
    TypeError,
    EOFError,
    struct.error,
    zlib.error,
)
"""What Pillow's readers raise on damaged images."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image as a viewer shows it.

    Attributes:
        pixels: uint8 [H, W, 3].
        turned: whether its EXIF orientation says that it is stored turned or mirrored.
        see_through: whether a part of it is transparent, and drawn over white.
    """

    pixels: NDArray[np.uint8]
    turned: bool
    see_through: bool


def decode(content: bytes, where: str, size: int) -> Picture:
    """Decode a square image.

    Args:
        content: of the file.
        where: what errors call it.
        size: height and width in pixels that it must have.

    Raises:
        DataError: it is damaged, of another size, deeper than 8 bits, or transparent all over.
    """
    try:
        # What matters in Pillow's warnings is refused below, with the file's name.
        with warnings.catch_warnings(action="ignore"):
            image = Image.open(BytesIO(content), formats=FORMATS)
            if image.size == (size, size) and image.mode in MODES:
                return _as_seen(image, where)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{where}: cannot be decoded: it is none of {', '.join(FORMATS)}. "
            "Replace or remove the image."
        ) from error
    except (Image.DecompressionBombError, *DAMAGE) as error:
        raise DataError(
            f"{where}: cannot be decoded ({error}). Replace or remove the image."
        ) from error
    if image.mode not in MODES:
        raise DataError(
            f"{where}: has pixels of mode {image.mode}. Store it with 8 bits a channel."
        )
    raise DataError(
        f"{where}: is {image.width} x {image.height} pixels, data.image_size is {size}. "
        "Scale the images or correct data.image_size."
    )


def _as_seen(image: Image.Image, where: str) -> Picture:
    image.load()
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    see_through = False
    seen: Image.Image = image
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        seen = image.convert("RGBA")
        opacity = np.asarray(seen.getchannel("A"))
        if not opacity.any():
            raise DataError(
                f"{where}: is transparent all over. Store it without its alpha channel, or "
                "remove the image."
            )
        see_through = bool((opacity < 255).any())
        if see_through:
            seen = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
    seen = seen.convert("RGB")
    pixels = np.asarray(seen if turn is None else seen.transpose(turn))
    return Picture(pixels, turn is not None, see_through)
