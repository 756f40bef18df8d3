"""Pages as one JSON object, posted to a URL of the user's choice (F059–F061)."""

from __future__ import annotations

import msgspec

from tocsin.kit import clock
from tocsin.net.http import USER_AGENT, OutboundHttp
from tocsin.notifications.channels.base import MARGIN, PageMessage, Receipt


class Webhook:
    """Posts a page; any 2xx answer within 15 s confirms that it arrived, or within 60 s once it was late before.

    The header `Idempotency-Key` and the field `delivery_id` are the same for every attempt of one delivery, so
    a receiver that remembers them sees each page once.
    """

    kind = "webhook"
    label = "Webhook"

    def __init__(self, http: OutboundHttp) -> None:
        self._http = http

    def check_address(self, address: str) -> str:
        """Return the URL in its normal spelling; only http and https, no user name, no forbidden network."""
        return self._http.check_url(address)

    async def send(self, address: str, message: PageMessage, *, within: float = 15.0) -> Receipt:
        """Post the page once. 408, 425, 429 and 5xx pass; redirects and other 4xx are refusals, 410 the firmest."""
        reply = await self._http.post(
            address,
            body=body_of(message),
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": message.delivery_id,
                "User-Agent": USER_AGENT,
            },
            deadline_seconds=within - MARGIN,
        )
        return Receipt(detail=f"The receiver answered {reply.status}.", provider_id=None, delivered=True)


def body_of(message: PageMessage) -> bytes:
    """Write the JSON object. Keys are always present; what is not known is null. Times are RFC 3339 in UTC.

    Where somebody asks for help with an incident, `body` begins with what they say.
    """
    is_asked = message.incident_id is not None and message.alert_id is None
    return msgspec.json.encode(
        {
            "delivery_id": message.delivery_id,
            "kind": message.kind,
            "title": message.title,
            "body": f"{message.reason}\n\n{message.body}".strip() if is_asked else message.body,
            "severity": message.severity,
            "urgency": message.urgency,
            "status": message.status,
            "alert_id": message.alert_id,
            "incident_id": message.incident_id,
            "incident_number": message.incident_number,
            "url": message.url,
            "acknowledge_url": message.acknowledge_url,
            "reason": message.reason,
            "source": message.source,
            "labels": dict(message.labels),
            "attempt": message.attempt,
            "possible_duplicate": message.possible_duplicate,
            "minutes_late": message.minutes_late,
            "sent_at": clock.stamp(message.sent_at),
            "recipient_name": message.recipient_name,
        }
    )
