"""Books on a Dask cluster: the same bytes as on one machine, also when workers or the scheduler fail."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_cli import ROOT, assert_one_line, finish, here, options, run, start, voice  # noqa: F401 (fixtures)
from test_long_text import interrupted

pytest.importorskip("distributed")

from pockettts import ops  # noqa: E402
from pockettts.books import cluster  # noqa: E402
from pockettts.books.speaker import Order, Setup, Spoken, ThisMachine  # noqa: E402
from pockettts.errors import PocketTTSError  # noqa: E402
from pockettts.reading.chunks import Chunk  # noqa: E402

TEXT = "\n\n".join(
    f"Chapter {n}\n\nThe keeper of lamp {n} had never learned to swim. He said so. Nobody asked him twice."
    for n in range(1, 7)
)


class Machines:
    """A scheduler and workers, each in its own process."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.folder = folder
        self.workers = []
        self.start_scheduler()

    def process(self, *argv, **env):
        settings = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"}
        with open(self.folder / "log.txt", "ab") as log:
            command = [sys.executable, "-m", *argv, "--no-dashboard"]
            return subprocess.Popen(command, env=os.environ | settings | env, stdout=log, stderr=log, cwd=self.folder)

    def start_scheduler(self):
        self.scheduler = self.process("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        while self.scheduler.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
        raise AssertionError((self.folder / "log.txt").read_text())

    def start_worker(self, **env):
        worker = self.process("distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-nanny", **env)
        self.workers.append(worker)
        return worker

    def stop(self):
        for process in [*self.workers, self.scheduler]:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path_factory):
    found = Machines(tmp_path_factory.mktemp("dask"))
    yield found
    found.stop()


@pytest.fixture
def setup(tiny_model, voice):  # noqa: F811
    return Setup(model=str(tiny_model), voices={"": str(voice)}, threads=1, verify=False)


def orders(count):
    return [(n, Order(Chunk([5 + n, 6, 7, 8], f"chunk {n}", 1), n, "", 1)) for n in range(count)]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def spoken(backend, items, after=None):
    """(item, sound) of all chunks. `after` is called with the number of each finished chunk."""
    found = []
    for item, result in backend.speak(items):
        assert result is None or isinstance(result, Spoken), result
        found.append((item, result and result.pcm))
        if after:
            after(len(found))
    return found


def test_the_command_gives_the_bytes_of_one_machine(run, options, here, machines):  # noqa: F811
    for name in ("a.txt", "b.txt"):
        (here / name).write_text(TEXT.replace("lamp", f"lamp {name[0]}"))
    machines.start_worker(), machines.start_worker()
    shared = ["a.txt", "b.txt", "missing.epub", *options, "--format", "flac"]
    Path("missing.epub").write_bytes(b"PK\3\4")
    code, out, err = finish(start(*shared, "-d", "far", "--dask", machines.address))
    assert code == 1 and "missing.epub" in err and "1 of 3 failed" in err and not out
    assert finish(start(*shared, "-d", "near", "-q"))[0] == 1
    for name in ("a.flac", "b.flac"):
        assert (here / "far" / name).read_bytes() == (here / "near" / name).read_bytes(), name
    assert sorted(os.listdir("far")) == ["a.flac", "b.flac"]
    with interrupted(3):
        assert run("a.txt", *options, "-o", "c.flac", "-q", "--dask", machines.address)[0] == 130
    assert run("a.txt", *options, "-o", "c.flac", "-q", "--dask", machines.address, "--resume")[0] == 0
    assert (here / "c.flac").read_bytes() == (here / "near" / "a.flac").read_bytes()


@pytest.mark.parametrize("address", ["nothing://host:1", "", "tcp://127.0.0.1", "tcp://127.0.0.1:1"])
def test_without_a_scheduler_nothing_else_is_reported(run, here, monkeypatch, address):  # noqa: F811
    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    Path("a.txt").write_text("Hello.")
    code, out, err = run("a.txt", "-o", "a.wav", "--dask", address)  # the model mini: tests have no network
    assert code == 2 and not out and f"--dask {address}: no scheduler there" in err
    assert_one_line(err)


