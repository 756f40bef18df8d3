"""The OpenAPI document is whole and true to the standard, so that clients can be generated from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis

from tests.world import World

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
async def document(world: World) -> dict[str, Any]:
    transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.example") as client:
        return (await client.get("/api/v1/openapi.json")).json()


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


async def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"]
    assert document["info"]["version"]


async def test_it_is_valid(document: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(document).validate()


async def test_every_schema_is_a_json_schema(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}), name


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in set(_references(document)):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step.replace("~1", "/").replace("~0", "~")]


async def test_every_operation_has_a_name_of_its_own_and_a_summary(document: dict[str, Any]) -> None:
    operations = list(_operations(document))
    names = [operation["operationId"] for _, operation in operations]
    assert len(operations) > 70
    assert len(names) == len(set(names))
    assert not [where for where, operation in operations if not operation.get("summary")]
    assert not [where for where, operation in operations if not operation.get("description")]
    assert not [where for where, operation in operations if not operation.get("tags")]


async def test_every_operation_says_how_it_fails(document: dict[str, Any]) -> None:
    for where, operation in _operations(document):
        statuses = set(operation["responses"])
        assert any(status.startswith("2") for status in statuses), where
        assert {"401", "403", "422", "503"} <= statuses, where


async def test_every_parameter_of_a_path_is_declared(document: dict[str, Any]) -> None:
    for where, operation in _operations(document):
        declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", where)), where


async def test_everything_is_explained(document: dict[str, Any]) -> None:
    silent = [
        f"{where} {parameter['name']}"
        for where, operation in _operations(document)
        for parameter in operation.get("parameters", ())
        if not parameter.get("description")
    ]
    # The words of an enumeration speak for themselves.
    silent += [
        name
        for name, schema in document["components"]["schemas"].items()
        if not schema.get("description") and "enum" not in schema
    ]
    assert not silent
    for where, operation in _operations(document):
        said = next(answer["description"] for status, answer in operation["responses"].items() if status[0] == "2")
        assert "document follows" not in said and "URL follows" not in said, where


async def test_the_headers_of_an_answer_are_in_it(document: dict[str, Any]) -> None:
    paths = document["paths"]
    assert set(paths["/api/v1/incidents"]["get"]["responses"]["200"]["headers"]) == {"Link"}
    assert set(paths["/api/v1/incidents/{id}"]["get"]["responses"]["200"]["headers"]) == {"ETag"}
    assert set(paths["/api/v1/incidents"]["post"]["responses"]["201"]["headers"]) == {"ETag", "Idempotent-Replayed"}
    assert set(document["components"]["responses"]["503"]["headers"]) == {"Retry-After"}


def _resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    name = node.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else node


async def test_every_list_is_read_page_by_page(document: dict[str, Any]) -> None:
    lists = 0
    for where, operation in _operations(document):
        if not where.startswith("GET"):
            continue
        answer = operation["responses"]["200"]["content"].get("application/json", {}).get("schema", {})
        if "data" in _resolved(document, answer).get("properties", {}):
            parameters = {p["name"]: p["schema"] for p in operation["parameters"] if p["in"] == "query"}
            limit = parameters["limit"]
            assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 100, 25), where
            assert "cursor" in parameters, where
            assert "next_cursor" in _resolved(document, answer)["properties"], where
            lists += 1
    assert lists >= 20


async def test_nobody_needs_to_sign_in_to_read_it(world: World) -> None:
    transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.example") as client:
        assert (await client.get("/api/v1/docs")).status_code == 200
