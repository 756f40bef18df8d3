"""Webhooks on a real socket: which body goes out, what the receiver says to it, and who may read that (F059, F060)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest

from tests.receivers import answering, receiver
from tests.world import World, minutes
from tocsin.identity.model import User
from tocsin.kit.errors import Conflict, Denied, Invalid, NotFound, OutsideFailure, Refused, Stale, Transient
from tocsin.net.http import OutboundHttp
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.base import PageMessage, Trace
from tocsin.notifications.channels.webhook import Webhook, bodies
from tocsin.notifications.model import BodyFormat, ContactMethod, Delivery, Shape

PAGE = bodies.SAMPLES["a page"]
OK = answering(200, b"ok")
SECRET = "/services/T00000000/B0123456/s3cr3tTokenOfSlack?key=an0therSecret"


@asynccontextmanager
async def hook() -> AsyncIterator[Webhook]:
    client = OutboundHttp([ip_network("127.0.0.1")])
    try:
        yield Webhook(client)
    finally:
        await client.aclose()


@pytest.fixture
async def installed(world: World) -> AsyncIterator[World]:
    """A world whose webhooks really call out."""
    async with hook() as webhook:
        channels: Any = world.app.channels
        channels["webhook"] = webhook
        yield world


async def add(world: World, person: User, url: str, **shape: str) -> ContactMethod:
    async with world.db.begin() as tx:
        return await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=person.id, kind="webhook", address=url, **shape
        )


async def change(
    world: World, method: ContactMethod, *, if_version: int | None = None, **changes: str
) -> ContactMethod:
    async with world.db.begin() as tx:
        return await notifications.update_contact_method(
            tx,
            world.root,
            world.app.channels,
            user_id=method.user_id,
            method_id=method.id,
            changes=notifications.MethodChanges(**changes),
            if_version=if_version,
        )


async def send_test(world: World, method: ContactMethod) -> Delivery:
    async with world.db.begin() as tx:
        made = await notifications.send_test_page(tx, world.root, user_id=method.user_id, method_id=method.id)
    await world.settle()
    return await again(world, made[0].id)


async def again(world: World, id: UUID) -> Delivery:
    async with world.db.begin() as tx:
        return await contact.delivery(tx, id)


@pytest.mark.parametrize("format", [format for format in BodyFormat if format is not BodyFormat.TEMPLATE])
async def test_a_webhook_is_sent_what_its_format_asks_for(format: BodyFormat) -> None:
    shaped = replace(PAGE, shape=Shape(format))
    async with receiver(OK) as (url, seen), hook() as webhook:
        receipt = await webhook.send(url, shaped)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert body == bodies.write(shaped).content
    kind = b"text/plain; charset=utf-8" if format is BodyFormat.TEXT else b"application/json"
    assert b"\r\nContent-Type: " + kind + b"\r\n" in head + b"\r\n"
    assert f"Idempotency-Key: {PAGE.delivery_id}".encode() in head
    assert (receipt.delivered, receipt.detail) == (True, "The receiver answered 200.")


async def test_an_own_template_goes_out_with_its_content_type() -> None:
    message = replace(PAGE, shape=Shape(BodyFormat.TEMPLATE, "page: {{ title }}\n", "text/x-page; a=b"))
    async with receiver(OK) as (url, seen), hook() as webhook:
        await webhook.send(url, message)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert body == b"page: Checkout is down\n" and b"Content-Type: text/x-page; a=b\r\n" in head


async def test_a_template_that_fails_sends_plain_json_and_says_so() -> None:
    """G04."""
    message = replace(PAGE, shape=Shape(BodyFormat.TEMPLATE, "{{ gone }}", "text/plain"))
    async with receiver(OK) as (url, seen), hook() as webhook:
        receipt = await webhook.send(url, message)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert json.loads(body)["title"] == PAGE.title and b"Content-Type: application/json" in head
    assert receipt.detail.startswith(
        "The receiver answered 200. The template could not be used, so this is plain JSON. Line 1: There is no field"
    )


@pytest.mark.parametrize(
    ("status", "body", "kind", "failure", "said"),
    [
        (400, b"invalid_blocks", "text/plain", Refused, "answered 400: invalid_blocks."),
        (404, b'{"message": "Unknown Webhook"}', "application/json", Refused, "Unknown Webhook"),
        (404, b"Cannot POST " + SECRET.encode(), "text/plain", Refused, "Cannot POST …"),
        (503, b"", "text/plain", Transient, "answered 503."),
    ],
)
async def test_a_failure_is_told_in_the_receivers_own_words(
    status: int, body: bytes, kind: str, failure: type[OutsideFailure], said: str
) -> None:
    """F060: a failure stands in the timeline, and whoever has the address can post in somebody's name."""
    async with receiver(answering(status, body, kind), SECRET) as (url, _), hook() as webhook:
        with pytest.raises(failure) as failed:
            await webhook.send(url, PAGE)
    assert said in str(failed.value)
    assert "s3cr3t" not in str(failed.value) and "an0ther" not in str(failed.value)


