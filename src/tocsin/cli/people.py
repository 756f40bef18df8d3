"""`tocsin user …`, `token …` and `keys …`: accounts and credentials from the shell of whoever runs the server."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import click

from tocsin.cli import runtime, serving
from tocsin.db.engine import Tx
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P, Permission, Role
from tocsin.identity.access_queries import access
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import TOKEN_ID, USER_ID, Actor, User
from tocsin.incidents import service as incidents
from tocsin.kit import clock
from tocsin.kit.addresses import at
from tocsin.kit.errors import Conflict, InUse, NotFound
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget
from tocsin.settings import Settings

# Whoever may run commands on the server may do everything; the record says that it was done here.
OPERATOR = Actor.system("command line")
_PAGE = 500
Work = Callable[[Tx, Settings], Awaitable[list[str]]]


def _in_transaction(work: Work) -> None:
    """Run one use case in one transaction and print the lines it returns once it is committed."""
    settings = runtime.read_settings()

    async def run() -> None:
        async with runtime.database(settings) as db:
            async with db.begin() as tx:
                lines = await work(tx, settings)
            for line in lines:
                click.echo(line)

    runtime.run(run)


async def _by_email(tx: Tx, email: str) -> User:
    user = await queries.user_by_email(tx, email)
    if user is None:
        raise NotFound(f"Nobody has the address {email}. `tocsin user list` shows everybody.")
    return user


_ROLES = f"One of {', '.join(Role)}, or the key of a role of your own."


@click.group()
def user() -> None:
    """Make, list and let in people."""


@user.command("create")
@click.option("--email", required=True, help="Address the person signs in with.")
@click.option("--name", required=True, help="Name that others see.")
@click.option("--role", default="responder", show_default=True, help=_ROLES)
@click.option("--time-zone", default="UTC", show_default=True, help="IANA name such as Europe/Vienna.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def user_create(email: str, name: str, role: str, time_zone: str, password_stdin: bool) -> None:
    """Make a person and print the id. Without a password they sign in by a link (`tocsin user link`).

    The first person is also whom escalations fall back on.
    """
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None

    async def create(tx: Tx, settings: Settings) -> list[str]:
        is_first = await identity.needs_set_up(tx)
        made = await identity.create_user(
            tx, OPERATOR, email=email, name=name, role=role, password=password, time_zone=time_zone
        )
        await identity.ensure_organisation(tx, "Tocsin")
        if is_first and P.INCIDENT_EDIT in (await access(tx, made.id)).organisation:
            await oncall.set_fallback(tx, OPERATOR, PageTarget("user", made.id))
            runtime.say(
                f"{made.name} is paged when nobody else answers or can be reached (change it in the settings: General)."
            )
        return [USER_ID.write(made.id)]

    _in_transaction(create)


@user.command("list", short_help="Print everybody.")
def user_list() -> None:
    """Print everybody: id, address, role, whether active, name; separated by tabs."""

    async def read(tx: Tx, settings: Settings) -> list[str]:
        lines: list[str] = []
        page = await queries.users(tx, limit=_PAGE)
        if not page:
            runtime.say(f"Nobody has an account in {_where(settings)}.")
        while page:
            lines += ["\t".join(_cells(each)) for each in page]
            page = await queries.users(tx, after=page[-1].id, limit=_PAGE)
        return lines

    _in_transaction(read)


def _where(settings: Settings) -> str:
    return "the database of TOCSIN_DATABASE_URL" if settings.database_url else f"{settings.data_dir} (TOCSIN_DATA_DIR)"


def _cells(each: User) -> tuple[str, ...]:
    state = "active" if each.is_active else "deactivated"
    return USER_ID.write(each.id), each.email, each.role, state, each.name


@user.command("link", short_help="Print a link that signs a person in.")
@click.option("--email", required=True, help="Address of the person.")
@click.option("--hours", type=click.IntRange(1, 168), default=24, show_default=True, help="How long it is good.")
def user_link(email: str, hours: int) -> None:
    """Print a link that signs the person in once. Whoever holds it is that person.

    Its address is the one that is set here, else that of the server running on the same data directory.
    """

    async def make(tx: Tx, settings: Settings) -> list[str]:
        person = await _by_email(tx, email)
        token = await identity.make_sign_in_link(tx, OPERATOR, person.id, timedelta(hours=hours))
        return [at(serving.base_url(settings), f"/link/{token}")]

    _in_transaction(make)


@user.command("deactivate", short_help="Switch an account off.")
@click.option("--email", required=True, help="Address of the person.")
@click.option("--yes", is_flag=True, help="Do it although policies, incidents or alerts need the person.")
def user_deactivate(email: str, yes: bool) -> None:
    """Switch an account off: sessions, tokens and links end, and others take over.

    Somebody who is needed stays until --yes is given: what needs them is named.
    """

    async def deactivate(tx: Tx, settings: Settings) -> list[str]:
        person = await _by_email(tx, email)
        await incidents.update_person(tx, OPERATOR, person.id, UserChanges(is_active=False), confirmed=yes)
        runtime.say(f"The account of {person.name} is switched off.")
        return []

    _in_transaction(_offering_yes(deactivate))


@user.command("activate", short_help="Switch an account on again.")
@click.option("--email", required=True, help="Address of the person.")
def user_activate(email: str) -> None:
    """Switch an account on again. What others have taken over meanwhile stays with them."""

    async def activate(tx: Tx, settings: Settings) -> list[str]:
        person = await _by_email(tx, email)
        await incidents.update_person(tx, OPERATOR, person.id, UserChanges(is_active=True))
        runtime.say(f"The account of {person.name} is on. `tocsin user link` lets them in.")
        return []

    _in_transaction(activate)


@user.command("role", short_help="Change what a person may do.")
@click.option("--email", required=True, help="Address of the person.")
@click.option("--role", required=True, help=_ROLES)
@click.option("--yes", is_flag=True, help="Do it although they lead open incidents.")
def user_role(email: str, role: str, yes: bool) -> None:
    """Change what a person may do. Who may no longer edit incidents leads none; others take over."""

    async def change(tx: Tx, settings: Settings) -> list[str]:
        person = await _by_email(tx, email)
        await incidents.update_person(tx, OPERATOR, person.id, UserChanges(role=role), confirmed=yes)
        runtime.say(f"{person.name} is {role} now.")
        return []

    _in_transaction(_offering_yes(change))


def _offering_yes(work: Work) -> Work:
    """Let a refusal name everything that needs the person, one a line, and how to do it all the same."""

    async def offered(tx: Tx, settings: Settings) -> list[str]:
        try:
            return await work(tx, settings)
        except InUse as problem:
            for use in problem.uses:
                runtime.say(f"  {use.name}{f', {use.as_what}' if use.as_what else ''}")
            raise Conflict(f"{problem.message} Give --yes to do it all the same.") from None

    return offered


@click.group()
def token() -> None:
    """Make, list and revoke API tokens."""


@token.command("create")
@click.option("--email", required=True, help="Person the token acts as.")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(Permission)),
    help="Allow this only; may be repeated. None: everything the person's role allows.",
)
def token_create(email: str, name: str, scopes: tuple[str, ...]) -> None:
    """Make a token and print it, and nothing else. It is shown only now."""

    async def create(tx: Tx, settings: Settings) -> list[str]:
        owner = await _by_email(tx, email)
        _, secret = await identity.create_token(tx, OPERATOR, user_id=owner.id, name=name, scopes=scopes)
        return [secret]

    _in_transaction(create)


@token.command("list", short_help="Print the tokens that are good.")
@click.option("--email", help="Of this person only.")
def token_list(email: str | None) -> None:
    """Print the tokens that are good: id, beginning, person, last use, scopes, name; separated by tabs."""

    async def read(tx: Tx, settings: Settings) -> list[str]:
        owner_id: UUID | None = (await _by_email(tx, email)).id if email else None
        lines: list[str] = []
        page = await queries.tokens_of(tx, owner_id, limit=_PAGE)
        while page:
            owners = await queries.users_by_id(tx, [each.user_id for each in page])
            for each in page:
                used = clock.stamp(each.last_used_at) if each.last_used_at else "never"
                scopes = ",".join(each.scopes) or "all"
                cells = (TOKEN_ID.write(each.id), each.hint + "…", owners[each.user_id].email, used, scopes)
                lines.append("\t".join((*cells, each.name)))
            page = await queries.tokens_of(tx, owner_id, after=page[-1].id, limit=_PAGE)
        return lines

    _in_transaction(read)


@token.command("revoke")
@click.argument("token_id")
def token_revoke(token_id: str) -> None:
    """End a token by its id, as `tocsin token list` shows it (`tok_…`)."""

    async def revoke(tx: Tx, settings: Settings) -> list[str]:
        ended = await identity.revoke_token(tx, OPERATOR, TOKEN_ID.read(token_id))
        runtime.say(f"The token “{ended.name}” is revoked.")
        return []

    _in_transaction(revoke)


@click.group()
def keys() -> None:
    """Change the keys that sign."""


@keys.command("rotate")
@click.option("--at-once", is_flag=True, help="A key or a link leaked: make every acknowledge link worthless now.")
def keys_rotate(at_once: bool) -> None:
    """Make a new key for acknowledge links. Links that are on their way stay good until they expire."""

    async def rotate(tx: Tx, settings: Settings) -> list[str]:
        hours = settings.ack_link_hours
        await identity.rotate_link_key(tx, OPERATOR, timedelta(hours=hours), at_once=at_once)
        runtime.say(
            "No acknowledge link that was sent before works any more. Whoever was paged by one signs in to answer."
            if at_once
            else f"Pages have links of the new key from now on. Earlier links are good for {hours} hours at most."
        )
        return []

    _in_transaction(rotate)
