"""A process that has imported what a run imports, and forks itself for each run: a start then costs milliseconds.

It is a script; :class:`fault_harness.processes.Zygote` talks to it in lines of JSON. It opens no database and starts
no thread itself, so that a fork is what a fresh process would be after its imports. What to import it learns from a
first run, in a fork of its own. It leaves the odibi package alone until then: modules that a project brings are no
modules to import.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
import time
from typing import Any, NoReturn

GRACE = 5.0  # seconds for a process that hangs to print where, before it is killed


def main() -> NoReturn:
    """Serve requests until there are no more."""
    restart = ctypes.CDLL(None).shim_restart
    restart.argtypes = []
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        if "warm" in request:
            answer: dict[str, Any] = _import(request["warm"])
        else:
            pid = os.fork()
            if pid == 0:
                _become(request, restart)
            answer = _watch(pid, request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # tearing down what is frozen makes libraries complain


def _become(request: dict[str, Any], restart: Any) -> NoReturn:
    """Turn the fork into the process that was asked for."""
    os.setsid()
    _redirect(request["stdout"], request["stderr"])
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    sys.argv = ["odibi", *request["arguments"]]
    # As the script `odibi` has it. Were the project there, which has just changed, plugins would be looked for anew.
    sys.path[0] = os.path.dirname(sys.executable)
    importlib.invalidate_caches()
    restart()

    from odibi.cli.main import main as odibi

    code = odibi(request["arguments"])
    if request.get("modules"):
        with open(request["modules"], "w") as file:
            json.dump([name for name, module in sys.modules.items() if _is_installed(module)], file)
    _end(code)


def _end(code: int) -> NoReturn:
    """What the interpreter does at its end, but for tearing down the modules, which takes as long as a run.

    A test compares what a fork and a fresh process do to the disk, to the last call.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _is_installed(module: object) -> bool:
    """Whether a module is found on the path again; not what was made up, or belongs to a project."""
    spec = getattr(module, "__spec__", None)
    return spec is not None and not str(spec.origin or "").startswith(os.getcwd())


def _redirect(stdout: str, stderr: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for handle, path in ((0, os.devnull), (1, stdout), (2, stderr)):
        opened = os.open(path, os.O_RDONLY if handle == 0 else flags, 0o644)
        os.dup2(opened, handle)
        os.close(opened)


def _import(names: list[str]) -> dict[str, Any]:
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    # Or each fork would touch, and so copy, all that the collector walks over.
    gc.collect()
    gc.freeze()
    return {"modules": len(sys.modules), "threads": _threads()}


def _threads() -> list[str]:
    names = []
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/comm") as file:
            names.append(file.read().strip())
    return names


def _watch(pid: int, request: dict[str, Any]) -> dict[str, Any]:
    """Wait for the process; kill it when it is time, or when it takes too long."""
    begin = time.monotonic()
    process = os.pidfd_open(pid)
    killed = hung = False
    try:
        if request["kill_after"] is not None and not _ends(process, request["kill_after"]):
            killed = True
            os.kill(pid, signal.SIGKILL)
        elif not _ends(process, request["deadline"]):
            hung = True
            os.kill(pid, signal.SIGABRT)  # faulthandler prints where every thread is
            if not _ends(process, GRACE):
                os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(process)
    seconds = time.monotonic() - begin
    return {"code": os.waitstatus_to_exitcode(status), "seconds": seconds, "killed": killed, "hung": hung}


def _ends(process: int, seconds: float) -> bool:
    return bool(select.select([process], [], [], seconds)[0])


if __name__ == "__main__":
    main()
