"""The service over HTTP: the model's answers, refusals in one line, limits, counts, and an end that cuts nobody off."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import MODELS, Client, houses

from fallline.cli.serve import needs_extra
from fallline.errors import ParameterError
from fallline.serving import service
from fallline.serving.contract import answer_schema, example, openapi, row_schema
from fallline.serving.limits import Limits
from fallline.serving.server import Server


def refusal(answer):
    """Status and line of an answer that is a refusal."""
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json) == ["error"]
    assert "\n" not in answer.json["error"]
    return answer.status, answer.json["error"]


# What is right


def test_bulk_rows_are_answered_as_the_model_predicts(models, serving):
    model, frame = models("numbers"), houses()
    answer = serving("numbers").predict({"rows": json.loads(frame.write_json())})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {"predictions": model.predict(frame).tolist()}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_said_of_a_model_is_so(models, name):
    """The examples of the document are of its own schemas, which are schemas."""
    model = models(name)
    document = openapi(model, name, Limits())
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(schemas["Request"]["examples"][0]["rows"][0], row_schema(model.encoder))
    jsonschema.validate(schemas["Answer"]["examples"][0], answer_schema(model))
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_other_pages(serving, models):
    client = serving("numbers")
    assert client.ask("/health").json == {"status": "ok", "model": "numbers.fallline"}
    schema = client.ask("/schema")
    assert schema.headers["content-type"] == "application/schema+json"
    assert schema.json["required"] == [name for name in houses().columns if name not in ("same", "price")]
    document = client.ask("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    for path in document["paths"]:
        assert client.ask(path).status == (405 if path == "/predict" else 200)
    assert client.ask("/health", "HEAD").body == b""


def test_the_page_needs_nothing_else(serving):
    page = serving("numbers").ask("/")
    html = page.body.decode()
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "<script" not in html
    assert not re.search(r"(src|href)=.?https?:", html)
    for word in ("numbers.fallline", "area", "sold", "&#34;predictions&#34;", "10,000 rows"):
        assert word in html


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_the_schema_allows_is_predicted_and_nothing_else_is(models, serving, data):
    """The validator is somebody else's."""
    model, client = models("numbers"), serving("numbers")
    schema = openapi(model, "", Limits())["components"]["schemas"]
    request = schema["Request"] | {"components": {"schemas": schema}}
    fields = ["area", "rooms", "town", "zip", "balcony"]  # dates have their own test: formats are no schema's matter
    changes = st.dictionaries(st.sampled_from(fields), JSON, max_size=2)
    rows = [example(model.encoder) | change for change in data.draw(st.lists(changes, max_size=3))]
    lost = data.draw(st.none() | st.sampled_from(fields))
    rows = [{name: value for name, value in row.items() if name != lost} for row in rows]
    body = data.draw(st.sampled_from([{"rows": rows}] * 9 + [rows, {"rows": rows, "more": 1}]))
    valid = jsonschema.Draft202012Validator(request).is_valid(body)
    answer = client.predict(body)
    if valid:
        assert answer.status == 200
        jsonschema.validate(answer.json, answer_schema(model))
    else:
        assert refusal(answer)[0] == 422


