"""The conformance suites on each alert."""

from __future__ import annotations

from odibi_alerts.conformance import EmailSuite, SlackSuite, TeamsSuite, WebhookSuite


class TestSlack(SlackSuite):
    pass


class TestTeams(TeamsSuite):
    pass


class TestWebhook(WebhookSuite):
    pass


class TestEmail(EmailSuite):
    pass


del EmailSuite, SlackSuite, TeamsSuite, WebhookSuite
