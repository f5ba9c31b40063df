import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from fantasia_dask import cluster
from fantasia_dask.cluster import check_files, checks, connect, usable_cores
from fantasia_dask.cluster.started import bound_device_memory
from fantasia_dask.errors import InputError


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)


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


def test_local__closed_clusters_are_forgotten():
    """Else a process that starts one cluster after another keeps the last dozen, and all that they logged."""
    made = []
    for _ in range(2):
        with connect("local", threads_per_worker=1) as client:
            assert client.submit(sum, [1, 2]).result() == 3
            made += [weakref.ref(thing) for thing in (client.cluster.scheduler, client.cluster.workers[0])]
        del client
    gc.collect()
    assert {type(alive()) for alive in made} == {type(None)}


def test_local__nothing_is_left(tmp_path, monkeypatch, wait_until):
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


@pytest.mark.parametrize("workers", [1, 2])
def test_local__a_failure_is_told_once(workers, capfd, caplog):
    """By the error that comes to the client; workers show no traceback beside it."""

    def fail():
        raise OSError(28, "No space left on device")

    filters = list(logging.getLogger("distributed.worker").filters)
    with connect("local", workers=workers, threads_per_worker=1) as client, pytest.raises(OSError, match="No space"):
        client.submit(fail).result()
    assert "No space" not in caplog.text
    assert "No space" not in capfd.readouterr().err
    assert logging.getLogger("distributed.worker").filters == filters


def test_local__interrupts_are_for_this_process_alone():
    """Ctrl-C in a terminal reaches all of its processes; workers that end by themselves do so with tracebacks."""

    def blocked():
        import signal

        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

    with connect("local", workers=2, threads_per_worker=1) as client:
        assert set(client.run(blocked).values()) == {True}
        assert not blocked()


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


