"""``slack``: messages by an incoming webhook of Slack.

The form of a message is that of https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and its
limits those of https://docs.slack.dev/reference/block-kit/blocks. What a run brings along stands in ``plain_text``, or
is escaped as https://docs.slack.dev/messaging/formatting-message-text says, so that it calls nobody and links nowhere.
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

_GROUPS = ("here", "channel", "everyone")
_MEMBER = re.compile(r"[UWS][A-Z0-9]{2,}")


def escaped(text: str) -> str:
    """Text that is no markup in Slack's ``mrkdwn``."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _members(_: object, __: object, value: Sequence[str]) -> None:
    for each in value:
        if each not in _GROUPS and not _MEMBER.fullmatch(each):
            raise ValueError(
                f"mentions: {each!r} is nobody; give here, channel, everyone, or the id of a member or a user group, "
                "such as U024BE7LH"
            )


@attrs.define(eq=False)
class SlackAlert(HookAlert):
    """Sends messages to a channel of Slack."""

    channel: str | None = option(
        None, help="Another channel than the webhook's own; only old webhooks heed it, such as '#data'."
    )
    mentions: Sequence[str] = option(
        (),
        help="Whom to call: here, channel, everyone, or ids of members or user groups.",
        converter=tuple,
        validator=_members,
    )

    name = "slack"
    understood: ClassVar[Sequence[str]] = ("throttle_minutes", "channel", "mentions")

    def message(self, notice: Notice) -> Callable[[float], None]:
        """A message with blocks."""
        return self.posting_json(self.payload(notice))

    def payload(self, notice: Notice) -> dict[str, Any]:
        """What is sent."""
        if self.template is not None:
            text = clean(filled_in(self.template, notice), 3000)
            blocks: list[dict[str, Any]] = [_plain(text or notice.title)]
        else:
            text = notice.title
            facts = [f"*{escaped(label)}*\n{escaped(said)}" for label, said in notice.facts()]
            blocks = [
                {"type": "header", "text": {"type": "plain_text", "text": notice.title, "emoji": False}},
                *({"type": "section", "fields": _fields(facts[at : at + 10])} for at in range(0, len(facts), 10)),
            ]
            if notice.errors:
                blocks.append(_plain(clean(notice.errors, 3000)))
        calls = " ".join(map(_call, mentioned(self.mentions, self.metadata)))
        if calls:
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": calls}})
        payload: dict[str, Any] = {"text": escaped(text), "blocks": blocks}
        channel = self.channel or self.metadata.get("channel")
        return {**payload, "channel": str(channel)} if channel else payload


def _fields(texts: Sequence[str]) -> list[dict[str, str]]:
    return [{"type": "mrkdwn", "text": text[:2000]} for text in texts]


def _plain(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _call(who: str) -> str:
    if who in _GROUPS:
        return f"<!{who}>"
    if not _MEMBER.fullmatch(who):  # of the metadata, which nobody has checked
        return escaped(who)
    return f"<!subteam^{who}>" if who.startswith("S") else f"<@{who}>"
