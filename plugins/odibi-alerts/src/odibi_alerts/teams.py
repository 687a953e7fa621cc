"""``teams``: messages by a workflow of Microsoft Teams, "When a Teams webhook request is received".

The form is that of https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using,
an Adaptive Card of version 1.4. Texts that a run brings along are ``TextRun``, which knows no Markdown, or escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from odibi.contracts.options import option
from odibi_alerts.hook import HookAlert, mentioned
from odibi_alerts.notice import clean
from odibi_alerts.templates import filled_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi_alerts.notice import Notice

_MARKUP = re.compile(r"([\\`*_\[\]()<>#~|])")


@attrs.define(eq=False)
class TeamsAlert(HookAlert):
    """Sends Adaptive Cards to a channel or chat of Microsoft Teams."""

    mentions: Sequence[str] = option(
        (), help="Whom to call: user principal names, such as ann@example.com.", converter=tuple
    )

    name = "teams"
    understood: ClassVar[Sequence[str]] = ("throttle_minutes", "mentions")

    def message(self, notice: Notice) -> Callable[[float], None]:
        """A message with a card."""
        return self.posting_json(self.payload(notice))

    def payload(self, notice: Notice) -> dict[str, Any]:
        """What is sent."""
        if self.template is not None:
            body = [_plain(clean(filled_in(self.template, notice), 3000))]
        else:
            colour = "attention" if notice.urgent else "good" if notice.event == "on_success" else "default"
            body = [
                _plain(notice.title, size="large", weight="bolder", color=colour),
                {
                    "type": "FactSet",
                    "facts": [{"title": escaped(label), "value": escaped(said)} for label, said in notice.facts()],
                },
            ]
            if notice.errors:
                body.append(_plain(clean(notice.errors, 3000), fontType="monospace"))
        names = mentioned(self.mentions, self.metadata)
        entities = [
            {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": name, "name": name}}
            for name in names
            if "<" not in name
        ]
        if entities:
            body.append({"type": "TextBlock", "wrap": True, "text": " ".join(str(each["text"]) for each in entities)})
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": body,
            "msteams": {"width": "Full", "entities": entities},
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        return {"type": "message", "attachments": [attachment]}


def escaped(text: str) -> str:
    """Text that is no Markdown."""
    return _MARKUP.sub(r"\\\1", text)


def _plain(text: str, **how: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **how}]}
