"""Secrets from the environment and from a folder: sound stores that need no service.

For tests of pipelines, and as examples for authors of stores; the kit's own suite is tried on them.
"""

from __future__ import annotations

import os
import select
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from odibi.contracts.options import option
from odibi.contracts.secret import Secret
from odibi.errors import AccessDenied, InvalidPath, NotFound, StorageError, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_NAME = 255
"""Bytes; no file system that is in use takes longer names of files."""

_PIECE = 1 << 16


def _not_negative(_: object, __: object, value: float) -> None:
    if value < 0:
        raise ValueError("must not be negative")


@attrs.define(eq=False)
class EnvironmentSecrets:
    """Each secret is an environment variable; its value is looked up when it is asked for."""

    prefix: str = option("", help="What the variables' names begin with, before the secret's own name.")

    def get(self, name: str) -> Secret:
        """The variable's value.

        Raises:
            NotFound: it is not set.
        """
        try:
            value = os.environ.get(self.prefix + name) if name else None
        except ValueError:  # a name that the system cannot have, such as one with a lone surrogate
            value = None
        if value is None:
            raise NotFound(
                f"the environment has no secret {name!r}",
                remedy=f"Set the variable {self.prefix + name!r} before the run.",
            )
        return Secret(value)

    def close(self) -> None:
        """Nothing is held."""


@attrs.define(eq=False)
class FolderSecrets:
    """Each secret is a file in a folder, as containers are given them; its content is the value, in UTF-8.

    A link is followed while it stays in the folder. A named pipe is read until its writer closes it.
    """

    folder: str = option(help="Where the files are.", is_path=True)
    timeout: float = option(5.0, help="Seconds to wait for the writer of a named pipe.", validator=_not_negative)

    def get(self, name: str) -> Secret:
        """The file's content, to the byte.

        Raises:
            NotFound: there is no such file.
            InvalidPath: the name leads out of the folder, or is not one that a file can have.
            AccessDenied: the file may not be read, or is a link that leads out of the folder.
            Transient: a named pipe whose writer does not come, or does not end.
            StorageError: the content is not UTF-8, or cannot be read.
        """
        file = Path(self.folder, self._checked(name))
        try:
            # os.path.realpath, since Path.resolve raises for links that go in a circle.
            if not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(self.folder)):
                raise AccessDenied(f"the secret {name!r} is a link that leads out of the folder", where=self.folder)
            data = self._content(file, name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound(f"there is no secret {name!r}", where=self.folder) from None
        except PermissionError:
            raise AccessDenied(f"the secret {name!r} may not be read", where=self.folder) from None
        except OSError as error:
            raise StorageError(f"the secret {name!r} cannot be read: {error.strerror}", where=self.folder) from None
        text = _text(data)
        if text is None:
            raise StorageError(f"the secret {name!r} is not text in UTF-8", where=self.folder)
        return Secret(text)

    def close(self) -> None:
        """Nothing is held."""

    def _checked(self, name: str) -> str:
        if not name or "\0" in name or "\\" in name or name.startswith("/"):
            raise InvalidPath(f"{name!r} cannot be the name of a secret", where=self.folder)
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise InvalidPath(f"the name {name!r} leads elsewhere", where=self.folder)
        try:
            parts = [part.encode() for part in name.split("/")]
        except UnicodeEncodeError:
            raise InvalidPath(f"{name!r} cannot be the name of a file", where=self.folder) from None
        if max(map(len, parts)) > LONGEST_NAME:
            short = f"{name[:40]}..."
            raise NotFound(f"there is no secret {short!r}, and a file's name cannot be that long", where=self.folder)
        return name

    def _content(self, file: Path, name: str) -> bytes:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        opened = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            if stat.S_ISFIFO(os.fstat(opened).st_mode):
                return b"".join(self._from_pipe(opened, name))
            return b"".join(iter(lambda: os.read(opened, _PIECE), b""))
        finally:
            os.close(opened)

    def _from_pipe(self, opened: int, name: str) -> Iterator[bytes]:
        until = time.monotonic() + self.timeout
        while True:
            ready, _, _ = select.select([opened], [], [], max(0.0, until - time.monotonic()))
            piece = os.read(opened, _PIECE) if ready else b""
            if piece:
                yield piece
            elif ready:
                return
            else:
                raise Transient(f"nobody gave the secret {name!r} within {self.timeout:g} s", where=self.folder)


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:  # its words quote the content, so they are not passed on
        return None