def test_local__threads_of_blas_and_torch_are_set_in_each_worker():
    def threads_of_libraries():
        """Of a tile of the lookup, and of a model with two worker processes on the machine."""
        import os
        import types

        import torch
        from threadpoolctl import threadpool_info

        from fantasia_dask.embed.worker import _set_threads
        from fantasia_dask.lookup.kernel import one_blas_thread

        with one_blas_thread():
            blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        _set_threads(types.SimpleNamespace(driver=0, device="cpu", processes=2))
        return os.environ["OMP_NUM_THREADS"], blas, torch.get_num_threads()

    with connect("local", workers=2, threads_per_worker=1) as client:  # a worker cannot import this module
        found = client.submit(threads_of_libraries).result()
    assert found == ("1", {1}, max(1, usable_cores() // 2))


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


def test_scheduler_file_and_address__another_process(tmp_path, start_scheduler, start_worker):
    file = tmp_path / "scheduler.json"
    with start_scheduler(file), start_worker(file, tmp_path):
        with connect(scheduler_file=file) as client:
            assert client.submit(where).result() != os.getpid()
        address = json.loads(file.read_text())["address"]
        with connect("address", address=address) as client:  # it was left running
            assert client.submit(sum, [1, 2]).result() == 3


def test_scheduler_without_worker(tmp_path, impatient, start_scheduler, wait_until):
    file = tmp_path / "scheduler.json"
    before = len(threads_of_dask())
    with start_scheduler(file):
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


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Texts of certificates by two authorities: those of a cluster, and of somebody else."""
    pytest.importorskip("cryptography")
    from distributed import Security

    made = [Security.temporary() for _ in range(2)]
    return [{"ca_file": m.tls_ca_file, "cert": m.tls_client_cert, "key": m.tls_client_key} for m in made]


@pytest.fixture(scope="module")
def secure(certificates):
    """The address of a cluster that speaks TLS."""
    from distributed import LocalCluster, Security

    theirs, _ = certificates
    roles = ("scheduler", "worker", "client")
    parts = {f"tls_{role}_{part}": theirs[part] for role in roles for part in ("cert", "key")}
    security = Security(tls_ca_file=theirs["ca_file"], require_encryption=True, **parts)
    quiet = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
    with LocalCluster(1, processes=False, protocol="tls://", host="127.0.0.1", security=security, **quiet) as cluster:
        yield cluster.scheduler_address


def written(texts, folder):
    """Write certificates into files; return their paths."""
    files = {name: folder / f"{name}.pem" for name in texts}
    for name, path in files.items():
        path.write_text(texts[name])
    return files


def test_tls__with_its_certificates(secure, certificates, tmp_path):
    with connect(address=secure, security=written(certificates[0], tmp_path)) as client:
        assert client.submit(sum, [1, 2]).result() == 3


def test_tls__without_certificates(secure, impatient):
    with pytest.raises(InputError, match=r"cannot be reached .* whether it speaks TLS"), connect(address=secure):
        pass
    plain = secure.replace("tls://", "tcp://")
    with pytest.raises(InputError, match=r"cannot be reached .* whether it speaks TLS"), connect(address=plain):
        pass


@pytest.mark.parametrize(
    ("others", "match"),
    [
        (("ca_file", "cert", "key"), r"cannot be reached .*\(TLS certificate does not match\): check .* certificates"),
        (("cert", "key"), r"cannot be reached .*: check .* certificates"),
        (("key",), r"cluster\.security \(.*key.pem\) cannot be used \(.*mismatch.*\): expected PEM files"),
    ],
    ids=["all", "signed by another authority", "key"],
)
def test_tls__with_certificates_of_somebody_else(secure, certificates, tmp_path, impatient, others, match):
    theirs, somebody_elses = certificates
    files = written(theirs | {name: somebody_elses[name] for name in others}, tmp_path)
    with pytest.raises(InputError, match=match) as caught, connect(address=secure, security=files):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["ca_file", "cert", "key"])
def test_tls__no_certificate_at_all(certificates, tmp_path, part):
    files = written(certificates[0] | {part: "-----BEGIN NOTHING-----"}, tmp_path)
    with (
        pytest.raises(InputError, match=r"cluster\.security \(.*\) cannot be used"),
        connect(address="tls://127.0.0.1:1", security=files),
    ):
        pass


def test_cuda__not_possible_here(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(InputError, match=r"set cluster\.kind: local"), connect("cuda"):
        pass


def test_bound_device_memory__limits_the_pool_of_cupy(monkeypatch):
    asked = {}
    pool = SimpleNamespace(set_limit=lambda size: asked.update(size=size))
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(get_default_memory_pool=lambda: pool, __spec__=object()))
    bound_device_memory(20 * 10**9)
    assert asked == {"size": 20 * 10**9}
    bound_device_memory("8GB")
    assert asked == {"size": 8 * 10**9}


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
        checks._check_versions(versions(), theirs, "worker w")


def test_versions__a_patch_release_of_python_is_fine():
    checks._check_versions(versions(), versions("3.11.1.final.0"), "worker w")


def test_versions__another_release_of_ours():
    with pytest.raises(InputError, match=r"worker w has fantasia-dask 0\.0\.9, this process"):
        checks._check_package("0.0.9", "worker w")


def test_worker_that_cannot_import_us(tmp_path, start_scheduler, start_worker):
    file = tmp_path / "scheduler.json"
    # a process whose import of fantasia_dask fails, as in another environment
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import sys\n"
        "sys.modules['fantasia_dask'] = None\n"
        "from distributed.cli.dask_worker import main\n"
        "main(sys.argv[1:], prog_name='dask-worker')\n"
    )
    with (
        start_scheduler(file),
        start_worker(file, tmp_path, program=(broken,)),
        pytest.raises(InputError, match="cannot import fantasia_dask"),
        connect(scheduler_file=file),
    ):
        pass


def test_worker_of_another_environment(tmp_path, start_scheduler, start_worker):
    """A worker whose dask says that it is another release, asked over the wire."""
    file = tmp_path / "scheduler.json"
    older = tmp_path / "older.py"
    older.write_text(
        "import sys, distributed.versions as v\n"
        "asked = v.get_package_info\n"
        "v.get_package_info = lambda names: {**asked(names), 'distributed': '2021.1.0'}\n"
        "from distributed.cli.dask_worker import main\n"
        "main(sys.argv[1:], prog_name='dask-worker')\n"
    )
    with (
        start_scheduler(file),
        start_worker(file, tmp_path, program=(older,)),
        pytest.raises(InputError, match=r"worker tcp://\S+ of .* has distributed 2021\.1\.0, this process"),
        connect(scheduler_file=file),
    ):
        pass


def test_worker_that_does_not_answer(tmp_path, start_scheduler, start_worker, monkeypatch):
    file = tmp_path / "scheduler.json"
    with start_scheduler(file), start_worker(file, tmp_path) as frozen:
        with connect(scheduler_file=file):
            pass
        monkeypatch.setattr(cluster, "PATIENCE", 2.0)
        frozen.send_signal(signal.SIGSTOP)
        with pytest.raises(InputError, match="does not answer"), connect(scheduler_file=file):
            pass


# Folders ---------------------------------------------------------------------------------------------------------


def see_elsewhere(client, monkeypatch, **files):
    """Let the worker of a client, which lives in this process, see other files than its caller does."""
    look, caller = checks._look, threading.get_ident()

    def looked(named, folder):
        if threading.get_ident() == caller:
            return look(named, folder)
        return look([files.get(file.stem, file) for file in named], files.get("folder", folder))

    monkeypatch.setattr(checks, "_look", looked)
    monkeypatch.setattr(checks, "SEEN_WITHIN", 0.1)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "config.yaml").write_text("prefix: ants\n")
    return tmp_path / "config.yaml"


@pytest.fixture(scope="module")
def local():
    with connect("local", threads_per_worker=1) as client:
        yield client


def test_check_files__seen(local, file):
    check_files(local, [file], file.parent)


def test_check_files__not_there(local, file, monkeypatch, tmp_path):
    see_elsewhere(local, monkeypatch, config=tmp_path / "none")
    with pytest.raises(InputError, match=r"worker \S+ does not see \S+config.yaml: put it on a file system that every"):
        check_files(local, [file], file.parent)


def test_check_files__another_of_that_name(local, file, monkeypatch, tmp_path):
    (tmp_path / "other").write_text("prefix: bees\n")
    see_elsewhere(local, monkeypatch, config=tmp_path / "other")
    with pytest.raises(InputError, match=r"sees another file at \S+config.yaml than this process"):
        check_files(local, [file], file.parent)


def test_check_files__may_not_write(local, file, monkeypatch, tmp_path):
    see_elsewhere(local, monkeypatch, folder=tmp_path / "none")
    with pytest.raises(InputError, match="cannot write in"):
        check_files(local, [file], file.parent)


def test_check_files__appears_a_moment_later(local, file, monkeypatch, tmp_path):
    see_elsewhere(local, monkeypatch, config=tmp_path / "late")
    monkeypatch.setattr(checks, "SEEN_WITHIN", 30.0)
    writer = threading.Timer(0.3, (tmp_path / "late").write_text, ["prefix: ants\n"])
    writer.start()
    check_files(local, [file], file.parent)
    writer.join()


def test_check_files__worker_whose_file_system_is_another(tmp_path, start_scheduler, start_worker, monkeypatch):
    """A worker that really cannot read the folder, in another process."""
    scheduler_file, hidden = tmp_path / "scheduler.json", tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "manifest.json").write_text("{}")
    blind = tmp_path / "blind.py"
    blind.write_text(
        "import io, sys\n"
        "def no(event, arguments):\n"
        f"    if event == 'open' and str(arguments[0]).startswith({str(hidden)!r}):\n"
        "        raise FileNotFoundError(arguments[0])\n"
        "sys.addaudithook(no)\n"
        "from distributed.cli.dask_worker import main\n"
        "main(sys.argv[1:], prog_name='dask-worker')\n"
    )
    with (
        start_scheduler(scheduler_file),
        start_worker(scheduler_file, tmp_path, program=(blind,)),
        connect(scheduler_file=scheduler_file) as client,
        pytest.raises(InputError, match=r"does not see \S+manifest.json"),
    ):
        check_files(client, [hidden / "manifest.json"], tmp_path)
