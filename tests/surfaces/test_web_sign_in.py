"""Getting in and out in the browser."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.surfaces.web_client import Browser, browser
from tests.world import World, minutes
from tocsin.edge.auth import COOKIE
from tocsin.identity import hashing
from tocsin.identity import service as identity
from tocsin.identity.guessing import TOKENS, slot
from tocsin.identity.model import USER_ID, User
from tocsin.web.base.forms import safe_path

PASSWORD = "correct horse battery"


async def with_password(world: World, name: str = "ada", role: str = "admin") -> User:
    person = await world.person(name, role=role)
    return await identity.set_password(world.db, world.root, person.id, PASSWORD)


async def sign_in(web: Browser, email: str, password: str, **more: str):
    page = await web.get("/sign-in")
    return await web.submit(page, "sign-in", {"email": email, "password": password, **more})


async def test_signing_in_leads_back_to_where_one_wanted_to_go(world: World) -> None:
    ada = await with_password(world)
    async with browser(world) as web:
        page = await web.get("/alerts?tab=all")
        assert page.path.startswith("/sign-in?next=")
        answer = await web.submit(page, "sign-in", {"email": ada.email, "password": PASSWORD})
        assert (answer.status, answer.location) == (303, "/alerts?tab=all")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower() and "secure" not in cookie.lower()
        assert (await web.get("/")).path == "/incidents"


async def test_a_wrong_password_is_said_without_saying_which_part_is_wrong(world: World) -> None:
    ada = await with_password(world)
    async with browser(world) as web:
        wrong = await sign_in(web, ada.email, "not the password")
        unknown = await sign_in(web, "nobody@example.org", "not the password")
    assert wrong.status == unknown.status == 422
    assert "The e-mail address or the password is wrong." in wrong.html
    assert "The e-mail address or the password is wrong." in unknown.html
    assert "not the password" not in wrong.html and ada.email in wrong.html


async def test_many_wrong_passwords_are_slowed_down_with_a_sentence(world: World) -> None:
    ada = await with_password(world)
    async with browser(world) as web:
        for _ in range(5):
            assert (await sign_in(web, ada.email, "not the password")).status == 422
        page = await sign_in(web, ada.email, PASSWORD)
        assert page.status == 429 and 0 < int(page.headers["retry-after"]) <= 30
        assert "There were too many failed sign-ins. Try again in" in page.html and "seconds." in page.html
        assert PASSWORD not in page.html
        # The page is the form again, and the same form works when the time is over.
        await world.pass_time(timedelta(seconds=30))
        assert (await web.submit(page, "sign-in", {"password": PASSWORD})).status == 303


async def test_a_device_that_has_signed_in_before_is_not_kept_out_by_strangers(world: World) -> None:
    """Identity: the device cookie says nothing of anybody, goes to the sign-in only, and is new each time."""
    ada = await with_password(world)
    cookie = f"tocsin_device_{slot(ada.email)}"
    async with browser(world) as mine, browser(world) as theirs:
        first = await sign_in(mine, ada.email, PASSWORD)
        (told,) = [line for line in first.headers.get_list("set-cookie") if line.startswith(cookie)]
        for word in ("Path=/sign-in", "HttpOnly", "SameSite=strict", "Max-Age=31536000"):
            assert word in told
        assert "Secure" not in told and ada.email not in told and USER_ID.write(ada.id) not in told
        before = mine.http.cookies[cookie]
        await mine.do(await mine.get("/incidents"), "sign-out")
        for _ in range(6):
            refused = await sign_in(theirs, ada.email, "not the password")
        assert refused.status == 429
        # One address for both: as behind a proxy that nobody has named.
        assert (await sign_in(mine, ada.email, PASSWORD)).status == 303
        assert mine.http.cookies[cookie] != before
        assert (await sign_in(theirs, ada.email, PASSWORD)).status == 429


async def test_the_device_cookie_of_one_account_says_nothing_for_another(world: World) -> None:
    ada, bob = await with_password(world), await with_password(world, "bob")
    async with browser(world) as web:
        assert (await sign_in(web, bob.email, PASSWORD)).status == 303
        theirs = web.http.cookies[f"tocsin_device_{slot(bob.email)}"]
    async with browser(world) as web:
        for _ in range(5):
            await sign_in(web, ada.email, "not the password")
        for forged in (theirs, theirs[:-1], "x", "\u00e9"):
            web.http.headers["cookie"] = f"tocsin_device_{slot(ada.email)}={forged}".encode().decode("latin-1")
            assert (await sign_in(web, ada.email, PASSWORD)).status == 429


@pytest.mark.parametrize("way", ["link", "set-up"])
async def test_whoever_comes_by_a_link_is_known_from_then_on(world: World, way: str) -> None:
    """Identity: the way in for somebody whom strangers keep from a new device."""
    if way == "link":
        ada = await with_password(world)
        async with world.db.begin() as tx:
            path = "/link/" + await identity.make_sign_in_link(tx, world.root, ada.id, timedelta(hours=1))
        email, fields = ada.email, {}
    else:
        async with world.db.begin() as tx:
            path = "/set-up?token=" + await identity.make_set_up_link(tx)
        email = "ada@example.org"
        fields = {"organisation": "Acme", "name": "Ada", "email": email, "password": PASSWORD}
    async with browser(world) as web:
        await web.do(await web.get(path), way, fields)
        async with browser(world) as stranger:
            for _ in range(6):
                refused = await sign_in(stranger, email, "not the password")
            assert refused.status == 429
        await web.do(await web.get("/incidents"), "sign-out")
        assert (await sign_in(web, email, PASSWORD)).status == 303


async def test_too_many_at_once_are_asked_to_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Identity: 503 with the form, before the store is asked anything."""
    ada = await with_password(world)
    monkeypatch.setattr(hashing.STRANGERS, "_most_of_one", 0)
    async with browser(world) as web:
        page = await sign_in(web, ada.email, PASSWORD)
        assert page.status == 503 and page.headers["retry-after"] == "3"
        assert "Too many people sign in at this moment." in page.html and "sign-in" in page.read.forms
    assert await world.db.pool.fetchval("SELECT count(*) FROM sign_in_throttle") == 0


