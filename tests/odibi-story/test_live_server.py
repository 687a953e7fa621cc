"""Runs are followed over real connections, and nobody reads what is not theirs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from odibi.errors import OdibiError
from odibi.run.dispatch import settle
from odibi.testing.reference.storage import cut_off
from odibi_story.live import runs as runs_module
from odibi_story.live import server as server_module
from odibi_story.live.addresses import address_of, names_loopback
from odibi_story.live.gate import Gate
from odibi_story.live.runs import Runs
from odibi_story.live.server import Server
from odibi_story.places import FolderPlace, Ledger, StoragePlace, is_held
from odibi_story.record import Failure, NodeStory, RunStory
from odibi_story.shelf import Shelf
from odibi_story.storing import from_json, to_json

sys.path.insert(0, str(Path(__file__).parent))

from live_client import GATED, PROJECT, Following, get, serving, until

Serve = Callable[..., Server]

RUN = "20260101T000000.000000-0000000a"
LATER = "20260102T000000.000000-0000000b"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves places until the test is over."""
    with ExitStack() as stack:
        yield lambda *given, **more: stack.enter_context(serving(*given, **more))


@pytest.fixture
def told(tmp_path) -> Path:
    """A folder with the stories of two runs."""
    shelf = Shelf(FolderPlace(tmp_path / "stories"))
    nodes = [NodeStory("orders", state="succeeded", rows=5)]
    shelf.put(RunStory(RUN, "daily", "shop", "succeeded", 1767225600.0, 2.0, counts={"succeeded": 1}, nodes=nodes))
    failed = [NodeStory("orders", state="failed", failure=Failure("ValueError", "no <header>"))]
    shelf.put(RunStory(LATER, "daily", "shop", "failed", 1767312000.0, 3.0, counts={"failed": 1}, nodes=failed))
    return tmp_path / "stories"


# --- following ------------------------------------------------------------------------------------------------------


def test_a_run_is_followed_from_its_beginning_to_its_end(load, serve, tmp_path) -> None:
    project = load(PROJECT, GATED)
    served = serve(tmp_path / "stories")
    (tmp_path / "break-two").touch()
    assert "no runs yet" in get(served, "/").text
    runner = threading.Thread(target=lambda: project.run(check=False))
    with Following(served, "/events") as listed:
        runner.start()
        try:
            parts = listed.until("head", "1 going on")
            (row,) = [html for key, html in parts.items() if key.startswith("r-")]
            target = re.search(r'href="(/runs/daily/[^"]+)"', row)
            assert target is not None
            page = get(served, target[1])
            assert 'id="d1" data-state="waiting"' in page.text
            version = re.search(r'data-version="([^"]+)"', page.text)
            assert version is not None
            with Following(served, f"{target[1]}/events?since={version[1]}") as run:
                assert run.response.headers["Content-Type"] == "text/event-stream"
                (tmp_path / "go-one").touch()
                parts = run.until("n0", 'data-state="succeeded"')
                assert not {"again", "about"} & set(parts), "what did not change is not sent"
                if "running" not in parts.get("n1", ""):
                    run.until("n1", 'data-state="running"')
                (tmp_path / "go-two").touch()
                parts = run.until("n1", 'data-state="failed"')
                assert " open>" in parts["n1"], "what failed is open"
                event, _, data = run.next()
                while event == "parts":
                    parts.update({key: html for _, key, html in data["put"]})
                    event, _, data = run.next()
                assert event == "over"
                assert "the partner&#39;s file has no header" in parts["first"]
                assert run.next()[0] == "", "the connection ends when the run does"
            listed.until("head", "1 past run, 1 failed")
        finally:
            for name in ("one", "two"):
                (tmp_path / f"go-{name}").touch()
            runner.join()
    assert not settle(30)


def test_who_comes_back_is_told_what_changed_meanwhile(serve, told) -> None:
    served = serve(told)
    version = re.search(r'data-version="([^"]+)"', get(served, "/").text)
    assert version is not None
    Shelf(FolderPlace(told)).put(RunStory("20260103T000000.000000-0000000c", "weekly", "shop", "succeeded"))
    with Following(served, f"/events?since={version[1]}") as listed:
        parts = listed.until("head", "3 past runs")
    assert sum(key.startswith("r-") for key in parts) == 3, "the new one, and the two that were what is compared"


