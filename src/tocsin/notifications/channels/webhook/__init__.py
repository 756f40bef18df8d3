"""Pages as a body of the owner's choice, posted to a URL of the owner's choice (F059–F061)."""

from __future__ import annotations

from tocsin.notifications.channels.webhook.bodies import body_of
from tocsin.notifications.channels.webhook.channel import Webhook

__all__ = ["Webhook", "body_of"]
