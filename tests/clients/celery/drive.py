"""celery against a server, as broker and as result backend: `BROKER=rediss://localhost:PORT/1 CA=FILE drive.py`."""
import os
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
from app import add, flaky, total  # noqa: E402
from celery import chain, chord, group  # noqa: E402

WAIT = 30
words = ["-m", "celery", "-A", "app", "worker", "-c", "2", "-l", "warning", "--pool", "threads"]
worker = subprocess.Popen([sys.executable, *words], cwd=here, env={**os.environ, "C_FORCE_ROOT": "1"})
try:
    assert add.delay(1, 2).get(timeout=WAIT) == 3
    assert flaky.delay().get(timeout=WAIT) == "done"
    assert chain(add.s(1, 2), add.s(10))().get(timeout=WAIT) == 13
    assert group(add.s(i, i) for i in range(20))().get(timeout=WAIT) == [2 * i for i in range(20)]
    assert chord((add.s(i, i) for i in range(10)), total.s())().get(timeout=WAIT) == 90
    assert add.apply_async((1, 1), countdown=1).get(timeout=WAIT) == 2
    result = add.delay(5, 5)
    assert result.get(timeout=WAIT) == 10
    result.forget()
    print("celery: tasks, retries, chains, groups, chords and countdowns work")
finally:
    worker.terminate()
    worker.wait(20)