async def test_wrong_current_passwords_are_slowed_down_on_the_profile_too(world: World) -> None:
    ada = await with_password(world)
    async with browser(world, ada) as web:
        profile = await web.get(f"/people/{USER_ID.write(ada.id)}")
        for _ in range(5):
            wrong = await web.submit(profile, "password-form", {"current": "wrong", "password": "a better battery"})
            assert wrong.status == 422
        page = await web.submit(profile, "password-form", {"current": PASSWORD, "password": "a better battery"})
        assert page.status == 429 and int(page.headers["retry-after"]) > 0
        assert "There were too many wrong passwords. Try again in" in page.html and "password-form" in page.read.forms


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "/\\evil.example", "https://evil.example/", "/\t/evil.example", "javascript:alert(1)", "evil"],
)
async def test_nobody_is_led_to_another_site(world: World, wanted: str) -> None:
    ada = await with_password(world)
    assert safe_path(wanted) == ""
    async with browser(world) as web:
        answer = await sign_in(web, ada.email, PASSWORD, next=wanted)
    assert (answer.status, answer.location) == (303, "/incidents")


async def test_signing_out_ends_the_session(world: World) -> None:
    ada = await with_password(world)
    async with browser(world, ada) as web:
        cookie = web.http.cookies[COOKIE]
        page = await web.do(await web.get("/incidents"), "sign-out")
        assert page.path == "/sign-in" and "You are signed out." in page.html
        assert "You are signed out." not in (await web.get("/sign-in")).html
        web.http.cookies.set(COOKIE, cookie)
        assert (await web.fetch("/incidents")).location.startswith("/sign-in")


async def test_ending_the_other_sessions_leaves_this_one_and_those_of_others(world: World) -> None:
    """F118: all of one's own but the one that asks."""
    ada, bob = await with_password(world), await world.person("bob")
    async with browser(world, ada) as here, browser(world, ada) as there, browser(world, bob) as his:
        await here.do(await here.get("/sessions"), "others-dialog-form")
        assert (await here.get("/incidents")).path == "/incidents"
        assert (await there.fetch("/incidents")).location.startswith("/sign-in")
        assert (await his.get("/incidents")).path == "/incidents"


