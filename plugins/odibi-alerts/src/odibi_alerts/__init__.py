"""Tells people of Odibi's runs, by Slack, Teams, webhooks and e-mail."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_observers() -> dict[str, str]:
    """The alerts by their ``type``."""
    return {
        "slack": "odibi_alerts.slack:SlackAlert",
        "teams": "odibi_alerts.teams:TeamsAlert",
        "webhook": "odibi_alerts.webhook:WebhookAlert",
        "email": "odibi_alerts.mail:EmailAlert",
    }


@hookimpl
def odibi_suites() -> dict[str, str]:
    """The conformance suites for them."""
    return {
        "observer.slack": "odibi_alerts.conformance:SlackSuite",
        "observer.teams": "odibi_alerts.conformance:TeamsSuite",
        "observer.webhook": "odibi_alerts.conformance:WebhookSuite",
        "observer.email": "odibi_alerts.conformance:EmailSuite",
    }
