"""Policies, routes, sources, people, tokens and sessions in the browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import SOURCE_ID
from tocsin.identity import queries as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import USER_ID, User
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Patience, Refused
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.oncall.model import POLICY_ID


@pytest.fixture
async def ada(world: World) -> User:
    return await world.person("ada", role="admin")


@pytest.fixture
async def web(world: World, ada: User) -> AsyncIterator[Browser]:
    async with browser(world, ada) as web:
        yield web


def inside(page: Page, form: str) -> str:
    """What stands in a form: when it is refused, that is all that htmx shows of the answer."""
    return page.html.split(f' id="{form}"')[1].partition("</form>")[0]


def key(person: User) -> str:
    return f"user:{USER_ID.write(person.id)}"


async def test_a_policy_is_written_with_the_buttons_of_the_editor(world: World, web: Browser, ada: User) -> None:
    """F053."""
    bob = await world.person("bob")
    page = await web.get("/policies/new")
    page = await web.submit(page, "policy-form", {"name": "Duty", "step-0-add": key(ada), "do": "add-target-0"})
    page = await web.submit(page, "policy-form", {"do": "add-step"})
    page = await web.submit(page, "policy-form", {"step-1-add": key(bob), "do": "add-target-1"})
    assert page.status == 200 and page.read.forms["policy-form"]["name"] == ["Duty"]
    page = await web.submit(page, "policy-form", {"step-1-wait": "7", "do": "up-1"})
    assert page.read.forms["policy-form"]["step-0-target"] == [key(bob)]
    saved = await web.do(page, "policy-form", {"repeat": "2", "do": "save"})
    assert "Policy saved." in saved.html and saved.path.startswith("/policies/pol_")
    fields = saved.read.forms["policy-form"]
    assert (fields["step-0-wait"], fields["step-1-target"], fields["repeat"]) == (["7"], [key(ada)], ["2"])
    assert "Bob, repeat 2" in saved.html
    page = await web.submit(saved, "policy-form", {"do": f"remove-target-0-{key(bob)}"})
    assert page.read.forms["policy-form"]["step-0-target"] == [""]
    for do in ("remove-step-1", "down-0", "down-9", "up-0", "nonsense"):
        assert (await web.submit(saved, "policy-form", {"do": do})).status == 200
    assert "Duty" in (await web.get("/policies")).html
    assert (await web.do(saved, "delete-form")).path == "/policies"


async def test_a_policy_says_at_its_fields_what_is_wrong(web: Browser, ada: User) -> None:
    page = await web.get("/policies/new")
    empty = await web.submit(page, "policy-form", {"name": "Duty", "do": "save"})
    assert empty.status == 422 and "A step pages between 1 and 50 people." in empty.html
    assert 'aria-describedby="step-0-add-err"' in empty.html and 'id="step-0-add-err"' in empty.html
    wrong = {"name": "Duty", "step-0-target": key(ada), "step-0-wait": "0", "do": "save"}
    late = await web.submit(page, "policy-form", wrong)
    assert late.status == 422 and "between 1 and 1440" in late.html and 'id="step-0-wait-err"' in late.html
    nameless = await web.submit(page, "policy-form", {"name": "", "step-0-target": key(ada), "do": "save"})
    assert nameless.status == 422 and "Give the policy a name" in nameless.html


async def test_after_a_button_of_the_editor_one_goes_on_where_one_was(web: Browser, ada: User) -> None:
    """B12: the focus is on the new step and not on the name; who was chosen meanwhile is kept, and it is not saved."""
    page = await web.get("/policies/new")
    assert "autofocus" not in page.html and 'data-guard="unsaved"' not in page.html

    def focused(page: Page) -> list[str]:
        return re.findall(r'<(?:select|button)[^>]* (?:id|value)="([\w-]+)"[^>]* autofocus', page.html)

    page = await web.submit(page, "policy-form", {"do": "add-step", "step-0-add": key(ada)})
    assert focused(page) == ["step-1-add"] and 'data-guard="unsaved"' in page.html
    assert page.read.forms["policy-form"]["step-0-target"] == [key(ada)]
    steps = [("add-step", "step-2-add"), ("down-0", "down-1"), ("up-1", "down-0"), ("remove-step-2", "step-1-add")]
    for do, expected in [*steps, (f"remove-target-0-{key(ada)}", "step-0-add"), ("preview", ""), ("up-9", "")]:
        page = await web.submit(page, "policy-form", {"do": do})
        assert focused(page) == ([expected] if expected else []), do


async def test_the_editor_survives_a_number_of_any_length(web: Browser, ada: User) -> None:
    page = await web.get("/policies/new")
    again = await web.submit(page, "policy-form", {"repeat": "9" * 5000, "do": "add-step"})
    assert again.status == 200 and "step-1-wait" in again.html


async def test_a_policy_in_use_goes_when_another_takes_its_place(world: World, web: Browser, ada: User) -> None:
    """F143: the page names what leads there and offers the others; what came since it was opened is asked about."""
    policy, other = await world.policy([ada]), await world.policy([ada], name="Night")
    url = f"/policies/{POLICY_ID.write(policy.id)}"
    before = await web.open(await web.get(url), "delete-form")
    assert "replace_by" not in before.read.forms["delete-form"]
    route_id = await world.route(policy)
    page = await web.submit(before, "delete-form")
    assert page.status == 409 and "“Duty” is in use: Everything (route)." in page.html
    assert page.read.forms["delete-form"]["replace_by"] == [""], "nothing is chosen beforehand"
    gone = await web.submit(page, "delete-form", {"replace_by": POLICY_ID.write(other.id)})
    assert (gone.status, gone.location) == (303, "/policies")
    async with world.db.begin() as tx:
        assert (await alert_queries.route(tx, route_id)).escalation_policy_id == other.id


async def test_the_list_of_people_says_who_is_reached_by_nothing_that_works(world: World, web: Browser) -> None:
    """F141: a person all of whose contact methods fail is not shown as one who can be reached."""
    bob = await world.person("bob")
    world.mail.down = Refused("550 no such user", patience=Patience.NONE)
    async with world.db.begin() as tx:
        await notifications.send_test_page(tx, world.root, user_id=bob.id)
    await world.settle()
    listed = (await web.get("/people")).html
    assert listed.count(": fails<") == 1 and ": fails<" in listed.partition(">Bob<")[2]
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=bob.id, kind="webhook", address="https://hook.example.org/bob"
        )
    listed = (await web.get("/people")).html
    assert ": fails<" not in listed and world.hook.label in listed.partition(">Bob<")[2]


async def test_a_policy_says_who_on_it_cannot_be_paged(world: World, web: Browser, ada: User) -> None:
    """F135, F141: in the list, on its page and beside the person, for accounts that are off and channels not set up."""
    bob, cyd = await world.person("bob"), await world.person("cyd", reachable=False)
    policy = await world.policy([[ada, bob], cyd])
    async with world.db.begin() as tx:
        await incidents.update_person(tx, world.root, bob.id, UserChanges(is_active=False), confirmed=True)
        await tx.session.execute(text("UPDATE contact_method SET kind = 'sms' WHERE user_id = :ada"), {"ada": ada.id})
    listed = await web.get("/policies")
    assert ">Ada, Bob (skipped)<" in listed.html
    assert "Step 1 names Ada, who has no contact method that works here. And 4 more." in listed.html
    page = await web.get(f"/policies/{POLICY_ID.write(policy.id)}")
    for words in (
        "Step 1 names Bob, whose account is switched off.",
        "Step 1 reaches nobody, so it is passed over.",
        "Step 2 names Cyd, who has no contact method that works here.",
        "Skipped: the account is switched off. Remove them here, or activate it on",
        "Skipped: no contact method of theirs works here. Remove them here, or add one on",
        f'href="/people/{USER_ID.write(bob.id)}"',
        "Ada, Bob (skipped)",
    ):
        assert words in page.html, words
    assert (await web.get("/people")).html.count("Cannot be paged") == 3
    mine = await web.get(f"/people/{USER_ID.write(ada.id)}")
    assert "This installation cannot send on this channel: it is not set up" in mine.html
    theirs = await web.get(f"/people/{USER_ID.write(bob.id)}")
    assert "Bob cannot be asked any more." in theirs.html and "Duty, step 1" in theirs.html


async def test_somebody_chosen_but_not_added_is_saved_with_the_policy(web: Browser, ada: User) -> None:
    """F053; F040: an old copy changes nothing, and what was typed stays."""
    page = await web.get("/policies/new")
    saved = await web.do(page, "policy-form", {"name": "Duty", "step-0-add": key(ada), "do": "save"})
    assert saved.read.forms["policy-form"]["step-0-target"] == [key(ada)]
    old = await web.do(saved, "policy-form", {"name": "Night", "do": "save"})
    stale = await web.submit(saved, "policy-form", {"name": "Day", "do": "save"})
    assert stale.status == 409 and " changed the name" in inside(stale, "policy-form")
    assert stale.read.forms["policy-form"]["name"] == ["Day"]
    assert old.read.forms["policy-form"]["name"] == ["Night"]


async def test_a_dialog_is_told_what_others_did_since_it_was_opened(world: World, web: Browser, ada: User) -> None:
    """A2: who, and what; nothing of what one did oneself, and nothing where nothing was."""
    source = await world.source()
    bob = await world.person("bob", role="admin")
    place = f"/sources/{SOURCE_ID.write(source.id)}"
    asked = await web.get(f"{place}/delete", **{"x-sheet": "1"})
    assert 'data-seen="1"' in asked.html and "<html" not in asked.html
    assert not (await web.get(f"{place}/delete?seen=1")).html.strip()
    async with world.db.begin() as tx:
        await alerts.update_source(tx, world.actor(bob), source.id, alerts.SourceChanges(name="Probe"))
    assert "Bob changed the name" in (await web.get(f"{place}/delete?seen=1")).html
    assert not (await web.get(f"{place}/delete?seen=2")).html.strip()
    async with world.db.begin() as tx:
        await alerts.update_source(tx, world.actor(ada), source.id, alerts.SourceChanges(name="Mine"))
    assert "Ada" not in (await web.get(f"{place}/delete?seen=1")).html


async def test_routes_are_made_changed_moved_and_deleted(world: World, web: Browser, ada: User) -> None:
    """F069, F040."""
    policy = await world.policy([ada])
    page = await web.get("/routes")
    asked = await web.open(page, "new-catch-all")
    assert asked.read.forms["new-catch-all"]["policy_id"] == [POLICY_ID.write(policy.id)]
    page = await web.do(asked, "new-catch-all")
    assert "/routes/catch-all" not in page.read.dialogs
    made = {"First": "severity <= 2", "Second": 'urgency == "low"'}
    for name, condition in made.items():
        editor = await web.get("/routes/new")
        page = await web.do(editor, "new-route", {"name": name, "by": "", "condition": condition})

    def order(page: Page) -> list[str]:
        return re.findall(r'href="/routes/rte_\w+">(.*?)</a>', page.html)

    assert order(page) == ["First", "Second", "Everything else"]
    second = page.html.split(">Second</a>")[0].rpartition('href="')[2].rpartition('"')[0]
    id = second.removeprefix("/routes/")
    page = await web.do(page, f"move-{id}", {"place": "1"})
    assert order(page) == ["Second", "First", "Everything else"]
    assert order(await web.do(page, f"to-{id}", {"place": "99"})) == ["First", "Second", "Everything else"]
    assert order(await web.do(page, f"first-{id}")) == ["Second", "First", "Everything else"]

    editor = await web.get(second)
    assert editor.read.forms[f"edit-{id}"]["row-0-field"] == ["urgency"]
    changed = await web.do(editor, f"edit-{id}", {"name": "Renamed"})
    assert "Renamed" in changed.html and "Switched off" not in changed.html
    assert "urgency == &#34;low&#34;" in changed.html, "the rows that were read from the expression say the same"
    stale = await web.submit(editor, f"edit-{id}", {"name": "Again"})
    assert stale.status == 409 and "Ada changed the name" in stale.html
    assert stale.read.forms[f"edit-{id}"]["name"] == ["Again"]
    editor = await web.get(second)
    bad = await web.submit(editor, f"edit-{id}", {"by": "", "condition": "severity <="})
    assert bad.status == 422 and bad.read.forms[f"edit-{id}"]["condition"] == ["severity <="]
    assert "aria-invalid" in bad.html
    gone = await web.do(editor, "delete-dialog-form")
    assert "Renamed" not in gone.html


async def test_a_route_is_tried_while_it_is_written_and_built_of_rows(world: World, web: Browser, ada: User) -> None:
    """B15: how many of the last alerts, which, and which route takes them first; a label that none has is named."""
    policy = await world.policy([ada])
    await world.route(policy, 'labels.team == "core"', name="Core first")
    await world.alert("Disk is full", labels={"team": "core"}, severity="critical")
    await world.alert("Net is slow", labels={"team": "net"}, severity="critical")
    await world.alert("Cache is cold", labels={"team": "core"}, severity="info")
    routes = await world.db.pool.fetchval("SELECT count(*) FROM alert_route")

    async def tried(**fields: str) -> Page:
        page = await web.submit(await web.get("/routes/new"), "new-route", {"do": "test", "name": "Draft", **fields})
        assert page.status == 200, page.html[:2000]
        return page

    page = await tried(by="", condition="severity <= 2")
    trial = inside_of(page.html, "trial")
    assert 'Matches <strong class="num">2</strong> of the last <span class="num">3</span> alerts' in trial
    assert 'takes <strong class="num">1</strong>' in trial and "taken by Core first" in trial
    assert "Disk is full" in trial and "Net is slow" in trial and "Cache is cold" not in trial
    assert page.read.forms["new-route"]["name"] == ["Draft"], "nothing that was written is lost"

    trial = inside_of((await tried(by="", condition='labels.teem == "core"')).html, "trial")
    assert "labels.teem</code> occurs in none of the last 3 alerts" in trial and ">0</strong> of the last" in trial
    assert "cannot be read" in inside_of((await tried(by="", condition="severity <")).html, "trial")

    page = await tried(**{"row-0-field": "labels.team", "row-0-operator": "==", "row-0-value": "net"})
    assert "labels.team == &#34;net&#34;" in page.html and "Net is slow" in inside_of(page.html, "trial")
    page = await web.submit(page, "new-route", {"do": "add"})
    assert page.read.forms["new-route"]["row-1-field"] == ["severity"]
    page = await web.submit(page, "new-route", {"do": "remove-1"})
    page = await web.submit(page, "new-route", {"do": "as-text"})
    assert page.read.forms["new-route"]["condition"] == ['labels.team == "net"']
    page = await web.submit(page, "new-route", {"do": "as-rows"})
    assert page.read.forms["new-route"]["row-0-value"] == ["net"]
    assert await world.db.pool.fetchval("SELECT count(*) FROM alert_route") == routes


def inside_of(html: str, id: str) -> str:
    return html.split(f'id="{id}"')[1].partition("</section>")[0]


async def test_a_test_signal_is_a_real_one_and_shows_what_it_opened(world: World, web: Browser, ada: User) -> None:
    await world.route(await world.policy([ada]))
    for kind in ("generic", "alertmanager", "grafana", "pagerduty"):
        page = await web.do(await web.get("/sources"), "new-source", {"name": kind, "kind": kind})
        assert "Set up your tool" in page.html and 'data-copy="set-up-1"' in page.html
        page = await web.do(page, "test")
        assert "Test signal sent" in page.html and f"Test alert from {kind}" in page.html
    await world.settle()
    assert world.mail.subjects(ada).count("Test alert from generic") == 1
    page = await web.do(page, "disable-dialog-form")
    assert "test" not in page.read.forms
    refused = await web.send(page.path + "/test", {"_csrf_token": page.read.forms["enable"]["_csrf_token"]})
    assert refused.status == 409 and "switched off" in refused.html


async def test_a_policy_is_shown_as_it_is_written_and_nothing_is_saved(world: World, web: Browser, ada: User) -> None:
    """Who would be paged when, by the clock of a night, before anybody saves it."""
    page = await web.get("/policies/new")
    key = f"user:{USER_ID.write(ada.id)}"
    sent = {"name": "Night", "step-0-target": key, "step-0-wait": "7", "repeat": "1", "do": "preview"}
    page = await web.submit(page, "policy-form", sent)
    shown = inside_of(page.html, "preview")
    assert page.status == 200 and "03:00" in shown and "03:07" in shown and "at once" in shown and "0s" not in shown
    assert "Nobody else: there is no last resort" in shown.rpartition("03:14")[2], "8: the end is said as well"
    bob = await world.person("bob", reachable=False)
    skipped = await web.submit(page, "policy-form", {"do": "preview", "step-0-target": f"user:{USER_ID.write(bob.id)}"})
    shown = inside_of(skipped.html, "preview")
    assert "Bob: skipped, as nothing can be sent" in shown and "03:07" not in shown, "8: it does not wait for him"
    assert page.read.forms["policy-form"]["name"] == ["Night"]
    page = await web.submit(page, "policy-form", {"do": "preview", "step-0-wait": "x", "repeat": "77"})
    assert page.status == 200
    assert await world.db.pool.fetchval("SELECT count(*) FROM escalation_policy") == 0


async def test_each_signal_says_what_it_did_to_which_alert(world: World, web: Browser) -> None:
    """F064: what came in is told apart by the alert that it is about; one request may be about many."""
    page = await web.do(await web.get("/sources"), "new-source", {"name": "Prometheus", "kind": "alertmanager"})
    url = page.html.split('id="source-url">')[1].partition("<")[0].removeprefix("http://127.0.0.1:8700")

    async def send(status: str, *names: str) -> None:
        alerts = [{"status": status, "labels": {"alertname": name}, "fingerprint": name} for name in names]
        sent = await web.http.post(url, json={"version": "4", "status": status, "alerts": alerts})
        assert sent.status_code < 300

    await send("firing", "DiskFull")
    await send("firing", "DiskFull", "DiskSlow")
    await send("resolved", "DiskSlow")
    await send("firing", *(f"Pod{n}" for n in range(7)))
    many, resolved, both, opened = (await web.get(page.path)).html.split('<div class="sigrow"')[1:]

    def told(row: str) -> list[str]:
        effects = re.findall(r'</svg>(\w+)</span><span class="t">(.*?)<', row)
        links = re.findall(r'href="/alerts/alt_\w+">ALR-\d+<span class="vh"> (.*?)<', row)
        assert [title for _, title in effects] == links
        return [" ".join(line) for line in effects]

    assert told(opened) == ["Opened DiskFull"]
    assert told(both) == ["Opened DiskSlow", "Repeated DiskFull"]
    assert told(resolved) == ["Resolved DiskSlow"]
    assert [line[:10] for line in told(many)] == ["Opened Pod"] * 3 and "and 4 more" in many


async def test_a_source_shows_its_address_and_what_came_in(world: World, web: Browser) -> None:
    """F064, F040."""
    page = await web.do(await web.get("/sources"), "new-source", {"name": "Shell", "kind": "generic"})
    url = page.html.split('id="source-url">')[1].partition("<")[0]
    assert url.startswith("http://127.0.0.1:8700/in/generic/")
    sent = await web.http.post(
        url.removeprefix("http://127.0.0.1:8700"), json={"title": "Disk is full", "status": "firing"}
    )
    assert sent.status_code == 202
    refused = await web.http.post(url.removeprefix("http://127.0.0.1:8700"), json={"nothing": "known"})
    assert refused.status_code == 422
    page = await web.get(page.path)
    assert "Opened" in page.html and ">Disk is full</span>" in page.html and "Refused" in page.html
    old = await web.open(page, "rename")
    page = await web.do(page, "rename", {"name": "Shell 2"})
    stale = await web.submit(old, "rename", {"name": "Shell 3"})
    assert stale.status == 409 and " changed the name" in inside(stale, "rename")
    assert stale.read.forms["rename"]["name"] == ["Shell 3"]
    asked = await web.open(page, "rotate-dialog-form")
    rotated = await web.do(asked, "rotate-dialog-form")
    assert url not in rotated.html
    twice = await web.do(asked, "rotate-dialog-form")
    assert twice.html.split('id="source-url">')[1][:90] == rotated.html.split('id="source-url">')[1][:90]
    assert "This source is switched off." in (await web.do(twice, "disable-dialog-form")).html
    wrong = await web.submit(await web.get("/sources"), "new-source", {"name": " ", "kind": "generic"})
    assert wrong.status == 422 and "Give the source a name" in wrong.html
    bob = await world.person("bob")
    async with browser(world, bob) as other:
        seen = await other.get(page.path)
        assert seen.status == 200 and "/in/generic/…" in seen.html and f"{page.path}/rotate" not in seen.read.dialogs


async def test_a_person_is_invited_by_a_link_that_is_shown_once(world: World, web: Browser) -> None:
    page = await web.get("/people")
    made = await web.submit(page, "invite", {"name": "Bob", "email": "bob@example.org", "role": "responder"})
    link = made.html.split('id="invite-url">')[1].partition("<")[0].removeprefix("http://127.0.0.1:8700")
    assert made.status == 200 and "/link/" not in (await web.get("/people")).html
    async with browser(world) as other:
        profile = await other.do(await other.get(link), "link")
        assert profile.path.startswith("/people/usr_") and "Welcome. Set a password" in profile.html
        assert "current" not in profile.read.forms["password-form"]
        profile = await other.do(profile, "password-form", {"password": "a long enough one"})
        assert "Password changed." in profile.html and "current" in profile.read.forms["password-form"]
    page = await web.get("/people")
    taken = await web.submit(page, "invite", {"name": "Bob", "email": "bob@example.org", "role": "responder"})
    assert taken.status == 422 and "Somebody has this e-mail address already." in taken.html


async def test_an_invitation_that_is_sent_twice_makes_one_person_and_shows_a_link_that_works(
    world: World, web: Browser
) -> None:
    page = await web.open(await web.get("/people"), "invite")
    for _ in range(2):
        made = await web.submit(page, "invite", {"name": "Bob", "email": "Bob@example.org", "role": "responder"})
        assert made.status == 200 and made.html.lower().count("bob@example.org") == 1
    link = made.html.split('id="invite-url">')[1].partition("<")[0].removeprefix("http://127.0.0.1:8700")
    async with browser(world) as other:
        assert (await other.do(await other.get(link), "link")).path.startswith("/people/usr_")


async def test_ones_own_profile(world: World, web: Browser, ada: User) -> None:
    """F059."""
    url = f"/people/{USER_ID.write(ada.id)}"
    page = await web.do(await web.get(url), "person-form", {"name": "Ada L.", "time_zone": "Europe/Vienna"})
    assert "Ada L." in page.html
    wrong = await web.submit(page, "person-form", {"time_zone": "Moon/Base"})
    assert wrong.status == 422 and "Give a time zone" in wrong.html
    page = await web.do(page, "add-method", {"kind": "webhook", "address": "https://example.org/hook"})
    twice = await web.submit(page, "add-method", {"kind": "webhook", "address": "https://example.org/hook"})
    assert twice.status == 409 and "is there already" in twice.html
    other = {"kind": "webhook", "address": "https://example.org/other", "method_name": "Watch"}
    assert ", Watch<" in (await web.do(page, "add-method", other)).html
    page = await web.do(page, "rule-high", {"after_minutes": "5"})
    rule = next(form for form in page.read.forms if form.startswith("drop-"))
    bad = await web.submit(page, "rule-high", {"after_minutes": "soon"})
    assert bad.status == 422 and "between 0 and 1440" in bad.html
    page = await web.do(page, rule)
    assert rule not in page.read.forms
    for _ in range(2):
        shown = await web.do(page, "test-page")
    again = f'hx-get="{url}" hx-trigger="load delay:1s"'
    assert "Test page sent." in shown.html and "On its way" in shown.html and again in shown.html
    await world.settle()
    assert [message.title for message in world.mail.to(ada)] == ["Test page"]
    arrived = (await web.get(url)).html
    assert "Arrived" in arrived and again not in arrived
    place = next(place for place in page.read.dialogs if place.endswith("/delete"))
    assert place not in (await web.do(await web.get(place), f"remove-{place.split('/')[-2]}")).read.dialogs


async def test_an_administrator_changes_name_and_address_of_somebody(world: World, web: Browser, ada: User) -> None:
    """F040: an old copy changes nothing and says what is stored by now."""
    bob = await world.person("bob")
    url = f"/people/{USER_ID.write(bob.id)}"
    page = await web.get(url)
    assert page.read.forms["person-form"]["email"] == ["bob@example.org"]
    taken = await web.submit(page, "person-form", {"name": "Robert", "email": "ADA@example.org"})
    assert taken.status == 422 and 'id="person-form-email-err"' in taken.html
    assert "Somebody has this e-mail address already." in taken.html
    assert taken.read.forms["person-form"]["name"] == ["Robert"]
    for wrong in ("", "nonsense"):
        refused = await web.submit(page, "person-form", {"email": wrong})
        assert refused.status == 422 and 'id="person-form-email-err"' in refused.html
    saved = await web.do(taken, "person-form", {"email": "Robert@example.org"})
    assert "Robert" in saved.html and "robert@example.org" in saved.html
    stale = await web.submit(page, "person-form", {"name": "Bobby"})
    assert stale.status == 409 and " changed the " in inside(stale, "person-form")
    assert stale.read.forms["person-form"]["name"] == ["Bobby"]


async def test_one_form_is_shown_whose_field_it_was_and_changes_only_its_own(world: World, web: Browser) -> None:
    """A9: the zone that Bob set stays when an administrator renames him from an old page; the same field is asked."""
    bob = await world.person("bob")
    url = f"/people/{USER_ID.write(bob.id)}"
    old = await web.get(url)
    async with browser(world, bob) as his:
        await his.do(await his.get(url), "person-form", {"time_zone": "Europe/Oslo"})
        saved = await web.do(old, "person-form", {"name": "Robert"})
        assert saved.read.forms["person-form"]["time_zone"] == ["Europe/Oslo"]
        await his.do(await his.get(url), "person-form", {"name": "Bobby"})
    asked = await web.submit(saved, "person-form", {"name": "Rob", "time_zone": "Asia/Tokyo"})
    assert asked.status == 409 and " changed the name" in asked.html
    shown = inside(asked, "person-form")
    assert "<dt>Name, by Robert</dt><dd" in shown and ">Bobby</dd><dt>Yours</dt>" in shown and ">Rob</dd>" in shown
    assert "Time zone, by" not in shown, "nobody else has changed it"
    (version,) = re.findall(r'name="anyway" value="(\d+)"', shown)
    mine = await web.do(asked, "person-form", {"anyway": version})
    assert mine.read.forms["person-form"]["name"] == ["Rob"]
    assert mine.read.forms["person-form"]["time_zone"] == ["Asia/Tokyo"]


async def test_ones_own_name_is_ones_own_and_the_address_is_the_administrators(world: World) -> None:
    bob = await world.person("bob")
    async with browser(world, bob) as web:
        page = await web.get(f"/people/{USER_ID.write(bob.id)}")
        assert "email" not in page.read.forms["person-form"] and "role" not in page.read.forms["person-form"]
        page = await web.do(page, "person-form", {"name": "Robert"})
        assert "Robert" in page.html
        assert (await web.submit(page, "person-form", {"email": "root@example.org"})).status == 403
    async with world.db.begin() as tx:
        person = await identity.user(tx, bob.id)
    assert (person.name, person.email) == ("Robert", "bob@example.org")


async def test_the_organisation_is_renamed_by_administrators(world: World, web: Browser) -> None:
    page = await web.get("/organisation")
    assert "/organisation" in page.read.links
    assert page.read.forms["organisation-form"]["name"] == ["Harbourline"]
    nameless = await web.submit(page, "organisation-form", {"name": " "})
    assert nameless.status == 422 and "Give a name." in nameless.html
    saved = await web.do(page, "organisation-form", {"name": "Harbourline Ferries"})
    assert saved.path == "/organisation" and "Saved." in saved.html
    assert '<span class="org grow">Harbourline Ferries</span>' in (await web.get("/incidents")).html
    stale = await web.submit(page, "organisation-form", {"name": "Other"})
    assert stale.status == 409 and " changed the name" in inside(stale, "organisation-form")
    assert stale.read.forms["organisation-form"]["name"] == ["Other"]
    assert ">Harbourline Ferries</dd>" in inside(stale, "organisation-form")
    async with browser(world, await world.person("bob")) as other:
        assert "/organisation" not in (await other.get("/incidents")).read.links
        assert (await other.get("/organisation")).status == 403
        token = (await other.get("/incidents")).read.forms["sign-out"]["_csrf_token"]
        assert (await other.send("/organisation", {"_csrf_token": token, "name": "Mine"})).status == 403


async def test_a_password_is_changed_by_its_owner_only(world: World, web: Browser, ada: User) -> None:
    bob = await world.person("bob")
    async with browser(world, bob) as other:
        page = await other.get(f"/people/{USER_ID.write(bob.id)}")
        short = await other.submit(page, "password-form", {"current": "", "password": "short"})
        assert short.status == 422 and "Use at least 10 characters." in short.html
        page = await other.do(page, "password-form", {"current": "", "password": "a long new one"})
        wrong = await other.submit(page, "password-form", {"current": "guess", "password": "another long one"})
        assert wrong.status == 422 and "This is not your current password." in wrong.html
        assert "another long one" not in wrong.html and "guess" not in wrong.html
        foreign = await other.get(f"/people/{USER_ID.write(ada.id)}")
        assert set(foreign.read.forms) == {"more-search", "sign-out", "sign-out-m"} and "Hidden" in foreign.html
        token = foreign.read.forms["sign-out"]["_csrf_token"][0]
        for path in ("", "/contact-methods", "/rules", "/test", "/link", "/deactivate", "/password"):
            fields = {
                "_csrf_token": token,
                "name": "x",
                "time_zone": "UTC",
                "kind": "webhook",
                "address": "https://e.org",
            }
            answer = await other.send(f"/people/{USER_ID.write(ada.id)}{path}", fields)
            assert answer.status == 403, path


async def test_an_account_is_deactivated_and_given_back(world: World, web: Browser, ada: User) -> None:
    bob = await world.person("bob")
    url = f"/people/{USER_ID.write(bob.id)}"
    page = await web.do(await web.get(url), "deactivate")
    async with world.db.begin() as tx:
        assert not (await identity.user(tx, bob.id)).is_active
    page = await web.do(page, "activate")
    link = await web.submit(page, "make-link")
    assert link.status == 200 and "/link/" in link.html
    mine = await web.get(f"/people/{USER_ID.write(ada.id)}")
    last = await web.submit(mine, "deactivate")
    assert last.status == 409 and "This is the last active administrator." in last.html


async def test_what_needs_somebody_stands_beside_the_question(world: World, web: Browser, ada: User) -> None:
    """F135: before they are switched off, and again when more has come since the page was opened."""
    bob = await world.person("bob")
    url = f"/people/{USER_ID.write(bob.id)}"
    before = await web.open(await web.get(url), "deactivate")
    await world.policy([bob])
    refused = await web.submit(before, "deactivate")
    assert refused.status == 409 and "Bob is needed: Duty (step 1)." in refused.html
    assert "Duty, step 1" in inside(refused, "deactivate")
    async with world.db.begin() as tx:
        assert (await identity.user(tx, bob.id)).is_active
    await web.do(refused, "deactivate")
    async with world.db.begin() as tx:
        assert not (await identity.user(tx, bob.id)).is_active


async def test_a_role_that_takes_a_lead_is_confirmed(world: World, web: Browser, ada: User) -> None:
    """F135: the form asks, with what they lead."""
    bob = await world.person("bob")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(bob), title="Checkout")
    page = await web.get(f"/people/{USER_ID.write(bob.id)}")
    refused = await web.submit(page, "person-form", {"role": "stakeholder"})
    assert refused.status == 409 and f"Bob leads: {incident.reference} (lead)." in refused.html
    await web.do(refused, "person-form", {"role": "stakeholder", "confirm": "1"})
    async with world.db.begin() as tx:
        assert (await identity.user(tx, bob.id)).role == "stakeholder"


async def test_the_last_way_to_reach_somebody_who_is_paged_is_asked_about(
    world: World, web: Browser, ada: User
) -> None:
    """F143: the dialog says whom it silences; a page that was opened before it was so is refused."""
    bob = await world.person("bob")
    url = f"/people/{USER_ID.write(bob.id)}"
    place = next(place for place in (await web.get(url)).read.dialogs if place.endswith("/delete"))
    before, form = await web.get(place), f"remove-{place.split('/')[-2]}"
    assert "Duty, step 1" not in inside(before, form)
    await world.policy([bob])
    refused = await web.submit(before, form)
    assert refused.status == 409 and "This is the last way to reach Bob" in refused.html
    asked = await web.get(place)
    assert "Duty, step 1" in inside(asked, form)
    await web.do(asked, form)
    async with world.db.begin() as tx:
        assert await contact.contact_methods(tx, bob.id) == []


async def test_a_token_is_shown_once_and_revoked(web: Browser) -> None:
    """F118: scopes narrow."""
    page = await web.open(await web.get("/tokens"), "new-token")
    made = await web.submit(page, "new-token", {"name": "Script", "scope": "read"})
    secret = made.html.split('id="new-token-value">')[1].partition("<")[0]
    assert secret.startswith("tcs_")
    asked = await web.http.get("/api/v1/me", headers={"authorization": f"Bearer {secret}"})
    assert asked.status_code == 200 and "incident.edit" not in asked.json()["permissions"]
    assert (await web.submit(page, "new-token", {"name": "Script", "scope": "read"})).location == "/tokens"
    shown = await web.get("/tokens")
    assert secret not in shown.html and shown.html.count("Read only</td>") == 1
    nameless = await web.submit(shown, "new-token", {"name": " ", "scope": "all"})
    assert nameless.status == 422 and "Give a name." in nameless.html
    revoke = next(place for place in shown.read.dialogs if place.endswith("/revoke"))
    assert "No tokens" in (await web.do(await web.get(revoke), f"revoke-{revoke.split('/')[-2]}")).html


async def test_sessions_are_ended(world: World, web: Browser, ada: User) -> None:
    async with browser(world, ada) as phone, browser(world, ada) as laptop:
        page = await web.get("/sessions")
        ends = [form for form in page.read.forms if form.startswith("end-")]
        page = await web.do(page, ends[0])
        page = await web.do(page, ends[0]) if ends[0] in page.read.forms else page
        page = await web.do(page, "others-dialog-form")
        for other in (phone, laptop):
            assert (await other.get("/incidents")).path.startswith("/sign-in")
    assert (await web.get("/incidents")).status == 200


async def test_what_does_not_exist_is_a_page_with_a_reference(web: Browser) -> None:
    for path in (
        "/incidents/INC-99",
        "/alerts/alt_x",
        "/policies/pol_x",
        "/people/x",
        "/sources/x",
        "/nowhere",
        "/static/x",
    ):
        page = await web.get(path)
        assert page.status == 404 and page.headers["x-request-id"] in page.html, path