# What is wrong


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "the body is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"{", 400, "the body is not JSON: "),
        (b"{}{}", 400, "the body is not JSON: Extra data"),
        (b"\xff\xfe{}", 400, "the body is not UTF-8 (byte 1)"),
        (b'\xef\xbb\xbf{"rows": []}', 400, "the body is not JSON: "),
        (b'{"rows": [{"a": NaN, "b": 1}]}', 400, "NaN is no number; null says that a value is missing"),
        (b'{"rows": [{"a": -Infinity, "b": 1}]}', 400, "-Infinity is no number"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "nested too deeply"),
        (b'{"rows": [{"a": ' + b"9" * 5000 + b', "b": 1}]}', 400, "the body is not JSON: "),
        (b'{"rows": [{"a": ' + b"9" * 4000 + b', "b": 1}]}', 422, "row 1, column 'a': a number of many digits is too"),
        (b'{"rows": [{"a": 1e999, "b": 1}]}', 422, "row 1, column 'a': Infinity is too large for float32"),
        (b"null", 422, "the body is null; an object such as"),
        (b"[]", 422, "the body is a list; an object such as"),
        (b"{}", 422, "'rows' is missing"),
        (b'{"rows": [], "row": 1}', 422, "'row' is unknown; there is only 'rows'"),
        (b'{"\\ud800": []}', 422, r"'\ud800' is unknown; there is only 'rows'"),
        (b'{"rows": {}}', 422, "'rows' is an object; a list is needed"),
        (b'{"rows": "abc"}', 422, "'rows' is 'abc'; a list is needed"),
        (b'{"rows": [1]}', 422, "row 1: 1 is not an object, such as {column: value}"),
        (b'{"rows": [{"a": 1, "b": 2}, {"a": 1}]}', 422, "row 2: column 'b' is left out; write null where a value is"),
        (b'{"rows": [{"a": 1, "b": "\\u0000"}]}', 422, "row 1, column 'b': '\\x00' is not a number"),
        (b'{"rows": [{"a": 1, "b": "a\\nb"}]}', 422, r"row 1, column 'b': 'a\nb' is not a number"),
        (b'{"rows": [' + b"{}," * 60 + b"{}]}", 422, "61 rows are more than 50; ask for them in several requests"),
        (b'{"rows": []}' + b" " * 70_000, 413, "the body is larger than 70,000 bytes"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_hostile_bodies(serving, body, status, says):
    client = serving("several", rows=50, bytes=70_000 if says.endswith("70,000 bytes") else 1_000_000)
    before = client.metrics()
    found = refusal(client.predict(body))
    assert found[0] == status
    assert says in found[1]
    after = client.metrics()
    assert after["fallline_failures_total"] == before["fallline_failures_total"] + 1
    assert client.predict(b'{"rows": [{"a": 1, "b": 2}]}').status == 200


def test_a_body_in_chunks_is_limited_too(serving):
    client = serving("several", rows=50, bytes=70_000)
    rows = {"rows": [{"a": 1, "b": 2}]}
    chunked = client.ask("/predict", "POST", iter([json.dumps(rows).encode()]), Content_Type="application/json")
    assert chunked.status == 200
    large = client.ask("/predict", "POST", (b" " * 10_000 for _ in range(9)), Content_Type="application/json")
    assert refusal(large)[0] == 413


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"])
def test_only_what_is_said_to_be_json(serving, kind):
    found = serving("several").predict({"rows": []}, Content_Type=kind)
    assert refusal(found) == (415, "the body's Content-Type must be application/json")
    assert serving("several").predict({"rows": []}, Content_Type="Application/JSON; charset=utf-8").status == 200


def test_a_body_that_is_packed(serving):
    assert refusal(serving("several").predict({"rows": []}, Content_Encoding="gzip"))[0] == 415


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::2]:1"])
def test_another_host(serving, host):
    status, says = refusal(serving("several").ask("/predict", "POST", b'{"rows": []}', Host=host))
    assert (status, "--allow-host" in says) == (421, True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8000", "[::1]"])
def test_a_host_of_its_own(serving, host):
    assert serving("several").ask("/health", Host=host).status == 200


def test_another_page_or_method(serving):
    client = serving("several")
    for path in ("/nothing", "/predict/", "/..%2f..%2fetc/passwd", "/health/.."):
        assert refusal(client.ask(path))[0] == 404
    answer = client.ask("/predict")
    assert refusal(answer) == (405, "/predict takes POST")
    assert answer.headers["allow"] == "POST"
    assert client.metrics()['fallline_requests_total{path="other",status="404"}'] >= 4


# Limits


def slow(monkeypatch, seconds):
    """Have each prediction take a while; `started` is set when one has begun."""
    started, work = threading.Event(), service._work

    def later(*arguments):
        started.set()
        time.sleep(seconds)
        return work(*arguments)

    monkeypatch.setattr(service, "_work", later)
    return started


ONE = {"rows": [{"a": 1, "b": 2}]}


def test_what_takes_too_long(serving, monkeypatch):
    client = serving("several", seconds=0.5)
    with monkeypatch.context() as patch:
        slow(patch, 1.5)
        with ThreadPoolExecutor(2) as pool:
            late = pool.submit(client.predict, ONE)
            began = time.monotonic()
            while time.monotonic() < began + 0.3:  # the loop goes on meanwhile
                assert client.ask("/health").status == 200
            answer = late.result()
    status, says = refusal(answer)
    assert (status, says[:40]) == (503, "the answer took longer than 0.5 seconds;")
    assert answer.headers["retry-after"] == "1"


def test_a_body_that_does_not_come(serving):
    client = serving("several", seconds=0.5)
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        connection.sendall(b"Content-Length: 100\r\n\r\n{")
        answer = b""
        while b"}" not in answer:
            answer += connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body took longer than 0.5 seconds to come" in answer


def test_too_many_at_once(serving, monkeypatch):
    client = serving("several", requests=2)
    with monkeypatch.context() as patch:
        slow(patch, 1.0)
        with ThreadPoolExecutor(6) as pool:
            found = [each.result() for each in [pool.submit(client.predict, ONE) for _ in range(6)]]
    assert sorted(answer.status for answer in found) == [200, 200, 503, 503, 503, 503]
    assert "2 requests are under way" in refusal(next(a for a in found if a.status == 503))[1]
    assert client.predict(ONE).status == 200


def test_a_fault_of_ours_is_told_without_its_details(serving, monkeypatch):
    def fail(*_):
        raise RuntimeError("secret")

    client = serving("several")
    with monkeypatch.context() as patch:
        patch.setattr(service, "_work", fail)
        answer = client.predict(ONE)
    assert refusal(answer) == (500, "an error inside the service")
    assert client.metrics()['fallline_requests_total{path="/predict",status="500"}'] == 1
    assert client.predict(ONE).status == 200


def test_a_client_that_leaves(serving):
    client = serving("several")
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        connection.sendall(b"Content-Length: 100\r\n\r\n{")
    assert client.predict(ONE).status == 200


def test_counts(serving):
    client = serving("whole numbers")
    for n in (0, 1, 5):
        assert client.predict({"rows": ONE["rows"] * n}).status == 200
    client.predict(b"{")
    found = client.metrics()
    assert found["fallline_rows_total"] == 6
    assert found["fallline_failures_total"] == 1
    assert found["fallline_predict_in_progress"] == 0
    assert found['fallline_requests_total{path="/predict",status="200"}'] == 3
    assert found['fallline_predict_seconds_bucket{le="+Inf"}'] == found["fallline_predict_seconds_count"] == 4


def test_many_at_once_each_get_their_own(models, serving):
    model, client = models("several"), serving("several")
    with ThreadPoolExecutor(16) as pool:
        rows = [{"a": i, "b": -i} for i in range(200)]
        found = list(pool.map(lambda row: client.predict({"rows": [row]}).json["predictions"], rows))
    assert [one for answer in found for one in answer] == client.predict({"rows": rows}).json["predictions"]
    assert len({json.dumps(one) for one in found}) > 20
    assert model.encoder.target.answer_names == list(found[0][0])


# From the command line


@pytest.fixture
def command(models, tmp_path):
    """`command(*options) -> process, client` of `fallline serve` in a process of its own."""
    models("several").save(tmp_path / "m.fallline")
    running = []

    def start(*options, code="from fallline.cli.__main__ import main; sys.exit(main())"):
        words = ["serve", str(tmp_path / "m.fallline"), "--port", "0", *options]
        process = subprocess.Popen(
            [sys.executable, "-c", f"import sys, time; {code}", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        told = process.stdout.readline()
        assert told.startswith("serving  http://127.0.0.1:")
        return process, Client(int(told.rstrip("/\n").rpartition(":")[2]))

    yield start
    for process in running:
        process.kill()
        process.communicate()


SLOW = """
from fallline.cli.__main__ import main
from fallline.serving import service
work = service._work
def later(*arguments):
    time.sleep(1.5)
    return work(*arguments)
service._work = later
sys.exit(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_when_all_are_answered(command, end):
    process, client = command("--threads", "2", code=f"\n{SLOW}")
    half = socket.create_connection(("127.0.0.1", client.port), timeout=20)
    body = json.dumps(ONE).encode()
    half.sendall(
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (len(body), body[:4])
    )
    with ThreadPoolExecutor(4) as pool, half:
        asked = [pool.submit(client.predict, ONE) for _ in range(4)]  # two are computed, two wait
        deadline = time.monotonic() + 20
        while client.metrics()["fallline_predict_in_progress"] < 5:
            assert time.monotonic() < deadline
        process.send_signal(end)
        time.sleep(0.3)
        with pytest.raises(OSError, match=r"refused|reset"):
            client.ask("/health")
        half.sendall(body[4:])
        answers = [each.result() for each in asked]
        last = b""
        while part := half.recv(10_000):
            last += part
    assert {answer.status for answer in answers} == {200}
    assert last.startswith(b"HTTP/1.1 200 ")
    assert json.loads(last.partition(b"\r\n\r\n")[2]) == answers[0].json
    assert process.wait(20) == 0
    assert process.stderr.read() == ""


def test_options(command, models):
    _, client = command("--max-rows", "2", "--max-bytes", "99", "--allow-host", "models.example")
    assert client.ask("/health", Host="models.example").status == 200
    assert client.ask("/health", Host="evil.example").status == 421
    assert refusal(client.predict({"rows": [{}, {}, {}]}))[1].startswith("3 rows are more than 2")
    assert refusal(client.predict(b" " * 100))[0] == 413
    assert client.predict({"rows": []}).json == {"predictions": []}


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "fallline.serving.server")
    with pytest.raises(ParameterError, match=r"serve needs the package uvicorn; .* pip install 'fallline\[serve\]'"):
        needs_extra()


def test_a_port_that_is_taken(models):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ParameterError, match=f"cannot serve at 127.0.0.1, port {port}: Address already in use"):
            Server(models("several"), "m", port=port)
    with pytest.raises(ParameterError, match=r"cannot serve at 192\.0\.2\.1, port 0"):
        Server(models("several"), "m", host="192.0.2.1")
