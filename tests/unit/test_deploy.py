"""What stands in deploy/: that it names what is there, and says the same as the documents."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def test_the_container_copies_all_that_the_app_needs_and_nothing_that_is_not_there() -> None:
    file = (DEPLOY / "container" / "Dockerfile").read_text("utf-8")
    copied = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from).*$", file, re.MULTILINE)]
    sources = {source for line in copied for source in line}
    assert [source for source in sources if not (ROOT / source).exists()] == []
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["only-include"], *wheel["force-include"]} <= sources
    assert re.search(r"^USER 65534:65534$", file, re.MULTILINE) and "/healthz" in file


def test_the_cloud_s_requirements_are_those_of_the_app_with_the_same_torch() -> None:
    lines = (DEPLOY / "community-cloud" / "requirements.txt").read_text("utf-8").splitlines()
    pin = re.search(r"^torch==(.+)$", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    assert pin is not None and "-r ../../requirements.txt" in lines
    wheels = [line for line in lines if line.startswith("torch")]
    for line in wheels:
        version, python, machine, machine_too, python_too = re.findall(
            r"torch-([\d.]+)%2Bcpu-cp3(\d+)-cp3\d+-manylinux_\d+_\d+_(\w+)\.whl .*machine == \"(\w+)\".* \"3\.(\d+)\"$",
            line,
        )[0]
        assert (version, python, machine) == (pin[1], python_too, machine_too)
    assert len(wheels) == 6


def test_the_entry_of_the_cloud_runs_the_app() -> None:
    entry = (DEPLOY / "community-cloud" / "streamlit_app.py").read_text("utf-8")
    assert 'runpy.run_path(str(ROOT / "app.py")' in entry


def test_kubernetes_runs_it_without_rights_and_asks_for_its_health() -> None:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "attnviz.yaml").read_text("utf-8")))
    assert [one["kind"] for one in documents] == ["Deployment", "Service", "Ingress"]
    pod = documents[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    variables = {one["name"] for one in container["env"] if one["name"].startswith("ATTNVIZ_")}
    assert [
        name for name in variables if f"| `{name}` |" not in (ROOT / "docs" / "hosting.md").read_text("utf-8")
    ] == []


def test_kubernetes_says_the_same_as_nginx() -> None:
    deployment, _, ingress = yaml.safe_load_all((DEPLOY / "kubernetes" / "attnviz.yaml").read_text("utf-8"))
    site = (DEPLOY / "nginx" / "attnviz.conf").read_text("utf-8")
    set_to = {name.rsplit("/", 1)[1]: value for name, value in ingress["metadata"]["annotations"].items()}
    per_second, burst = int(set_to["limit-rps"]), int(set_to["limit-rps"]) * int(set_to["limit-burst-multiplier"])
    assert f"rate={per_second}r/s" in site and f"burst={burst} nodelay" in site
    assert f"limit_conn connections {set_to['limit-connections']};" in site
    assert f"client_max_body_size {set_to['proxy-body-size']};" in site
    (secured,) = ingress["spec"]["tls"]
    assert secured["hosts"] == [one["host"] for one in ingress["spec"]["rules"]]
    assert deployment["spec"]["replicas"] > 1
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (secret,) = [one for one in container["env"] if one["name"] == "STREAMLIT_SERVER_COOKIE_SECRET"]
    assert secret["valueFrom"]["secretKeyRef"] == {"name": "attnviz", "key": "cookie-secret"}  # not in the file


def test_nginx_passes_no_request_for_streamlits_figures() -> None:
    site = (DEPLOY / "nginx" / "attnviz.conf").read_text("utf-8")
    ((pattern, refused),) = re.findall(r"location ~ (\S+) \{[^\n]*\n(.*?)\}", site, re.DOTALL)
    assert refused.split() == ["return", "404;"]
    found = [
        path for path in ("", "/_stcore/metrics", "/_stcore/metrics/", "/_stcore/health") if re.search(pattern, path)
    ]
    assert found == ["/_stcore/metrics", "/_stcore/metrics/"]


@pytest.mark.parametrize("part", ["community-cloud", "container", "nginx", "kubernetes", "systemd"])
def test_the_documents_name_every_way(part: str) -> None:
    assert f"deploy/{part}" in (ROOT / "docs" / "hosting.md").read_text("utf-8")