async def test_what_a_receiver_repeats_of_a_page_is_not_told() -> None:
    """Its link is a credential."""
    async with receiver(answering(400, f"bad: {PAGE.acknowledge_url}".encode())) as (url, _), hook() as webhook:
        with pytest.raises(Refused) as failed:
            await webhook.send(url, PAGE)
    assert "the-secret-of-this-page" not in str(failed.value)


async def test_a_test_page_keeps_what_was_sent_and_what_was_answered(installed: World) -> None:
    """F059: no more of the address than its origin."""
    ada = await installed.person("ada", reachable=False)
    async with receiver(answering(200, b"x" * 3000), SECRET) as (url, seen):
        method = await add(installed, ada, url, format="slack")
        delivery = await send_test(installed, method)
    assert delivery.state == "delivered"
    kept = delivery.exchange
    assert kept is not None
    origin = url.removesuffix(SECRET)
    assert (kept["method"], kept["origin"], kept["status"]) == ("POST", origin, 200)
    assert kept["body"].encode() == seen[0].partition(b"\r\n\r\n")[2] and not kept["body_is_cut"]
    assert kept["headers"]["Content-Type"] == "application/json"
    assert kept["answer"] == "x" * 1024 and kept["answer_is_cut"]
    assert kept["took_ms"] >= 0
    assert "s3cr3t" not in json.dumps(kept) and "an0ther" not in json.dumps(kept)


async def test_a_refused_test_page_shows_the_answer_too(installed: World) -> None:
    ada = await installed.person("ada", reachable=False)
    async with receiver(answering(400, b"invalid_payload")) as (url, _):
        delivery = await send_test(installed, await add(installed, ada, url))
    assert delivery.exchange is not None
    assert (delivery.exchange["status"], delivery.exchange["answer"]) == (400, "invalid_payload")
    assert delivery.last_error is not None and delivery.last_error.endswith("answered 400: invalid_payload.")


async def test_without_an_answer_what_was_sent_is_shown_all_the_same(installed: World) -> None:
    ada = await installed.person("ada", reachable=False)
    listener = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/hook"
    async with listener:
        delivery = await send_test(installed, await add(installed, ada, url))
    assert delivery.exchange is not None and delivery.exchange["body"]
    assert (delivery.exchange["status"], delivery.exchange["answer"]) == (None, None)


async def test_a_real_page_keeps_no_exchange(installed: World) -> None:
    """Its body holds the link by which anybody can answer."""
    ada = await installed.person("ada", reachable=False)
    async with receiver(OK) as (url, seen):
        await add(installed, ada, url, format="discord")
        await installed.route(await installed.policy([ada]))
        alert = await installed.alert()
    assert b"/p/" in seen[0] and json.loads(seen[0].partition(b"\r\n\r\n")[2])["allowed_mentions"] == {"parse": []}
    async with installed.db.begin() as tx:
        ((delivery, _),) = await contact.deliveries(tx, alert_id=alert.id)
    assert delivery.state == "delivered" and delivery.exchange is None


async def test_an_exchange_that_cannot_be_kept_is_in_nobodys_way(installed: World) -> None:
    """G04: it is only something to look at."""
    ada = await installed.person("ada", reachable=False)
    await installed.db.pool.execute("ALTER TABLE delivery ADD CONSTRAINT full_disk CHECK (exchange IS NULL) NOT VALID")
    async with receiver(OK) as (url, seen):
        delivery = await send_test(installed, await add(installed, ada, url))
    assert len(seen) == 1 and (delivery.state, delivery.exchange) == ("delivered", None)


