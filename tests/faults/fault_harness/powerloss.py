"""What may be left of the files when the power fails.

POSIX promises little: what was written to a file is safe once ``fsync`` of the file returned, and a name in a folder
once ``fsync`` of the folder did. Of everything else any part may be there or not. :class:`Disk` follows a trace by
these rules, and gives the states that the disk may then be in. File systems promise more (ext4 in its default mode
keeps the order in which names change, and makes a new file's name safe with its content), so that some of these states
are rarer than others; none is ruled out by what a program may rely on.

In one thing the states are milder than the rules: a rename is there as a whole or not at all.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

import attrs

from fault_harness.shim import SYNCING, WRITING, Call

_EXCHANGE: Final = 2  # RENAME_EXCHANGE
_KEEP_SIZE: Final = 1  # FALLOC_FL_KEEP_SIZE

Tree = Mapping[str, "bytes | None"]
"""Relative path to content; ``None`` of a folder."""


class Unknown(Exception):
    """The trace says something that the model of a disk does not know."""


@attrs.define(eq=False)
class File:
    """A file, whatever its names.

    Attributes:
        data: as a reader finds it.
        safe: what a power cut cannot take.
        pending: writes ``(offset, bytes)`` and truncations ``(length, None)`` since then.
    """

    data: bytearray = attrs.field(factory=bytearray)
    safe: bytes = b""
    pending: list[tuple[int, bytes | None]] = attrs.field(factory=list)

    def do(self, offset: int, data: bytes | None) -> None:
        """Write, or truncate."""
        _do(self.data, offset, data)
        self.pending.append((offset, data))

    def sync(self) -> None:
        """Make all that was written safe."""
        self.safe = bytes(self.data)
        self.pending.clear()

    def after_power_loss(self, chance: random.Random) -> bytes:
        """One state that it may be in: each write there, missing, or torn."""
        data = bytearray(self.safe)
        for offset, written in self.pending:
            fate = chance.random()
            if fate < 0.4:
                _do(data, offset, written)
            elif fate < 0.7 and written:
                _do(data, offset, written[: chance.randrange(len(written))])
        return bytes(data)


def _do(data: bytearray, offset: int, written: bytes | None) -> None:
    if written is None:
        del data[offset:]
        data.extend(bytes(offset - len(data)))
    else:
        data.extend(bytes(max(0, offset - len(data))))
        data[offset : offset + len(written)] = written


@attrs.define(eq=False)
class Folder:
    """A folder, whatever its name."""

    names: dict[str, Node] = attrs.field(factory=dict)
    safe: dict[str, Node] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Link:
    """A symbolic link."""

    target: str


Node = File | Folder | Link


@attrs.frozen(eq=False)
class Change:
    """One change of names, that is there as a whole or not: what each name is then, or ``None``."""

    names: tuple[tuple[Folder, str, Node | None], ...]


class Disk:
    """The files below a folder, and which of them would survive.

    Args:
        root: the folder; what is in it now is safe.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._files: dict[int, File] = {}
        self._folder = self._scan(Path(self._root))
        self._pending: list[Change] = []

    def _scan(self, path: Path) -> Folder:
        folder = Folder()
        for entry in os.scandir(path):
            if entry.is_symlink():
                folder.names[entry.name] = Link(os.readlink(entry.path))
            elif entry.is_dir():
                folder.names[entry.name] = self._scan(Path(entry.path))
            else:
                content = Path(entry.path).read_bytes()
                file = self._files.setdefault(entry.inode(), File(bytearray(content), content))
                folder.names[entry.name] = file
        folder.safe = dict(folder.names)
        return folder

    def follow(self, calls: Iterable[Call]) -> Disk:
        """Do what the calls did; returns itself.

        Raises:
            Unknown: one of them does something that the model does not know.
        """
        for call in calls:
            if call.result >= 0:
                self._follow(call)
        return self

    def _follow(self, call: Call) -> None:
        if call.op in WRITING:
            if call.data is None and call.result:
                raise Unknown(f"the bytes of {call} were not kept")
            self._file(call).do(call.offset, (call.data or b"")[: call.result])
        elif call.op in SYNCING:
            self._sync(call)
        elif call.op == "create":
            file = self._files[call.inode] = File()
            self._change((call.path, file))
        elif call.op == "empty":
            self._file(call).do(0, None)
        elif call.op == "truncate":
            self._file(call).do(call.length, None)
        elif call.op == "allocate":
            if call.flags & ~_KEEP_SIZE:
                raise Unknown(f"{call} is more than an allocation")
            file = self._file(call)
            if not call.flags and len(file.data) < call.offset + call.length:
                file.do(call.offset + call.length, None)
        elif call.op in ("unlink", "rmdir"):
            self._change((call.path, None))
        elif call.op == "mkdir":
            self._change((call.path, Folder()))
        elif call.op == "symlink":
            self._change((call.path, Link(call.other)))
        elif call.op == "link":
            self._change((call.other, self._files[call.inode]))
        elif call.op == "rename":
            there = self._node(call.other) if call.flags & _EXCHANGE else None
            self._change((call.path, there), (call.other, self._node(call.path)))
        elif call.op not in ("open", "times", "chmod"):
            raise Unknown(f"the model does not know {call}")

    def _file(self, call: Call) -> File:
        if call.inode in self._files:
            return self._files[call.inode]
        node = self._node(call.path)
        if not isinstance(node, File):
            raise Unknown(f"{call} is on no known file")
        return node

    def _sync(self, call: Call) -> None:
        try:
            folder = self._node(call.path)
        except Unknown:  # a file may have lost its name
            folder = None
        if not isinstance(folder, Folder):
            self._file(call).sync()
            return
        left = []
        for change in self._pending:
            for where, name, node in change.names:
                if where is folder:
                    _name(where.safe, name, node)
            if any(where is not folder for where, _, _ in change.names):
                # Of a rename between two folders, the half in the other one.
                rest = tuple(each for each in change.names if each[0] is not folder)
                left.append(Change(rest) if rest else change)
        self._pending = left

    def _change(self, *names: tuple[str, Node | None]) -> None:
        places = [(*self._place(path), node) for path, node in names]
        for folder, name, node in places:
            _name(folder.names, name, node)
        self._pending.append(Change(tuple(places)))

    def _place(self, path: str) -> tuple[Folder, str]:
        above, _, name = path.rpartition("/")
        folder = self._node(above)
        if not isinstance(folder, Folder):
            raise Unknown(f"there is no folder {above}")
        return folder, name

    def _node(self, path: str) -> Node:
        node: Node = self._folder
        for part in PurePosixPath(os.path.relpath(path, self._root)).parts:
            if not isinstance(node, Folder) or part not in node.names:
                raise Unknown(f"there is no {path}")
            node = node.names[part]
        return node

    # --- states ---

    def now(self) -> State:
        """Everything, as a reader finds it."""
        return State(_walk(self._folder, {}), {file: bytes(file.data) for file in self._all()})

    def nothing_unsafe(self) -> State:
        """Nothing that is not safe survives: the names are old, and so are the contents."""
        return State(_walk(self._folder, self._names([])), {file: file.safe for file in self._all()})

    def names_without_contents(self, *, zeros: bool) -> State:
        """All names survive, and no content that is not safe: what ends in empty files where a sync was forgotten.

        Args:
            zeros: the files have their lengths, and hold zeros, as where the space was there and the content was not.
        """
        contents = {}
        for file in self._all():
            contents[file] = file.safe + bytes(max(0, len(file.data) - len(file.safe)) if zeros else 0)
        return State(_walk(self._folder, {}), contents)

    def contents_without_names(self) -> State:
        """All contents survive, and no name that is not safe."""
        return State(_walk(self._folder, self._names([])), {file: bytes(file.data) for file in self._all()})

    def any_state(self, chance: random.Random) -> State:
        """A state that may be: names up to some change or some of the changes, and any part of the contents."""
        if chance.random() < 0.5:
            survive = self._pending[: chance.randint(0, len(self._pending))]
        else:
            survive = [change for change in self._pending if chance.random() < 0.5]
        return State(
            _walk(self._folder, self._names(survive)), {file: file.after_power_loss(chance) for file in self._all()}
        )

    def _all(self) -> Iterator[File]:
        seen = set()
        todo: list[Node] = [self._folder]
        while todo:
            node = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, File):
                yield node
            elif isinstance(node, Folder):
                todo += [*node.names.values(), *node.safe.values()]
                todo += [new for change in self._pending for where, _, new in change.names if where is node and new]

    def _names(self, survive: Iterable[Change]) -> dict[Folder, dict[str, Node]]:
        names = {folder: dict(folder.safe) for folder in self._folders()}
        for change in survive:
            for folder, name, node in change.names:
                _name(names[folder], name, node)
        return names

    def _folders(self) -> set[Folder]:
        found: set[Folder] = set()
        todo = [self._folder, *(folder for change in self._pending for folder, _, _ in change.names)]
        while todo:
            folder = todo.pop()
            if folder not in found:
                found.add(folder)
                below = [*folder.names.values(), *folder.safe.values()]
                below += [
                    node for change in self._pending for where, _, node in change.names if where is folder and node
                ]
                todo += [node for node in below if isinstance(node, Folder)]
        return found