def test_who_knows_a_version_of_another_server_is_told_everything(serve, told) -> None:
    with Following(serve(told), "/events?since=00000000.7") as listed:
        assert {"head", "going", "past", "compare"} <= set(listed.until("head", "2 past runs"))


ELSEWHERE = """
import sys
import odibi, odibi_story
from odibi.testing.pipelines import host_with
from odibi.testing.reference.engine import RowsEngine
from odibi.testing.reference.storage import MemoryStorage

components = {"engine.rows": RowsEngine, "storage.memory": MemoryStorage}
odibi.load(sys.argv[1], host=host_with(components, plugins=[odibi_story])).run()
"""


def test_a_run_of_another_process_that_is_killed_is_interrupted(load, serve, tmp_path) -> None:
    load(PROJECT, GATED)
    served = serve(tmp_path / "stories")
    process = subprocess.Popen([sys.executable, "-c", ELSEWHERE, str(tmp_path / "odibi.yaml")])
    try:
        (run,) = until(lambda: list((tmp_path / "stories").glob("daily/*.jsonl")))
        target = f"/runs/daily/{run.stem}"
        until(lambda: get(served, target).status == 200)
        with Following(served, f"{target}/events") as followed:
            (tmp_path / "go-one").touch()
            followed.until("n0", 'data-state="succeeded"')
            process.kill()
            process.wait()
            followed.until("verdict", "Interrupted")
        assert json.loads(get(served, f"{target}.json").text)["state"] == "interrupted"
        assert "interrupted" in get(served, "/").text
    finally:
        process.kill()
        process.wait()


def test_who_looks_whether_a_run_goes_on_does_not_take_its_lock_away(tmp_path) -> None:
    path, over = tmp_path / "run.jsonl", threading.Event()
    path.touch()

    def look() -> None:
        while not over.is_set():
            is_held(path)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for each in lookers:
        each.start()
    try:
        for _ in range(50):
            ledger = Ledger(path)
            try:
                assert is_held(path)
            finally:
                ledger.close()
    finally:
        over.set()
        for each in lookers:
            each.join()


def test_who_goes_is_not_looked_for_any_more(serve, told) -> None:
    served = serve(told)
    with Following(served, "/events") as listed:
        listed.until("head", "2 past runs")
        assert len(served._server._open) == 1
    until(lambda: not served._server._open)


def test_only_so_many_follow(serve, told, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "LISTENERS", 1)
    served = serve(told)
    with Following(served, "/events") as first:
        first.until("head", "2 past runs")
        refused = get(served, "/events")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        assert get(served, "/").status == 200
    until(lambda: not served._server._open)
    with Following(served, "/events") as next_one:
        next_one.until("head", "2 past runs")


def test_closing_cuts_off_who_follows(serve, told) -> None:
    served = serve(told)
    with Following(served, "/events") as listed:
        listed.until("head", "2 past runs")
        served.close()
        assert listed.next()[0] == ""


class Counting:
    """A folder that counts what is asked of it."""

    def __init__(self, root: Path) -> None:
        self._place = FolderPlace(root)
        self.lists = self.reads = 0

    def list(self, folder: str):
        self.lists += 1
        return self._place.list(folder)

    def read(self, name: str, most: int | None = None) -> bytes:
        self.reads += 1
        return self._place.read(name, most)

    def __getattr__(self, name: str):
        return getattr(self._place, name)


def test_what_did_not_change_is_not_read_again(told, monkeypatch) -> None:
    monkeypatch.setattr(runs_module, "PAUSE", 0.0)
    monkeypatch.setattr(runs_module, "SHARE", 0)
    past = time.time() - 60
    for folder in (told, told / "daily"):
        os.utime(folder, (past, past))
    place = Counting(told)
    runs = Runs(Shelf(place))
    first = runs.heads()
    assert [head.state for head in first[0]] == ["failed", "succeeded"]
    assert (place.lists, place.reads) == (1, 2)
    for _ in range(5):
        assert runs.heads() == first
    assert (place.lists, place.reads) == (1, 2)
    Shelf(FolderPlace(told)).put(RunStory("20260103T000000.000000-0000000c", "weekly", "shop", "succeeded"))
    assert len(runs.heads()[0]) == 3
    assert place.reads == 3, "only the new one"


