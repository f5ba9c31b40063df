import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from fantasia_dask import cluster
from fantasia_dask.cluster import connect, usable_cores
from fantasia_dask.errors import InputError


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)


@contextmanager
def process(*command):
    """A program of dask, started as on a cluster: by itself, on the loopback interface."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = subprocess.Popen([sys.executable, "-m", *command], **quiet)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(30)


@contextmanager
def scheduler(file):
    with process(
        "distributed.cli.dask_scheduler",
        *("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0", "--no-dashboard"),
        *("--scheduler-file", str(file)),
    ):
        wait_until(file.exists)
        yield


@contextmanager
def worker(file, folder):
    with process(
        "distributed.cli.dask_worker",
        *("--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", "--no-dashboard"),
        *("--local-directory", str(folder), "--host", "127.0.0.1"),
    ):
        yield


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def threads_of_dask():
    return [thread for thread in threading.enumerate() if "IO loop" in thread.name]


def where(_=None):
    return os.getpid()


def test_local__one_worker_in_this_process():
    with connect("local") as client:
        (threads,) = client.nthreads().values()
        assert threads == usable_cores()
        assert client.submit(where).result() == os.getpid()
    assert client.status == "closed"


def test_local__nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = len(threads_of_dask())
    with connect("local", threads_per_worker=1) as client:
        folder = client.run(lambda dask_worker: dask_worker.local_directory)
        (folder,) = folder.values()
        assert Path(folder).is_dir()
        assert not folder.startswith(str(tmp_path))
    assert not Path(folder).exists()
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: len(threads_of_dask()) <= before)


def test_local__closed_when_the_work_fails():
    with pytest.raises(ZeroDivisionError), connect("local", threads_per_worker=1) as client:
        client.submit(lambda: 1 / 0).result()
    assert client.status == "closed"


def test_local__listens_on_the_loopback_interface_only():
    psutil = pytest.importorskip("psutil")

    def listening():
        found = psutil.Process().net_connections()
        return {(c.laddr.ip, c.laddr.port) for c in found if c.status == psutil.CONN_LISTEN}

    before = listening()
    with connect("local", threads_per_worker=1):
        assert {ip for ip, _ in listening() - before} <= {"127.0.0.1"}


def test_local__several_workers_are_processes():
    with connect("local", workers=2, threads_per_worker=1, memory_limit="1GB") as client:
        assert len(client.nthreads()) == 2
        assert os.getpid() not in client.run(os.getpid).values()
        limits = client.run(lambda dask_worker: dask_worker.memory_manager.memory_limit)
        assert set(limits.values()) == {10**9}
        assert all(address.startswith("tcp://127.0.0.1:") for address in limits)


def test_auto__without_gpu_is_local(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with connect() as client:
        assert client.submit(where).result() == os.getpid()


def test_given_client__is_used_and_left_open():
    from distributed import Client

    with Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as mine:
        with connect("local", client=mine, workers=3) as client:
            assert client is mine
        assert mine.submit(sum, [1, 2]).result() == 3
    with pytest.raises(InputError, match="the given client is closed"), connect(client=mine):
        pass


def test_scheduler_file_and_address__another_process(tmp_path):
    file = tmp_path / "scheduler.json"
    with scheduler(file), worker(file, tmp_path):
        with connect(scheduler_file=file) as client:
            assert client.submit(where).result() != os.getpid()
        address = json.loads(file.read_text())["address"]
        with connect("address", address=address) as client:  # it was left running
            assert client.submit(sum, [1, 2]).result() == 3


def test_scheduler_without_worker(tmp_path, impatient):
    file = tmp_path / "scheduler.json"
    before = len(threads_of_dask())
    with scheduler(file):
        with pytest.raises(InputError, match="has no worker: start at least one"), connect(scheduler_file=file):
            pass
        wait_until(lambda: len(threads_of_dask()) <= before)


def test_address__nobody_listens(impatient):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = len(threads_of_dask())
    with (
        pytest.raises(InputError, match=f"the scheduler at tcp://127.0.0.1:{port} cannot be reached") as caught,
        connect(address=f"tcp://127.0.0.1:{port}"),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert len(threads_of_dask()) == before


def test_address__something_else_listens(impatient):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match="cannot be reached"), connect(address=address):
            pass
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("address", ["foo", "", "xyz://here:1", "tls://127.0.0.1:1", "tcp://127.0.0.1:notaport"])
def test_address__malformed(address, impatient):
    with pytest.raises(InputError, match="cannot be reached"), connect(address=address):
        pass


def test_scheduler_file__missing(tmp_path, impatient):
    with pytest.raises(InputError, match=r"none.json does not exist"), connect(scheduler_file=tmp_path / "none.json"):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"address": 3}', "\x00\xff"])
def test_scheduler_file__not_one(tmp_path, content):
    path = tmp_path / "s.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"s.json is not the file of a scheduler"), connect(scheduler_file=path):
        pass


@pytest.mark.parametrize(
    "arguments",
    [
        {"kind": "clud"},
        {"kind": "address"},
        {"kind": "scheduler_file"},
        {"address": "tcp://a:1", "scheduler_file": "s.json"},
        {"kind": "local", "address": "tcp://a:1"},
    ],
)
def test_contradictions(arguments):
    with pytest.raises(InputError), connect(**arguments):
        pass


def test_security__missing_certificate(tmp_path, impatient):
    files = {name: tmp_path / f"{name}.pem" for name in ("ca_file", "cert", "key")}
    with (
        pytest.raises(InputError, match=r"cluster\.security\.ca_file is .* does not exist"),
        connect(address="tls://127.0.0.1:1", security=files),
    ):
        pass


def test_tls__with_and_without_certificates(tmp_path):
    pytest.importorskip("cryptography")
    from distributed import LocalCluster, Security

    theirs = Security.temporary()
    quiet = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
    with LocalCluster(1, processes=False, protocol="tls://", host="127.0.0.1", security=theirs, **quiet) as secure:
        texts = {"ca_file": theirs.tls_ca_file, "cert": theirs.tls_client_cert, "key": theirs.tls_client_key}
        files = {name: tmp_path / f"{name}.pem" for name in texts}
        for name, path in files.items():
            path.write_text(texts[name])
        with connect(address=secure.scheduler_address, security=files) as client:
            assert client.submit(sum, [1, 2]).result() == 3
        with pytest.raises(InputError, match="cannot be reached"), connect(address=secure.scheduler_address):
            pass


def test_cuda__not_possible_here(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(InputError, match=r"set cluster\.kind: local"), connect("cuda"):
        pass


def versions(python="3.11.7.final.0", **packages):
    found = {"dask": "2026.8", "distributed": "2026.8", **packages}
    return {"host": {"python": python}, "packages": found}


@pytest.mark.parametrize(
    ("theirs", "complaint"),
    [
        (versions("3.12.1.final.0"), "worker w runs Python 3.12, this process 3.11"),
        (versions(distributed="2026.1"), "worker w has distributed 2026.1, this process 2026.8"),
        (versions(dask=None), "worker w has dask None"),
    ],
)
def test_versions__differ(theirs, complaint):
    with pytest.raises(InputError, match=complaint):
        cluster._check_versions(versions(), theirs, "worker w")


def test_versions__a_patch_release_of_python_is_fine():
    cluster._check_versions(versions(), versions("3.11.1.final.0"), "worker w")


def test_versions__another_release_of_ours():
    with pytest.raises(InputError, match=r"worker w has fantasia-dask 0\.0\.9, this process"):
        cluster._check_package("0.0.9", "worker w")


def test_worker_that_cannot_import_us(tmp_path):
    file = tmp_path / "scheduler.json"
    # a process whose import of fantasia_dask fails, as in another environment
    (tmp_path / "broken.py").write_text(
        "import sys\n"
        "sys.modules['fantasia_dask'] = None\n"
        "from distributed.cli.dask_worker import main\n"
        "main(sys.argv[1:], prog_name='dask-worker')\n"
    )
    command = [sys.executable, str(tmp_path / "broken.py"), "--scheduler-file", str(file), "--no-nanny"]
    with scheduler(file):
        started = subprocess.Popen(
            [*command, "--no-dashboard", "--nthreads", "1", "--local-directory", str(tmp_path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with pytest.raises(InputError, match="cannot import fantasia_dask"), connect(scheduler_file=file):
                pass
        finally:
            started.terminate()
            started.wait(30)