def _name(names: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def _walk(root: Folder, names: Mapping[Folder, Mapping[str, Node]]) -> dict[str, Node]:
    """Relative path to node, of all that is below; ``names`` says what a folder holds if not what it holds now."""
    found: dict[str, Node] = {}
    todo = [("", root)]
    while todo:
        path, folder = todo.pop()
        for name, node in names.get(folder, folder.names).items():
            below = f"{path}{name}"
            found[below] = node
            if isinstance(node, Folder):
                todo.append((f"{below}/", node))
    return found


@attrs.frozen
class State:
    """A state of the disk.

    Attributes:
        nodes: relative path to what is there.
        contents: of the files.
    """

    nodes: Mapping[str, Node]
    contents: Mapping[File, bytes]

    def tree(self) -> Tree:
        """Path to content; links are left out."""
        return {
            path: self.contents[node] if isinstance(node, File) else None
            for path, node in self.nodes.items()
            if not isinstance(node, Link)
        }

    def put(self, folder: Path, now: State) -> None:
        """Bring the files below ``folder`` from the state ``now`` to this one.

        Files keep their inodes and their times, so that whoever knew them by these knows them again.
        """
        kept: dict[Node, Path] = {}
        store = folder.with_name(f"{folder.name}.store")
        store.mkdir()
        for number, (path, node) in enumerate(now.nodes.items()):
            if not isinstance(node, Folder):
                (folder / path).rename(store / str(number))
                kept.setdefault(node, store / str(number))
        for path, node in sorted(now.nodes.items(), reverse=True):
            if isinstance(node, Folder):
                (folder / path).rmdir()
        for path, node in sorted(self.nodes.items()):
            if isinstance(node, Folder):
                (folder / path).mkdir()
            elif isinstance(node, Link):
                (folder / path).symlink_to(node.target)
            else:
                self._put_file(folder / path, node, kept)
        shutil.rmtree(store)

    def _put_file(self, path: Path, file: File, kept: dict[Node, Path]) -> None:
        if file in kept:
            os.link(kept[file], path)
            times = path.stat()
            if path.read_bytes() != self.contents[file]:
                path.write_bytes(self.contents[file])
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        else:
            path.write_bytes(self.contents[file])
            kept[file] = path


def tree_of(folder: Path) -> Tree:
    """What is below ``folder``; links are left out."""
    found: dict[str, bytes | None] = {}
    for above, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.relpath(os.path.join(above, name), folder)] = None
        for name in files:
            path = Path(above, name)
            if not path.is_symlink():
                found[os.path.relpath(path, folder)] = path.read_bytes()
    return found
