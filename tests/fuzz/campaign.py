"""Thousands of wrong files, one after the other: each must end in success or one sentence, soon, and in bounded memory.

    python tests/fuzz/campaign.py [TARGET ...] --cases 5000 --seed 0 --keep FOLDER

A child process reads, a parent watches: it sees traceback, hang, crash of a C library and hunger alike. What was found
is kept in a folder, one file per finding, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutations import mutated
from targets import TARGETS, Target, read_quietly

from fantasia_dask.errors import InputError

SECONDS = 10
"""Of the processor's time: a reading that takes more hangs. A clock on the wall would blame it for its neighbours."""
PATIENCE = 30
"""How many times as long it may take on the wall, where it may wait for what never comes."""
EXTRA_BYTES = 1_000_000_000
"""More memory than this is hunger."""
LONGEST_SENTENCE = 2000


class Hang(BaseException):
    """Raised by the alarm."""


def _alarm(number: int, frame: object) -> None:
    raise Hang


ALARMS = (signal.SIGPROF, signal.SIGALRM)


def _set_alarms(seconds: float) -> None:
    """Let the alarms ring when a reading hangs; none with 0."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)


def lay_out(target: Target, seeds: dict[str, bytes], folder: Path, rng: random.Random) -> str:
    """Write one input into an empty folder, and return the name of the file that was made wrong."""
    name = rng.choice(sorted(seeds))
    for other, data in seeds.items():
        if other == name or target.together:
            path = folder / other
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mutated(data, rng) if other == name else data)
    return name


def verdict(target: Target, folder: Path, name: str) -> str:
    """Read one input; return an empty string when it ends as it should."""
    _set_alarms(SECONDS)
    try:
        read_quietly(target, folder, name)
    except InputError as error:
        text = str(error)
        if len(text) > LONGEST_SENTENCE or "\n" in text:
            return f"no sentence but {len(text)} characters and {text.count(chr(10))} line ends: {text[:300]!r}"
    except Hang:
        limits = f"{SECONDS} s of the processor or {PATIENCE * SECONDS} s in all"
        return f"it hangs for {limits}:\n{traceback.format_exc()[-1500:]}"
    except BaseException:  # noqa: BLE001 (anything else is a finding)
        return traceback.format_exc()[-2500:]
    finally:
        _set_alarms(0)
    return ""


def case_rng(name: str, seed: int, case: int) -> random.Random:
    """Every case can be made again by itself."""
    return random.Random(f"{name} {seed} {case}")


def _child(name: str, seed: int, first: int, cases: int, shared: mmap.mmap, keep: Path) -> None:
    """Read cases until all are done; where it has come to is in shared memory, should it die."""
    shared[:8] = first.to_bytes(8, "little")
    target = TARGETS[name]
    seeds = target.seeds()
    for alarm in ALARMS:
        signal.signal(alarm, _alarm)
    for _ in range(2):  # imports and caches come before the limits
        with tempfile.TemporaryDirectory() as folder:
            lay_out(target, seeds, Path(folder), random.Random(0))
            verdict(target, Path(folder), next(iter(seeds)))
    with Path("/proc/self/status").open() as status:
        used = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + EXTRA_BYTES, used + EXTRA_BYTES))
    for case in range(first, cases):
        shared[:8] = case.to_bytes(8, "little")
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        wrong = lay_out(target, seeds, folder, case_rng(name, seed, case))
        found = verdict(target, folder, wrong)
        if found:
            _keep(keep, name, seed, case, folder / wrong, found)
        shutil.rmtree(folder, ignore_errors=True)


def _keep(keep: Path, name: str, seed: int, case: int, file: Path | None, found: str) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{seed}-{case}"
    (keep / f"{stem}.txt").write_text(found, "utf-8", "backslashreplace")
    if file is not None and file.is_file():
        shutil.copyfile(file, keep / f"{stem}{file.suffix}")
    print(f"FINDING {stem}: {found.strip().splitlines()[-1][:300]}", flush=True)


def run_target(name: str, cases: int, seed: int, keep: Path) -> dict[str, float]:
    """Run the cases of one target; return how many, how long, and how many findings."""
    shared, first, begun = mmap.mmap(-1, 8), 0, time.monotonic()
    before = len(list(keep.glob("*.txt")))
    cases = -(-cases // TARGETS[name].every)
    while first < cases:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _child(name, seed, first, cases, shared, keep)
                code = 0
            except BaseException:  # noqa: BLE001 (os._exit would say nothing of it)
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        code, at = _watched(pid, shared)
        if code == 0:
            break
        _keep(keep, name, seed, at, None, f"the process ended with {code}: a crash, or a hang in a C library")
        first = at + 1
    return {
        "cases": cases,
        "seconds": round(time.monotonic() - begun, 1),
        "findings": len(list(keep.glob("*.txt"))) - before,
    }


def _watched(pid: int, shared: mmap.mmap) -> tuple[int, int]:
    """Wait for the child; kill it when one case takes much longer than its alarms allow."""
    at, since, spent = -1, time.monotonic(), 0.0
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        now = int.from_bytes(shared[:8], "little")
        if done:
            return os.waitstatus_to_exitcode(status), now
        if now != at:
            at, since, spent = now, time.monotonic(), _processor_seconds(pid)
        elif time.monotonic() - since > 2 * PATIENCE * SECONDS or _processor_seconds(pid) - spent > 6 * SECONDS:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _processor_seconds(pid: int) -> float:
    """Return the processor's time that a child has had; it may have ended, but has been waited for by no one."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--cases", type=int, default=1000, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    given = parser.parse_args()
    os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
    results = {}
    for name in given.targets or TARGETS:
        results[name] = run_target(name, given.cases, given.seed, given.keep)
        print(name, json.dumps(results[name]), flush=True)
    total = {key: sum(result[key] for result in results.values()) for key in ("cases", "seconds", "findings")}
    print("total", json.dumps(total))
    sys.exit(1 if total["findings"] else 0)


if __name__ == "__main__":
    main()
