"""The commands that must work whatever is installed, with broken plugins beside them, each command its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("odibi.cli.main")

HOOK = "from odibi import hookimpl\n@hookimpl\n"
BEASTS = {
    "raises": "raise ValueError('boom')",
    "exits": "import sys; sys.exit(0)",
    "prints": "import sys\nprint('NOISE')\nprint('NOISE', file=sys.stderr)\nsys.stdout.buffer.write(b'NOISE')",
    "recursion": "def f(): f()\nf()",
    "typo_in_hook": HOOK + "def odibi_storags(): return {}",
    "too_new": "ODIBI_API = '>=99'",
    "missing_dependency": "import no_such_lib",
    "hook_exits": HOOK + "def odibi_commands(): raise SystemExit(0)",
    "hook_gives_garbage": HOOK + "def odibi_commands(): return 5",
    "command_leads_nowhere": HOOK + "def odibi_commands(): return {'nowhere': 'no.such:c'}",
    "warns": "import warnings\nwarnings.warn('NOISE')",
}
HARMLESS = {"prints", "warns", "command_leads_nowhere"}


def odibi(zoo, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(zoo.folder), "NO_COLOR": "1"}
    command = [sys.executable, "-c", "from odibi.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=zoo.folder, check=False)


@pytest.fixture(params=[*BEASTS, "all"])
def beasts(request, zoo):
    names = list(BEASTS) if request.param == "all" else [request.param]
    for name in names:
        zoo.add(f"odibi-{name.replace('_', '-')}", "1.2.3", **{name: BEASTS[name]})
    return names


def test_what_must_work(beasts, zoo):
    for arguments in (["--version"], ["--help"], ["plugins"], ["plugins", "--json"]):
        done = odibi(zoo, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        if arguments != ["plugins"]:  # which shows what plugins printed
            assert "NOISE" not in done.stderr
    plugins = json.dumps(json.loads(done.stdout))
    for name in beasts:
        assert f"odibi-{name.replace('_', '-')}" in plugins


def test_the_doctor_names_them(beasts, zoo):
    done = odibi(zoo, "doctor")
    assert "Traceback" not in done.stdout + done.stderr
    for name in beasts:
        if name not in HARMLESS:
            assert f"odibi-{name.replace('_', '-')}" in done.stdout