async def test_a_form_without_its_token_is_refused(world: World) -> None:
    ada = await with_password(world)
    async with browser(world, ada) as web:
        forged = await web.send("/sign-out", {"_csrf_token": "0" * 64})
        foreign = await web.send("/sign-in", {"email": ada.email, "password": PASSWORD}, origin="https://evil.example")
        assert forged.status == foreign.status == 403
        assert (await web.send("/sign-out", {}, origin="http://[::1")).status == 403
        assert "This form is too old" in forged.html
        assert (await web.get("/incidents")).path == "/incidents"


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 303), ("none", 303), ("same-site", 403), ("cross-site", 403), ("anything", 403)],
)
async def test_a_form_that_the_browser_says_came_from_elsewhere_is_refused(
    world: World, site: str, status: int
) -> None:
    """F118: also when it carries the right token and the right origin, and when nobody is signed in yet."""
    ada = await with_password(world)
    async with browser(world) as web:
        fields = {"email": ada.email, "password": PASSWORD}
        assert (await web.send("/sign-in", fields, **{"sec-fetch-site": site})).status == status
    async with browser(world, ada) as web:
        page = await web.get("/incidents")
        fields = {"_csrf_token": page.read.forms["sign-out"]["_csrf_token"][0]}
        headers = {"sec-fetch-site": site, "origin": "http://127.0.0.1:8700"}
        assert (await web.send("/sign-out", fields, **headers)).status == status
        assert ((await web.fetch("/incidents")).status == 200) is (status == 403)


@pytest.mark.usefixtures("still_clock")
async def test_wrong_links_come_to_an_end_and_a_right_one_always_works(world: World) -> None:
    """Identity: nobody guesses 256 bits; the noise of a network is answered 429, and its neighbours get in."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        token = await identity.make_sign_in_link(tx, world.root, ada.id, timedelta(hours=1))
    async with browser(world) as web:
        answers = [await web.send(f"/link/wrong-{n}", {}) for n in range(TOKENS.burst)]
        assert {answer.status for answer in answers} == {410}
        for refused in (await web.send("/link/wrong", {}), await web.fetch("/link/wrong")):
            assert refused.status == 429 and 0 < int(refused.headers["retry-after"]) <= 5
            assert "too many links that do not work" in refused.html
        assert (await web.do(await web.get(f"/link/{token}"), "link")).path == "/incidents"


@pytest.mark.usefixtures("still_clock")
async def test_wrong_set_up_links_come_to_an_end(world: World) -> None:
    """Identity: and nothing is hashed for them."""
    async with world.db.begin() as tx:
        token = await identity.make_set_up_link(tx)
    fields = {"organisation": "Acme", "name": "Ada", "email": "ada@example.org", "password": PASSWORD}
    async with browser(world) as web:
        answers = [await web.send("/set-up", {**fields, "token": "wrong"}) for _ in range(TOKENS.burst + 1)]
        assert [answer.status for answer in answers[-2:]] == [200, 429]
        assert (await web.send("/set-up", {**fields, "token": token})).status == 303


async def test_setting_up_makes_the_first_administrator_once(world: World) -> None:
    async with world.db.begin() as tx:
        token = await identity.make_set_up_link(tx)
    fields = {"organisation": "Acme", "name": "Ada Lovelace", "email": "ada@example.org", "password": PASSWORD}
    async with browser(world) as web:
        assert (await web.get("/incidents")).path == "/set-up"
        assert "The token is missing or wrong." in (await web.get("/set-up")).html
        page = await web.get(f"/set-up?token={token}")
        short = await web.submit(page, "set-up", {**fields, "password": "short"})
        assert short.status == 422
        assert "Use at least 10 characters." in short.html
        assert "Ada Lovelace" in short.html and token in short.html
        done = await web.do(short, "set-up", fields)
        assert done.path == "/incidents" and "Acme" in done.html
    async with browser(world) as web:
        again = await web.send("/set-up", {**fields, "token": token})
        assert (again.status, again.location) == (303, "/sign-in")
        assert (await web.get(f"/set-up?token={token}")).path == "/sign-in"


async def test_a_one_time_link_works_once_and_not_by_looking_at_it(world: World) -> None:
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        token = await identity.make_sign_in_link(tx, world.root, ada.id, timedelta(hours=1))
    async with browser(world) as web:
        for _ in range(2):
            page = await web.get(f"/link/{token}")
            assert page.status == 200 and page.headers["referrer-policy"] == "strict-origin"
        assert (await web.do(page, "link")).path == "/incidents"
    async with browser(world) as web:
        again = await web.send(f"/link/{token}", {})
        assert again.status == 410 and "has been used or has expired" in again.html


async def test_a_link_says_as_whom_and_where_and_tells_those_without_one_nothing(world: World) -> None:
    """Identity: sign-in by link; looking at it does not use it up."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        token = await identity.make_sign_in_link(tx, world.root, ada.id, timedelta(hours=1))
        set_up = await identity.ensure_organisation(tx, "Acme")
    async with browser(world) as web:
        page = await web.get(f"/link/{token}")
        assert f"Sign in to {set_up.name}" in page.html and ada.name in page.html and ada.email in page.html
        for wrong in ("nothing", token[:-1], token + "x"):
            answer = await web.get(f"/link/{wrong}")
            assert answer.status == 410 and "has been used or has expired" in answer.html
            assert ada.name not in answer.html and ada.email not in answer.html and "link" not in answer.read.forms
        await web.do(page, "link")
        used = await web.get(f"/link/{token}")
        assert used.status == 410 and ada.name not in used.html


