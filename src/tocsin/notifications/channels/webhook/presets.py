"""The bodies that chat products take from an incoming webhook, one function each. Pure.

Each says title, severity, source, reason, the first lines of the description, where to acknowledge and where to see
more; before all that, that it is a test or may be a repeat. Links and not buttons wherever a button would need an
answer from us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.kit.text import clean, one_line
from tocsin.notifications.channels.base import PageMessage, web_link
from tocsin.notifications.channels.webhook import escaping
from tocsin.notifications.channels.webhook.escaping import fit, href

# Small enough for every product below, and as much as is read on a phone.
_TITLE, _WHY, _SOURCE, _BODY = 250, 900, 100, 1200
_LINK_TEXT: Mapping[str, str] = {"acknowledge": "Acknowledge", "details": "Open in Tocsin"}
# Red, orange, amber, blue, slate, as on the screen.
_COLOURS: Mapping[str, str] = {
    "SEV1": "#b1101f",
    "SEV2": "#9c3f00",
    "SEV3": "#765200",
    "SEV4": "#1458ab",
    "SEV5": "#535762",
}


def headline(message: PageMessage) -> str:
    """Return the one line that a notification shows, not yet escaped."""
    if message.kind == "news":
        # Nothing is asked of anybody, so no severity stands before it.
        return one_line(message.title)
    mark = "TEST: " if message.kind == "test" else ""
    number = f"{one_line(message.incident_number, 40)} " if message.is_asked and message.incident_number else ""
    return f"{mark}[{one_line(message.severity, 20)}] {number}{one_line(message.title)}"


def _facts(message: PageMessage) -> list[tuple[str, str]]:
    found = [
        ("Why", one_line(message.reason, 1_300)),
        ("Asked by" if message.is_asked else "Source", one_line(message.source, 80)),
    ]
    if message.incident_number:
        found.append(("Incident", one_line(message.incident_number, 40)))
    return [(name, value) for name, value in found if value]


def _body(message: PageMessage) -> str:
    return clean(message.body).strip()


def _links(message: PageMessage) -> list[tuple[str, str]]:
    """Return text and address of each link, with addresses that cannot break out of any markup."""
    named = {"acknowledge": message.acknowledge_url or "", "details": message.url}
    return [(_LINK_TEXT[name], href(web_link(url))) for name, url in named.items() if href(web_link(url))]


def text(message: PageMessage) -> str:
    """Plain text, for gateways and push services: at most about 3,000 characters."""
    lines = [
        fit(headline(message), _TITLE, escaping.as_is),
        *message.notes,
        *(f"{name}: {fit(value, _WHY, escaping.as_is)}" for name, value in _facts(message)),
        *(f"{label}: {url}" for label, url in _links(message)),
    ]
    if body := _body(message):
        lines += ["", fit(body, _BODY, escaping.as_is)]
    return "\n".join(lines) + "\n"


def slack(message: PageMessage) -> dict[str, Any]:
    """Slack: `blocks` for Slack, and all of it once more as `text` for those who take Slack's form without blocks.

    A header has at most 150 characters and a section 3,000; a text should have less than 4,000.
    https://docs.slack.dev/reference/block-kit/blocks, https://docs.slack.dev/messaging/formatting-message-text/
    Buttons with an address need an app that answers their click, so these are links. They are not unfolded, so that
    no preview calls them.
    """
    facts = [f"*{name}:* {fit(value, _WHY, escaping.slack)}" for name, value in _facts(message)]
    links = " · ".join(f"<{escaping.slack_plain(url)}|{label}>" for label, url in _links(message))
    body = fit(_body(message), _BODY, escaping.slack)
    parts = [*(f"*{note}*" for note in message.notes), *facts]
    title = fit(headline(message), _TITLE, escaping.slack_plain)
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": fit(headline(message), 150, escaping.slack_plain), "emoji": False},
        },
        *(_section(part) for part in ("\n".join(parts), body, links) if part),
    ]
    return {
        "text": "\n".join([title, *parts, links, *([body] if body else [])]),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _section(mrkdwn: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn, "verbatim": True}}


def mattermost(message: PageMessage) -> dict[str, Any]:
    """Mattermost: Markdown in `text`, well below 4,000 characters, which the oldest servers still take.

    https://docs.mattermost.com/developers/integrate/webhooks/incoming
    """
    return {"text": "\n".join(_markdown(message, escaping.mattermost))}


def _markdown(message: PageMessage, write: escaping.Write) -> list[str]:
    lines = [f"**{fit(headline(message), _TITLE, write)}**", *(f"**{note}**" for note in message.notes)]
    lines += [f"**{name}:** {fit(value, _WHY, write)}" for name, value in _facts(message)]
    lines.append(" · ".join(f"[{label}]({url})" for label, url in _links(message)))
    return [*lines, "", fit(_body(message), _BODY, write)] if _body(message) else lines


def discord(message: PageMessage) -> dict[str, Any]:
    """Discord: a line of content, for the notification, and one embed. Nobody is mentioned, whatever a title says.

    Content has at most 2,000 characters, the description of an embed 4,096, the value of a field 1,024, all 6,000.
    https://discord.com/developers/docs/resources/webhook#execute-webhook
    https://discord.com/developers/docs/resources/message#allowed-mentions-object
    """
    links = " · ".join(f"**[{label}]({url})**" for label, url in _links(message))
    body = fit(_body(message), _BODY, escaping.discord)
    return {
        "content": "\n".join([fit(headline(message), _TITLE, escaping.discord), *message.notes]),
        "embeds": [
            {
                "description": "\n\n".join(part for part in (links, body) if part),
                "color": int(_COLOURS.get(message.severity, "#535762")[1:], 16),
                "fields": [
                    {"name": name, "value": fit(value, _WHY, escaping.discord)} for name, value in _facts(message)
                ],
            }
        ],
        "allowed_mentions": {"parse": []},
    }


def google_chat(message: PageMessage) -> dict[str, Any]:
    """Google Chat: a line of text, for the notification, and one card. A message has at most 32,000 bytes, text 4,096.

    https://developers.google.com/workspace/chat/quickstart/webhooks
    https://developers.google.com/workspace/chat/api/reference/rest/v1/cards
    """
    line = " ".join([fit(headline(message), _TITLE, escaping.google_text), *message.notes])
    said = [f"<b>{name}:</b> {fit(value, _WHY, escaping.google_card)}" for name, value in _facts(message)]
    if body := fit(_body(message), _BODY, escaping.google_card):
        said.append(body)
    buttons = [{"text": label, "onClick": {"openLink": {"url": url}}} for label, url in _links(message)]
    widgets = [{"textParagraph": {"text": part}} for part in said]
    return {
        "text": line,
        "cardsV2": [
            {"cardId": "page", "card": {"sections": [{"widgets": [*widgets, {"buttonList": {"buttons": buttons}}]}]}}
        ],
    }


def teams(message: PageMessage) -> dict[str, Any]:
    """Microsoft Teams: an Adaptive Card for a Workflows webhook. A message has at most 28 KB.

    What an alert says stands in text runs, which know no Markdown, so that there is nothing to escape.
    https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
    https://adaptivecards.io/explorer/TextRun.html
    """
    body = [_runs(_run(fit(headline(message), _TITLE, escaping.as_is), weight="Bolder", size="Large"))]
    body += [_runs(_run(note, weight="Bolder")) for note in message.notes]
    body += [
        _runs(_run(f"{name}: ", weight="Bolder"), _run(fit(value, _WHY, escaping.as_is)))
        for name, value in _facts(message)
    ]
    body += [_runs(_run(line)) for line in fit(_body(message), _BODY, escaping.as_is).split("\n")[:40] if line.strip()]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": label, "url": url} for label, url in _links(message)],
        "msteams": {"width": "Full"},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _runs(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **looks: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **looks}
