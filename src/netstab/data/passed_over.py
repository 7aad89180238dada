"""What a source holds beside its images: counted and named, and refused where it may be images."""

import re
from pathlib import Path

from netstab.errors import DataError

NAMED = 3
"""Names that are told; of more files only how many there are."""

LITTER = re.compile(
    r"\._.*|\.DS_Store|\.localized|\.Spotlight-V100|\.Trashes|\.fseventsd|__MACOSX|"
    r"Thumbs\.db|ehthumbs\.db|desktop\.ini",
    re.IGNORECASE,
)
"""What operating systems leave behind, which nobody misses."""
MAY_HOLD_IMAGES = re.compile(
    r".*\.(?:avif|bmp|gif|heic|heif|ico|jfif|jp2|jpe|jpe?g|p[bgnp]m|png|svg|tga|tiff?|webp|"
    r"npy|npz|pkl|pickle|mat|h5|hdf5|parquet|arrow|tfrecord|bin|"
    r"zip|7z|rar|tar|tgz|txz|tbz2?|gz|bz2|xz|zst)"
    r"|(?:data|train|test|val|dev|extra|unlabel)[^.]*|[^.]*batch[^.]*",
    re.IGNORECASE,
)
"""Names of files that hold pixels, arrays or other files, or that are like the official ones'."""


class PassedOver:
    """Gathers the names of files that no layout has a place for.

    Attributes:
        count: how many there are.
        names: the first few.
        images: the first few that may hold images.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.count = 0
        self.names: list[str] = []
        self.images: list[str] = []
        self._hidden = ""

    def add(self, name: str) -> None:
        """Count a file, or what is hidden (whose name has a dot in front) as one."""
        parts = name.split("/")
        hidden = next((at for at, part in enumerate(parts) if part.startswith(".")), None)
        if hidden is not None:
            name = "/".join(parts[: hidden + 1])
            if name == self._hidden:
                return
            self._hidden = name
        elif MAY_HOLD_IMAGES.fullmatch(parts[-1]) and len(self.images) <= NAMED:
            self.images.append(name)
        self.count += 1
        if len(self.names) <= NAMED:
            self.names.append(name)

    def refuse_images(self) -> None:
        """Refuse a source of which images would be left out without a word.

        Raises:
            DataError: a file may hold images.
        """
        if self.images:
            raise DataError(
                f"{self.source}: {_few(self.images)} would be passed over, and may hold images. "
                "Move or rename: images belong into train/<class>/ and test/<class>/, or into the "
                "official files, data_batch_1 to data_batch_5 and test_batch (train and test)."
            )

    def __str__(self) -> str:
        """Such as `passed over: 2 (LICENSE, README.md)`; empty where there is nothing."""
        return f"passed over: {self.count:,} ({_few(self.names)})" if self.count else ""


def _few(names: list[str]) -> str:
    return ", ".join([*names[:NAMED], *(["..."] if len(names) > NAMED else [])])
