"""Reads an OpenAPI document from standard input and prints what is wrong with it, a line each."""

import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

METHODS = ("get", "put", "post", "delete")
document = json.load(sys.stdin)
components = document["components"]


def fits(schema: dict, example: object, where: str) -> None:
    """Whether an example is what its schema says."""
    validator = Draft202012Validator({**schema, "components": components})
    for error in validator.iter_errors(example):
        print(f"{where}: {error.json_path} {error.message}")


for error in OpenAPIV31SpecValidator(document).iter_errors():
    print(list(error.path), error.message)
seen = set()
for path, item in document["paths"].items():
    for method in METHODS:
        operation = item.get(method)
        if operation is None:
            continue
        where = f"{method} {path}"
        if operation["operationId"] in seen:
            print(f"{where}: a second {operation['operationId']}")
        seen.add(operation["operationId"])
        for parameter in operation.get("parameters", []):
            if "example" in parameter:
                fits(parameter["schema"], parameter["example"], f"{where} {parameter['name']}")
        contents = [(where, operation.get("requestBody", {}).get("content", {}))]
        contents += [(f"{where} {status}", found.get("content", {})) for status, found in operation["responses"].items()]
        for place, content in contents:
            for kind, media in content.items():
                if "example" in media:
                    fits(media["schema"], media["example"], f"{place} {kind}")
                for name, example in media.get("examples", {}).items():
                    fits(media["schema"], example["value"], f"{place} {kind} {name}")
for name, schema in components["schemas"].items():
    if "example" in schema:
        fits(schema, schema["example"], name)