def test_runs_beyond_the_newest_are_counted(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(runs_module, "MOST", 2)
    shelf = Shelf(FolderPlace(tmp_path))
    for day in range(1, 6):
        shelf.put(RunStory(f"2026010{day}T000000.000000-0000000a", "daily", "shop", "succeeded"))
    heads, older = Runs(shelf).heads()
    assert [head.run_id[:8] for head in heads] == ["20260105", "20260104"]
    assert older == 3


# --- pages ----------------------------------------------------------------------------------------------------------


def test_the_page_and_the_record_of_a_run(serve, told) -> None:
    served = serve(told)
    page = get(served, f"/runs/daily/{LATER}")
    assert page.status == 200
    assert "no &lt;header&gt;" in page.text
    assert f"/compare?a=daily/{RUN}&amp;b=daily/{LATER}" in page.text
    assert "/events" not in page.text, "nothing more comes of a run that is over"
    record = get(served, f"/runs/daily/{LATER}.json")
    assert record.headers["Content-Type"] == "application/json"
    assert from_json(record.text) == Shelf(FolderPlace(told)).get(Shelf(FolderPlace(told)).found()[0])


def test_stories_of_a_storage(lake, serve) -> None:
    place = StoragePlace(lake, "told")
    Shelf(place).put(RunStory(RUN, "daily", "shop", "succeeded", counts={"succeeded": 1}))
    served = serve(place)
    assert f"/runs/daily/{RUN}" in get(served, "/").text
    assert "Succeeded" in get(served, f"/runs/daily/{RUN}").text


def test_a_storage_that_is_away_for_a_while(lake, serve, monkeypatch, caplog) -> None:
    monkeypatch.setattr(runs_module, "PAUSE_ELSEWHERE", 0.05)
    place = StoragePlace(lake, "told")
    Shelf(place).put(RunStory(RUN, "daily", "shop", "succeeded"))
    served = serve(place, scrub=lambda text: text.replace("does not answer", "does not ***"))
    with Following(served, "/events") as listed:
        listed.until("head", "1 past run")
        with cut_off(lake.name):
            away = until(lambda: (reply := get(served, "/")).status == 500 and reply)
            assert get(served, "/").status == 500, "what was known before does not count"
            assert "The storage does not ***" in away.text
            assert RUN not in away.text
            until(lambda: "does not ***" in caplog.text)
        Shelf(place).put(RunStory(LATER, "daily", "shop", "succeeded"))
        listed.until("head", "2 past runs")


def test_what_is_no_story_is_passed_over(serve, told) -> None:
    for name, text in {
        "orders.json": '{"layout": 1, "run_id": "orders"}',
        "notes.json": "[1, 2]",
        "20260104T000000.000000-0000000d.json": "torn",
    }.items():
        (told / "daily" / name).write_text(text)
    page = get(serve(told), "/").text
    assert page.count('class="run ') == 3
    assert "unreadable" in page, "a run of which something should be known"
    assert "daily/orders" not in page
    assert "daily/notes" not in page


def test_a_run_that_cannot_be_read_is_not_an_empty_page(serve, told) -> None:
    served = serve(told)
    story = told / "daily" / f"{LATER}.json"
    good = story.read_text()
    story.write_text("torn")
    for _ in range(3):
        assert get(served, f"/runs/daily/{LATER}").status == 500
    story.write_text(good)
    assert get(served, f"/runs/daily/{LATER}").status == 200


def test_a_run_that_is_removed_is_gone(serve, told) -> None:
    served = serve(told)
    (told / "daily" / f"{LATER}.json").rename(told / "daily" / f"{LATER}.jsonl")
    story = RunStory(LATER, "daily", "shop")
    (told / "daily" / f"{LATER}.jsonl").write_text('{"story":' + to_json(story) + "}\n")
    with Following(served, f"/runs/daily/{LATER}/events") as followed:
        followed.until("verdict", "Interrupted")
        (told / "daily" / f"{LATER}.jsonl").unlink()
        event, _, _ = followed.next()
        assert event == "gone"
    assert get(served, f"/runs/daily/{LATER}").status == 404


# --- who may read ---------------------------------------------------------------------------------------------------

TOKEN = "s3cret+token/with=signs"


def test_a_token_is_asked_for_by_header_or_cookie(serve, told) -> None:
    served = serve(told, TOKEN)
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Cookie": "x=y"}):
        for path in ("/", "/events", f"/runs/daily/{RUN}.json", "/?token=wrong"):
            refused = get(served, path, **given)
            assert refused.status == 401, (given, path)
            assert RUN not in refused.text
            assert TOKEN not in refused.text
            assert "Set-Cookie" not in refused.headers
    assert get(served, "/", Authorization=f"Bearer {TOKEN}").status == 200


def test_a_browser_shows_the_token_once(serve, told) -> None:
    served, other = serve(told, TOKEN), serve(told, TOKEN)
    entered = get(served, f"/runs/daily/{RUN}?token={TOKEN}&since=3")
    assert (entered.status, entered.headers["Location"]) == (303, f"/runs/daily/{RUN}?since=3")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite" in cookie
    assert TOKEN not in cookie
    pair = cookie.partition(";")[0]
    assert get(served, "/", Cookie=f'theme="dark; a=b; {pair}').status == 200
    assert get(served, "/", Cookie=f"{pair}x").status == 401
    renamed = pair.replace(str(urlsplit(served.url).port), str(urlsplit(other.url).port))
    assert get(other, "/", Cookie=renamed).status == 401, "a cookie of another process"


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "/\\/evil.example"])
def test_the_token_leads_nowhere_else(serve, told, path) -> None:
    place = get(serve(told, TOKEN), f"{path}?token={TOKEN}").headers["Location"]
    assert re.fullmatch(r"/(?![/\\]).*", place)
    assert "\\" not in place