def test_what_is_kept_of_an_exchange_can_be_stored() -> None:
    trace = Trace("POST", "http://x", {"A": "b\0"}, b"a\0\xff" + b"x" * 20_000, 200, b"\0\xff", 0.0155)
    kept = trace.written()
    assert kept is not None and "\0" not in json.dumps(kept, ensure_ascii=False)
    assert (len(kept["body"]), kept["body_is_cut"], kept["answer_is_cut"], kept["took_ms"]) == (16_384, True, False, 16)
    assert Trace().written() is None


async def test_what_waits_follows_to_the_new_address_and_format_at_once(world: World) -> None:
    """F059, F141: whoever mends an address in the middle of the night gets the page that waits, without its wait."""
    ada = await world.person("ada", reachable=False)
    method = await add(
        world, ada, "https://old.example/hook", format="template", template="{{ title }}", content_type="text/plain"
    )
    await world.route(await world.policy([ada]))
    world.hook.failures = [Transient("503")]
    await world.alert()
    await change(world, method, address="https://new.example/hook", format="teams")
    await world.settle()
    ((address, message),) = world.hook.sent
    assert (address, message.shape) == ("https://new.example/hook", Shape(BodyFormat.TEAMS, None, None))


async def test_a_contact_method_is_changed_in_parts(world: World) -> None:
    """F059: what is left out stays; another format drops the template, and it is the example when it comes back."""
    ada = await world.person("ada", reachable=False)
    method = await add(world, ada, "https://a.example/hook")
    assert (method.shape, method.version) == (Shape(), 1)
    own = await change(world, method, format="template", template="{{ title|json }}")
    assert own.shape == Shape(BodyFormat.TEMPLATE, "{{ title|json }}", "application/json")
    assert (await change(world, method, content_type="text/plain")).shape.template == "{{ title|json }}"
    named = await change(world, method, name="Pager")
    assert (named.name, named.shape.content_type, named.version) == ("Pager", "text/plain", 4)
    assert (await change(world, method, name="Pager")).version == 4
    assert (await change(world, method, format="slack")).shape == Shape(BodyFormat.SLACK)
    assert (await change(world, method, format="template")).shape.template == bodies.EXAMPLE


async def test_a_change_that_is_wrong_changes_nothing(world: World) -> None:
    ada = await world.person("ada")
    method = await add(world, ada, "https://a.example/hook")
    await add(world, ada, "https://b.example/hook")
    with pytest.raises(Invalid, match="There is no field"):
        await change(world, method, address="https://c.example/", format="template", template="{{ nothing }}")
    with pytest.raises(Conflict, match="is there already"):
        await change(world, method, address="https://b.example/hook")
    with pytest.raises(Stale):
        await change(world, method, name="Mine", if_version=method.version + 1)
    with pytest.raises(Invalid, match="“template” only"):
        await change(world, method, template="{{ title }}")
    async with world.db.begin() as tx:
        mail, kept, _ = await contact.contact_methods(tx, ada.id)
    assert (kept.address, kept.shape, kept.version, kept.name) == ("https://a.example/hook", Shape(), 1, "Fake")
    with pytest.raises(Invalid, match="Only a webhook has a format"):
        await change(world, mail, format="slack")
    assert (await change(world, mail, name="Work")).format is None


@pytest.mark.parametrize("changes", [{"address": "https://new.example/hook"}, {"format": "slack"}])
async def test_what_was_corrected_is_used_again_at_once(world: World, changes: dict[str, str]) -> None:
    """F141: the old failure says nothing of the new address, also when the old one goes on failing."""
    ada = await world.person("ada")
    method = await add(world, ada, "https://old.example/hook")
    await world.route(await world.policy([ada], wait=minutes(30)))
    world.hook.failures = [Refused("404", answered=True) for _ in range(50)]
    await world.alert("First")
    for _ in range(5):
        await world.pass_time(minutes(1))
    assert await failing(world) == {method.id}
    await world.alert("Second")
    assert world.hook.sent == []
    await change(world, method, name="Another name")
    assert await failing(world) == {method.id}
    await change(world, method, **changes)
    assert await failing(world) == set()
    world.hook.failures.clear()
    await world.settle()
    if "address" in changes:
        async with world.db.begin() as tx:
            await notifications.send_test_page(tx, world.root, user_id=ada.id, method_id=method.id)
        # What was on its way to the old address, and is not tried again.
        await world.db.pool.execute(
            "UPDATE delivery SET address = 'https://old.example/hook', recalled_at = tocsin_now() WHERE kind = 'test'"
        )
        world.hook.failures = [Refused("404", answered=True)]
        await world.settle()
        assert world.hook.failures == []
        assert await failing(world, for_how_long=minutes(0)) == set()
    await world.alert("Third")
    assert "Third" in [message.title for _, message in world.hook.sent]


