"""What the files in deploy/ promise: one instance configuration, one writer, loopback, no secret, no root.

Those of Spark are looked at in test_spark_files.py. That the commands work is tried out in
acceptance/test_deployment.py and acceptance/test_deployment_on_spark.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


COMPOSE = load(DEPLOY / "compose.yaml")
SERVICES = COMPOSE["services"]
OURS = {"prepare", "code-server", "daemon", "webserver"}
INSTANCE = load(DEPLOY / "dagster.yaml")
VALUES = load(DEPLOY / "kubernetes" / "values.yaml")
[CODE_SERVER] = VALUES["dagster-user-deployments"]["deployments"]
[PREPARE] = CODE_SERVER["initContainers"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def locked(package: str) -> str:
    found = re.search(
        rf"^{package}==(\S+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert found
    return found[1]


def test_a_deployment_has_every_setting_of_the_local_instance() -> None:
    local = load(ROOT / "dagster.yaml")
    # A deployment keeps its events in PostgreSQL.
    assert local.pop("event_log_storage")["class"] == "EventStore"
    for key, value in local.items():
        assert INSTANCE[key] == value


def test_the_instance_asks_for_variables_that_every_service_and_pod_has() -> None:
    asked = set(re.findall(r"\{env: (\w+)\}", (DEPLOY / "dagster.yaml").read_text(encoding="utf-8")))
    assert len(asked) == 5
    for service in OURS:
        assert asked <= set(SERVICES[service]["environment"])
    # The chart itself hands the code server the password; the pipeline asks where runs of `clv run` are filed.
    handed = {variable["name"] for variable in CODE_SERVER["env"]}
    assert asked - {"DAGSTER_PG_PASSWORD"} == handed - {"CLV_CODE_LOCATION"}
    assert asked == {variable["name"] for variable in PREPARE["env"]}


def test_services_wait_for_what_they_need_and_come_back_by_themselves() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            completes = how["condition"] == "service_completed_successfully"
            assert completes == (needed == "prepare")
            assert completes or "healthcheck" in SERVICES[needed] or needed == "code-server"
        assert service["restart"] == ("no" if name == "prepare" else "unless-stopped")
    assert "HEALTHCHECK" in DOCKERFILE


def test_only_the_code_server_and_its_preparation_reach_the_storage_home() -> None:
    with_home = {name for name in SERVICES if any(v.startswith("clv_home:") for v in SERVICES[name].get("volumes", []))}
    assert with_home == {"prepare", "code-server"}
    assert set(COMPOSE["volumes"]) == {"clv_home", "postgres_data"}


def test_no_port_leaves_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:${CLV_UI_PORT:-3000}:3000"]


def test_no_secret_is_written_down_and_the_example_names_what_is_asked_for() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    required = set(re.findall(r"\$\{(\w+):\?", text))
    optional = set(re.findall(r"\$\{(\w+):-", text))
    example = dict(
        line.split("=", 1)
        for line in (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    assert required == {"POSTGRES_PASSWORD"} == {name for name, value in example.items() if not value}
    assert set(example) <= required | optional
    for path in DEPLOY.rglob("*.y*ml"):
        for value in re.findall(r"(?i)password\"?:\s*(.+)", path.read_text(encoding="utf-8")):
            assert value.startswith(("${POSTGRES_PASSWORD:?", "{env: DAGSTER_PG_PASSWORD}"))


def test_the_image_installs_hashed_packages_and_does_not_run_as_root() -> None:
    install, ours, spark = re.findall(r"pip install (.+)", DOCKERFILE)
    assert "--require-hashes --requirement requirements.lock" in install
    assert "--no-deps --no-build-isolation" in ours
    assert "--no-deps --require-hashes --no-build-isolation --requirement requirements-spark.lock" in spark
    assert "index-url" not in DOCKERFILE
    assert re.findall(r"^USER (.+)", DOCKERFILE, flags=re.MULTILINE) == ["10001:10001"]
    command = SERVICES["code-server"]["command"]
    assert f"CMD {command}".replace("'", '"') in DOCKERFILE


def test_the_builder_sees_what_is_copied_and_nothing_else() -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignore[1] == "*"
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    copied = {word for words in copies for word in words.split()}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_the_workspace_asks_for_the_code_server_by_environment() -> None:
    [server] = [entry["grpc_server"] for entry in load(DEPLOY / "workspace.yaml")["load_from"]]
    environment = SERVICES["daemon"]["environment"]
    assert environment[server["host"]["env"]] == "code-server"
    assert environment[server["port"]["env"]] == "4000"


def test_kubernetes_has_the_settings_of_the_compose_file() -> None:
    pools = INSTANCE["concurrency"]["pools"]
    assert VALUES["concurrency"]["pools"] == {
        "granularity": pools["granularity"],
        "defaultLimit": pools["default_limit"],
    }
    assert VALUES["postgresql"]["postgresqlScheme"] == INSTANCE["storage"]["postgres"]["postgres_db"]["scheme"]
    start = ["dagster", "code-server", "start", "--host", "0.0.0.0", "--port", str(CODE_SERVER["port"])]  # noqa: S104
    assert SERVICES["code-server"]["command"] == [*start, *CODE_SERVER["codeServerArgs"]]
    assert PREPARE["command"] == SERVICES["prepare"]["command"]
    assert VALUES["global"]["dagsterHome"] in DOCKERFILE


def test_kubernetes_runs_one_image_as_its_user() -> None:
    image = CODE_SERVER["image"]
    assert VALUES["dagsterWebserver"]["image"] == VALUES["dagsterDaemon"]["image"] == image
    assert PREPARE["image"] == f"{image['repository']}:{image['tag']}"
    for part in (CODE_SERVER, VALUES["dagsterWebserver"], VALUES["dagsterDaemon"]):
        assert part["podSecurityContext"]["runAsUser"] == part["podSecurityContext"]["fsGroup"] == 10001
        assert part["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_one_pod_at_a_time_has_the_claim() -> None:
    claim = load(DEPLOY / "kubernetes" / "storage.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    [home] = [volume for volume in CODE_SERVER["volumes"] if volume["name"] == "home"]
    assert home["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert CODE_SERVER["deploymentStrategy"] == {"type": "Recreate"}
    assert {mount["mountPath"] for mount in CODE_SERVER["volumeMounts"]} == {"/var/lib/clv", "/project"}


@pytest.mark.parametrize("path", [DEPLOY / "dagster.yaml", DEPLOY / "kubernetes" / "values.yaml"], ids=lambda p: p.name)
def test_the_named_classes_exist(path: Path) -> None:
    from importlib import import_module

    named = re.findall(r"module: (dagster\S+)\s+class: (\w+)", path.read_text(encoding="utf-8"))
    assert len(named) == 1
    for module, name in named:
        assert hasattr(import_module(module), name)


def test_the_chart_has_the_version_of_the_package() -> None:
    text = (DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
    assert f"--version {locked('dagster')} " in text