def test_others_need_a_token() -> None:
    everywhere = address_of("0.0.0.0", 0)
    with pytest.raises(OdibiError, match="other machines reach this address") as raised:
        Gate(everywhere, None)
    assert "ODIBI_UI_TOKEN" in raised.value.remedy
    assert Gate(everywhere, "x").asks
    with pytest.raises(OdibiError, match="line ends"):
        Gate(everywhere, "a\nb")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "[::1", ""])
def test_a_name_that_a_site_has_pointed_here_is_answered_nothing(serve, told, host) -> None:
    served = serve(told)
    for path in ("/", f"/runs/daily/{RUN}.json", "/events"):
        refused = get(served, path, Host=host)
        assert refused.status == 421
        assert RUN not in refused.text
    assert not names_loopback(host)


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:1"])
def test_names_that_mean_this_machine(serve, told, host) -> None:
    assert get(serve(told), "/", Host=host).status == 200


def test_an_address_of_the_newer_protocol(serve, told) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.xfail("this machine has no IPv6")
    served = serve(told, host="::1")
    assert re.fullmatch(r"http://\[::1\]:\d+/", served.url)
    assert get(served, "/").status == 200
    assert get(served, "/", Host="evil.example").status == 421


def test_a_host_that_is_not_known_is_said() -> None:
    for host in ("", "no such host", "host.invalid"):
        with pytest.raises(OdibiError, match="the host is not known"):
            address_of(host, 0)


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..%2f/secret",
        "/runs/../secret",
        "/runs/%2e%2e/secret",
        "/runs/%2e%2e/secret.json",
        "/runs/daily/..%2f..%2fsecret.json",
        "/runs/daily/..%2f..%2fsecret",
        "/runs/daily%2f..%2f..%2f/secret.json",
        "/runs/daily/%00secret.json",
        "/runs/..%5c/secret.json",
        "/runs//secret.json",
        "/runs/daily/../../../secret.json",
        "/../secret.json",
        "/compare?a=../secret&b=daily/" + RUN,
        "/compare?a=daily/../../secret&b=..%2fsecret",
    ],
)
def test_no_path_leads_out_of_the_stories(serve, told, path) -> None:
    hidden = to_json(RunStory("secret", "hidden-pipeline", "hunter22", "succeeded"))
    (told.parent / "secret.json").write_text(hidden)
    (told / "secret.json").write_text(hidden)
    found = get(serve(told), path)
    assert found.status == 404
    assert "hunter22" not in found.text
    assert "hidden-pipeline" not in found.text


