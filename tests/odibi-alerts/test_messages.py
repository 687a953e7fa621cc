"""What messages say, and that nothing in them is markup, a call, or too long."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.contracts.secret import Secret
from odibi_alerts.mail import EmailAlert
from odibi_alerts.mailing import mail_of
from odibi_alerts.notice import EVENTS, FIELDS, Failure, Notice, clean, one_line, took
from odibi_alerts.slack import SlackAlert
from odibi_alerts.teams import TeamsAlert
from odibi_alerts.webhook import WebhookAlert

URL = Secret("https://hooks.example/services/T0/B0")
NOTICE = Notice(
    event="on_failure",
    project="shop",
    pipeline="orders",
    run="r1",
    at=1_767_225_661.0,
    started=1_767_225_600.0,
    state="failed",
    duration=61.0,
    nodes=3,
    counts={"succeeded": 1, "failed": 2, "skipped": 0},
    failures=(Failure("clean", "TransformError", "no column 'price'"),),
    failed=2,
    command="odibi run odibi.yaml",
    metadata={"team": "data"},
)


def mail(**more: Any) -> EmailAlert:
    return EmailAlert(host="mail.example", sender="odibi@example.com", to="ann@example.com", **more)


def everything(alert: Any, notice: Notice) -> str:
    """All that a person would be shown."""
    if isinstance(alert, EmailAlert):
        subject, text, _ = alert.texts(notice)
        return f"{subject}\n{text}"
    return json.dumps(alert.payload(notice), ensure_ascii=False)


ALERTS = [SlackAlert(url=URL), TeamsAlert(url=URL), mail()]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_failure_says_what_failed_where_and_how_to_try_again(alert: Any) -> None:
    said = everything(alert, NOTICE).replace("\\\\", "")
    for part in ("orders of shop failed after 1 min 1 s", "clean: no column 'price'", "and 1 more", "r1", "data"):
        assert part in said
    assert "1 succeeded, 2 failed" in said
    assert "odibi run odibi.yaml" in said


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_each_event_has_a_title_of_its_own(alert: Any, event: str) -> None:
    notice = attrs.evolve(NOTICE, event=event, node="clean", quarantined=7, sla=30.0)
    words = {
        "on_start": "started",
        "on_success": "succeeded after",
        "on_failure": "failed after",
        "on_cancel": "was cancelled after",
        "on_retry": "tries clean again",
        "on_sla": "takes longer than 30 s",
        "on_quarantine": "has set 7 rows of clean aside",
    }
    assert words[event] in everything(alert, notice)


def test_slack_is_called_by_nobody_but_the_options() -> None:
    evil = attrs.evolve(NOTICE, pipeline="<!channel> & <@U123>", metadata={"x": "<https://evil.example|click>"})
    payload = SlackAlert(url=URL, mentions=["here", "U024BE7LH", "S0614TZR7"]).payload(evil)
    texts = [json.dumps(block) for block in payload["blocks"] if "mrkdwn" in json.dumps(block)]
    assert not any("<!channel>" in text or "<@U123>" in text or "<https" in text for text in texts)
    assert "<!channel>" not in payload["text"]
    assert payload["blocks"][-1]["text"]["text"] == "<!here> <@U024BE7LH> <!subteam^S0614TZR7>"


def test_the_metadata_of_odibi_2_works_like_the_options() -> None:
    alert = SlackAlert(url=URL, metadata={"channel": "#data", "mentions": "here", "team": "data"})
    payload = alert.payload(NOTICE)
    assert payload["channel"] == "#data"
    assert payload["blocks"][-1]["text"]["text"] == "<!here>"


def test_a_card_of_teams_is_one_with_its_mentions() -> None:
    payload = TeamsAlert(url=URL, mentions=["ann@example.com"]).payload(NOTICE)
    assert payload["type"] == "message"
    (attachment,) = payload["attachments"]
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["msteams"]["entities"][0]["mentioned"] == {"id": "ann@example.com", "name": "ann@example.com"}
    assert "<at>ann@example.com</at>" in card["body"][-1]["text"]


def test_facts_of_teams_are_no_markdown() -> None:
    card = TeamsAlert(url=URL).payload(attrs.evolve(NOTICE, run="[x](https://evil.example) *b*"))
    facts = card["attachments"][0]["content"]["body"][1]["facts"]
    assert {"title": "Run", "value": r"\[x\]\(https://evil.example\) \*b\*"} in facts


@given(st.text(max_size=4000))
def test_whatever_a_run_brings_along_fits(text: str) -> None:
    notice = attrs.evolve(
        NOTICE,
        pipeline=one_line(text),
        node=one_line(text),
        failures=tuple(Failure(one_line(text), "E", clean(text)) for _ in range(10)),
        metadata={one_line(text, 50): one_line(text)},
    )
    blocks = SlackAlert(url=URL).payload(notice)["blocks"]
    assert len(blocks) <= 50
    for block in blocks:
        if block["type"] == "header":
            assert 0 < len(block["text"]["text"]) <= 150
        elif "fields" in block:
            assert 0 < len(block["fields"]) <= 10
            assert all(0 < len(field["text"]) <= 2000 for field in block["fields"])
        else:
            assert 0 < len(block["text"]["text"]) <= 3000
    assert len(json.dumps(TeamsAlert(url=URL).payload(notice))) < 100_000
    subject, text, urgent = mail().texts(notice)
    made = mail_of("odibi@example.com", ["ann@example.com"], subject, text, urgent=urgent)
    assert "\n" not in subject
    assert made["Importance"] == "high"
    made.as_bytes()


def test_a_template_takes_the_place_of_the_usual_text() -> None:
    text = "{pipeline}: {failed} ({error}) {{}}"
    filled = "orders: clean (clean: no column 'price'\nand 1 more) {}"
    slack = SlackAlert(url=URL, template=text).payload(NOTICE)
    assert slack["blocks"] == [
        {"type": "section", "text": {"type": "plain_text", "text": filled, "emoji": False}},
    ]
    assert mail(template=text, subject="{state}!").texts(NOTICE) == ("failed!", filled + "\n", True)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_can_be_named(field: str) -> None:
    assert isinstance(SlackAlert(url=URL, template=f"{{{field}}}").payload(NOTICE)["text"], str)


@pytest.mark.parametrize("template", ["{nope}", "{}", "{0}", "{run.__class__}", "{run[0]}"])
def test_a_field_that_there_is_not_is_refused_with_those_that_there_are(template: str) -> None:
    with pytest.raises(ValueError, match="template: there is no field .*; there are attempt, command, counts"):
        SlackAlert(url=URL, template=template)


@pytest.mark.parametrize("template", ["{run!r}", "{run:>999999999}", "{run", "run}"])
def test_a_template_that_cannot_be_filled_in_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="^template: "):
        SlackAlert(url=URL, template=template)


def test_a_subject_is_a_template_too() -> None:
    with pytest.raises(ValueError, match="^subject: there is no field 'nope'"):
        mail(subject="{nope}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on_events": ["on_fail"]}, "on_events: there is no event 'on_fail'; there are on_start, on_success"),
        ({"on_events": ["on_sla"]}, "sla: on_events has on_sla"),
        ({"sla": "soon"}, "'soon' is no duration"),
        ({"throttle": -1}, "-1 is no duration"),
        ({"metadata": {"throttle_minutes": "5"}}, "metadata: throttle_minutes is no number"),
        ({"mentions": ["ann"]}, "mentions: 'ann' is nobody"),
        ({"url": Secret("s3cret")}, "url: it does not begin with"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        SlackAlert(**{"url": URL, **options})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"headers": {"bad name": "x"}}, "'bad name' is no name of a header"),
        ({"headers": {"Host": "x"}}, "'Host' is set by the alert itself"),
        ({"headers": {"X": "s3cret\r\nY: z"}}, "the value of 'X' holds signs"),
        ({"secret": ""}, "secret: it is empty"),
        ({"method": "GET"}, "method"),
    ],
)
def test_options_of_a_webhook_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        WebhookAlert(url=URL, **options)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"to": []}, "to: there is no address"),
        ({"to": ["ann"]}, "to: 'ann' is no address"),
        ({"to": ["a@b.example, c@d.example"]}, "is no address"),
        ({"sender": "a@b.example\nBcc: c@d.example"}, "is no address"),
        ({"username": "ann"}, "a username and a password go together"),
        ({"username": "ann", "password": "s3cret", "security": "none"}, "would be sent for all to read"),
    ],
)
def test_options_of_mail_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        EmailAlert(**{"host": "h", "sender": "odibi@example.com", "to": "ann@example.com", **options})
    assert "s3cret" not in str(caught.value)


def test_no_secret_shows_in_what_stands_for_an_alert() -> None:
    alert = WebhookAlert(url=URL, secret=Secret("s3cret"), headers={"Authorization": "Bearer t0ken"})
    for part in (URL.reveal(), "s3cret", "t0ken"):
        assert part not in repr(alert)


def test_durations_are_for_people() -> None:
    assert [took(each) for each in (0.0123, 4.25, 61, 7265)] == ["0.0123 s", "4.25 s", "1 min 1 s", "2 h 1 min"]
