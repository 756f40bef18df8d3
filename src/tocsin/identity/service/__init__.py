"""What can be done with people and credentials, one module per subject.

What several areas call is named here. The pages and the API of one subject import its module
(`from tocsin.identity.service import teams`).
"""

from tocsin.identity.service.idempotency import (
    Stored,
    claim_idempotency,
    complete_idempotency,
    forget_answers,
    forget_idempotency,
)
from tocsin.identity.service.keys import link_keys, link_keys_in, rotate_link_key, secret
from tocsin.identity.service.link_sessions import link_session, link_sessions, open_link_session
from tocsin.identity.service.organisation import (
    MOST_HOURS,
    OrganisationChanges,
    ensure_organisation,
    make_set_up_link,
    needs_set_up,
    next_incident_number,
    set_up,
    sweep,
    update_organisation,
)
from tocsin.identity.service.owners import MOST_OWNERS, Owners
from tocsin.identity.service.people import (
    INVITATION_VALID_FOR,
    create_user,
    invite,
    set_password,
    take_zone,
    update_user,
)
from tocsin.identity.service.roles import RoleChanges, create_role, delete_role, update_role
from tocsin.identity.service.sessions import (
    Browser,
    authenticate_session,
    open_session,
    revoke_other_sessions,
    revoke_session,
    sign_out,
    still_good,
)
from tocsin.identity.service.sign_in import make_sign_in_link, sign_in, sign_in_with_link
from tocsin.identity.service.teams import (
    TeamChanges,
    add_members,
    archive_team,
    create_team,
    remove_member,
    unarchive_team,
    update_members,
    update_team,
)
from tocsin.identity.service.tokens import authenticate_token, create_token, revoke_token

__all__ = [
    "INVITATION_VALID_FOR",
    "MOST_HOURS",
    "MOST_OWNERS",
    "Browser",
    "OrganisationChanges",
    "Owners",
    "RoleChanges",
    "Stored",
    "TeamChanges",
    "add_members",
    "archive_team",
    "authenticate_session",
    "authenticate_token",
    "claim_idempotency",
    "complete_idempotency",
    "create_role",
    "create_team",
    "create_token",
    "create_user",
    "delete_role",
    "ensure_organisation",
    "forget_answers",
    "forget_idempotency",
    "invite",
    "link_keys",
    "link_keys_in",
    "link_session",
    "link_sessions",
    "make_set_up_link",
    "make_sign_in_link",
    "needs_set_up",
    "next_incident_number",
    "open_link_session",
    "open_session",
    "remove_member",
    "revoke_other_sessions",
    "revoke_session",
    "revoke_token",
    "rotate_link_key",
    "secret",
    "set_password",
    "set_up",
    "sign_in",
    "sign_in_with_link",
    "sign_out",
    "still_good",
    "sweep",
    "take_zone",
    "unarchive_team",
    "update_members",
    "update_organisation",
    "update_role",
    "update_team",
    "update_user",
]
