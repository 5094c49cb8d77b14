"""Two servers behind nginx and behind HAProxy, with the configurations of scripts/deploy."""

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import requests
from serving import LONG, connect, load, post, read_until, serving, wait_for
from test_server_streams import BLOCK, Script

from pockettts.sound.encode import pcm16

DEPLOY = Path(__file__).parent.parent / "scripts" / "deploy"
COMMANDS = {
    "nginx.conf": ["nginx", "-p", ".", "-e", "stderr", "-c", "nginx.conf", "-g", "daemon off; pid pid;"],
    "haproxy.cfg": ["haproxy", "-db", "-f", "haproxy.cfg"],
}


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


@pytest.fixture(params=COMMANDS)
def farm(request, model, tmp_path):
    """(a load balancer, two servers behind it)."""
    name, *arguments = COMMANDS[request.param]
    program = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if not program:
        pytest.skip(f"no {name} here: `apt-get install nginx-light haproxy` runs these")
    with serving(model, max_streams=1, max_queue=0) as one, serving(model, max_streams=1, max_queue=0) as two:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        ports = {"8000": port, "8001": one.port, "8002": two.port}
        conf = re.sub("(?<=127.0.0.1:)[0-9]+", lambda found: str(ports[found[0]]), (DEPLOY / request.param).read_text())
        for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            conf = conf.replace("access_log off;", f"access_log off;\n{part}_temp_path {part};", 1)
        (tmp_path / request.param).write_text(conf)
        balancer = subprocess.Popen([program, *arguments], cwd=tmp_path)
        balancer.port, balancer.url = port, f"http://127.0.0.1:{port}"
        wait_for(lambda: is_open(port))
        yield balancer, one, two
        balancer.terminate()
        balancer.wait()


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except ConnectionError:  # refused; or reset, by one that is just being closed
        return False


def test_both_servers_work_and_a_full_one_is_skipped(farm):
    balancer, one, two = farm
    endless = json.dumps({"text": LONG, "eos_threshold": 1e9}).encode()
    second = connect(two, post("/stream", endless))  # of which the balancer does not know
    wait_for(lambda: two.engine.stats().live == 1)
    first = connect(balancer, post("/stream", endless))
    wait_for(lambda: one.engine.stats().live == 1)
    answer = requests.post(balancer.url + "/generate", json={"text": "Hi."})
    assert answer.status_code == 503 and answer.headers["Retry-After"]  # when both are full
    first.close()
    wait_for(lambda: one.engine.stats().live == 0)  # it passes on that a client has left
    assert [requests.post(balancer.url + "/generate", json={"text": "Hi."}).status_code for _ in range(4)] == [200] * 4
    second.close()


def test_a_stopped_server_is_skipped(farm):
    balancer, one, two = farm
    two.web.stop()
    wait_for(lambda: not is_open(two.port))
    assert [requests.get(balancer.url + "/health").status_code for _ in range(4)] == [200] * 4


def test_blocks_are_not_buffered(farm, monkeypatch):
    balancer, *servers = farm
    script = Script()
    for server in servers:
        monkeypatch.setattr(server.engine, "submit", lambda *_: script)
    connection = connect(balancer, post("/stream", b'{"text": "Hi."}'))
    for n in range(1, 4):
        script.blocks.put(BLOCK * n)
        assert pcm16(BLOCK * n)[:2000] in read_until(connection, pcm16(BLOCK * n)[:2000])
    script.blocks.put(ValueError("a bug"))
    rest = read_until(connection, b"0\r\n\r\n")
    assert not re.search(rb"\r\n0\r\n\r\n$", rest)  # an error midway does not look like the end
