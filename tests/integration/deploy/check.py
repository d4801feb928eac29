"""Judges deploy/ for tests/integration/tests/deploy.rs: what YAML says is read here, and each complaint is a line.

`check.py kubernetes` validates the manifests against the schemas of the oldest and the newest Kubernetes they are for, and against
rules of our own; `check.py compose` the compose file; `check.py alerts` what Prometheus' own tool does not know of the rules.
"""

import re
import sys
from pathlib import Path

import compose_spec
import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
MANIFESTS = DEPLOY / "kubernetes"
# `preStop.sleep` is there without a gate from the first on; the last is the newest that the package knows.
KUBERNETES = ["1.30", kubernetes_validate.latest_version()]
# What processes of a restricted namespace are not asked about by the schemas.
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
PROBES = ["startupProbe", "readinessProbe", "livenessProbe"]
# Words of an expression that name no metric.
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset"}


def documents(path):
    """The documents of a YAML file."""
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def manifests():
    """Every object of the manifests, with the file it is in."""
    for path in sorted(MANIFESTS.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from ((path.name, one) for one in documents(path))


def kubernetes():
    """Complaints about the manifests."""
    objects = list(manifests())
    for file, one in objects:
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except Exception as error:  # The package has an error type for each way to be wrong.
                place = ".".join(str(part) for part in getattr(error, "absolute_path", []))
                yield f"{file}, {one.get('kind')}, Kubernetes {version}: {place}: {str(error).splitlines()[0]}"
        if one["kind"] != "Namespace" and one["metadata"].get("namespace") != "greenroom":
            yield f"{file}: {one['kind']} `{one['metadata']['name']}` is in no namespace"
        if one["kind"] in ("Deployment", "Job"):
            yield from pod(file, one)
    pods = [one for _, one in objects if one["kind"] in ("Deployment", "Job")]
    for file, one in objects:
        yield from selects_somebody(file, one, pods)
    kustomization = documents(MANIFESTS / "kustomization.yaml")[0]
    here = {path.name for path in MANIFESTS.glob("*.yaml")} - {"kustomization.yaml"}
    if set(kustomization["resources"]) != here:
        yield f"kustomization.yaml lists {kustomization['resources']}; there are {sorted(here)}"


def pod(file, owner):
    """Complaints about the pods of a Deployment or a Job: what they may do, may use, and are asked."""
    name, spec = owner["metadata"]["name"], owner["spec"]["template"]["spec"]
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{file}: `{name}` is given a token of Kubernetes"
    # Variables of the Service `greenroom` begin with GREENROOM_, and unknown ones are refused.
    if spec.get("enableServiceLinks") is not False:
        yield f"{file}: `{name}` is given variables of Services, which the start refuses"
    security = spec.get("securityContext", {})
    if not (security.get("runAsNonRoot") and security.get("runAsUser") and "RuntimeDefault" in str(security.get("seccompProfile"))):
        yield f"{file}: `{name}` may be root, or has no seccomp profile"
    if any(key in spec for key in ("hostNetwork", "hostPID", "hostIPC")):
        yield f"{file}: `{name}` is in a namespace of the host"
    volumes = {volume["name"] for volume in spec["volumes"]}
    for container in spec["containers"]:
        if container.get("securityContext") != RESTRICTED:
            yield f"{file}: `{name}` is not restricted: {container.get('securityContext')}"
        resources = container.get("resources", {})
        if not ({"cpu", "memory"} <= resources.get("requests", {}).keys() and "memory" in resources.get("limits", {})):
            yield f"{file}: `{name}` has no resources"
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        if mounts != volumes:
            yield f"{file}: `{name}` mounts {sorted(mounts)} of {sorted(volumes)}"
        if owner["kind"] == "Deployment":
            yield from probes(file, name, container)


def probes(file, name, container):
    """Complaints about the probes of a container: one of each, of that name, on the listener that clients do not use."""
    for probe in PROBES:
        asked = container.get(probe, {}).get("httpGet", {})
        path = f"/.backstage/health/v1/{probe.removesuffix('Probe')}"
        if (asked.get("path"), asked.get("port")) != (path, "metrics"):
            yield f"{file}: the {probe} of `{name}` asks {asked}"


def selects_somebody(file, one, pods):
    """Complaints about a selector, or the target of an autoscaler, that nothing answers to."""
    name, spec = one["metadata"]["name"], one.get("spec", {})
    target = spec.get("scaleTargetRef")
    if target and not any((pod["kind"], pod["metadata"]["name"]) == (target["kind"], target["name"]) for pod in pods):
        yield f"{file}: `{name}` scales `{target['name']}`, which is not there"
    selector = spec.get("podSelector", spec.get("selector"))
    if selector is None:
        return
    wanted = selector if one["kind"] == "Service" else selector.get("matchLabels", {})
    labels = [pod["spec"]["template"]["metadata"]["labels"] for pod in pods]
    if not any(wanted.items() <= given.items() for given in labels):
        yield f"{file}: `{name}` selects no pod"


def compose():
    """Complaints about the compose file."""
    path = DEPLOY / "docker-compose.yaml"
    # The parser takes no merge keys, so they are merged before.
    merged = documents(path)[0]
    merged = {key: value for key, value in merged.items() if not key.startswith("x-")}
    try:
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(merged))
    except Exception as error:  # The package has an error type for each way to be wrong.
        yield f"docker-compose.yaml: {error}"
        return
    for name, service in merged["services"].items():
        if not service["image"].startswith("greenroom:"):
            continue
        if not (
            service.get("read_only") is True
            and service.get("cap_drop") == ["ALL"]
            and service.get("security_opt") == ["no-new-privileges:true"]
        ):
            yield f"docker-compose.yaml: `{name}` may more than it needs"
        if any(not port.startswith("127.0.0.1:") for port in service.get("ports", [])):
            yield f"docker-compose.yaml: `{name}` is open to more than this machine"


