"""The inbox: who is asked about each alert, what narrows it, and what is done to several at once."""

from __future__ import annotations

import csv
import io
import re
from urllib.parse import quote, urlencode

import pytest

from tests.surfaces.web_client import Page, browser
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID, Alert, AlertStatus
from tocsin.incidents import service as incidents
from tocsin.web.base import exporting

STORM = 60


def rows(page: Page) -> list[str]:
    return re.findall(r'<tr id="row-(ALR-\d+)"', page.html)


def row(page: Page, alert: Alert) -> str:
    """One row as it is read."""
    inner = page.html.split(f'id="row-ALR-{alert.number}"')[1].partition("</tr>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", inner)).strip()


async def test_the_list_says_who_is_asked_since_when_and_who_is_next(world: World) -> None:
    """A3: nobody answered, being paged, acknowledged, and nobody is woken are groups and words of their own."""
    ada, ben = await world.people("ada", "ben")
    await world.route(await world.policy([ada, ben]), "severity == 1", name="Urgent")
    lost = await world.alert("Lost")
    await world.pass_time(minutes(6))
    await world.pass_time(minutes(6))
    asked = await world.alert("Asked")
    await world.pass_time(minutes(1))
    taken = await world.alert("Taken")
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ben), taken.id)
    quiet = await world.alert("Quiet", severity="info")
    async with browser(world, ada) as web:
        page = await web.get("/alerts")
        assert rows(page) == [f"ALR-{each.number}" for each in (lost, asked, taken, quiet)]
        heads = re.findall(r'<th scope="rowgroup".*?</th>', page.html)
        assert [re.sub(r"<[^>]+>|\s+", " ", head).split()[:2] for head in heads] == [
            ["Waiting", "for"], ["Acknowledged", "1"], ["Low", "urgency"]
        ]  # fmt: skip
        assert "1 unanswered" in heads[0]
        assert re.search(r"Nobody answered 2 people, last \d\d:\d\d Nobody", row(page, lost))
        assert re.search(
            r"Paging you \d:\d\d since \d\d:\d\d , then Ben AD? ?Ada|Paging you .* then Ben", row(page, asked)
        )
        assert re.search(r"Acknowledged \d\d:\d\d , after", row(page, taken)) and "Ben" in row(page, taken)
        assert "Not routed" in row(page, quiet)
        assert 'title="Step 1 of Duty' in page.html, "by what they are asked"
    async with browser(world, ben) as web:
        page = await web.get("/alerts")
        assert "Paging you" not in row(page, asked) and "Ada" in row(page, asked)
        mine = await web.get("/alerts?mine=1")
        assert rows(mine) == [f"ALR-{taken.number}"]


async def test_a_selection_is_acknowledged_in_one_request_without_a_script(world: World) -> None:
    """B5: boxes and a button; it says how many, which were so already, and why not the others."""
    ada = await world.person("ada")
    first, second, third, fourth = [await world.alert(f"Disk {n}") for n in range(4)]
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), second.id)
        await alerts.resolve(tx, world.actor(ada), third.id)
    refs = [f"ALR-{each.number}" for each in (first, second, third)]
    async with browser(world, ada) as web:
        page = await web.get("/alerts?severity=1")
        assert page.html.count('form="bulk" name="id"') == 3, "one box for each row that is shown"
        done = await web.do(page, "bulk", {"id": refs, "act": "acknowledge"})
        assert done.path == "/alerts?severity=1"
        assert "1 alert acknowledged. 1 alert was acknowledged already." in done.html
        assert f"ALR-{third.number}: " in done.html and "resolved" in done.html.split(f"ALR-{third.number}: ")[1][:90]
        assert (await world.again(fourth)).status == AlertStatus.TRIGGERED
        # Nothing chosen does nothing, and says so.
        refused = await web.submit(page, "bulk", {"act": "acknowledge"})
        assert refused.status == 422
        one = await web.do(page, "bulk", {"one": f"ALR-{fourth.number}"})
        assert "1 alert acknowledged." in one.html and (await world.again(fourth)).status == AlertStatus.ACKNOWLEDGED
        back = await web.do(one, "bulk", {"id": refs[:1], "act": "unacknowledge"})
        assert "1 alert given back." in back.html


