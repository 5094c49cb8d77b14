"""Two servers behind a real nginx, with the configuration that is shipped."""
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

from pockettts.audio import pcm16

CONF = Path(__file__).parent.parent / "scripts" / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")

if not NGINX:
    pytest.skip("no nginx here: `apt-get install nginx-light` runs these", allow_module_level=True)


@pytest.fixture(scope="module")
def model(tiny_model):
    return load(tiny_model)


@pytest.fixture
def farm(model, tmp_path):
    """(nginx, two servers behind it)."""
    with serving(model, max_streams=1, max_queue=0) as one, serving(model, max_streams=1, max_queue=0) as two:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        conf = CONF.read_text().replace("8001", str(one.port)).replace("8002", str(two.port)).replace("8000", str(port))
        for part in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            conf = conf.replace("access_log off;", f"access_log off;\n{part}_temp_path {tmp_path / part};", 1)
        (tmp_path / "nginx.conf").write_text(conf)
        nginx = subprocess.Popen([NGINX, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path), "-e", "stderr",
                                  "-g", f"daemon off; pid {tmp_path / 'pid'};"], )
        nginx.port, nginx.url = port, f"http://127.0.0.1:{port}"
        wait_for(lambda: is_open(port))
        yield nginx, one, two
        nginx.terminate()
        nginx.wait()


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except ConnectionError:                      # refused; or reset, by one that is just being closed
        return False


def test_both_work_and_a_full_one_is_passed_over(farm):
    nginx, one, two = farm
    endless = json.dumps({"text": LONG, "eos_threshold": 1e9}).encode()
    first, second = connect(nginx, post("/stream", endless)), connect(nginx, post("/stream", endless))
    wait_for(lambda: one.engine.stats().live == two.engine.stats().live == 1)
    answer = requests.post(nginx.url + "/generate", json={"text": "Hi."})
    assert answer.status_code == 503 and answer.headers["Retry-After"]           # when both are full
    first.close()
    wait_for(lambda: one.engine.stats().live + two.engine.stats().live == 1)     # nginx passes on that a client has left
    assert [requests.post(nginx.url + "/generate", json={"text": "Hi."}).status_code for _ in range(4)] == [200] * 4
    second.close()


def test_one_that_is_gone_is_passed_over(farm):
    nginx, one, two = farm
    two.web.stop()
    wait_for(lambda: not is_open(two.port))
    assert [requests.get(nginx.url + "/health").status_code for _ in range(4)] == [200] * 4


def test_blocks_pass_as_they_are_made(farm, monkeypatch):
    nginx, *servers = farm
    script = Script()
    for server in servers:
        monkeypatch.setattr(server.engine, "submit", lambda *_: script)
    connection = connect(nginx, post("/stream", b'{"text": "Hi."}'))
    for n in range(1, 4):
        script.blocks.put(BLOCK * n)
        assert pcm16(BLOCK * n)[:2000] in read_until(connection, pcm16(BLOCK * n)[:2000])
    script.blocks.put(ValueError("a bug"))
    rest = read_until(connection, b"0\r\n\r\n")
    assert not re.search(rb"\r\n0\r\n\r\n$", rest)                               # an error midway is no end here, either
