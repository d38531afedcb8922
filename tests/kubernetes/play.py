#!/usr/bin/env python3
"""Plays kubelet and API server for the rendered chart: play.py RENDERED IMAGE PODMAN WORK

RENDERED is what Helm made of `architecture=replication` in the namespace `space`; IMAGE its image; PODMAN a program that is called as podman is; WORK an
empty folder. The pods' containers run as the StatefulSet says: environment, mounts with the owners and modes a kubelet gives
them, users, hooks, probes. Then a primary is stopped and comes back. What is played is only what stands around the containers."""
import base64
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time

import yaml

RENDERED, IMAGE, PODMAN, WORK = sys.argv[1:5]
NETWORK = "holdfast-test-pods"
# What Helm was told.
NAMESPACE = "space"
LIMITS = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]
COMPONENT = "app.kubernetes.io/component"
PATIENCE = 60

with open(RENDERED, encoding="utf-8") as file:
    DOCUMENTS = [d for d in yaml.safe_load_all(file) if d]
SET = next(d for d in DOCUMENTS if d["kind"] == "StatefulSet")
POD = SET["spec"]["template"]["spec"]
FULL = SET["metadata"]["name"]
GROUP = POD["securityContext"]["fsGroup"]
ALL = range(SET["spec"]["replicas"])


def fail(what):
    for n in ALL:
        print(f"--- {FULL}-{n}", podman("logs", "--tail", "4", f"{FULL}-{n}", check=False)[-800:], file=sys.stderr)
    sys.exit(f"play.py: {what}")


def podman(*words, check=True):
    out = subprocess.run([PODMAN, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if check and out.returncode:
        sys.exit(f"play.py: podman {' '.join(words)[:300]}: {out.stdout}")
    return out.stdout


def until(what, ask):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.3)
    return fail(f"not within {PATIENCE} s: {what}")


class Api(http.server.BaseHTTPRequestHandler):
    """The two patches that the role allows, and nothing else."""

    labels, maps, refused = {}, {}, []

    def do_PATCH(self):  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, _, _, _, namespace, kind, name = self.path.split("/")
        rules = next(d for d in DOCUMENTS if d["kind"] == "Role")["rules"]
        may = any(kind in r["resources"] and name in r["resourceNames"] and "patch" in r["verbs"] for r in rules)
        if not may or namespace != NAMESPACE or self.headers["Authorization"] != "Bearer the token":
            Api.refused.append(self.path)
            self.send_response(403)
        else:
            if kind == "pods":
                Api.labels[name] = body["metadata"]["labels"][COMPONENT]
            else:
                Api.maps.setdefault(name, {}).update(body["data"])
            self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def serve_api(address):
    folder = os.path.join(WORK, "api")
    os.mkdir(folder)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", "/CN=api", "-addext", f"subjectAltName=IP:{address}", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", f"{folder}/key", "-out", f"{folder}/crt"],
        check=True, stderr=subprocess.DEVNULL,
    )
    server = http.server.ThreadingHTTPServer((address, 0), Api)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/crt", f"{folder}/key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], f"{folder}/crt"


def folder_of(name, files, mode):
    """A volume of files as a kubelet makes it: root's, and the pod's group's."""
    path = os.path.join(WORK, name)
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    for key, content in files.items():
        with open(os.path.join(path, key), "wb") as out:
            out.write(content)
        os.chmod(os.path.join(path, key), mode)
        os.chown(os.path.join(path, key), 0, GROUP)
    os.chmod(path, 0o2750)
    os.chown(path, 0, GROUP)
    return path


def document(kind, name):
    return next(d for d in DOCUMENTS if d["kind"] == kind and d["metadata"]["name"] == name)


def volume(v, pod):
    """Where a volume of the pod is on this machine; `None` is a tmpfs."""
    name = f"{pod}-{v['name']}"
    if "secret" in v:
        data = document("Secret", v["secret"]["secretName"])["data"]
        return folder_of(name, {k: base64.b64decode(c) for k, c in data.items()}, v["secret"]["defaultMode"])
    if "configMap" in v:
        of = v["configMap"]["name"]
        data = {**document("ConfigMap", of).get("data", {}), **Api.maps.get(of, {})}
        return folder_of(name, {k: c.encode() for k, c in data.items()}, 0o644)
    if "projected" in v:
        with open(API_CA, "rb") as ca:
            files = {"token": b"the token", "namespace": NAMESPACE.encode(), "ca.crt": ca.read()}
        return folder_of(name, files, v["projected"]["defaultMode"])
    if "emptyDir" in v:
        return None
    return sys.exit(f"play.py: what is volume {v}?")


def environment(container, pod):
    values = {"KUBERNETES_SERVICE_HOST": ADDRESS, "KUBERNETES_SERVICE_PORT": str(API_PORT)}
    for e in container.get("env", []):
        source = e.get("valueFrom")
        if source is None:
            values[e["name"]] = re.sub(r"\$\((\w+)\)", lambda m: values[m.group(1)], str(e["value"]))
        elif "fieldRef" in source:
            values[e["name"]] = {"metadata.name": pod, "metadata.namespace": NAMESPACE}[source["fieldRef"]["fieldPath"]]
        else:
            reference = source["secretKeyRef"]
            values[e["name"]] = base64.b64decode(document("Secret", reference["name"])["data"][reference["key"]]).decode()
    return values


def address_of(n):
    return ADDRESS.rsplit(".", 1)[0] + f".{100 + n}"