@pytest.mark.parametrize(
    ("sent", "zone"),
    [("Europe/Amsterdam", "Europe/Amsterdam"), ("", "UTC"), ("Europe", "UTC"), ("../../etc/passwd", "UTC"),
     ("Moon/Base", "UTC"), ("x" * 5000, "UTC"), ("a\0b", "UTC")],
)  # fmt: skip
async def test_somebody_new_gets_the_zone_of_the_browser(world: World, sent: str, zone: str) -> None:
    """Identity: times are shown in the reader's zone, which is UTC when the browser does not say one."""
    async with world.db.begin() as tx:
        token = await identity.make_set_up_link(tx)
    fields = {"organisation": "Acme", "name": "Ada Lovelace", "email": "ada@example.org", "password": PASSWORD}
    async with browser(world) as web:
        page = await web.get(f"/set-up?token={token}")
        done = await web.do(page, "set-up", {**fields, "time_zone": sent})
        assert done.path == "/incidents" and f"Times are in {zone}" in done.html
    ben = await world.person("ben", reachable=False)
    async with world.db.begin() as tx:
        token = await identity.make_sign_in_link(tx, world.root, ben.id, timedelta(hours=1))
        second = await identity.make_sign_in_link(tx, world.root, ben.id, timedelta(hours=1))
    async with browser(world) as web:
        assert (
            f"Times are in {zone}" in (await web.do(await web.get(f"/link/{token}"), "link", {"time_zone": sent})).html
        )
    async with browser(world) as web:
        page = await web.do(await web.get(f"/link/{second}"), "link", {"time_zone": "Asia/Tokyo"})
        assert f"Times are in {'Asia/Tokyo' if zone == 'UTC' else zone}" in page.html, "who has a zone keeps it"


async def test_who_forgot_the_password_comes_by_a_link_and_sets_a_new_one(world: World) -> None:
    ada = await with_password(world)
    async with world.db.begin() as tx:
        token = await identity.make_sign_in_link(tx, world.root, ada.id, timedelta(days=7))
    async with browser(world, ada) as elsewhere, browser(world) as web:
        page = await web.do(await web.get(f"/link/{token}"), "link")
        assert page.path == "/new-password" and "/incidents" in page.read.links
        assert "Set a new password" in page.html and "current" not in page.read.forms["new-password"]
        short = await web.submit(page, "new-password", {"password": "short"})
        assert short.status == 422 and "Use at least 10 characters." in short.html
        profile = await web.get(f"/people/{USER_ID.write(ada.id)}")
        assert "current" not in profile.read.forms["password-form"]
        done = await web.do(short, "new-password", {"password": "a better battery"})
        assert done.path == "/incidents" and "Password changed." in done.html
        assert (await elsewhere.get("/incidents")).path.startswith("/sign-in")
        profile = await web.get("/new-password")
        assert profile.path.startswith("/people/usr_") and "current" in profile.read.forms["password-form"]
    async with browser(world) as web:
        assert (await sign_in(web, ada.email, "a better battery")).status == 303


async def test_the_offer_of_a_new_password_ends_with_its_time(world: World) -> None:
    ada = await with_password(world)
    async with world.db.begin() as tx:
        token = await identity.make_sign_in_link(tx, world.root, ada.id, timedelta(days=7))
    async with browser(world) as web:
        page = await web.do(await web.get(f"/link/{token}"), "link")
        await world.pass_time(minutes(15))
        late = await web.do(page, "new-password", {"password": "a better battery"})
        assert late.path.startswith("/people/usr_") and "current" in late.read.forms["password-form"]
        assert "without the current one is over." in late.html
        empty = await web.submit(late, "password-form", {"current": "", "password": "a better battery"})
        assert empty.status == 422 and "Give your current password." in empty.html
        assert (await web.get("/new-password")).path.startswith("/people/usr_")
    async with browser(world) as web:
        assert (await web.get("/new-password")).path.startswith("/sign-in")
        assert (await sign_in(web, ada.email, PASSWORD)).status == 303
