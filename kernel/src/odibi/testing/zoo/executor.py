"""Executors that each break one promise; those on threads are made of a crew that is sound without its defect."""

from __future__ import annotations

import copy
import json
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi.contracts.executor import Outcome, State
from odibi.testing.executor import ExecutorSuite
from odibi.testing.reference.executor import SerialExecutor
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from odibi.contracts.executor import Task, Work


class SoundSerial(ExecutorSuite):
    """The suite on an executor that runs one task after another."""

    component: ClassVar[type] = SerialExecutor


zoo = Zoo(SoundSerial)


@attrs.define
class Crew(SerialExecutor):
    """Three threads that each take, run and report; sound, and what the defects below are made of."""

    capabilities: ClassVar[Mapping[str, str]] = {}

    def drain(self, work: Work) -> None:
        """On three threads, and wait for them."""
        threads = [threading.Thread(target=self.serve, args=(work,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        self.wait(threads)

    def wait(self, threads: list[threading.Thread]) -> None:
        """For all of them, whatever comes."""
        interrupt: BaseException | None = None
        while any(thread.is_alive() for thread in threads):
            try:
                for thread in threads:
                    thread.join(0.05)
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def serve(self, work: Work) -> None:
        """What each thread does."""
        try:
            task = work.take()
            while task is not None:
                task = work.report(task, self.run(task)) or work.take()
        except BaseException as error:
            work.abandon(error)

    def follow(self, work: Work, task: Task | None) -> None:
        """Run a task and all that report() hands out after it."""
        while task is not None:
            task = work.report(task, self.run(task))


# --- what becomes of tasks --------------------------------------------------------------------------------------------


@zoo.defect
class SwallowsErrors(SerialExecutor):
    """A node that fails has succeeded with nothing."""

    def run(self, task: Task) -> Outcome:
        """All is well."""
        done = super().run(task)
        if done.state is State.FAILED:
            done = attrs.evolve(done, state=State.SUCCEEDED, error=None)
        return done


@zoo.defect
class LosesTheMessage(SerialExecutor):
    """An error is replaced by another that does not say what went wrong."""

    def run(self, task: Task) -> Outcome:
        """As some that send errors between processes."""
        done = super().run(task)
        return done if done.error is None else attrs.evolve(done, error=type(done.error)())


@zoo.defect
class LosesTheClass(SerialExecutor):
    """An error becomes a RuntimeError, so that nobody can tell whether it can pass."""

    def run(self, task: Task) -> Outcome:
        """Its text alone."""
        done = super().run(task)
        return done if done.error is None else attrs.evolve(done, error=RuntimeError(repr(done.error)))


@zoo.defect
class CatchesExceptionsOnly(SerialExecutor):
    """A node that calls sys.exit() ends the executor."""

    def run(self, task: Task) -> Outcome:
        """Raised again."""
        done = super().run(task)
        if isinstance(done.error, SystemExit):
            raise done.error
        return done


@zoo.defect
class StopIterationIsTheEnd(SerialExecutor):
    """A node that raises StopIteration ends the loop in which it was run."""

    def drain(self, work: Work) -> None:
        """A generator of outcomes."""
        task = work.take()
        while task is not None:
            done = self.run(task)
            following = work.report(task, done)
            if isinstance(done.error, StopIteration):
                return
            task = following or work.take()


@zoo.defect
class ReportsTwice(SerialExecutor):
    """A failed task is reported once more."""

    def drain(self, work: Work) -> None:
        """To be sure."""
        task = work.take()
        while task is not None:
            done = self.run(task)
            following = work.report(task, done)
            if done.state is State.FAILED:
                work.report(task, done)
            task = following or work.take()


@zoo.defect
class RunsTwice(SerialExecutor):
    """It tries a failed task again by itself."""

    def run(self, task: Task) -> Outcome:
        """Perhaps it works now."""
        done = super().run(task)
        return super().run(task) if done.state is State.FAILED else done


@zoo.defect
class DropsTheSuccessor(SerialExecutor):
    """It ignores the task that report() hands it."""

    def drain(self, work: Work) -> None:
        """Always from take()."""
        task = work.take()
        while task is not None:
            work.report(task, self.run(task))
            task = work.take(wait=False)


@zoo.defect
class StopsWhenNothingIsReady(SerialExecutor):
    """It takes "not now" for the end, and leaves what is to be tried again."""

    def drain(self, work: Work) -> None:
        """Without waiting."""
        task = work.take(wait=False)
        while task is not None:
            task = work.report(task, self.run(task)) or work.take(wait=False)


@zoo.defect
class StopsWhenNothingSeemsReady(SerialExecutor):
    """It takes the hint of how many tasks are ready for the truth."""

    def drain(self, work: Work) -> None:
        """As long as there are some."""
        while work.ready():
            task = work.take()
            while task is not None:
                task = work.report(task, self.run(task))


@zoo.defect
class CountsOneAttempt(SerialExecutor):
    """Each outcome says that it was the first attempt."""

    def run(self, task: Task) -> Outcome:
        """One."""
        return attrs.evolve(super().run(task), attempts=1)


@zoo.defect
class ReportsTheLastOutcomeAgain(SerialExecutor):
    """It keeps one outcome and fills it in for each task."""

    _one: ClassVar[list[Outcome]] = []

    def run(self, task: Task) -> Outcome:
        """The same object."""
        done = super().run(task)
        self._one.append(done)
        first = self._one[0]
        for field in attrs.fields(Outcome):
            setattr(first, field.name, getattr(done, field.name))
        return first


@zoo.defect
class ChangesOutcomesLater(SerialExecutor):
    """It fills in who ran a task after it has reported it."""

    def drain(self, work: Work) -> None:
        """Too late."""
        task = work.take()
        while task is not None:
            done = self.run(task)
            following = work.report(task, done)
            done.worker = "serial"
            task = following or work.take()


@zoo.defect
class LeavesOutTheTimes(SerialExecutor):
    """Its outcomes do not say when they ran."""

    def run(self, task: Task) -> Outcome:
        """Never."""
        return attrs.evolve(super().run(task), started=0, finished=0)


@zoo.defect
@attrs.define(eq=False)
class ForgetsAfterAFailure(SerialExecutor):
    """After a failure it runs nothing more, in this work or in the next."""

    _broken: bool = attrs.field(default=False, init=False, repr=False)

    def run(self, task: Task) -> Outcome:
        """Once broken, for ever."""
        if self._broken:
            return Outcome(
                task.node.name, State.FAILED, error=RuntimeError("the executor is broken"), started=1, finished=1
            )
        done = super().run(task)
        self._broken = isinstance(done.error, SystemExit)
        return done


# --- values -----------------------------------------------------------------------------------------------------------


@zoo.defect
@attrs.define(eq=False)
class FetchesTheLatest(SerialExecutor):
    """Whatever reference is asked for, it gives the last value there was of its kind."""

    _last: dict[type, Any] = attrs.field(factory=dict, init=False, repr=False)

    def run(self, task: Task) -> Outcome:
        """And remembers it."""
        done = super().run(task)
        self._last[type(done.value)] = done.value
        return done

    def fetch(self, ref: Any) -> Any:
        """The last."""
        return self._last.get(type(ref), ref)


@zoo.defect
@attrs.define(eq=False)
class FetchesOnce(SerialExecutor):
    """A value is gone once it was fetched."""

    _fetched: list[Any] = attrs.field(factory=list, init=False, repr=False)

    def fetch(self, ref: Any) -> Any:
        """At most once."""
        if any(each is ref for each in self._fetched) and isinstance(ref, list):
            raise KeyError("it was fetched before")
        self._fetched.append(ref)
        return ref


@zoo.defect
@attrs.define(eq=False)
class ForgetsValuesOfBefore(SerialExecutor):
    """When it drains again, it forgets the values of before."""

    _held: dict[int, Any] = attrs.field(factory=dict, init=False, repr=False)

    def drain(self, work: Work) -> None:
        """With nothing held."""
        self._held.clear()
        super().drain(work)

    def run(self, task: Task) -> Outcome:
        """And hold it."""
        done = super().run(task)
        self._held[id(done.value)] = done.value
        return done

    def fetch(self, ref: Any) -> Any:
        """What it holds."""
        return self._held[id(ref)]


@zoo.defect
class TakesNothingForAbsence(SerialExecutor):
    """A value that is empty, zero or false is fetched as None."""

    def fetch(self, ref: Any) -> Any:
        """Or nothing."""
        return ref or None


@zoo.defect
class TakesErrorsForFailures(SerialExecutor):
    """A node that returns an error has failed."""

    def run(self, task: Task) -> Outcome:
        """As if it had been raised."""
        done = super().run(task)
        if isinstance(done.value, BaseException):
            return attrs.evolve(done, state=State.FAILED, error=done.value, value=None)
        return done


@zoo.defect
class GoesThroughJson(SerialExecutor):
    """Values are sent as JSON, where tuples are lists."""

    def run(self, task: Task) -> Outcome:
        """There and back, if JSON can."""
        done = super().run(task)
        try:
            return attrs.evolve(done, value=json.loads(json.dumps(done.value)))
        except (TypeError, ValueError):
            return done


@zoo.defect
class CopiesValues(SerialExecutor):
    """It says that it works in this process, and hands out copies."""

    def fetch(self, ref: Any) -> Any:
        """A copy, or an error for what cannot be copied."""
        return copy.deepcopy(ref)


@zoo.defect
class CutsLargeValues(SerialExecutor):
    """It keeps a megabyte of a value."""

    def fetch(self, ref: Any) -> Any:
        """As much as fits."""
        return ref[: 1 << 20] if isinstance(ref, bytes) else ref


# --- drain ------------------------------------------------------------------------------------------------------------


@zoo.defect
class RecursesAlongChains(SerialExecutor):
    """It calls itself for each task that follows, until the stack is full."""

    def drain(self, work: Work) -> None:
        """And so on."""
        self.go_on(work, work.take())

    def go_on(self, work: Work, task: Task | None) -> None:
        """With the next."""
        if task is not None:
            self.go_on(work, work.report(task, self.run(task)) or work.take())


@zoo.defect
@attrs.define(eq=False)
class DrainsOnce(SerialExecutor):
    """A second drain does nothing."""

    _drained: bool = attrs.field(default=False, init=False, repr=False)

    def drain(self, work: Work) -> None:
        """The first time."""
        if not self._drained:
            super().drain(work)
        self._drained = True


@zoo.defect
class SwallowsInterrupts(SerialExecutor):
    """Ctrl-C ends the drain as if all was done."""

    def drain(self, work: Work) -> None:
        """Quietly."""
        try:
            super().drain(work)
        except KeyboardInterrupt:
            return


@zoo.defect
class SwallowsTheQueuesErrors(SerialExecutor):
    """It goes on when an outcome could not be journalled."""

    def drain(self, work: Work) -> None:
        """Quietly."""
        try:
            super().drain(work)
        except OSError:
            return


@zoo.defect
@attrs.define(eq=False)
class ClosesOnce(SerialExecutor):
    """Closed a second time it raises."""

    _closed: bool = attrs.field(default=False, init=False, repr=False)

    def close(self) -> None:
        """Once."""
        if self._closed:
            raise RuntimeError("it is closed")
        self._closed = True


@zoo.defect
class PrintsWhatItDoes(SerialExecutor):
    """It prints a line for each task to stdout, where the results of commands go."""

    def run(self, task: Task) -> Outcome:
        """With a line."""
        sys.stdout.write(f"running {task.node.name}\n")
        return super().run(task)


# --- threads ----------------------------------------------------------------------------------------------------------


@zoo.defect
class SaysThatItIsParallel(SerialExecutor):
    """It runs one task after another, and declares that it runs several at once."""

    capabilities: ClassVar[Mapping[str, str]] = {}


@zoo.defect
class OneLevelAfterAnother(Crew):
    """It takes all that is ready, runs that, and waits for the slowest before it takes more."""

    def drain(self, work: Work) -> None:
        """A level at a time."""
        with ThreadPoolExecutor(4) as pool:
            task = work.take()
            while task is not None:
                level = [task]
                while (more := work.take(wait=False)) is not None:
                    level.append(more)
                following = [
                    work.report(each, done) for each, done in zip(level, pool.map(self.run, level), strict=True)
                ]
                for each in following:
                    self.follow(work, each)
                task = work.take()


@zoo.defect
class DoesNotWait(Crew):
    """It returns while its threads still run."""

    def wait(self, threads: list[threading.Thread]) -> None:
        """For the first."""
        threads[0].join(0.001)


@zoo.defect
class WaitsForAWhile(Crew):
    """It waits a moment for its threads, and leaves those that take longer."""

    def wait(self, threads: list[threading.Thread]) -> None:
        """A moment each."""
        for thread in threads:
            thread.join(0.05)


@zoo.defect
class LeavesWhenItIsInterrupted(Crew):
    """Ctrl-C while it waits for its threads, and it leaves them behind."""

    def wait(self, threads: list[threading.Thread]) -> None:
        """Until then."""
        for thread in threads:
            while thread.is_alive():
                thread.join(0.05)


@zoo.defect
@attrs.define(eq=False)
class LosesAWorkerAFailure(Crew):
    """A worker whose node called sys.exit() is gone, until one is left."""

    _permits: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(3), init=False, repr=False)
    _lost: int = attrs.field(default=0, init=False, repr=False)

    def run(self, task: Task) -> Outcome:
        """As long as there is a worker."""
        self._permits.acquire()
        done = super().run(task)
        if isinstance(done.error, SystemExit) and self._lost < 2:
            self._lost += 1
        else:
            self._permits.release()
        return done


@zoo.defect
class DiesWithTheQueue(Crew):
    """A thread that cannot report dies, tells nobody, and the others wait for it."""

    def serve(self, work: Work) -> None:
        """Without a word."""
        try:
            task = work.take()
            while task is not None:
                task = work.report(task, self.run(task)) or work.take()
        except BaseException:
            return


@zoo.defect
class LosesWhatWasTakenAtTheEnd(Crew):
    """It takes a task ahead for each worker, and forgets those when the work is stopped."""

    def drain(self, work: Work) -> None:
        """From a list of what was taken."""
        taken: list[Task] = []
        while True:
            task = taken.pop(0) if taken else work.take()
            if task is None:
                return
            ahead = work.take(wait=False)
            if ahead is not None:
                taken.append(ahead)
            done = self.run(task)
            following = work.report(task, done)
            if done.state is State.FAILED and following is None:
                taken.clear()
            if following is not None:
                taken.append(following)


@zoo.defect
class ReportsBeforeItIsDone(Crew):
    """It reports a task when it begins to run, so that its successors get what is not there yet."""

    def drain(self, work: Work) -> None:
        """With a promise for a value."""
        with ThreadPoolExecutor(3) as pool:
            task = work.take()
            while task is not None:
                promise = pool.submit(self.run, task)
                early = Outcome(task.node.name, State.SUCCEEDED, promise, attempts=task.attempt, started=1, finished=1)
                task = work.report(task, early) or work.take()

    def fetch(self, ref: Any) -> Any:
        """Once it is there."""
        return ref.result().value if isinstance(ref, Future) else ref


@zoo.defect
class MixesUpResults(Crew):
    """It reports results in the order in which they come, for the tasks in the order in which they were taken."""

    def drain(self, work: Work) -> None:
        """Two at a time, crossed."""
        task = work.take()
        while task is not None:
            other = work.take(wait=False)
            if other is None:
                task = work.report(task, self.run(task)) or work.take()
                continue
            one, two = self.run(task), self.run(other)
            one.value, two.value = two.value, one.value
            following = [work.report(task, one), work.report(other, two)]
            for each in following:
                self.follow(work, each)
            task = work.take()


@zoo.defect
class StartsAThreadForEachHint(Crew):
    """It starts as many threads as there may be tasks."""

    def drain(self, work: Work) -> None:
        """Up to a thousand, for decency."""
        threads = [threading.Thread(target=self.serve, args=(work,)) for _ in range(min(max(work.ready(), 3), 1000))]
        for thread in threads:
            thread.start()
        self.wait(threads)

    def wait(self, threads: list[threading.Thread]) -> None:
        """And keeps them afterwards."""
        super().wait(threads)
        if len(threads) > 500:
            forever = threading.Event()
            for _ in threads:
                threading.Thread(target=forever.wait, daemon=True).start()


@zoo.defect
@attrs.define(eq=False)
class KeepsThreadsWhenItIsClosed(Crew):
    """A thread that waits for work stays, and the process with it."""

    _waiting: threading.Event = attrs.field(factory=threading.Event, init=False, repr=False)

    def drain(self, work: Work) -> None:
        """With one that stays."""
        threading.Thread(target=self._waiting.wait, name="keeper", args=(300,)).start()
        super().drain(work)


@zoo.defect
@attrs.define(eq=False)
class WaitsForItself(Crew):
    """It waits for all its workers before it drains again, also for one whose node never ended its turn."""

    _turn: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    def drain(self, work: Work) -> None:
        """In turn; given back if all went well."""
        self._turn.acquire()
        super().drain(work)
        if not any(task.error for task in getattr(work, "outcomes", {}).values()):
            self._turn.release()