def start(n):
    pod = f"{FULL}-{n}"
    volumes = {v["name"]: volume(v, pod) for v in POD["volumes"]}
    for claim in SET["spec"]["volumeClaimTemplates"]:
        path = os.path.join(WORK, f"{pod}-{claim['metadata']['name']}")
        os.makedirs(path, exist_ok=True)
        os.chown(path, 0, GROUP)
        os.chmod(path, 0o2770)
        volumes[claim["metadata"]["name"]] = path
    outer = POD["securityContext"]
    for i, c in enumerate(POD["containers"]):
        name = pod if i == 0 else f"{pod}-{c['name']}"
        words = ["run", "-d", "--name", name, *LIMITS, "--read-only", "--cap-drop", "ALL", "--no-healthcheck"]
        words += ["--security-opt", "no-new-privileges", "--user", f"{outer['runAsUser']}:{outer['runAsGroup']}"]
        words += ["--group-add", str(GROUP)]
        if i == 0:
            words += ["--hostname", pod, "--network", NETWORK, "--ip", address_of(n)]
            # The names that a cluster's DNS gives the pods of a headless service.
            for other in ALL:
                service = f"{SET['spec']['serviceName']}.{NAMESPACE}.svc"
                words += ["--add-host", f"{FULL}-{other}.{service}:{address_of(other)}"]
        else:
            words += ["--network", f"container:{pod}"]
        for key, value in environment(c, pod).items():
            words += ["-e", f"{key}={value}"]
        for m in c["volumeMounts"]:
            at = volumes[m["name"]]
            read_only = ":ro" if m.get("readOnly") else ""
            words += ["--tmpfs", m["mountPath"]] if at is None else ["-v", f"{at}:{m['mountPath']}{read_only}"]
        podman(*words, IMAGE, *c.get("args", []))
        time.sleep(0.2)


def stop(n):
    """As a kubelet deletes a pod: the hook, then the signal, then nothing is left but the claim."""
    pod = f"{FULL}-{n}"
    server, *beside = POD["containers"]
    for c in beside:
        began = time.monotonic()
        podman("stop", "-t", "20", f"{pod}-{c['name']}")
        time.monotonic() - began < 10 or fail("the sidecar does not hear that it is to stop")
    said = podman("exec", pod, *server["lifecycle"]["preStop"]["exec"]["command"])
    podman("stop", "-t", str(POD["terminationGracePeriodSeconds"]), pod)
    status = podman("inspect", "--format", "{{.State.ExitCode}}", pod).strip()
    status == "0" or fail(f"it ended with {status}")
    podman("rm", *[f"{pod}-{c['name']}" for c in beside])
    podman("rm", pod)
    Api.labels.pop(pod, None)
    return said.strip()


def probes_pass(n):
    """Each probe's request, from outside as a kubelet's: the certificate is not looked at."""
    server = POD["containers"][0]
    ports = {p["name"]: p["containerPort"] for p in server["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        get = server[probe]["httpGet"]
        url = f"https://{address_of(n)}:{ports[get['port']]}{get['path']}"
        out = subprocess.run(["curl", "-sko", "/dev/null", "-w", "%{http_code}", "-m", "5", url],
                             stdout=subprocess.PIPE, text=True, check=False)
        if out.stdout != "200":
            return False
    return True


def cli(n, *words):
    return podman("exec", f"{FULL}-{n}", "valkey-cli", *words, check=False).strip()


podman("network", "create", NETWORK)
ADDRESS = podman("network", "inspect", "--format", "{{range .Subnets}}{{.Gateway}}{{end}}", NETWORK).strip()
# The bridge, and its address, are there once a container is.
podman("run", "-d", "--name", "holdfast-test-bridge", *LIMITS, "--no-healthcheck", "--network", NETWORK,
       "-e", "ALLOW_EMPTY_PASSWORD=yes", IMAGE)
API_PORT, API_CA = serve_api(ADDRESS)
for n in ALL:
    start(n)
for n in ALL:
    until(f"the probes of pod {n} pass", lambda n=n: probes_pass(n))
want = {f"{FULL}-{n}": "primary" if n == 0 else "replica" for n in ALL}
until("the pods are labelled by their roles", lambda: Api.labels == want)
cli(0, "set", "k", "v") == "OK" or fail("nothing can be written")
for n in ALL[1:]:
    until(f"pod {n} has it", lambda n=n: cli(n, "get", "k") == "v")
print("a primary and its replicas, labelled:", Api.labels)

print("stopping the primary:", stop(0))
until("another is labelled primary", lambda: list(Api.labels.values()).count("primary") == 1)
new = next(n for n in ALL if Api.labels.get(f"{FULL}-{n}") == "primary")
Api.maps[f"{FULL}-primary"] == {"pod": f"{FULL}-{new}"} or fail(f"written down is {Api.maps}")
cli(new, "set", "k", "after") == "OK" or fail("the new primary takes no writes")
start(0)
until("it comes back as a replica, with what was written", lambda: cli(0, "get", "k") == "after")
until("it is labelled so", lambda: Api.labels.get(f"{FULL}-0") == "replica")
print("back as a replica:", Api.labels)

# All at once: what is written down counts, not the number.
for n in sorted(ALL, key=lambda n: n == new):
    stop(n)
for n in ALL:
    start(n)
want = {f"{FULL}-{n}": "primary" if n == new else "replica" for n in ALL}
until("the same pod is the primary again", lambda: Api.labels == want)
until("the data are there", lambda: cli(0, "get", "k") == "after")
Api.refused and fail(f"the role does not allow {Api.refused}")
print("all stopped and started:", Api.labels)
