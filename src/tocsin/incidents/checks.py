"""What people may write into an incident, checked and tidied. No query; every refusal names its field."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from tocsin.db.engine import Tx
from tocsin.incidents.model import Category, Incident, Priority
from tocsin.kit.errors import Invalid
from tocsin.kit.text import clean, is_blank, storable

TITLE_LIMIT = 200
SUMMARY_LIMIT = 20_000
MOST_TAGS = 20
MOST_USERS = 10**12
MOST_REGIONS = 30
REGION_LIMIT = 60
CONSEQUENCE_LIMIT = 2_000
TAG_LIMIT = 40
# What is older than this is a slip of the pen.
EARLIEST = timedelta(days=3653)


def title(title: str) -> str:
    """Return the title on one line, 1 to 200 characters."""
    one_line = " ".join(clean(storable(title)).split())
    if is_blank(one_line):
        raise Invalid("title", "Give the incident a title.", code="required")
    if len(one_line) > TITLE_LIMIT:
        raise Invalid("title", f"The title is longer than {TITLE_LIMIT} characters.", code="too_long")
    return one_line


def summary(summary: str) -> str:
    """Return the summary, at most 20,000 characters of Markdown."""
    return text("summary", summary, SUMMARY_LIMIT, required=False)


def tags(tags: Iterable[str]) -> list[str]:
    """Return the tags in lower case, each once: at most 20, of 1 to 40 characters and without a comma."""
    words = dict.fromkeys(" ".join(clean(storable(tag)).casefold().split()) for tag in tags)
    found = [word for word in words if not is_blank(word)]
    if len(found) > MOST_TAGS:
        raise Invalid("tags", f"At most {MOST_TAGS} tags can be given.", code="count")
    for word in found:
        if len(word) > TAG_LIMIT:
            raise Invalid(
                "tags", f"The tag “{word[:TAG_LIMIT]}…” is longer than {TAG_LIMIT} characters.", code="too_long"
            )
        if "," in word:
            raise Invalid("tags", f"The tag “{word}” has a comma in it.", code="invalid")
    return found


def category(category: str | None) -> Category | None:
    """Return the category, or None for an incident that has none."""
    if category and category not in set(Category):
        raise Invalid("category", "Choose one of the list.", code="unknown")
    return Category(category) if category else None


def priority(priority: str | None) -> Priority | None:
    """Return the priority that somebody gives, or None where it is to be derived again."""
    if priority and priority not in set(Priority):
        raise Invalid("priority", "Choose one of the list.", code="unknown")
    return Priority(priority) if priority else None


def affected_users(users: int | None) -> int | None:
    """Return how many are affected, 0 to a million millions; None where nobody knows."""
    if users is not None and not 0 <= users <= MOST_USERS:
        raise Invalid("affected_users", f"Say a number from 0 to {MOST_USERS:,}.", code="range")
    return users


def affected_percent(percent: float | None) -> float | None:
    """Return how many of a hundred are affected, 0 to 100; None where nobody knows."""
    if percent is not None and not 0 <= percent <= 100:
        raise Invalid("affected_percent", "Say a share from 0 to 100 per cent.", code="range")
    return percent


def affected_regions(regions: Iterable[str]) -> list[str]:
    """Return the regions as they are written, each once: at most 30, of 1 to 60 characters and without a comma."""
    words = dict.fromkeys(" ".join(clean(storable(region)).split()) for region in regions)
    found = [word for word in words if not is_blank(word)]
    if len(found) > MOST_REGIONS:
        raise Invalid("affected_regions", f"At most {MOST_REGIONS} regions can be given.", code="count")
    for word in found:
        if len(word) > REGION_LIMIT:
            raise Invalid("affected_regions", f"A region is longer than {REGION_LIMIT} characters.", code="too_long")
        if "," in word:
            raise Invalid("affected_regions", f"The region “{word}” has a comma in it.", code="invalid")
    return found


def consequence(consequence: str) -> str:
    """Return what it means for customers, at most 2,000 characters."""
    return text("consequence", consequence, CONSEQUENCE_LIMIT, required=False)


def severity(severity: int) -> int:
    """Return the severity if it is one, 1 (critical) to 5 (info)."""
    if not 1 <= severity <= 5:
        raise Invalid("severity", "Severity goes from 1 (critical) to 5 (info).", code="range")
    return severity


# The times that people may set right, and what the incident has done at each of them.
TIMES: Mapping[str, str] = {
    "started_at": "started",
    "detected_at": "been detected",
    "identified_at": "been identified",
    "mitigated_at": "been mitigated",
}


def time(tx: Tx, field: str, at: datetime) -> datetime:
    """Return a time that is neither in the future nor ages ago; `times_in_order` says whether it fits the others."""
    return earlier(tx, field, at, TIMES[field])


def earlier(tx: Tx, field: str, at: datetime, did: str) -> datetime:
    """Return a time that is neither in the future nor ages ago; `did` is what cannot have been done then."""
    if at > tx.now:
        raise Invalid(field, f"It cannot have {did} in the future.", code="range")
    if at < tx.now - EARLIEST:
        raise Invalid(field, f"It cannot have {did} more than ten years ago.", code="range")
    return at


def times_in_order(incident: Incident, written: Collection[str]) -> None:
    """Raise `Invalid` for a time that was written and does not fit the others.

    It starts, is detected and is declared in this order; all else comes after its start, and before its end.
    """
    for field in [name for name in TIMES if name in written]:
        at: datetime | None = getattr(incident, field)
        if at is None:
            continue
        for limit, word in _not_after(incident, field):
            if limit is not None and at > limit:
                raise _out_of_order(field, f"after it was {word}")
        if field != "started_at" and at < incident.started_at:
            raise _out_of_order(field, "before it started")
        if (
            field in ("identified_at", "mitigated_at")
            and incident.detected_at is not None
            and at < incident.detected_at
        ):
            raise _out_of_order(field, "before it was detected")


def _not_after(incident: Incident, field: str) -> list[tuple[datetime | None, str]]:
    """Return what a time may not be later than, and what happened then."""
    ends = [end for end in (incident.resolved_at, incident.closed_at, incident.cancelled_at) if end is not None]
    limits = [(min(ends) if ends else None, incident.status)]
    if field in ("started_at", "detected_at"):
        limits.append((incident.declared_at, "declared"))
    if field == "started_at":
        limits.append((incident.detected_at, "detected"))
    if field in ("started_at", "detected_at"):
        limits += [(incident.identified_at, "identified"), (incident.mitigated_at, "mitigated")]
    return limits


def _out_of_order(field: str, when: str) -> Invalid:
    return Invalid(field, f"It cannot have {TIMES[field]} {when}.", code="range")


def text(field: str, text: str, limit: int, *, required: bool = True) -> str:
    """Return the text without the space around it; `field` names it in the message."""
    told = storable(text).strip()
    if required and not told:
        raise Invalid(field, f"The {field} is missing. Write at least one character.", code="required")
    if len(told) > limit:
        raise Invalid(field, f"The {field} is longer than {limit:,} characters.", code="too_long")
    return told
