"""What can go wrong, said in types: problems a user can mend, and failures of outside products.

Everything that is neither of these is a bug or an outage and is left to rise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Problem(Exception):
    """Something the user can do about. The message is a sentence for that user.

    `code` is stable and dotted; surfaces show it beside the message so that programs can tell cases apart.
    """

    status = 400
    code = "problem"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class Unreadable(Problem):
    """The request could not be read at all."""

    status = 400
    code = "request.unreadable"


class Unauthenticated(Problem):
    """Nobody is signed in, or the credential is unknown, expired or revoked."""

    status = 401
    code = "auth.required"


class Denied(Problem):
    """The caller is known and may not do this."""

    status = 403
    code = "auth.denied"


class NotFound(Problem):
    """There is no such thing, or the caller may not see it."""

    status = 404
    code = "not_found"


class Gone(Problem):
    """It was there, and was taken out for good."""

    status = 410
    code = "gone"


class Conflict(Problem):
    """The thing is in a state that does not allow this."""

    status = 409
    code = "conflict"


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that needs another: its kind, public id and name, and what it needs it for, such as “step 2”."""

    kind: str
    id: str
    name: str
    as_what: str


class InUse(Conflict):
    """Other things need this one; `uses` names them, the message the first few."""

    code = "in_use"

    def __init__(self, message: str, uses: Sequence[Use], *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{message}: {_named(uses)}.", code=code, hint=hint)
        self.uses = tuple(uses)


_MOST_NAMED = 5


def _named(uses: Sequence[Use]) -> str:
    named = [f"{use.name} ({use.as_what})" if use.as_what else use.name for use in uses[:_MOST_NAMED]]
    more = len(uses) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


@dataclass(frozen=True, slots=True)
class Theirs:
    """What somebody did meanwhile: who, when, in which words, and what they wrote into which field.

    `before` is what stood there, where the record says it; `version` the one that it made.
    """

    who: str
    at: datetime
    words: str
    fields: Mapping[str, str | None]
    before: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    version: int = 0


class Stale(Problem):
    """The caller's copy is older than the stored one; nothing was changed.

    `theirs` is what was done since, the newest first, as far as the record says it; `version` is the stored one.
    `mine` is what the caller would write into those fields, in the words of the record, where that is known.
    """

    status = 412
    code = "stale"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        theirs: Sequence[Theirs] = (),
        version: int | None = None,
        mine: Mapping[str, str | None] | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.theirs = tuple(theirs)
        self.mine = dict(mine or {})
        self.version = version


class TooLarge(Problem):
    """The request is larger than the limit that the message names."""

    status = 413
    code = "request.too_large"


class WrongType(Problem):
    """The request's body is of a content type that is not taken here."""

    status = 415
    code = "request.content_type"


class TooMany(Problem):
    """The caller must wait `retry_after` seconds."""

    status = 429
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong: a JSON pointer such as `#/title`, a sentence and a stable code."""

    pointer: str
    detail: str
    code: str = "invalid"


class Invalid(Problem):
    """One or more fields are wrong.

    `Invalid("title", "Give the incident a title.")` names one field; `Invalid.of(errors)` names several.
    """

    status = 422
    code = "invalid"

    def __init__(self, field: str, message: str, *, code: str = "invalid") -> None:
        super().__init__(message)
        self.errors = (FieldError(pointer=f"#/{field}" if field else "#", detail=message, code=code),)

    @classmethod
    def of(cls, errors: tuple[FieldError, ...]) -> Invalid:
        """Name several fields at once; the message is the first one's."""
        problem = cls("", errors[0].detail)
        problem.errors = errors
        return problem


class Unavailable(Problem):
    """Tocsin itself cannot do this right now; the caller should try again in `retry_after` seconds."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Patience(StrEnum):
    """How long a refusal is doubted before it is believed: gateways in trouble say 404, 401 and 550 as well.

    none: it can never be answered otherwise, such as an address that is impossible by its spelling. short: the other
    side says that it is final (410). long: everything else.
    """

    NONE = "none"
    SHORT = "short"
    LONG = "long"


class OutsideFailure(Exception):
    """An outside product did not do what was asked. Never carries a secret in its message.

    `may_have_arrived` is set when the request had left before it failed, so that the other side may have it all the
    same: whatever is said again is then marked as a possible repeat. `answered` is set when the other side answered at
    all, be it with an error: it lives. `retry_after` is in seconds, when it asked for that much patience.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        may_have_arrived: bool = False,
        answered: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.may_have_arrived = may_have_arrived
        self.answered = answered


class Transient(OutsideFailure):
    """It may work later: a time-out, a 5xx, a 429."""


class Refused(OutsideFailure):
    """The other side says no: an unknown address, a forbidden target, a 4xx. Believed as `patience` says."""

    def __init__(
        self,
        message: str,
        *,
        patience: Patience = Patience.LONG,
        retry_after: float | None = None,
        may_have_arrived: bool = False,
        answered: bool = False,
    ) -> None:
        super().__init__(message, retry_after=retry_after, may_have_arrived=may_have_arrived, answered=answered)
        self.patience = patience
