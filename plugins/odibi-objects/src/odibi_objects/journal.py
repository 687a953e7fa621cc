"""One run's journal as its writer sees it: who comes while a write is under way shares the next one."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs

from odibi.errors import Conflict, OdibiError, Transient
from odibi_objects import documents
from odibi_objects.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from odibi_objects.clock import Stamps
    from odibi_objects.runlogs import RunLogs

Records = list[dict[str, Any]]


@attrs.define(eq=False)
class _Call:
    """One call of append, waiting to be written."""

    records: Records
    done: bool = False
    error: BaseException | None = None


class Journal:
    """Writes the log of one run.

    Args:
        logs: where it is.
        begin: the content of its first object.
        number: of the next object.
        may_write: raises :class:`~odibi.errors.Conflict` unless the lock of the run is still held.
        stamps: of the store.
        whole: everything in the log up to now is known to be in ``results``.

    Attributes:
        results: what this writer added.
        alone: nobody else wrote to the log.
    """

    def __init__(
        self,
        logs: RunLogs,
        begin: Mapping[str, Any],
        number: int,
        *,
        may_write: Callable[[], None],
        stamps: Stamps,
        whole: bool,
    ) -> None:
        self.begin = begin
        self.run_id = str(begin["run"])
        self.results = Results()
        self.alone = whole
        self._logs = logs
        self._number = number
        self._may_write = may_write
        self._stamps = stamps
        self._writing = threading.Lock()
        self._queue: list[_Call] = []
        self._queueing = threading.Lock()
        self._doubtful: dict[str, list[_Call]] = {}
        self._stored: list[Records] = []
        self._ends: dict[str, dict[str, Any]] = {}

    def check(self) -> None:
        """Refuse to go on without the lock.

        Raises:
            Conflict: it was lost.
        """
        self._may_write()

    def append(self, records: Records) -> None:
        """Add records; returns when they are stored. One request, also for all that come while it waits for its turn.

        Raises:
            Conflict: the lock was lost, or the run has ended.
            StorageError: the storage fails. If it is not known whether the records were stored, the same call again
                stores them once.
        """
        call = _Call(list(records))
        with self._queueing:
            self._queue.append(call)
        with self._writing:
            if not call.done:
                with self._queueing:
                    calls, self._queue = self._queue, []
                self._write_for(calls)
        if call.error is not None:
            raise call.error

    def finish(self, state: str, finished: float, offsets: Mapping[str, Any], records: Records) -> dict[str, Any]:
        """End the log; returns the content of its end. One request.

        Raises:
            Conflict: the lock was lost, or the run has ended otherwise.
            StorageError: the storage fails. If it is not known whether the end was stored, the same call again finds
                out.
        """
        said = {"state": state, "offsets": dict(offsets), "calls": [records] if records else []}
        with self._writing:
            while True:
                self._may_write()
                content = self._content({**said, "finished": finished})
                nonce = content["nonce"]
                self._ends[nonce] = content
                if self._take("end", content):
                    self._note(content)
                    return content
                there = self._there()
                if there["kind"] == "end":
                    mine = self._ends.get(there["nonce"])
                    if mine is None or any(mine[key] != value for key, value in said.items()):
                        raise ended(self.run_id, there)
                    self._note(mine)
                    return mine
                self._pass_over(there)

    def _write_for(self, calls: list[_Call]) -> None:
        try:
            self._write(calls)
        except BaseException as error:
            shared = error if isinstance(error, Exception) else Transient("the write was interrupted")
            for at, call in enumerate(calls):
                # Each thread raises one of its own: raised in two places, an error's traceback is of no use.
                call.error = copy.copy(shared) if at and isinstance(shared, OdibiError) else shared
            if not isinstance(error, Exception):
                raise
        finally:
            for call in calls:
                call.done = True

    def _write(self, calls: list[_Call]) -> None:
        while calls := self._left(calls):
            self._may_write()
            content = self._content({"calls": [call.records for call in calls]})
            nonce = content["nonce"]
            self._doubtful[nonce] = calls
            if self._take("records", content):
                self._doubtful.clear()
                self._note(content)
                return
            del self._doubtful[nonce]
            self._pass_over(self._there())

    def _take(self, kind: str, content: dict[str, Any]) -> bool:
        if not self._logs.take(self.run_id, self._number, documents.encode(kind, content)):
            return False
        self._number += 1
        return True

    def _there(self) -> dict[str, Any]:
        """What stands where the next object was to go."""
        there = self._logs.object(self.run_id, self._number)
        if there is None:
            raise Conflict("the run was removed", where=self.run_id, remedy="Begin a new one.")
        if there["kind"] == "end" and there["nonce"] not in self._ends:
            raise ended(self.run_id, there)
        return there

    def _pass_over(self, there: dict[str, Any]) -> None:
        """Go on behind an object, which may be one of ours that was stored though the storage failed to say so."""
        self._number += 1
        mine = self._doubtful.get(there["nonce"])
        self._doubtful.clear()
        if mine is None:
            self.alone = False
            return
        self._note(there)
        self._stored += [call.records for call in mine]

    def _left(self, calls: list[_Call]) -> list[_Call]:
        """Those of some calls that are not made for the second time, after the first was stored but said to fail."""
        left = []
        for call in calls:
            if call.records in self._stored:
                self._stored.remove(call.records)
            else:
                left.append(call)
        return left

    def _note(self, content: Mapping[str, Any]) -> None:
        for records in content["calls"]:
            self.results.add(self.run_id, content["stamp"], records)

    def _content(self, content: Mapping[str, Any]) -> dict[str, Any]:
        stamp = self._stamps.take()
        return {"run": self.run_id, "nonce": uuid4().hex, "token": self.begin["token"], "stamp": stamp, **content}


def ended(run_id: str, end: Mapping[str, Any]) -> Conflict:
    """The error of whoever writes to a run that has ended."""
    if end.get("sealed"):
        what = f"its holder was taken for dead, and the run ended by {end['sealed']}"
    else:
        what = f"the run has ended ({end['state']})"
    return Conflict(what, where=f"run {run_id}", remedy="Begin another.")
