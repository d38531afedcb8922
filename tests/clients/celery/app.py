"""The tasks of drive.py, and where they travel: BROKER is a URL, CA a file."""
import os, ssl
from celery import Celery
url = os.environ["BROKER"]
app = Celery("app", broker=url, backend=url)
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False, task_track_started=True)
if os.environ.get("CA"):
    tls = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": os.environ["CA"]}
    app.conf.update(broker_use_ssl=tls, redis_backend_use_ssl=tls)
@app.task
def add(a, b): return a + b
@app.task(bind=True, max_retries=3)
def flaky(self):
    if self.request.retries < 1: raise self.retry(countdown=0)
    return "done"
@app.task
def total(values): return sum(values)
