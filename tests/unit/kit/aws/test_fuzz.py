"""Nonsense of every kind: whatever comes in, the answer is a coded 4xx, or a 200 where it was no nonsense after all."""

import json
import string
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.aws.gateway import Gateway
from kit.aws.http import HttpRequest, HttpResponse
from kit.clock import ManualClock
from tests.support.aws_requests import ROOT_KEY, bound, form_call, gateway_of, json_call, signed

NAMES = ("ecs", "ecr", "logs", "batch", "scheduler", "sts", "application-autoscaling")
SERVICES = {name: bound(name, lambda call, request: None) for name in NAMES}
GATEWAY: Gateway = gateway_of(*SERVICES.values())
JSON_SERVICES = ("ecs", "ecr", "logs", "application-autoscaling")
JSON_OPERATIONS = [(name, operation) for name in JSON_SERVICES for operation in SERVICES[name].operations]

quick = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=20)
    | st.sampled_from(["", "default", "EC2", "arn:aws:ecs:us-east-1:123456789012:cluster/x", "\0", "💥", "0" * 300])
)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner))
raw_text = st.text(alphabet=string.printable + "é€😀\0\x80\udcff"[:-1], max_size=60)


def answered(response: HttpResponse) -> None:
    """Assert that a response is fine, or tells a code and no internals."""
    assert response.status == 200 or 400 <= response.status < 500, response
    assert response.header("x-amzn-requestid")
    if response.status != 200:
        if response.header("content-type") == "text/xml":
            assert b"<Code>" in response.body
        else:
            assert response.header("x-amzn-errortype") and json.loads(response.body)["__type"]
        assert b"Traceback" not in response.body


def fitting(service: str, operation: str) -> st.SearchStrategy[dict[str, Any]]:
    """Dictionaries with the input's own member names, and anything at all as their values."""
    shape = SERVICES[service].operation_model(operation).input_shape
    members = list(shape.members) if shape is not None else []
    return st.dictionaries(st.sampled_from([*members, "unheardOf"]), trees, max_size=6)


@quick
@given(st.data(), st.sampled_from(JSON_OPERATIONS))
def test_any_json_tree_in_any_operation(data: st.DataObject, chosen: tuple[str, str]) -> None:
    service, operation = chosen
    answered(GATEWAY.handle(json_call(SERVICES[service], operation, data.draw(fitting(service, operation)))))


@quick
@given(st.sampled_from(JSON_OPERATIONS), st.binary(max_size=200) | raw_text.map(lambda text: text.encode("utf-8")))
def test_any_bytes_in_any_operation(chosen: tuple[str, str], body: bytes) -> None:
    answered(GATEWAY.handle(json_call(SERVICES[chosen[0]], chosen[1], None, raw=body)))


@quick
@given(
    st.sampled_from(["batch", "scheduler"]),
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"]),
    st.sampled_from(["/v1/tags/", "/schedules/", "/schedules", "/tags/", "/v1/submitjob", "/", ""]),
    st.text(alphabet=string.ascii_letters + "%/.:?#[]@ +&=é\x7f", max_size=20),
    st.text(alphabet=string.ascii_letters + "%+&=;é", max_size=30),
    trees,
)
def test_any_rest_request(service: str, method: str, path: str, more: str, query: str, body: Any) -> None:
    request = signed(service, method=method, path="/v1/describejobs", body=json.dumps(body).encode())
    answered(GATEWAY.handle(request))
    for headers in (request.headers, ()):
        answered(GATEWAY.handle(HttpRequest(method=method, path=path + more, query=query, headers=headers, body=b"{}")))
    clean = path + "".join(char for char in more if char not in "?#" and char.isascii())
    answered(
        GATEWAY.handle(signed(service, method=method, path=f"/{clean.lstrip('/')}", body=json.dumps(body).encode()))
    )


@quick
@given(
    st.sampled_from(sorted(SERVICES["sts"].operations)),
    st.lists(st.text(alphabet=string.ascii_letters + string.digits + ".%=+é\0", max_size=30), max_size=8),
    st.sampled_from(["Tags.member.1", "PolicyArns.member.1.arn.x", "DurationSeconds", "RoleArn", "Tags", "Action"]),
)
def test_any_form(action: str, parts: list[str], name: str) -> None:
    form = "&".join([f"Action={action}", *parts, *(f"{name}.{part}" for part in parts)])
    answered(GATEWAY.handle(form_call(SERVICES["sts"], form)))


@quick
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["authorization", "x-amz-date", "x-amz-target", "host", "content-type", "date", "x"])
            | raw_text,
            raw_text
            | st.sampled_from(
                [
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20300101/us-east-1/ecs/aws4_request, "
                    "SignedHeaders=host, Signature=0",
                    "20300101T000000Z",
                    "AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=;;,Signature=é",
                    "x" * 20_000,
                ]
            ),
        ),
        max_size=6,
    ),
    st.text(alphabet="XAmz-SignatureCdelEpHso=&%2F1éDt", max_size=80),
)
def test_any_headers_and_any_query(headers: list[tuple[str, str]], query: str) -> None:
    answered(GATEWAY.handle(HttpRequest(method="POST", path="/", query=query, headers=headers, body=b"{}")))
    presigned = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0&{query}"
    answered(GATEWAY.handle(HttpRequest(method="GET", path="/", query=presigned, headers=headers)))


def test_lone_surrogates_in_headers_and_paths_are_refused_too() -> None:
    request = json_call(SERVICES["ecs"], "ListClusters", {})
    for name in ("x-amz-target", "authorization", "x-amz-date", "host", "x-amz-security-token"):
        headers = {**dict(request.headers), name: "\ud800" + (request.header(name) or "")}
        answered(GATEWAY.handle(HttpRequest(method="POST", path="/", headers=headers, body=b"{}")))
    answered(GATEWAY.handle(HttpRequest(method="POST", path="/\ud800", headers=request.headers, body=b"{}")))
    answered(GATEWAY.handle(HttpRequest(method="POST", path="/", query="\ud800", headers=request.headers, body=b"{}")))


def test_a_form_of_too_many_or_too_deep_fields_costs_no_more_than_its_size() -> None:
    sts = SERVICES["sts"]
    many = "&".join(["Action=AssumeRole", *(f"Tags.member.{i}.Key=k" for i in range(20_000))])
    deep = "Action=AssumeRole&Tags" + ".member.1" * 5_000 + "=x"
    for form in (many, deep):
        answered(GATEWAY.handle(form_call(sts, form)))


def test_the_key_and_clock_of_these_tests_do_let_good_requests_through() -> None:
    request = json_call(SERVICES["ecs"], "ListClusters", {}, key=ROOT_KEY, clock=ManualClock())
    assert GATEWAY.handle(request).status == 200