def test_no_link_leads_out_of_the_stories(serve, told) -> None:
    outside = told.parent / "outside"
    outside.mkdir()
    (outside / "x.json").write_text("hunter22, which is no story")
    (told / "linked").symlink_to(outside)
    page = get(serve(told), "/runs/linked/x.json")
    assert page.status in (404, 500)
    assert "hunter22" not in page.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_there_is_nothing_but_reading(serve, told, method) -> None:
    refused = get(serve(told), "/", method)
    assert refused.status == 405
    assert refused.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", f"/runs/daily/{RUN}", f"/runs/daily/{RUN}.json", "/nowhere", "/events"])
def test_every_answer_says_what_a_browser_may_do_with_it(serve, told, path) -> None:
    headers = get(serve(told), path, "HEAD").headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "odibi"
    assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_a_request_that_does_not_come_is_not_waited_for(serve, told, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "PATIENCE", 0.2)
    served = serve(told)
    with socket.create_connection(("127.0.0.1", urlsplit(served.url).port or 0), timeout=60) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert client.recv(1) == b""


def test_a_request_that_does_not_end_is_refused(serve, told) -> None:
    served = serve(told)
    with socket.create_connection(("127.0.0.1", urlsplit(served.url).port or 0), timeout=60) as client:
        client.sendall(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 414 ")
    assert get(served, "/").status == 200


PLANTED = ("hunter22-config", "hunter22-url", "hunter22-error")


def test_no_secret_is_on_any_page(load, serve, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("API_TOKEN", PLANTED[0])
    text = f"""
    story: {{path: stories/}}
    pipelines:
      - pipeline: daily
        nodes:
          - name: fails
            function: fails
            params: {{token: "${{API_TOKEN}}", url: "https://ann:{PLANTED[1]}@example.com/x"}}
    """
    functions = f"""
    def fails(token, url):
        raise RuntimeError(f"login failed with {{token}} at {{url}}: password={PLANTED[2]}")
    """
    project = load(text, functions)
    for _ in range(2):
        project.run(check=False)
    assert not settle(30)
    served = serve(tmp_path / "stories")
    pages = [get(served, "/").text]
    targets = sorted(set(re.findall(r'href="(/[^"]+)"', pages[0])))
    assert len([target for target in targets if target.startswith("/runs/")]) == 2
    targets += [f"{target}.json" for target in targets if target.startswith("/runs/")]
    pages += [get(served, target).text for target in targets]
    one, other = (target.removeprefix("/runs/") for target in targets[:2])
    pages.append(get(served, f"/compare?a={one}&b={other}").text)
    with Following(served, f"{targets[0]}/events") as followed:
        pages.append(json.dumps(followed.next()))
    assert all("login failed" in page for page in pages[1:3])
    assert not [secret for secret in PLANTED for page in pages if secret in page]


# --- the command ----------------------------------------------------------------------------------------------------


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "odibi", "ui", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def project(folder: Path, text: str) -> None:
    pipelines = "pipelines: [{pipeline: daily, nodes: [{name: one, function: one}]}]"
    (folder / "odibi.yaml").write_text(f"project: shop\n{text}\n{pipelines}\n")
    (folder / "transforms.py").write_text("def one(): return 1\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_listens_and_ends_when_it_is_told_to(told, number) -> None:
    project(told.parent, "story: {path: stories/}")
    process = command(told.parent)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.match(r"(http://127\.0\.0\.1:\d+/) shows the stories in ", line)
        assert url is not None, line
        with socket.create_connection(("127.0.0.1", urlsplit(url[1]).port or 0), timeout=60) as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()


def test_a_port_that_is_taken_is_said(told) -> None:
    project(told.parent, "story: {path: stories/}")
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = command(told.parent, "--port", str(other.getsockname()[1]))
        _, errors = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert "cannot listen here: Address already in use" in errors
    assert "--port" in errors
    assert "Traceback" not in errors


def test_a_project_without_stories_is_told_what_to_add(tmp_path) -> None:
    project(tmp_path, "")
    process = command(tmp_path)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Add 'story: {path: stories/}'" in errors


def test_the_command_does_not_listen_to_others_without_a_token(tmp_path) -> None:
    project(tmp_path, "story: {path: stories/}")
    process = command(tmp_path, "--host", "0.0.0.0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert "ODIBI_UI_TOKEN" in errors