async def test_a_storm_is_acknowledged_at_once_and_what_came_since_is_not(world: World) -> None:
    """B5: all 60 by one box and one button, also those of the next page; nobody acts on what they have not seen."""
    ada = await world.person("ada")
    await world.signal([{"title": f"Node {n}", "status": "firing", "key": f"n{n}"} for n in range(STORM)])  # type: ignore[arg-type]
    await world.settle()
    async with browser(world, ada) as web:
        page = await web.get("/alerts")
        assert len(rows(page)) == 50 and "50 of 60" in page.html and "All 60, also on other pages" in page.html
        until = re.search(r'name="all" value="([^"]+)"', page.html)
        assert until
        older = re.search(r'rel="next" href="([^"]+)"', page.html)
        assert older and len(rows(await web.get(older[1].replace("&amp;", "&")))) == 10
        await world.pass_time(minutes(1))
        late = await world.alert("Late")
        done = await web.do(page, "bulk", {"all": until[1], "act": "acknowledge"})
        assert "60 alerts acknowledged." in done.html
        assert (await world.again(late)).status == AlertStatus.TRIGGERED
        assert rows(await web.get("/alerts?tab=action")) == [f"ALR-{late.number}"]


async def test_the_button_of_a_row_is_about_that_row_whatever_is_ticked(world: World) -> None:
    """B5: also where all were ticked before it was pressed."""
    ada = await world.person("ada")
    one, two = await world.alert("One"), await world.alert("Two", key="two")
    async with browser(world, ada) as web:
        page = await web.get("/alerts")
        until = re.search(r'name="all" value="([^"]+)"', page.html)
        until_then = until[1] if until else "2031-01-01T00:00:00+00:00"
        refs = [f"ALR-{one.number}", f"ALR-{two.number}"]
        done = await web.do(page, "bulk", {"all": until_then, "id": refs, "one": refs[0]})
        assert "1 alert acknowledged." in done.html
    assert (await world.again(two)).status == AlertStatus.TRIGGERED


async def test_what_could_be_done_to_none_of_many_is_explained_for_some_and_named_for_all(world: World) -> None:
    """B5."""
    ada = await world.person("ada")
    found = [await world.alert(f"Node {n}", key=f"n{n}") for n in range(5)]
    refs = [f"ALR-{alert.number}" for alert in found]
    async with browser(world, ada) as web:
        page = await web.get("/alerts")
        await web.do(page, "bulk", {"id": refs, "act": "resolve"})
        done = await web.do(page, "bulk", {"id": refs, "act": "acknowledge"})
        assert f"Not changed either: {refs[3]}, {refs[4]}." in done.html


async def test_an_empty_list_says_nothing_of_what_one_does_not_see(world: World) -> None:
    """An incident or a source that is hidden from somebody is not told by the words of an empty list."""
    eve, gus = await world.person("eve"), await world.person("gus", role="guest")
    async with browser(world, gus) as web:
        before = [empty_words(await web.get(place)) for place in ("/incidents", "/alerts")]
        async with world.db.begin() as tx:
            await incidents.declare(tx, world.actor(eve), title="Kept among few")
        await world.source()
        assert [empty_words(await web.get(place)) for place in ("/incidents", "/alerts")] == before
    assert "No incidents yet" in before[0]
    assert "Create a source" not in "".join(before)


def empty_words(page: Page) -> str:
    found = re.search(r'<div class="empty">(.*?)</div>', page.html, re.DOTALL)
    assert found, page.html
    return found[1]


async def test_a_selection_is_linked_and_what_is_in_another_incident_stays_there(world: World) -> None:
    """B5: it says of each what happened."""
    ada = await world.person("ada")
    first, second, other = [await world.alert(f"Disk {n}") for n in range(3)]
    async with world.db.begin() as tx:
        there = await incidents.declare(tx, world.actor(ada), title="There", alert_id=other.id)
        wanted = await incidents.declare(tx, world.actor(ada), title="Wanted")
    refs = [f"ALR-{each.number}" for each in (first, second, other)]
    async with browser(world, ada) as web:
        page = await web.get("/alerts")
        refused = await web.submit(page, "bulk", {"id": refs, "act": "link", "incident": "INC-99"})
        assert refused.status == 422 and "There is no incident" in refused.html
        assert len(re.findall(r'name="id"[^>]* checked', refused.html)) == 3
        done = await web.do(page, "bulk", {"id": refs, "act": "link", "incident": wanted.reference})
        assert f"2 alerts linked to {wanted.reference}." in done.html
        assert f"belongs to {there.reference} already." in done.html
        again = await web.do(page, "bulk", {"id": refs[:2], "act": "link", "incident": wanted.reference})
        assert "2 alerts were there before." in again.html