def moves(world: World, method: ContactMethod, *statements: str) -> None:
    """Have the address corrected while a call to the old one is under way."""

    async def move() -> None:
        world.hook.meanwhile = None
        await change(world, method, address="https://new.example/hook")
        for statement in statements:
            await world.db.pool.execute(statement, method.id)

    world.hook.meanwhile = move


async def test_what_still_goes_to_the_old_address_heals_nothing(world: World) -> None:
    """F141: the new address fails, whatever the old one says."""
    ada = await world.person("ada", reachable=False)
    method = await add(world, ada, "https://old.example/hook")
    moves(
        world,
        method,
        "INSERT INTO contact_method_health (contact_method_id, failing_since, last_failed_at, last_error)"
        " VALUES ($1, tocsin_now(), tocsin_now(), '404')",
    )
    await send_test(world, method)
    assert [address for address, _ in world.hook.sent] == ["https://old.example/hook"]
    assert await failing(world, for_how_long=minutes(0)) == {method.id}
    await send_test(world, method)
    assert await failing(world, for_how_long=minutes(0)) == set()


async def test_how_slowly_the_old_address_answered_says_nothing_of_the_new_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F141: the new one is given no longer for its first call than any other."""
    ada = await world.person("ada", reachable=False)
    method = await add(world, ada, "https://old.example/hook")
    monkeypatch.setattr("tocsin.notifications.jobs._since", lambda _: timedelta(seconds=31))
    moves(world, method)
    await send_test(world, method)
    assert await world.db.pool.fetchval("SELECT count(*) FROM contact_method_health") == 0
    await send_test(world, method)
    assert await world.db.pool.fetchval("SELECT answers_after FROM contact_method_health") == 31


async def failing(world: World, *, for_how_long: timedelta | None = None) -> set[UUID]:
    rows = await world.db.pool.fetch(
        "SELECT contact_method_id FROM contact_method_health WHERE failing_since <= tocsin_now() - $1::interval",
        contact.FAILING_FOR if for_how_long is None else for_how_long,
    )
    return {row[0] for row in rows}


async def test_nobody_else_may_change_or_look(world: World) -> None:
    """F118."""
    ada, bob = await world.people("ada", "bob")
    method = await add(world, ada, "https://a.example/hook")
    who = world.actor(bob)
    for user in (ada, bob):
        async with world.db.begin() as tx:
            with pytest.raises(Denied if user is ada else NotFound):
                await notifications.update_contact_method(
                    tx,
                    who,
                    world.app.channels,
                    user_id=user.id,
                    method_id=method.id,
                    changes=notifications.MethodChanges(address="https://evil.example/"),
                )
    with pytest.raises(Denied):
        notifications.preview_webhook(who, user_id=ada.id, format="slack", template=None, content_type=None)


async def test_the_record_says_that_address_and_template_changed_and_not_what_they_are(world: World) -> None:
    """F118: everybody who reads the record reads it."""
    ada = await world.person("ada", reachable=False)
    method = await add(world, ada, "https://a.example/s3cret")
    await change(
        world,
        method,
        address="https://b.example/s3cret",
        format="template",
        template="{{ title }}s3cret",
        content_type="text/plain",
    )
    told = await world.db.pool.fetch("SELECT data::text FROM event WHERE name LIKE 'configuration.%'")
    assert any('"address"' in row[0] and '"template"' in row[0] for row in told)
    assert not [row[0] for row in told if "s3cret" in row[0]]


def test_a_message_without_a_shape_is_plain() -> None:
    assert PageMessage.__dataclass_fields__["shape"].default == Shape()
