"""What Schemathesis does not know by itself: bodies of lines, packed bodies, and what outcomes have to do with the schema."""

import gzip
import json
import re

import jsonschema_rs
import schemathesis

RECORDS = re.compile("^/v1/records/([^/]+)$")
EVENTS = ("application/cloudevents+json", "application/cloudevents-batch+json")


@schemathesis.serializer("application/x-ndjson", *EVENTS)
def json_or_lines(ctx, value):
    if isinstance(value, str) and ctx.case.media_type == "application/x-ndjson":
        return {"data": value.encode("utf-8", "surrogatepass")}
    return {"data": value if isinstance(value, bytes) else json.dumps(value).encode()}


def whole(value):
    """Whole numbers without a point, as most writers have them: 1.0 is an integer to JSON Schema, and none to the doors."""
    if isinstance(value, dict):
        return {name: whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Packs a body in the way that its field says: the field alone would be a lie, and 400 the right answer."""
    if isinstance(case.body, (dict, list)):
        case.body = whole(case.body)
    if (case.headers or {}).get("Content-Encoding") not in ("gzip", "zstd"):
        return
    # What zstd makes is tried elsewhere: this Python has none.
    case.headers["Content-Encoding"] = "gzip"
    if isinstance(case.body, bytes) or case.media_type is None:
        del case.headers["Content-Encoding"]
    elif case.media_type == "application/json" or case.media_type in EVENTS:
        kwargs["data"] = gzip.compress(json.dumps(case.body).encode())
    elif isinstance(case.body, str):
        kwargs["data"] = gzip.compress(case.body.encode("utf-8", "surrogatepass"))
    else:
        del case.headers["Content-Encoding"]


@schemathesis.check
def outcomes_keep_to_the_schema(ctx, response, case):
    """Each record of a request has one outcome, and is stored if the document's schema has it, and only then."""
    topic = RECORDS.match(case.operation.path)
    if topic is None or response.status_code != 200:
        return None
    outcomes = []
    for run in response.json()["outcomes"]:
        assert run["from"] == len(outcomes) and run["to"] >= run["from"], "runs do not cover every index once"
        outcomes += [run] * (run["to"] + 1 - run["from"])
    if response.request.headers.get("Content-Type") != "application/json":
        return None
    body = response.request.body
    if response.request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    try:
        records = json.loads(body, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return None
    records = records if isinstance(records, list) else [records]
    assert len(records) == len(outcomes), f"{len(records)} records, {len(outcomes)} outcomes"
    root = {"$ref": f"#/components/schemas/record.{topic[1]}", "components": case.operation.schema.raw_schema["components"]}
    schema = jsonschema_rs.Draft202012Validator(root, validate_formats=True)
    for record, run in zip(records, outcomes):
        is_valid, told = schema.is_valid(record), json.dumps([record, run])
        assert is_valid or run["outcome"] == "rejected", f"stored against its schema: {told}"
        # An answer needs a lease as well, which nobody draws by chance.
        assert not is_valid or topic[1] == "answers" or run["outcome"] == "stored", f"rejected, though it keeps to its schema: {told}"
    return None