async def test_what_is_not_there_any_more_does_not_stop_the_rest_of_a_selection(world: World) -> None:
    """B5: it says of each what happened, also of one that was hidden since the list was shown."""
    ada = await world.person("ada")
    first, hidden, third = [await world.alert(f"Disk {n}") for n in range(3)]
    async with world.db.begin() as tx:
        there = await incidents.declare(tx, world.actor(ada), title="There")
    async with browser(world, ada) as web:
        page = await web.get("/alerts")
        refs = [f"ALR-{each.number}" for each in (first, hidden, third)]
        other = await world.source("alertmanager")
        await world.db.pool.execute("UPDATE alert_source SET is_private = true WHERE id = $1", other.id)
        await world.db.pool.execute("UPDATE alert SET source_id = $1 WHERE id = $2", other.id, hidden.id)
        done = await web.do(page, "bulk", {"id": [*refs, ALERT_ID.write(hidden.id)], "act": "acknowledge"})
        said = f"{refs[1]}: There is no such alert. One alert: There is no such alert."
        assert f"2 alerts acknowledged. {said}" in done.html
        done = await web.do(page, "bulk", {"id": refs, "act": "link", "incident": there.reference})
        assert f"2 alerts linked to {there.reference}. {refs[1]}: There is no such alert." in done.html
    assert (await world.again(hidden)).status == AlertStatus.TRIGGERED


async def test_all_of_a_list_is_never_more_than_its_whole_address_says(world: World) -> None:
    """B5: a filter at the end of a long address counts, and half of an address is no list to act on."""
    ada = await world.person("ada")
    alert = await world.alert("Disk", severity="critical")
    long = "&".join(f"source={'x' * 200}" for _ in range(20)) + f"&label={quote('é' * 200)}"
    async with browser(world, ada) as web:
        page = await web.get("/alerts")
        wanted = {"all": "2199-01-01T00:00:00+00:00", "act": "acknowledge"}
        await web.submit(page, "bulk", {**wanted, "list": f"{long}&q=nothing-like-it&period=24h&mine=1"})
        assert (await world.again(alert)).status == AlertStatus.TRIGGERED
        assert (await web.submit(page, "bulk", {**wanted, "list": "a&" * 600})).status == 422
        for far in ("9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00+23:59"):
            assert (await web.submit(page, "bulk", {"all": far, "act": "acknowledge"})).status == 422, far
    assert (await world.again(alert)).status == AlertStatus.TRIGGERED


@pytest.mark.parametrize("role", ["stakeholder"])
async def test_who_may_only_look_gets_no_boxes(world: World, role: str) -> None:
    """B5: and is refused when they send the form all the same."""
    eve = await world.person("eve", role=role)
    alert = await world.alert()
    async with browser(world, eve) as web:
        page = await web.get("/alerts")
        assert rows(page) and 'id="bulk"' not in page.html and 'name="id"' not in page.html
        sent = {**page.read.forms["sign-out"], "id": f"ALR-{alert.number}", "act": "resolve"}
        answer = await web.send("/alerts/bulk", sent)
        assert answer.status == 403
    assert (await world.again(alert)).status == AlertStatus.TRIGGERED


async def test_the_search_finds_numbers_labels_and_words_in_any_order(world: World) -> None:
    """B5: `ALR-45`, `45`, `INC-7`, `team=payments`, words of labels; each word anywhere; the API the same."""
    ada = await world.person("ada")
    live = await world.alert("Filter and live view", labels={"team": "payments"})
    other = await world.alert("Live ticker", labels={"team": "search"})
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Ticker", alert_id=other.id)
    first, second = f"ALR-{live.number}", f"ALR-{other.number}"
    expected = {
        "Filter live": [first], "live filter": [first], '"Filter live"': [], "live": [first, second],
        first: [first], f"{live.number}": [first], f"#{other.number}": [second],
        "team=payments": [first], "live team=search": [second], "payments": [first], "live payments": [first],
        incident.reference: [second], incident.reference.lower(): [second], "team=nobody": [], "INC-99": [],
    }  # fmt: skip
    async with browser(world, ada) as web:
        for q, numbers in expected.items():
            found = rows(await web.get("/alerts?" + urlencode({"q": q})))
            assert sorted(found) == sorted(numbers), q
        async with world.db.begin() as tx:
            for alert in (live, other):
                await alerts.resolve(tx, world.actor(ada), alert.id)
        # What is over is found by the same, but for words within labels.
        for q, numbers in (expected | {"payments": [], "live payments": []}).items():
            found = rows(await web.get("/alerts?" + urlencode({"tab": "resolved", "q": q})))
            assert sorted(found) == sorted(numbers), q
        empty = await web.get("/alerts?q=zebra&severity=2")
        assert "Nothing matches" in empty.html and "/alerts" in empty.read.links and "Clear filters" in empty.html