def anchor(heading):
    """The place of a heading in a page, as code hosts make them."""
    return "".join(c for c in heading.lower() if c.isalnum() or c in " -_").replace(" ", "-")


def metrics(expression):
    """The metrics that an expression names."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    names = re.findall(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b(?!\s*\()", bare)
    return {name for name in names if name not in WORDS and not re.fullmatch(r"[0-9.]+[a-z]?", name)}


def described():
    """The metrics that docs/metrics.md describes, with those that a histogram is made of."""
    text = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| (\w+)", text, re.MULTILINE)
    names = {name for name, kind in rows if kind != "histogram"}
    return names | {name + part for name, kind in rows if kind == "histogram" for part in ("_bucket", "_sum", "_count")} | {"up"}


def alerts():
    """Complaints about the alerts: each has a runbook, names figures that there are, and is tested both ways."""
    rules = [rule for group in documents(DEPLOY / "prometheus/alerts.yaml")[0]["groups"] for rule in group["rules"]]
    page = (ROOT / "docs/operations.md").read_text()
    places = {anchor(line.lstrip("# ")) for line in page.splitlines() if line.startswith("#")}
    known = described()
    tests = [
        case
        for test in documents(DEPLOY / "prometheus/alerts.test.yaml")[0]["tests"]
        for case in test["alert_rule_test"]
    ]
    for rule in rules:
        name = rule["alert"]
        place = anchor(name)
        if rule["annotations"].get("runbook_url") != f"docs/operations.md#{place}":
            yield f"`{name}`: its runbook_url is not docs/operations.md#{place}"
        if place not in places:
            yield f"`{name}` has no heading in docs/operations.md"
        if rule["labels"].get("severity") not in ("page", "ticket"):
            yield f"`{name}`: its severity is neither `page` nor `ticket`"
        for metric in sorted(metrics(rule["expr"]) - known):
            yield f"`{name}` asks for `{metric}`, which docs/metrics.md does not describe"
        fires = {bool(case.get("exp_alerts")) for case in tests if case["alertname"] == name}
        if fires != {True, False}:
            yield f"`{name}` needs a case where it fires and one where it does not in alerts.test.yaml"
    adapter = documents(DEPLOY / "prometheus/adapter.yaml")[0]["rules"]["external"]
    offered = {rule["name"]["as"] for rule in adapter}
    wanted = {
        metric["external"]["metric"]["name"]
        for _, one in manifests()
        if one["kind"] == "HorizontalPodAutoscaler"
        for metric in one["spec"]["metrics"]
    }
    if offered != wanted:
        yield f"adapter.yaml offers {sorted(offered)}; the autoscalers ask for {sorted(wanted)}"
    for rule in adapter:
        for metric in sorted(metrics(rule["seriesQuery"]) - known):
            yield f"adapter.yaml asks for `{metric}`, which docs/metrics.md does not describe"


def scraped():
    """Complaints about what Prometheus is told to look at: the alerts need the name of the job and three labels."""
    told = documents(DEPLOY / "prometheus/prometheus.yaml")[0]
    if told["rule_files"] != ["alerts.yaml"]:
        yield f"prometheus.yaml loads {told['rule_files']}"
    for job in told["scrape_configs"]:
        labels = {rule.get("target_label") for rule in job["relabel_configs"]}
        if job["job_name"] != "greenroom" or not {"namespace", "pod", "component"} <= labels:
            yield f"prometheus.yaml: the job `{job['job_name']}` gives the labels {labels}"


def main():
    judge = {"kubernetes": kubernetes, "compose": compose, "alerts": lambda: [*alerts(), *scraped()]}
    complaints = list(judge[sys.argv[1]]())
    print("\n".join(complaints))
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