def test_workers_crash_hang_and_join_late(setup, machines):
    """No chunk is lost or duplicated, and the order is kept."""
    items = orders(30)
    items.insert(20, ("mark", None))
    first, second = machines.start_worker(), machines.start_worker()

    def disturb(count):
        if count == 5:
            first.kill()
        elif count == 8:
            machines.start_worker()
        elif count == 15:
            second.send_signal(signal.SIGSTOP)

    backend = cluster.Cluster(setup, machines.address, patience=2.0)
    assert spoken(backend, items, disturb) == spoken(ThisMachine(setup), items)


def test_the_scheduler_restarts(setup, machines):
    items = orders(30)
    machines.start_worker()

    def restart(count):
        if count == 10:
            machines.scheduler.kill()
            machines.scheduler.wait()
            threading.Timer(0.5, machines.start_scheduler).start()
            threading.Timer(1.0, machines.start_worker).start()

    backend = cluster.Cluster(setup, machines.address, patience=5.0, reconnect=60.0)
    assert spoken(backend, items, restart) == spoken(ThisMachine(setup), items)


def test_a_worker_without_the_package_is_left_out(setup, machines, caplog):
    (machines.folder / "other" / "pockettts").mkdir(parents=True)
    (machines.folder / "other" / "pockettts" / "__init__.py").write_text("__version__ = '0.1'")
    machines.start_worker(PYTHONPATH=str(machines.folder / "other"))
    machines.start_worker()
    backend = cluster.Cluster(setup, machines.address)
    wait_for(lambda: len(backend._list_workers()) == 2)
    assert spoken(backend, orders(12)) == spoken(ThisMachine(setup), orders(12))
    assert "is not used" in caplog.text


@pytest.mark.skipif(ops.ISA == "base", reason="this CPU has no other build of the kernels")
def test_a_worker_with_other_kernels_is_named_once(setup, machines, caplog):
    machines.start_worker(POCKETTTS_ISA="base")
    machines.start_worker(POCKETTTS_ISA="base")
    backend = cluster.Cluster(setup, machines.address)
    wait_for(lambda: len(backend._workers()) == 2 and "has the base kernels" in caplog.text)
    assert all(isinstance(result, Spoken) for _, result in backend.speak(orders(4)))
    assert caplog.text.count("has the base kernels") == 1


def test_a_config_that_no_worker_has_is_one_error(setup, machines, here, caplog):  # noqa: F811
    machines.start_worker()
    backend = cluster.Cluster(replace(setup, model=str(here / "missing.yaml")), machines.address)
    wait_for(lambda: backend._list_workers())
    ((_, result),) = backend.speak(orders(1))
    assert isinstance(result, PocketTTSError) and "missing.yaml: no such file" in str(result)
    assert "--config FILE" in str(result) and "\n" not in str(result)
    assert caplog.text.count("is not used: it can't load the model") == 1 and "again" not in caplog.text


def test_the_path_of_a_config_is_absolute(setup, tiny_model, monkeypatch):
    monkeypatch.chdir(tiny_model.parent)
    assert cluster._portable(replace(setup, model=tiny_model.name))[0].model == str(tiny_model)
    assert cluster._portable(replace(setup, model="mini"))[0].model == "mini"


def test_a_chunk_that_no_worker_can_speak_is_one_error(setup, machines):
    machines.start_worker()
    items = orders(3)
    items[1] = (1, items[1][1]._replace(voice="nobody"))
    results = [result for _, result in cluster.Cluster(setup, machines.address).speak(items)]
    assert isinstance(results[0], Spoken) and isinstance(results[2], Spoken)
    assert isinstance(results[1], PocketTTSError) and "nobody" in str(results[1])


def test_without_a_scheduler_it_is_one_line(run, options, here, monkeypatch):  # noqa: F811
    (here / "a.txt").write_text("Hi.")
    monkeypatch.setattr(cluster, "CONNECT", 0.5)
    code, out, err = run("a.txt", *options, "-d", "out", "--dask", "tcp://127.0.0.1:9")
    assert code == 2 and not out
    assert_one_line(err, "tcp://127.0.0.1:9", "dask scheduler")
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    code, _, err = run("a.txt", *options, "-d", "out", "--dask", "tcp://127.0.0.1:9")
    assert code == 2
    assert_one_line(err, "pip install 'pockettts[dask]'")