async def test_filters_stand_in_the_address_and_narrow_each_other(world: World) -> None:
    """B5: severity, source, label, period; what is nonsense is left out."""
    ada = await world.person("ada")
    old = await world.alert("Old", labels={"team": "a"})
    await world.pass_time(minutes(120))
    new = await world.alert("New", labels={"team": "b"}, severity="warning")
    async with browser(world, ada) as web:
        for query, expected in (
            ("severity=1", [old]), ("severity=1&severity=3", [old, new]), ("label=team%3Db", [new]),
            ("since=1h", [new]), ("severity=1&since=1h", []), ("severity=9&since=soon&source=x&label=team", [old, new]),
            ("tab=acknowledged", []), ("tab=nonsense", [old, new]),
        ):  # fmt: skip
            found = rows(await web.get(f"/alerts?{query}"))
            assert sorted(found) == sorted(f"ALR-{each.number}" for each in expected), query
        page = await web.get("/alerts?severity=1&since=1h&q=x")
        assert '<input type="hidden" name="since" value="1h">' in page.html
        assert re.search(r'name="severity" value="1" ?checked', page.html)


async def test_the_export_is_what_the_list_shows_and_no_formula(world: World) -> None:
    """B5: for who may see it; a title that a spreadsheet would run is a text."""
    ada = await world.person("ada")
    await world.alert('=HYPERLINK("http://evil")', labels={"team": "a"})
    await world.alert("Plain, with comma", severity="warning")
    async with browser(world, ada) as web:
        answer = await web.http.get("/alerts/export.csv?severity=1")
        assert answer.headers["content-type"].startswith("text/csv")
        table = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        assert [line["Title"] for line in table] == ['\'=HYPERLINK("http://evil")']
        assert table[0]["Severity"] == "SEV1" and table[0]["Labels"] == "team=a"
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        answer = await web.http.get("/alerts/export.csv")
        whole = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        assert whole[0]["Title"] == "Plain, with comma"


@pytest.mark.parametrize(
    ("title", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        # Where decimals have a comma, cells are divided here.
        ("Disk;=1+1", "Disk;'=1+1"),
        ("a; -1", "a; '-1"),
        ("Disk a=b; c=d, 3 - 1 @ 5 + 2", "Disk a=b; c=d, 3 - 1 @ 5 + 2"),
    ],
)
def test_no_cell_can_become_a_formula_however_it_is_divided(title: str, cell: str) -> None:
    """B5: the program that opens the table decides what divides its cells."""
    assert exporting.cell(title) == cell


async def test_one_is_looked_at_beside_the_list(world: World) -> None:
    """B5: what matters of it, without leaving."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert("Checkout", description="**Look** here", labels={"team": "a"})
    async with browser(world, ada) as web:
        page = await web.get(f"/alerts/ALR-{alert.number}/peek")
        shown = page.html.split('id="peek-body"')[1]
        for words in ("Paging you", "Step 1 of Duty", "<strong>Look</strong>", "team=a", "was paged"):
            assert words in shown, words


async def test_how_often_it_was_signalled_is_drawn_in_the_list_beside_it_and_on_its_page(world: World) -> None:
    """B5: a stroke for each ten minutes with a signal, three hours back, and words for who cannot see it."""
    ada = await world.person("ada")
    source = await world.source()
    for after in (200, 0, 0, 30):
        await world.pass_time(minutes(after))
        await world.signal({"title": "Disk is full", "status": "firing"}, source)
    async with browser(world, ada) as web:
        for path in ("/alerts", "/alerts/ALR-1/peek", "/alerts/ALR-1"):
            page = await web.get(path)
            words, drawn = re.findall(
                r'<svg class="spark sev\d".*?aria-label="([^"]*)">\s*<path d="([^"]*)"', page.html
            )[0]
            assert words == "4 signals in 3 hours"
            assert re.fullmatch(r"M\d+ 16v-16M\d+ 16v-5", drawn), "three at once, and one half an hour later"
        await world.pass_time(minutes(181))
        page = await web.get("/alerts/ALR-1")
        assert 'class="spark' not in page.html, "what is long ago is not drawn"
