"""Working an incident in the browser, without JavaScript."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select

from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID
from tocsin.events.log import LoggedEvent
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import USER_ID, Actor, User
from tocsin.incidents import queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident
from tocsin.oncall import queries as oncall
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import PAGE_ID, POLICY_ID
from tocsin.web.incidents.actions import HANDLERS


async def declared(world: World, who: User, title: str = "Checkout is down") -> str:
    async with world.db.begin() as tx:
        return f"/incidents/{(await incidents.declare(tx, Actor.person(who), title=title)).reference}"


async def again(world: World, url: str) -> Incident:
    async with world.db.begin() as tx:
        return await queries.get(tx, EVERYTHING, url.rpartition("/")[2])


async def test_what_is_wrong_stands_at_the_field_that_the_form_has_for_it(world: World) -> None:
    """F033, F069: a use case names the role, or the policy; the form has a menu for it."""
    ada = await world.person("ada", role="admin")
    cleo = await world.person("cleo", role="stakeholder")
    url = await declared(world, ada)
    async with browser(world, ada) as web:
        refused = await web.submit(await web.get(url), "role-commander", {"user_id": USER_ID.write(cleo.id)})
        assert refused.status == 422
        assert 'id="role-commander-user_id-err"' in refused.html and "Cleo may not edit incidents" in refused.html
        route = {"name": "All", "condition": "severity == 1", "policy_id": POLICY_ID.write(ada.id)}
        refused = await web.submit(await web.get("/routes/new"), "new-route", route | {"by": ""})
        assert refused.status == 422
        assert 'id="new-route-policy_id-err"' in refused.html


async def number_of(world: World, name: str) -> int:
    async with world.db.begin() as tx:
        query = select(func.count()).where(LoggedEvent.name == name)
        return (await tx.session.execute(query)).scalar_one()


async def test_declaring_pages_and_gives_the_lead(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([bob])
    async with browser(world, ada) as web:
        page = await web.get("/incidents/new")
        fields = {
            "title": "Checkout is down",
            "summary": "Nobody can pay.",
            "severity": "1",
            "lead_id": USER_ID.write(bob.id),
            "page": f"policy:{POLICY_ID.write(policy.id)}",
        }
        done = await web.do(page, "declare-form", fields)
        assert done.path == "/incidents/INC-1"
        assert "Incident declared." in done.html and "Nobody can pay." in done.html
        assert "Incident declared." not in (await web.get("/incidents/INC-1")).html
        twice = await web.submit(page, "declare-form", fields)
        assert twice.location == "/incidents/INC-1"
    await world.settle()
    assert world.mail.subjects(bob) == ["Checkout is down"]
    assert (await again(world, "/incidents/INC-1")).lead_id == bob.id
    assert await number_of(world, "incident.declared") == 1


async def test_what_was_done_is_said_by_the_answer_to_its_form_alone(world: World) -> None:
    """The page that brings itself up to date meanwhile neither says it nor takes the words away."""
    ada = await world.person("ada")
    url = await declared(world, ada)
    async with browser(world, ada) as web:
        page = await web.get(url)
        assert '<div id="refresh"' in page.html
        answer = await web.submit(page, "resolve-form", {"resolution_note": "The disk is larger."})
        meanwhile = await web.get(url, **{"hx-request": "true", "hx-source": "div#refresh"})
        assert "The disk is larger." in meanwhile.html and "Incident resolved." not in meanwhile.html
        assert "Incident resolved." in (await web.get(answer.location)).html


async def test_a_declaration_without_a_title_is_shown_again(world: World) -> None:
    ada = await world.person("ada")
    async with browser(world, ada) as web:
        page = await web.get("/incidents/new")
        page = await web.submit(page, "declare-form", {"summary": "Nobody can pay.", "severity": "2"})
    assert page.status == 422
    assert "Give the incident a title." in page.html and 'aria-invalid="true"' in page.html
    assert page.read.forms["declare-form"]["summary"] == ["Nobody can pay."]
    assert page.read.forms["declare-form"]["severity"] == ["2"]


async def test_declaring_from_an_alert_links_it(world: World) -> None:
    """F002: the form says what the alert says, as a page and in a dialog on the alert's page."""
    ada = await world.person("ada")
    first, second = [await world.alert(title, severity=2) for title in ("Disk is full", "Disk is slow")]
    async with browser(world, ada) as web:
        page = await web.get(f"/incidents/new?alert={ALERT_ID.write(first.id)}")
        assert page.read.forms["declare-form"]["title"] == ["Disk is full"]
        assert page.read.forms["declare-form"]["severity"] == ["2"]
        assert "is linked, and acknowledged in your name." in page.html
        assert f"/alerts/{ALERT_ID.write(first.id)}" in page.read.links
        assert (await web.do(page, "declare-form")).path == "/incidents/INC-1"

        page = await web.get(f"/alerts/{ALERT_ID.write(second.id)}")
        assert f"/incidents/new?alert={ALERT_ID.write(second.id)}" in page.read.dialogs
        page = await web.open(page, "declare-form")
        assert await number_of(world, "incident.declared") == 1
        for _ in range(2):
            done = await web.submit(page, "declare-form", {"title": "The disk of rtm-1 is slow", "severity": "1"})
            assert done.location == "/incidents/INC-2"
        page = await web.get(f"/alerts/{ALERT_ID.write(second.id)}")
        assert not [each for each in page.read.dialogs if "alert=" in each] and "Open INC-2" in page.html
    found = await again(world, "/incidents/INC-2")
    assert (found.title, found.severity) == ("The disk of rtm-1 is slow", 1)
    assert [(await world.again(alert)).status for alert in (first, second)] == ["acknowledged", "acknowledged"]


