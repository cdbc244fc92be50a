"""Who is not the page that the server sent: refused, and the run goes on."""

import json
import socket

import pytest
from pages import Page
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fallline.live.server import LARGEST_COMMAND, LARGEST_UPLOAD


@pytest.fixture(autouse=True)
def _goes_on(page):
    """Whatever an attack does, the run steps on afterwards."""
    before = page.tell("step")["state"]["step"]
    yield
    assert page.tell("step")["state"]["step"] == before + 1


@pytest.mark.parametrize("path", ["/", "/journal", "/static/app.js"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil.example:{port}"])
def test_another_host(server, ask, path, host):
    assert ask(path, host=host.format(port=server.port))[0] in (400, 421)


@pytest.mark.parametrize("token", ["wrong", "é", "x" * 10_000])
@pytest.mark.parametrize("path", ["/journal", "/history.csv", "/nowhere"])
def test_no_token_or_a_wrong_one(ask, path, token):
    status, headers, body = ask(path, token=token.encode().decode("latin-1"))
    assert (status, b"token" in body) == (401, True)
    assert "Access-Control-Allow-Origin" not in headers
    assert ask(path, Authorization="", token="x")[0] == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=lambda headers: next(iter(headers.values())),
)
def test_another_origin(server, ask, headers):
    assert ask("/data?name=a.csv", "POST", b"a,b\n1,2\n", **headers)[0] == 403
    origin = headers.get("Origin")
    if origin:
        with pytest.raises(InvalidStatus, match="403"):
            Page(server, origin=origin)


@pytest.mark.parametrize("protocols", [None, ["fallline"], ["fallline", "wrong"], ["x"]], ids=str)
def test_a_socket_without_the_token(server, protocols):
    with pytest.raises(InvalidStatus, match="403"):
        Page(server, subprotocols=protocols)


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd", "/static/..%2fserver.py"]
)
def test_no_way_out_of_the_folder(ask, path):
    assert ask(path)[0] in (401, 404)


def test_headers_on_every_answer(ask):
    for path in ("/", "/static/nothing.js", "/journal", "/nowhere"):
        headers = {name.lower(): value for name, value in ask(path)[1].items()}
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[" * 50_000, "JSON"),
        ("[]", "object"),
        ('{"do": 1}', "object"),
        ('{"do": "__class__"}', "there is no command"),
        ('{"do": "set", "learning_rate": NaN}', "JSON"),
        ('{"do": "set", "learning_rate": 1e999}', "finite"),
        ('{"do": "set", "learning_rate": "0.1"}', "finite number"),
        ('{"do": "set", "learning_rate": true}', "finite number"),
        ('{"do": "set", "batch_size": 1e3}', "whole number"),
        ('{"do": "step", "n": 1000000}', "from 1 to 1000"),
        ('{"do": "step", "n": 1, "path": "/etc/passwd"}', "takes unit, n"),
        ('{"do": "restart", "hidden": [100000]}', "from 1 to 4096"),
        ('{"do": "restart", "engine": "os.system"}', "takes"),
        ('{"do": "open", "name": "/etc/passwd"}', "no bundled set"),
        ('{"do": "open", "name": "../digits"}', "no bundled set"),
        ('{"do": "open", "upload": "../../x", "target": "y"}', "gone"),
        ('{"do": "watch", "topics": {"__init__": {}}}', "a topic of"),
        ('{"do": "watch", "topics": {"curve": 1}}', "topics"),
        ('{"do": "watch"}', "needs topics"),
    ],
)
def test_malformed_commands(server, text, message):
    page = Page(server)
    page.socket.send(text)
    while not isinstance(answer := page.socket.recv(10), str):
        pass
    error = json.loads(answer)["error"]
    assert message in error
    assert len(error) < 400
    page.close()


def test_oversized_and_binary_messages_end_their_own_socket(server):
    for message in ("x" * (LARGEST_COMMAND + 1), b"\x00" * 100):
        page = Page(server)
        page.socket.send(message)
        with pytest.raises(ConnectionClosed):
            page.frame("never sent")


def test_an_upload_that_is_too_large(server, ask):
    status, *_ = ask("/data?name=a.csv", "POST", b"", Content_Type="text/csv")
    assert status == 422
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        token = server.url.rpartition("=")[2]
        raw.sendall(
            f"POST /data?name=a.csv HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Length: {LARGEST_UPLOAD + 1}\r\n\r\n".encode()
        )
        assert b" 413 " in raw.recv(100)


def test_a_thousand_connections(server, page):
    raw = []
    for _ in range(1000):
        try:
            raw.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
        except OSError:
            break
    assert page.tell("step")["state"]["step"] > 0
    for connection in raw:
        connection.close()
    page.tell("restart")
    page.tell("step")


def test_script_in_names_and_values_stays_text(page, ask):
    evil = "<script>alert(1)</script>"
    content = "\n".join([f'"{evil}",b,y', *(f"{evil},{i},{'yn'[i % 2]}{evil}" for i in range(40))]).encode()
    upload = json.loads(ask("/data?name=%3Cscript%3E.csv", "POST", content)[2])
    assert upload["name"] == "<script>.csv"
    page.tell("open", upload=upload["upload"], target="y")
    page.tell("watch", topics={"data": {}})
    header, _ = page.frame("data")
    assert any(evil in column["name"] for column in header["data"]["columns"])
    page.tell("restart")
    page.tell("step")
