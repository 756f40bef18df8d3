"""Posting a page, and reading what the receiver says to it."""

from __future__ import annotations

from tocsin.kit.clock import monotonic
from tocsin.net.http import USER_AGENT, OutboundHttp, Reply, failure_of
from tocsin.notifications.channels.base import MARGIN, PageMessage, Receipt, Trace
from tocsin.notifications.channels.webhook import bodies
from tocsin.notifications.channels.webhook.bodies import Body
from tocsin.notifications.origins import origin_of


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
        """Post the page. Anything but 2xx is a failure, told with the receiver's own words."""
        body = bodies.write(message)
        reply = await self._post(address, message, body, within)
        if not 200 <= reply.status < 300:
            raise failure_of(address, reply, f"{message.delivery_id}\n{body.content.decode('utf-8', 'replace')}")
        detail = f"The receiver answered {reply.status}."
        return Receipt(detail=f"{detail} {body.note}".strip(), provider_id=None, delivered=True)

    async def _post(self, address: str, message: PageMessage, body: Body, within: float) -> Reply:
        headers = {
            "Content-Type": body.content_type,
            "Idempotency-Key": message.delivery_id,
            "User-Agent": USER_AGENT,
        }
        trace = message.trace or Trace()
        trace.method, trace.origin, trace.headers, trace.body = (
            "POST",
            origin_of(self.kind, address),
            headers,
            body.content,
        )
        began = monotonic()
        try:
            reply = await self._http.request(
                "POST", address, body=body.content, headers=headers, deadline_seconds=within - MARGIN
            )
        finally:
            trace.seconds = monotonic() - began
        trace.status, trace.answer = reply.status, reply.body
        return reply
