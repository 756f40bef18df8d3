"""A webhook over TLS whose certificate is no good for a while: real handshakes, tried on and on, told as it is."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from tests.use_cases.receivers import OK, Names, client, make_certificate, make_expired_certificate, serving
from tests.world import World, minutes
from tocsin.events import log
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.webhook import Webhook
from tocsin.notifications.health import Condition
from tocsin.notifications.model import ContactMethod, Delivery, DeliveryState

NAME = "hooks.example.org"
STEP = timedelta(seconds=5)


class Certificates:
    """The certificates of one server, which shows one of them at a time, and a client that trusts some."""

    def __init__(self, folder: Path) -> None:
        self._kinds: dict[str, ssl.SSLContext] = {}
        self.trusting = ssl.create_default_context()
        self._add(folder, "expired", make_expired_certificate, is_trusted=True)
        self._add(folder, "self-signed", make_certificate, is_trusted=False)
        self._add(folder, "renewed", make_certificate, is_trusted=True)
        self.shown = ""
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.sni_callback = self._show

    def _add(
        self, folder: Path, kind: str, make: Callable[[Path, str, str], tuple[Path, Path]], *, is_trusted: bool
    ) -> None:
        (folder / kind).mkdir()
        certificate, key = make(folder / kind, NAME, kind)
        self._kinds[kind] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._kinds[kind].load_cert_chain(certificate, key)
        if is_trusted:
            self.trusting.load_verify_locations(certificate)

    def _show(self, connection: ssl.SSLSocket | ssl.SSLObject, *_: object) -> None:
        connection.context = self._kinds[self.shown]


async def delivery(world: World) -> Delivery:
    async with world.db.begin() as tx:
        return (await tx.session.scalars(select(Delivery))).one()


async def health(world: World, method: ContactMethod) -> Condition:
    async with world.db.begin() as tx:
        return (await contact.conditions(tx, [method.id], world.app.channels))[method.id]


async def tries_in(world: World, time: timedelta) -> int:
    """Let time go by; returns how often the message was tried meanwhile."""
    before = (await delivery(world)).attempt
    await world.let_pass(time, every=STEP)
    return (await delivery(world)).attempt - before


async def test_a_page_waits_for_a_good_certificate_and_then_goes_out_once(world: World, tmp_path: Path) -> None:
    """F060, F141, G04: expired, then one that nobody vouches for, then renewed; nothing is said before that."""
    certificates = Certificates(tmp_path)
    ada = await world.person("ada", reachable=False)
    async with (
        serving(OK, certificates.server) as server,
        client(resolve=Names(["127.0.0.1"]), tls=certificates.trusting) as http,
    ):
        world.app.channels["webhook"] = Webhook(http)
        async with world.db.begin() as tx:
            method = await notifications.add_contact_method(
                tx,
                world.root,
                world.app.channels,
                user_id=ada.id,
                kind="webhook",
                address=f"https://{NAME}:{server.port}/",
            )
        await world.route(await world.policy([ada], wait=minutes(60)))
        certificates.shown = "expired"
        await world.alert()
        await world.let_pass(minutes(2), every=STEP)
        assert await tries_in(world, timedelta(seconds=135)) == 3
        found = await health(world, method)
        assert found.state == "failing" and "certificate has expired" in (found.error or "")
        since = found.failing_since

        certificates.shown = "self-signed"
        assert await tries_in(world, timedelta(seconds=90)) == 2
        found = await health(world, method)
        assert found.state == "failing" and "self-signed certificate" in (found.error or "")
        assert found.failing_since == since
        sent = await delivery(world)
        assert (sent.state, sent.sent_at, sent.possible_duplicate) == (DeliveryState.QUEUED, None, False)
        assert server.requests == []

        certificates.shown = "renewed"
        assert await tries_in(world, timedelta(seconds=45)) == 1
        await world.let_pass(minutes(5), every=STEP)
    assert len(server.requests) == 1 and b"Checkout is down" in server.requests[0]
    found = await health(world, method)
    assert (found.state, found.failing_since, found.error) == ("confirmed", None, None)
    async with world.db.begin() as tx:
        assert len(await log.newest_first(tx, names=("contact_method.recovered",), limit=20)) == 1
