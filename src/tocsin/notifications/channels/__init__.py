"""The ways to reach a person, one module each; `channels` puts together those that this installation has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TextIO

from tocsin.net.http import OutboundHttp
from tocsin.net.smtp import Mailer
from tocsin.notifications.channels.base import Channel
from tocsin.notifications.channels.console import Console
from tocsin.notifications.channels.email import Email
from tocsin.notifications.channels.webhook import Webhook


def kinds(*, mail: bool, console: bool) -> frozenset[str]:
    """Return the kinds of channel that an installation with these settings has."""
    return frozenset(
        kind for kind, is_set_up in ((Email.kind, mail), (Webhook.kind, True), (Console.kind, console)) if is_set_up
    )


def channels(
    *, http: OutboundHttp, mailer: Mailer | None = None, console: TextIO | None = None
) -> Mapping[str, Channel]:
    """Return the channels by kind, as menus list them: `webhook` always, `email` and `console` when they are set up."""
    found: list[Channel] = [Email(mailer)] if mailer is not None else []
    found.append(Webhook(http))
    if console is not None:
        found.append(Console(console))
    return MappingProxyType({channel.kind: channel for channel in found})
