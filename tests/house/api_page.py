"""Writes docs/api.md, the contract for people, from portal_service/openapi.json: `make api`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "portal_service" / "openapi.json"
PAGE = ROOT / "docs" / "api.md"

Json = dict[str, Any]


def page(document: Json) -> str:
    """The whole page as Markdown."""
    lines = [
        "# The calls, in full",
        "",
        "Made from [openapi.json](../portal_service/openapi.json) by `make api`; in words: "
        "[contract.md](contract.md).",
        "",
        document["info"]["description"],
    ]
    for tag in document["tags"]:
        lines += ["", f"## {tag['name'].capitalize()}", "", tag["description"]]
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if tag["name"] in operation["tags"]:
                    lines += ["", *_operation(document, f"{method.upper()} {path}", operation)]
    lines += ["", "## What is sent and answered"]
    for name, schema in document["components"]["schemas"].items():
        lines += ["", *_schema(name, schema)]
    return "\n".join(lines) + "\n"


def _operation(document: Json, call: str, operation: Json) -> Iterator[str]:
    yield f"### `{call}`"
    yield ""
    summary = operation["summary"].rstrip(".")
    yield f"{summary}. {operation.get('description', '')}".rstrip()
    yield ""
    schemes = [" and ".join(f"`{name}`" for name in choice) for choice in operation["security"]]
    yield f"Who: {' or '.join(scheme or 'anyone' for scheme in schemes) or 'anyone'}."
    if body := operation.get("requestBody"):
        yield f"Body: {_type(_only(body['content'])['schema'])}. {body['description']}"
    yield ""
    yield "| status | answer |"
    yield "|---|---|"
    for status, answer in operation["responses"].items():
        answer = _found(document, answer)
        shape = _type(_only(answer["content"])["schema"]) if "content" in answer else ""
        shape = "" if "allOf" in shape or int(status) >= 400 else shape
        yield f"| {status} | {_cell(answer['description'])} {shape} |".replace("  ", " ")


def _schema(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if "description" in schema:
        yield schema["description"]
        yield ""
    if "properties" in schema:
        yield "| field | type | |"
        yield "|---|---|---|"
        for field, of in schema["properties"].items():
            optional = "" if field in schema.get("required", ()) else ", optional"
            about = _cell(of.get("description", ""))
            yield f"| `{field}` | {_cell(_type(of))}{optional} | {about} |"
    else:
        yield _type(schema)
    for example in schema.get("examples", ()):
        yield ""
        yield "```json"
        yield json.dumps(example, indent=2, ensure_ascii=False)
        yield "```"


def _type(schema: Json) -> str:
    """What may stand there, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " or ".join(_type(each) for each in schema[choice])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kinds = schema.get("type", "anything")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    words = " or ".join(kinds)
    if "items" in schema:
        words += f" of {_type(schema['items'])}"
    elif "properties" in schema:
        fields = ", ".join(f"`{name}`: {_type(of)}" for name, of in schema["properties"].items())
        words += f" ({fields})"
    elif isinstance(schema.get("additionalProperties"), dict):
        words += f" of {_type(schema['additionalProperties'])}"
    return words


def _found(document: Json, answer: Json) -> Json:
    if "$ref" not in answer:
        return answer
    found: Json = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return found


def _only(content: Json) -> Json:
    (only,) = content.values()
    found: Json = only
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    written = page(json.loads(DOCUMENT.read_text()))
    PAGE.write_text(written)
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(written.splitlines())} lines\n")
