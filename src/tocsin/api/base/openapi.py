"""The OpenAPI 3.1 document: what Litestar finds in the handlers, completed with what all of them have in common."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

import msgspec
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme, Server, Tag

from tocsin import __version__
from tocsin.api.base.body import Body
from tocsin.api.base.idempotency import LONGEST_KEY
from tocsin.edge.auth import COOKIE
from tocsin.edge.rights import Needs, said
from tocsin.kit.ids import ids_of

T = TypeVar("T")

_METHODS = ("get", "post", "put", "patch", "delete")
_TAGS = {
    "incidents": "The internal record of something that went wrong.",
    "alerts": "Problems as monitoring sees them.",
    "alert sources": "The tools that may send signals.",
    "alert routes": "Which alerts go to which escalation policy.",
    "escalation policies": "Whom to page, in which order.",
    "pages": "People being asked, and their answers.",
    "inbox": "What happened to the incidents that the caller follows.",
    "people": "Accounts, teams, and how people are reached.",
    "access": "Roles, and what was granted for single things.",
    "credentials": "API tokens and sessions.",
    "events": "What happened, as a list and live.",
}
_DESCRIPTION = """\
JSON in snake_case; times are RFC 3339 in UTC with milliseconds; ids carry a prefix and sort by time.

Lists take `limit` and `cursor` and name the next page in `next_cursor` and in a `Link` header. State changes are
`POST …/actions/<verb>` and may be repeated. `PATCH` takes a JSON merge patch and an optional `If-Match`. Every `POST`
takes an `Idempotency-Key`. Errors are RFC 9457 problem documents.
"""


def _operation_id(handler: Any, _method: Any, path: Any) -> str:
    """Name an operation after its handler: `declare_incident` is `declareIncident`."""
    head, *rest = str(handler.handler_name).split("_")
    twin = "OfResponders" if "responders" in path and "actions" in path else ""
    return head + "".join(word.capitalize() for word in rest) + twin


# Litestar serves its own copy below this path; the one for people to use stands in `docs`, and knows the installation.
CONFIG = OpenAPIConfig(
    title="Tocsin",
    version=__version__,
    description=_DESCRIPTION,
    license=License(name="Apache-2.0", identifier="Apache-2.0"),
    # As seen from that copy.
    servers=[Server(url="../../..")],
    tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
    components=Components(
        security_schemes={
            "token": SecurityScheme(type="http", scheme="bearer", description="An API token: `tcs_…`."),
            "session": SecurityScheme(
                type="apiKey",
                name=COOKIE,
                security_scheme_in="cookie",
                description="The browser's session; changes need the `X-CSRF-Token` header too.",
            ),
        }
    ),
    security=[{"token": []}, {"session": []}],
    use_handler_docstrings=True,
    operation_id_creator=_operation_id,
    path="/api/v1/openapi",
    render_plugins=[JsonRenderPlugin(path="/raw.json")],
)

_PROBLEMS = {
    "400": "The request could not be read.",
    "401": "Nobody is signed in, or the credential is not good.",
    "403": "The caller may not do this.",
    "404": "There is no such thing, or the caller may not see it.",
    "409": "The thing is in a state that does not allow this.",
    "412": "Somebody changed it in the meantime; nothing was changed.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "One or more fields are wrong; `errors` names them.",
    "429": "Too many requests; wait for `Retry-After` seconds.",
    "503": "Not possible right now; try again after `Retry-After` seconds.",
}
_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What went wrong, after RFC 9457.",
    "required": ["type", "title", "status", "detail", "code", "retryable", "trace_id"],
    "properties": {
        "type": {"type": "string", "description": "Always `about:blank`; `code` tells problems apart."},
        "title": {"type": "string", "description": "The words of the status."},
        "status": {"type": "integer", "description": "The status of the answer."},
        "detail": {"type": "string", "description": "A sentence for people that says what to do."},
        "code": {"type": "string", "description": "Stable and dotted, for programs."},
        "hint": {"type": "string", "description": "What else may help; not always there."},
        "retryable": {"type": "boolean", "description": "The same request may work later as it is."},
        "trace_id": {"type": "string", "description": "Finds this request in the log."},
        "errors": {
            "type": "array",
            "description": "What is wrong with which field or parameter; only with 422.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail", "code"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON pointer such as `#/title`."},
                    "detail": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
        "changes": {
            "type": "array",
            "description": "What was done since the version in `If-Match`, the newest first; only with 412.",
            "items": {
                "type": "object",
                "required": ["actor", "at", "summary", "fields"],
                "properties": {
                    "actor": {"type": "string", "description": "Who did it."},
                    "at": {"type": "string", "format": "date-time"},
                    "summary": {"type": "string", "description": "What they did, in words."},
                    "fields": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}
_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body within 24 hours get the same answer, and things are done once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
}
_DONE = {"201": "It was made.", "204": "It was done."}
_NUMBERED = {
    "incidents": "Its id (`inc_…`) or its number (`INC-7`).",
    "alerts": "Its id (`alt_…`) or its number (`ALR-31`).",
}
_PARAMETERS = {
    "alert_id": "The id (`alt_…`) or the number (`ALR-31`) of an alert.",
    "link_id": "The id of a link: `lnk_…`.",
    "note_id": "The id of a note: `nte_…`.",
    "incident": "The other incident: its id (`inc_…`) or its number (`INC-7`).",
    "comment_id": "The id of a comment: `cmt_…`.",
    "entry_id": "The id of an entry of the timeline: `evt_…`.",
    "key_event_id": "The id of a key event: `cmt_…`.",
    "subscriber_id": "The id of a subscriber: `sub_…`.",
    "key": "The key of a role.",
    "method_id": "The id of a contact method: `cm_…`.",
    "source_id": "Only from these sources: `src_…`.",
    "lead_id": "Only with these people as lead: `usr_…`.",
    "commander_id": "Only with these people as commander: `usr_…`.",
    "reporter_id": "Only declared by these people: `usr_…`.",
    "status": "Only in these states.",
    "severity": "Only of these severities, 1 (critical) to 5 (info).",
    "urgency": "Only of this urgency.",
    "declared_at[gte]": "Only declared at this time or later.",
    "declared_at[lt]": "Only declared before this time.",
    "created_at[gte]": "Only opened at this time or later.",
    "created_at[lt]": "Only opened before this time.",
    "active_only": "Leave out accounts that are switched off.",
    "show": "Everything, only comments, or everything but comments.",
    "sort": "What comes first; with `-` the largest.",
    "Last-Event-ID": "The id of the last event that was read; the stream goes on after it.",
}
_LABEL: dict[str, Any] = {
    "name": "label",
    "in": "query",
    "required": False,
    "style": "deepObject",
    "explode": True,
    "description": "Keeps alerts with this label: `label[team]=payments`.",
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}


def complete(
    document: dict[str, Any], *, server: str, cookie: str, rights: Mapping[tuple[str, str], Needs]
) -> dict[str, Any]:
    """Return the document with rights, problems, idempotency keys, examples and strict request bodies in it.

    `server` is what stands before every path, and `cookie` the name of the session's cookie: both of an installation.
    `rights` says what each path and method needs.
    """
    whole: dict[str, Any] = _tidy(copy.deepcopy(document))
    whole["servers"] = [{"url": server}]
    whole["components"]["securitySchemes"]["session"]["name"] = cookie
    paths: dict[str, Any] = whole["paths"]
    # These stand for the same operations as `/incidents/{id}/actions/…`.
    for path in [path for path in paths if "/responders/actions/" in path]:
        del paths[path]
    schemas = whole["components"]["schemas"]
    schemas["Problem"] = _PROBLEM_SCHEMA
    for kind in kinds_of(Body):
        if (schema := schemas.get(kind.__name__)) is not None:
            schema["additionalProperties"] = False
            schema["examples"] = [dict(kind.example)]
    for kind in _shapes():
        if (schema := schemas.get(kind.__name__)) is not None:
            schema.setdefault("description", " ".join((kind.__doc__ or "").split()))
    for name, schema in schemas.items():
        if name.endswith("List"):
            schema["title"] = name
            schema["description"] = "One page of a list. `next_cursor` is null on the last page."
    whole["components"]["responses"] = {status: _problem(status, text) for status, text in _PROBLEMS.items()}
    for path, item in paths.items():
        for method in _METHODS:
            if method in item:
                _complete_operation(path, method, item[method], schemas)
                described = item[method].get("description") or ""
                item[method]["description"] = f"{described}\n\n{said(rights[path, method])}".strip()
    return whole


_LISTING = re.compile(r"Listing_[\w.]*?(\w+?)(?:Out)?_$")


def _tidy(node: Any) -> Any:
    """Write what Litestar generates more plainly: lists get a name, a type or null is one schema, whole numbers."""
    if isinstance(node, list):
        return [_tidy(each) for each in cast("list[Any]", node)]
    if isinstance(node, float) and node.is_integer():
        return int(node)
    if isinstance(node, str) and node.startswith("#/components/schemas/"):
        return _LISTING.sub(r"\1List", node)
    if not isinstance(node, dict):
        return node
    tidy = {_LISTING.sub(r"\1List", name): _tidy(value) for name, value in cast("dict[str, Any]", node).items()}
    choices = tidy.get("oneOf")
    if isinstance(choices, list) and all("$ref" not in choice for choice in cast("list[Any]", choices)):
        kinds = [choice for choice in cast("list[dict[str, Any]]", choices) if choice.get("type") != "null"]
        if len(kinds) == 1 and isinstance(kinds[0].get("type"), str) and "enum" not in kinds[0]:
            del tidy["oneOf"]
            nullable = [kinds[0]["type"], "null"] if len(kinds) < len(cast("list[Any]", choices)) else kinds[0]["type"]
            tidy = {**kinds[0], "type": nullable, **tidy}
    return tidy


def kinds_of(base: type[T]) -> Iterator[type[T]]:
    """Yield every type below this one."""
    for kind in base.__subclasses__():
        yield kind
        yield from kinds_of(kind)


def _shapes() -> list[type[msgspec.Struct]]:
    """Return every type that a request or an answer has."""
    where = ("tocsin.api.", "tocsin.incidents.")
    return [kind for kind in kinds_of(msgspec.Struct) if kind.__module__.startswith(where)]


def _problem(status: str, text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    headers = {"401": _header("WWW-Authenticate", "How to send a credential.")}
    wait = _header("Retry-After", "Seconds to wait.", "integer")
    return {
        "description": text,
        "headers": headers.get(status, wait if status in ("429", "503") else {}),
        "content": {"application/problem+json": {"schema": schema}},
    }


def _header(name: str, text: str, type: str = "string") -> dict[str, Any]:
    return {name: {"description": text, "schema": {"type": type}}}


def _complete_operation(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    words = re.sub(r"([A-Z])", r" \1", operation["operationId"]).lower()
    operation["summary"] = words[0].upper() + words[1:]
    for parameter in operation.get("parameters", ()):
        parameter["description"] = parameter.get("description") or _words_for(parameter["name"], path)
        schema = parameter["schema"]
        # A parameter is left out or has a value; there is no way to write null.
        if isinstance(schema.get("type"), list):
            schema["type"] = schema["type"][0]
    statuses = ["400", "401", "403", "422", "429", "503"]
    if "{" in path or method in ("get", "post"):
        statuses.append("404")
    if method != "get":
        statuses += ["409", "413", "415"]
    parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
    if any(parameter.get("name") == "If-Match" for parameter in parameters):
        statuses.append("412")
    if method == "post":
        parameters.append(_KEY)
    _complete_success(method, operation, schemas)
    if operation["operationId"] == "listAlerts":
        parameters.append(_LABEL)
    if "requestBody" in operation:
        _loosen(operation, schemas)
    for status in statuses:
        operation["responses"][status] = {"$ref": f"#/components/responses/{status}"}
    if path.endswith("/events") and method == "get":
        line = {"schema": {"type": "string"}}
        operation["responses"]["200"]["content"]["application/x-ndjson"] = line


def _one_of(resources: str) -> str:
    """Return what one of a resource is called: `escalation_policies` holds each `escalation_policy`."""
    return f"{resources[:-3]}y" if resources.endswith("ies") else resources.removesuffix("s")


def _words_for(parameter: str, path: str) -> str:
    """Say what a parameter of an address is, or of a list where it does not say it itself."""
    if parameter != "id":
        return _PARAMETERS.get(parameter, "")
    kind = path.split("/")[3]
    return _NUMBERED.get(kind) or f"Its id: `{ids_of(_one_of(kind)).prefix}_…`."


def _complete_success(method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Say what a good answer means, and which headers it has."""
    status = next(status for status in operation["responses"] if status.startswith("2"))
    answer = operation["responses"][status]
    content: dict[str, Any] = answer.get("content", {})
    name: str = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    shape: dict[str, Any] = schemas.get(name, {})
    fields: dict[str, Any] = shape.get("properties", {})
    headers: dict[str, Any] = {}
    if "version" in fields:
        headers |= _header("ETag", "The version, for `If-Match`.")
    if method == "get" and "next_cursor" in fields:
        headers |= _header("Link", 'The address of the next page, `rel="next"`; not there on the last one.')
    if method == "post":
        headers |= _header("Idempotent-Replayed", "`true` when this is the answer of an earlier request.")
    answer["headers"] = headers
    answer["description"] = _DONE.get(status) or shape.get("description", "It was done.")


def _loosen(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Let a body be left out where there is nothing that it would have to say."""
    content = operation["requestBody"]["content"]["application/json"]
    name = content["schema"].get("$ref", "").rpartition("/")[2]
    operation["requestBody"]["required"] = bool(schemas.get(name, {}).get("required"))
