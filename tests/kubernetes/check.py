#!/usr/bin/env python3
"""Holds rendered manifests against the API's schemas and against one another: check.py FILE [SECRET ...]

FILE has the documents; each SECRET is one that is made by hand. What an API server would say later is said here: schemas of
the oldest and the newest version this library carries, the `restricted` pod security standard, and names
that have to agree (selectors and labels, ports, volumes, secrets, the headless service)."""
import sys

import yaml
import kubernetes_validate

# A custom resource: its schema is its operator's.
FOREIGN = {"ServiceMonitor"}
# A name that DNS and labels take.
NAME_LENGTH = 63


def versions():
    """The oldest and the newest of those whose schemas are at hand."""
    known = kubernetes_validate.utils.all_versions()
    return [known[0], known[-1]]


def fail(what):
    sys.exit(f"check.py: {what}")


def each_container(pod):
    return pod.get("initContainers", []) + pod["containers"]


def restricted(pod, where):
    """The Pod Security Standards' level `restricted`, control by control."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        pod.get(key) and fail(f"{where}: {key}")
    outer = pod.get("securityContext", {})
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        kinds <= allowed or fail(f"{where}: volume {volume['name']} is a {kinds}")
    for c in each_container(pod):
        at = f"{where}: container {c['name']}"
        inner = c.get("securityContext", {})
        both = {**outer, **inner}
        both.get("runAsNonRoot") is True or fail(f"{at}: runAsNonRoot")
        both.get("runAsUser") != 0 or fail(f"{at}: runs as root")
        both.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost") or fail(f"{at}: seccompProfile")
        inner.get("allowPrivilegeEscalation") is False or fail(f"{at}: allowPrivilegeEscalation")
        inner.get("privileged") and fail(f"{at}: privileged")
        capabilities = inner.get("capabilities", {})
        "ALL" in capabilities.get("drop", []) or fail(f"{at}: capabilities are kept")
        set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"} or fail(f"{at}: capabilities are added")
        inner.get("readOnlyRootFilesystem") is True or fail(f"{at}: its root can be written")
        any(p.get("hostPort") for p in c.get("ports", [])) and fail(f"{at}: hostPort")


def agree(documents, by_hand):
    """Names that have to agree."""
    names = {(d["kind"], d["metadata"]["name"]) for d in documents}
    sets = [d for d in documents if d["kind"] == "StatefulSet"]
    len(sets) == 1 or fail("not one StatefulSet")
    spec = sets[0]["spec"]
    pod, labels = spec["template"]["spec"], spec["template"]["metadata"]["labels"]
    full = sets[0]["metadata"]["name"]
    spec["selector"]["matchLabels"].items() <= labels.items() or fail("the selector does not select its own pods")
    ("Service", spec["serviceName"]) in names or fail(f"no service {spec['serviceName']}")
    account = pod.get("serviceAccountName", "default")
    account == "default" or ("ServiceAccount", account) in names or fail(f"no service account {account}")
    ports = {p["name"] for c in each_container(pod) for p in c.get("ports", [])}
    # These two change or are given while it runs.
    given = {"statefulset.kubernetes.io/pod-name", "app.kubernetes.io/component"}
    for d in documents:
        if d["kind"] == "Service":
            selector = {k: v for k, v in d["spec"]["selector"].items() if k not in given}
            selector.items() <= labels.items() or fail(f"service {d['metadata']['name']} selects nothing")
            for p in d["spec"]["ports"]:
                p["targetPort"] in ports or fail(f"service {d['metadata']['name']}: no port {p['targetPort']}")
        if d["kind"] in ("PodDisruptionBudget", "NetworkPolicy"):
            select = d["spec"].get("selector") or d["spec"]["podSelector"]
            select["matchLabels"].items() <= labels.items() or fail(f"{d['kind']} selects nothing")
        if d["kind"] == "RoleBinding":
            ("Role", d["roleRef"]["name"]) in names or fail("the binding names no role")
            all(("ServiceAccount", s["name"]) in names for s in d["subjects"]) or fail("the binding names nobody")
    volumes = {v["name"]: v for v in pod.get("volumes", [])}
    volumes.update({t["metadata"]["name"]: {} for t in spec.get("volumeClaimTemplates", [])})
    used = set()
    for c in each_container(pod):
        for mount in c.get("volumeMounts", []):
            mount["name"] in volumes or fail(f"{c['name']}: no volume {mount['name']}")
            used.add(mount["name"])
        paths = [m["mountPath"] for m in c.get("volumeMounts", [])]
        len(paths) == len(set(paths)) or fail(f"{c['name']}: a path is mounted twice")
        variables = [e["name"] for e in c.get("env", [])]
        twice = {v for v in variables if variables.count(v) > 1}
        twice and fail(f"{c['name']}: {twice} stand twice")
        for e in c.get("env", []):
            reference = e.get("valueFrom", {}).get("secretKeyRef")
            reference and (secret(reference["name"], names, by_hand) or fail(f"{c['name']}: no secret {reference}"))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            port = c.get(probe, {}).get("httpGet", {}).get("port")
            port is None or port in ports or fail(f"{c['name']}: {probe} asks no port of its own")
        "limits" in c.get("resources", {}) or fail(f"{c['name']}: no limits")
    used == set(volumes) or fail(f"volumes nobody mounts: {set(volumes) - used}")
    for v in volumes.values():
        if "secret" in v:
            secret(v["secret"]["secretName"], names, by_hand) or fail(f"no secret {v['secret']['secretName']}")
        if "configMap" in v:
            ("ConfigMap", v["configMap"]["name"]) in names or fail(f"no ConfigMap {v['configMap']['name']}")
    len(f"{full}-0") <= NAME_LENGTH or fail("the pods' names are too long")
    return pod


def secret(name, names, by_hand):
    return ("Secret", name) in names or name in by_hand


def main():
    path, by_hand = sys.argv[1], set(sys.argv[2:])
    with open(path, encoding="utf-8") as file:
        documents = [d for d in yaml.safe_load_all(file) if d]
    checked = versions()
    for d in documents:
        if d["kind"] in FOREIGN:
            continue
        for version in checked:
            try:
                kubernetes_validate.validate(d, version, strict=True)
            except kubernetes_validate.ValidationError as e:
                fail(f"{d['kind']} {d['metadata']['name']} against {version}: {e.message} at {'.'.join(map(str, e.path))}")
    restricted(agree(documents, by_hand), path)
    print(f"{len(documents)} documents hold against {' and '.join(checked)}")


main()