async def test_who_declares_second_from_an_alert_is_led_to_its_incident(world: World) -> None:
    """F074."""
    ada, bob = await world.people("ada", "bob")
    alert = await world.alert("Disk is full")
    id = ALERT_ID.write(alert.id)
    async with browser(world, ada) as web, browser(world, bob) as other:
        late = await other.open(await other.get(f"/alerts/{id}"), "declare-form")
        await web.do(await web.get(f"/alerts/{id}"), "declare-form")
        done = await other.submit(late, "declare-form", {"title": "Mine"})
        assert (done.status, done.location) == (303, "/incidents/INC-1")
        page = await other.get(f"/incidents/new?alert={id}")
        assert page.path == "/incidents/INC-1" and "belongs to INC-1 already" in page.html
    assert await number_of(world, "incident.declared") == 1


async def test_the_declaration_says_who_has_acknowledged_the_alert(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    alert = await world.alert("Disk is full")
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, Actor.person(bob), alert.id)
    async with browser(world, ada) as web:
        page = await web.get(f"/incidents/new?alert={ALERT_ID.write(alert.id)}")
        assert "in your name" not in page.html and f"{bob.name} acknowledged it" in page.html


async def test_what_responders_do_is_done_and_shown(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    url = await declared(world, ada)
    async with browser(world, bob) as web:
        page = await web.do(await web.get(url), "title-form", {"title": "Checkout is slow"})
        page = await web.do(page, "summary-form", {"summary": "**All** of it."})
        assert "<strong>All</strong> of it." in page.html
        page = await web.do(page, "severity", {"severity": "1"})
        page = await web.do(page, "join")
        assert "leave" in page.read.forms
        page = await web.do(page, "status", {"status": "mitigated"})
        page = await web.do(page, "role-commander", {"user_id": USER_ID.write(bob.id)})
        page = await web.do(page, "role-commander", {"user_id": ""})
        page = await web.do(page, "leave")
        page = await web.do(page, "resolve-form", {"resolution_note": "Rolled *back*."})
        assert "Rolled <em>back</em>." in page.html and "Reopen" in page.html
        page = await web.do(page, "reopen-form", {"reason": "It came back"})
        page = await web.do(page, "cancel-form", {"reason": "false_alarm"})
        assert "a false alarm" in page.html
    found = await again(world, url)
    assert (found.title, found.severity, found.status) == ("Checkout is slow", 1, "cancelled")


async def test_what_is_missing_is_said_at_its_field(world: World) -> None:
    ada = await world.person("ada")
    url = await declared(world, ada)
    wrong = {
        "title-form": ({"title": " "}, "Give the incident a title."),
        "resolve-form": ({"resolution_note": " "}, "Say what was done"),
        "cancel-form": ({"reason": "duplicate"}, "Say which incident this one duplicates."),
        "severity": ({"severity": "9"}, "Choose one of the list."),
        "status": ({"status": "done"}, "Choose one of the list."),
        "composer": ({"body": " "}, "The body is missing."),
        "page-form": ({"target": "user:nobody", "message": "Come"}, "Choose one of the list."),
        "role-lead": ({"user_id": "usr_x"}, "Choose one of the list."),
    }
    async with browser(world, ada) as web:
        before = await web.get(url)
        for form, (fields, sentence) in wrong.items():
            page = await web.submit(before, form, fields)
            assert page.status == 422, form
            assert sentence in page.html, form
    assert (await again(world, url)).version == 1


async def test_an_old_copy_changes_nothing_and_keeps_what_was_typed(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    url = await declared(world, ada)
    async with browser(world, ada) as web:
        old = await web.open(await web.get(url), "title-form")
        async with browser(world, bob) as other:
            await other.do(await other.get(url), "title-form", {"title": "Theirs"})
        page = await web.submit(old, "title-form", {"title": "My title"})
        assert page.status == 409
        assert "Bob changed the title" in page.html and "Theirs" in page.html and "Set mine anyway" in page.html
        assert page.read.forms["title-form"]["title"] == ["My title"]
        assert (await web.submit(page, "title-form")).status == 409, "a second press is no other wish"
        assert (await again(world, url)).title == "Theirs"
        done = await web.do(page, "title-form", {"anyway": "2"})
    assert "My title" in done.html


async def test_a_time_that_was_sent_back_as_it_was_shown_is_no_conflict(world: World) -> None:
    """A9: pages show times to the second and in a zone; what others changed since stays as they set it."""
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        (await tx.session.get_one(User, ada.id)).time_zone = "Asia/Kathmandu"
    url = await declared(world, ada)
    await world.pass_time(minutes(30))
    async with browser(world, ada) as web, browser(world, bob) as other:
        old = await web.get(f"{url}/times")
        began = old.read.forms["times-form"]["started_at"][0]
        earlier = datetime.fromisoformat(began) - timedelta(hours=2)
        theirs = await other.get(f"{url}/times")
        there = datetime.fromisoformat(theirs.read.forms["times-form"]["started_at"][0]) - timedelta(hours=2)
        await other.do(theirs, "times-form", {"started_at": there.isoformat(timespec="seconds")})
        done = await web.submit(old, "times-form", {"identified_at": began})
        assert done.status == 303, "only the other field is theirs"
        again = (await web.get(f"{url}/times")).read.forms["times-form"]
        assert again["started_at"] == [earlier.isoformat(timespec="seconds")]
        assert again["identified_at"] == [began]
        # Who does change the same one is told.
        mine = datetime.fromisoformat(began) - timedelta(hours=1)
        assert (await web.submit(old, "times-form", {"started_at": mine.isoformat()})).status == 409


async def test_a_form_that_one_came_back_to_and_changed_declares_another_incident(world: World) -> None:
    """A8: by the way back one has the form of before; what is written into it then is not taken for a second press."""
    ada = await world.person("ada")
    async with browser(world, ada) as web:
        page = await web.get("/incidents/new")
        first = await web.submit(page, "declare-form", {"title": "Checkout", "severity": "2"})
        assert (
            await web.submit(page, "declare-form", {"title": "Checkout", "severity": "2"})
        ).location == first.location
        second = await web.submit(page, "declare-form", {"title": "Mail", "severity": "2"})
        assert second.location != first.location
        assert "Mail" in (await web.get(second.location)).html


async def test_a_comment_is_cleaned_and_written_once(world: World) -> None:
    ada = await world.person("ada")
    url = await declared(world, ada)
    body = "**Bold** <img src=x onerror=alert(1)> [bad](javascript:alert(1)) <script>alert(2)</script>"
    async with browser(world, ada) as web:
        page = await web.get(url)
        for _ in range(2):
            shown = await web.do(page, "composer", {"body": body})
        await web.do(page, "composer", {"body": "Something else from the same page"})
    assert "<strong>Bold</strong>" in shown.html
    assert "<img src=x" not in shown.html and 'href="javascript' not in shown.html and "<script>alert" not in shown.html
    assert shown.read.refused == []
    assert await number_of(world, "incident.comment_added") == 2


async def test_paging_from_an_incident_pages_once(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    url = await declared(world, ada)
    async with browser(world, ada) as web:
        page = await web.open(await web.get(url), "page-form")
        for _ in range(2):
            shown = await web.do(page, "page-form", {"target": f"user:{USER_ID.write(bob.id)}", "message": "Come"})
    await world.settle()
    (mail,) = world.mail.to(bob)
    assert mail.reason == "Ada asks for your help: Come. You were paged directly"
    assert "Bob is being paged." in shown.html
    async with browser(world, bob) as web:
        link = await web.get(str(mail.acknowledge_url).removeprefix("http://127.0.0.1:8700"))
        assert "<strong>Ada asks for your help: Come</strong>" in link.html
        page = await web.get(url)
        assert "You are being paged:" in page.html and "acknowledge" not in page.read.forms, "it is asked once"
        page = await web.do(page, "paged-ack")
        assert "You are being paged:" not in page.html
        head = (await web.get(url)).html.partition('class="onit"')[2].partition("</a>")[0]
        assert "2</span> joined" in head.replace("2 of 2", "2") and head.count('class="av') == 2, (
            "15: of whom it speaks"
        )
        assert "2 of 2 joined" in (await web.get(url)).html


async def test_acknowledging_the_incident_answers_the_page_about_its_alert(world: World) -> None:
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([bob]))
    alert = await world.alert("Disk is full")
    async with world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(ada), alert_id=alert.id, page_others=True)
    async with browser(world, bob) as web:
        page = await web.get("/incidents/INC-1")
        await web.do(page, "paged-ack")
    assert (await world.again(alert)).acknowledged_by == "Bob"


async def test_alerts_are_linked_and_unlinked(world: World) -> None:
    ada = await world.person("ada")
    alert = await world.alert("Disk is full")
    url = await declared(world, ada)
    async with browser(world, ada) as web:
        page = await web.do(await web.get(url), "link-alert", {"alert_id": ALERT_ID.write(alert.id)})
        assert 'Linked alerts <span class="num">1</span>' in page.html
        page = await web.do(page, f"unlink-{ALERT_ID.write(alert.id)}")
        assert 'Linked alerts <span class="num">0</span>' in page.html


async def test_a_stakeholder_finds_no_form_and_is_refused(world: World) -> None:
    ada = await world.person("ada")
    cleo = await world.person("cleo", role="stakeholder")
    url = await declared(world, ada)
    async with world.db.begin() as tx:
        asked = await incidents.page(tx, Actor.person(ada), url.rpartition("/")[2], [PageTarget("user", ada.id)])
        (adas, _), *_ = await oncall.pages_of_runs(tx, asked.runs)
    async with browser(world, cleo) as web:
        page = await web.get(url)
        assert set(page.read.forms) == {"follow", "more-search", "sign-out", "sign-out-m"}
        token = page.read.forms["sign-out"]["_csrf_token"][0]
        for handler in HANDLERS:
            path = url + next(iter(handler.paths)).removeprefix("/incidents/{ref:str}")
            fields = {
                "_csrf_token": token,
                "title": "x",
                "status": "mitigated",
                "severity": "1",
                "role": "lead",
                "body": "x",
            }
            fields |= {"target": f"user:{USER_ID.write(ada.id)}", "do": "link", "alert_id": ALERT_ID.write(ada.id)}
            fields |= {"resolution_note": "x", "reason": "other", "page_id": PAGE_ID.write(adas.id)}
            if path.endswith("/answer"):
                fields["do"] = "decline"
            assert (await web.send(path, fields)).status == 403, path


async def test_the_timeline_goes_back_page_by_page(world: World) -> None:
    ada = await world.person("ada")
    url = await declared(world, ada)
    async with world.db.begin() as tx:
        for number in range(60):
            await incidents.comment(tx, Actor.person(ada), url.rpartition("/")[2], f"Comment {number}.")
    async with browser(world, ada) as web:
        page = await web.get(f"{url}?show=comments")
        assert "Comment 59." in page.html and "Comment 9." not in page.html
        older = await web.get(link_to(page, "before="))
        assert "Comment 9." in older.html and "Comment 59." not in older.html and "declared INC-1" not in older.html


def link_to(page: Page, part: str) -> str:
    return next(link for link in page.read.links if part in link)


async def many(world: World, who: User, number: int) -> None:
    async with world.db.begin() as tx:
        for n in range(number):
            await incidents.declare(tx, Actor.person(who), title=f"Incident number {n}.", severity=1 + n % 5)


async def test_the_list_is_filtered_and_goes_on(world: World) -> None:
    ada = await world.person("ada")
    await many(world, ada, 60)
    async with browser(world, ada) as web:
        first = await titles(web, "/incidents")
        assert first[0] == "Incident number 55." and len(first) == 50, "the worst first, and of these the newest"
        second = await titles(web, link_to(await web.get("/incidents"), "before="))
        assert len({*first, *second}) == 60 and second[-1] == "Incident number 4."
        assert (await titles(web, "/incidents?q=number+42")) == ["Incident number 42."]
        assert len(await titles(web, "/incidents?severity=2")) == 12
        assert await titles(web, "/incidents?tab=resolved") == []
        assert len(await titles(web, "/incidents?tab=nonsense&severity=x&status=y&before=%00zz")) == 50


async def titles(web: Browser, path: str) -> list[str]:
    html = (await web.get(path)).html
    return [
        part.partition("<")[0]
        for part in html.split('class="ttl" href="/incidents/INC-')[1:]
        for part in [part.partition(">")[2]]
    ]


async def test_whoever_cannot_be_reached_is_marked_and_the_page_says_that_nobody_was_paged(world: World) -> None:
    """F049, F045: also for a policy; it stands there until somebody else is asked."""
    ada, bob = await world.people("ada", "bob")
    cleo = await world.person("cleo", reachable=False)
    policy = await world.policy([cleo], name="Database")
    url = await declared(world, ada)
    async with browser(world, ada) as web:
        page = await web.get(url)
        asks = await web.open(page, "page-form")
        assert ">Cleo (cannot be reached)<" in asks.html and ">Database (cannot be reached)<" in asks.html
        assert ">Bob<" in asks.html
        page = await web.do(page, "page-form", {"target": f"user:{USER_ID.write(cleo.id)}"})
        assert "being paged" not in page.html and "No answer" not in page.html
        assert "<strong>Nobody was paged:</strong> Cleo cannot be reached." in page.html
        assert "Not reached" in page.html and "Has no contact method" in page.html
        page = await web.do(page, "page-form", {"target": f"policy:{POLICY_ID.write(policy.id)}"})
        assert "<strong>Nobody was paged:</strong> nobody on Database can be reached." in page.html
        page = await web.do(page, "page-form", {"target": f"user:{USER_ID.write(bob.id)}"})
        assert "Bob is being paged." in page.html and "Nobody was paged" not in page.html
        assert "Not reached" in page.html


async def test_the_note_is_corrected_and_duplicates_are_linked(world: World) -> None:
    """F031, F035: on the pages of both incidents, and by a form that only an ended one has."""
    (ada,) = await world.people("ada")
    url, double = await declared(world, ada), await declared(world, ada, "Payments fail")
    async with browser(world, ada) as web:
        page = await web.get(url)
        assert "resolution_note-form" not in page.read.forms
        page = await web.do(page, "resolve-form", {"resolution_note": "Restarted it."})
        page = await web.do(page, "resolution_note-form", {"resolution_note": "Rolled **back**."})
        assert "<strong>back</strong>" in page.html and "</b> changed the resolution note" in page.html
        page = await web.get(double)
        page = await web.do(page, "cancel-form", {"reason": "duplicate", "duplicate_of": "INC-1"})
        assert f'Duplicate of</dt><dd><a class="mono" href="{url}">INC-1</a>' in page.html
        assert "Duplicate, INC-2" in (await web.get(url)).html


async def test_whoever_pages_somebody_twice_is_told(world: World) -> None:
    """F045, F049: nothing more is sent, and of who has joined it is said."""
    ada, bob = await world.people("ada", "bob")
    url = await declared(world, ada)
    async with browser(world, ada) as web:
        fields = {"target": f"user:{USER_ID.write(bob.id)}"}
        page = await web.do(await web.get(url), "page-form", fields)
        assert "Bob is being paged." in page.html
        page = await web.do(await web.get(url), "page-form", fields)
        assert "Bob is being paged for INC-1 already, so nothing more was sent." in page.html
        page = await web.do(page, "page-form", {"target": f"user:{USER_ID.write(ada.id)}"})
        assert "Ada is being paged. Ada has joined INC-1 already, and is paged all the same." in page.html
    assert await number_of(world, "incident.responder_paged") == 2


async def test_an_incident_is_tagged_and_found_by_its_tag(world: World) -> None:
    """F022, F114: a tag leads to all incidents that have it."""
    ada = await world.person("ada")
    await declared(world, ada, "Other")
    path = await declared(world, ada, "Cards are refused")
    async with browser(world, ada) as web:
        page = await web.do(await web.get(path), "tags-form", {"tags": "EU, card payments"})
        assert 'href="/incidents?tab=all&amp;tag=card%20payments"' in page.html
        found = await web.get("/incidents?tab=all&tag=card%20payments")
        assert "Cards are refused" in found.html and "Other" not in found.html
        assert 'Tag <b class="trunc">card payments</b>' in found.html
        refused = await web.submit(await web.get(path), "tags-form", {"tags": "a" * 41})
        assert refused.status == 422 and "is longer than 40 characters" in refused.html


async def test_declaring_says_whom_it_will_page_before_it_does(world: World) -> None:
    """C/Declare: who, by which policy, who then; or that nobody is. A refused form says it of what it had."""
    ada, *_ = people = await world.people("ada", "bob", "cyd")
    dan = await world.person("dan", reachable=False)
    policy = await world.policy(people[1:], name="Duty")
    async with browser(world, ada) as web:
        page = await web.get("/incidents/new")
        assert "Nobody is paged yet" in page.html
        chosen = [f"policy:{POLICY_ID.write(policy.id)}", f"user:{USER_ID.write(dan.id)}"]
        refused = await web.submit(page, "declare-form", {"title": "", "page": chosen})
        asked = await web.get(f"/incidents/foretold?page={chosen[0]}&page={chosen[1]}")
        for shown in (refused, asked):
            assert 'Duty pages <b class="b">Bob</b> at once, then Cyd after 5m' in shown.html
            assert "Dan cannot be reached." in shown.html and "Nobody is paged by it." in shown.html
        assert (await web.get("/incidents/foretold?page=nonsense")).status == 422
    assert await number_of(world, "incident.declared") == 0


async def test_who_may_not_see_policies_is_not_told_whom_they_page(world: World) -> None:
    """C/Declare: nothing is foretold to whoever may declare, but not see who is on call."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([bob], name="Duty")
    asked = f"/incidents/foretold?page=policy:{POLICY_ID.write(policy.id)}"
    async with world.db.begin() as tx:
        declares = [P.INCIDENT_VIEW, P.INCIDENT_DECLARE]
        desk = await identity.create_role(tx, world.root, name="Desk", permissions=declares)
        eve = await identity.create_user(tx, world.root, email="eve@example.org", name="Eve", role=desk.key)
    for person, may_see in ((ada, True), (eve, False)):
        async with browser(world, person) as web:
            told = await web.get(asked)
            assert told.status == 200
            assert ("Bob" in told.html) is may_see and ("Duty" in told.html) is may_see, person.name


async def test_resolving_takes_when_the_impact_ended(world: World) -> None:
    """C/Resolve: optional, in the reader's zone; one that does not fit stands at its field, and the note stays."""
    ada = await world.person("ada")
    url = await declared(world, ada)
    async with browser(world, ada) as web:
        page = await web.open(await web.get(url), "resolve-form")
        assert page.read.forms["resolve-form"]["mitigated_at"] == [""]
        wrong = {"resolution_note": "A larger disk.", "mitigated_at": "2001-01-01T00:00"}
        refused = await web.submit(page, "resolve-form", wrong)
        assert refused.status == 422 and 'id="resolve-form-mitigated_at-err"' in refused.html
        assert refused.read.forms["resolve-form"]["resolution_note"] == ["A larger disk."]
        incident = await again(world, url)
        at = incident.declared_at.strftime("%Y-%m-%dT%H:%M:%S.%f")
        await web.do(refused, "resolve-form", {"mitigated_at": at})
    done = await again(world, url)
    assert (done.status, done.mitigated_at, done.resolution_note) == (
        "resolved",
        incident.declared_at,
        "A larger disk.",
    )
    assert await number_of(world, "incident.updated") == 1


async def test_resolving_without_an_end_of_the_impact_leaves_the_one_there_is(world: World) -> None:
    """C/Resolve: a form that was shown before a colleague set it does not take it away."""
    ada = await world.person("ada")
    url = await declared(world, ada)
    async with browser(world, ada) as web:
        page = await web.open(await web.get(url), "resolve-form")
        async with world.db.begin() as tx:
            at = tx.now
            await incidents.update(tx, world.root, url.rpartition("/")[2], incidents.IncidentChanges(mitigated_at=at))
        await web.do(page, "resolve-form", {"resolution_note": "A larger disk."})
    assert (await again(world, url)).mitigated_at == at


async def test_a_dialog_says_what_others_did_since_and_not_what_one_did_oneself(world: World) -> None:
    """A2: of an incident, and of the alert that one is declared from."""
    ada, bob = await world.people("ada", "bob")
    alert = await world.alert("Disk is full")
    url = await declared(world, ada)
    async with world.db.begin() as tx:
        await incidents.update(tx, world.actor(bob), url.rpartition("/")[2], incidents.IncidentChanges(severity=1))
        await alerts.acknowledge(tx, world.actor(bob), alert.id)
    for person, told in ((ada, True), (bob, False)):
        async with browser(world, person) as web:
            for place in (f"{url}/resolve", f"/incidents/new?alert={ALERT_ID.write(alert.id)}"):
                news = await web.get(f"{place}{'&' if '?' in place else '?'}seen=1")
                assert ("Bob" in news.html) is told, place


async def test_what_was_typed_becomes_a_comment_only_for_who_may_write_one(world: World) -> None:
    """A2: where it was resolved meanwhile, a dialog offers what is still possible, and no more."""
    ada, bob = await world.people("ada", "bob")
    url = await declared(world, ada)
    async with world.db.begin() as tx:
        ends = [P.INCIDENT_VIEW, P.INCIDENT_RESOLVE]
        desk = await identity.create_role(tx, world.root, name="Desk", permissions=ends)
        eve = await identity.create_user(tx, world.root, email="eve@example.org", name="Eve", role=desk.key)
        await incidents.resolve(tx, world.actor(bob), url.rpartition("/")[2], "Done.")
    for person, may_comment in ((ada, True), (eve, False)):
        async with browser(world, person) as web:
            news = await web.get(f"{url}/resolve?seen=1")
            assert "It can no longer be done this way" in news.html
            assert ("Write it as a comment" in news.html) is may_comment, person.name


async def test_a_dialog_is_for_whoever_may_do_it_to_this_incident(world: World) -> None:
    """F119: who may do it to others only is not shown its form, nor what happened to it since."""
    ada, tea = await world.person("ada"), await world.person("tea", role="stakeholder")
    async with world.db.begin() as tx:
        await identity.create_team(tx, world.root, name="Payments", members={tea.id: "responder"})
    url = await declared(world, ada)
    async with browser(world, tea) as web:
        assert (await web.get(url)).status == 200
        for place in ("resolve", "cancel", "title", "times", "roles/lead", "page", "alerts/link", "resolve?seen=1"):
            assert (await web.get(f"{url}/{place}")).status == 403, place
