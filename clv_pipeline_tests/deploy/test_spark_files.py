"""The Spark of a deployment: the same settings, sizes and libraries in image, compose file, manifests and documents."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from clv_pipeline.config.operation import Storage
from clv_pipeline.sources import worker
from clv_pipeline.spark.connect import DEFAULT_PORT
from clv_pipeline.spark.jars import FOLDER, pinned
from clv_pipeline.spark.lake import NAME, server_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCUMENT = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
COMPOSE = yaml.safe_load((DEPLOY / "compose.spark.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = ("spark-master", "spark-worker", "spark-connect")
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "spark.yaml").read_text(encoding="utf-8")))
DEFAULTS = dict(
    line.split(maxsplit=1)
    for line in (DEPLOY / "spark-defaults.conf").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
)


def locked(lock: str) -> dict[str, set[str]]:
    """Versions of each package of a lock file."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^(\S+)==([^\s;]+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def storage_of_the_document() -> Storage:
    """The block of `clv.yaml` in docs/how-to/deploy.md; a key that is not known would be an error."""
    [block] = re.findall(r"```yaml\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    return Storage(**yaml.safe_load(block)["storage"])


def pods() -> dict[str, Any]:
    """The pod of each deployment of spark.yaml, under the name of the service of the compose file."""
    deployments = [manifest for manifest in MANIFESTS if manifest["kind"] == "Deployment"]
    return {entry["metadata"]["name"].removeprefix("clv-"): entry["spec"]["template"]["spec"] for entry in deployments}


def gibibytes(text: str) -> float:
    """2g, 512m or 4Gi."""
    number, unit = re.findall(r"^(\d+)([a-zA-Z]+)$", text)[0]
    return float(number) / {"m": 1024, "g": 1, "Gi": 1}[unit]


def cores_of(text: str) -> float:
    """2 or 100m."""
    return int(text.removesuffix("m")) / 1000 if text.endswith("m") else int(text)


def test_the_block_of_the_document_names_what_the_compose_file_starts() -> None:
    storage = storage_of_the_document()
    assert storage.engine == "spark"
    assert storage.spark.remote == f"sc://spark-connect:{DEFAULT_PORT}"
    assert DEFAULTS["spark.connect.grpc.binding.port"] == str(DEFAULT_PORT)
    folder = (storage.catalog.warehouse or "").removeprefix("file://")
    for service in (*OURS, "code-server"):
        assert f"clv_lake:{folder}" in SERVICES[service]["volumes"]
    assert set(COMPOSE["volumes"]) == {"clv_lake"}
    assert folder in DOCKERFILE


def test_a_shell_knows_the_catalog_and_the_extension_of_a_run() -> None:
    storage = storage_of_the_document()
    assert storage.catalog.warehouse is not None
    of_a_run = server_settings(storage.catalog, storage.catalog.warehouse)
    assert {name: value for name, value in of_a_run.items() if not name.endswith("cache-enabled")}.items() <= (
        DEFAULTS.items()
    )
    assert f"spark.sql.catalog.{NAME}" in DEFAULTS


def test_source_files_are_there_under_the_name_that_the_code_server_has_for_them() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    [project] = [volume for volume in compose["services"]["code-server"]["volumes"] if ":/project" in volume]
    assert all(project in SERVICES[service]["volumes"] for service in OURS)


def test_figures_are_those_of_the_document() -> None:
    rows = re.findall(r"^\| `(spark-\w+)` \| .* \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", DOCUMENT, re.MULTILINE)
    assert [row[0] for row in rows] == list(OURS)
    for service, cores, heap, limit in rows:
        assert gibibytes(SERVICES[service]["mem_limit"]) == float(limit)
        resources = pods()[service]["containers"][0]["resources"]
        assert gibibytes(resources["limits"]["memory"]) == gibibytes(resources["requests"]["memory"]) == float(limit)
        assert cores_of(resources["requests"]["cpu"]) == float(cores)
        heaps = {
            "spark-master": re.findall(r"SPARK_DAEMON_MEMORY=(\S+)", DOCKERFILE)[0],
            "spark-worker": DEFAULTS["spark.executor.memory"],
            "spark-connect": DEFAULTS["spark.driver.memory"],
        }
        assert gibibytes(heaps[service]) == float(heap)
        if service == "spark-worker":
            command = SERVICES[service]["command"]
            assert command[command.index("--cores") + 1] == cores
            # What it may lend is what the executor asks for.
            assert command[command.index("--memory") + 1] == heaps[service]
            partitions = storage_of_the_document().spark.config["spark.sql.shuffle.partitions"]
            assert int(partitions) == 2 * int(cores)
            # Python has DuckDB on each core, and itself.
            assert worker.MEMORY == "1GB"
            assert float(limit) >= float(heap) + gibibytes(heaps["spark-master"]) + int(cores) * 1 + 1


def test_sizes_on_kubernetes_are_those_of_the_document() -> None:
    stated = {name: f"{size}Gi" for name, size in re.findall(r"^\| `([\w-]+)`.* \| (\d+) \|$", DOCUMENT, re.MULTILINE)}
    storage = yaml.safe_load((DEPLOY / "kubernetes" / "storage.yaml").read_text(encoding="utf-8"))
    for claim in (storage, *(entry for entry in MANIFESTS if entry["kind"] == "PersistentVolumeClaim")):
        assert claim["spec"]["resources"]["requests"]["storage"] == stated[claim["metadata"]["name"]]
    [scratch] = [volume for volume in pods()["spark-worker"]["volumes"] if volume["name"] == "scratch"]
    assert scratch["emptyDir"]["sizeLimit"] == stated["scratch"]
    values = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8"))
    [code_server] = values["dagster-user-deployments"]["deployments"]
    requests, limits = code_server["resources"]["requests"], code_server["resources"]["limits"]
    sizes = [cores_of(requests["cpu"]), gibibytes(requests["memory"]), gibibytes(limits["memory"])]
    assert "requests {:g} cores and {:g} GiB, and may use {:g} GiB".format(*sizes) in DOCUMENT
    [workers] = [entry["spec"]["replicas"] for entry in MANIFESTS if entry["metadata"]["name"] == "clv-spark-worker"]
    assert f"There are {workers} workers" in DOCUMENT


def test_each_service_waits_for_the_one_before_it_is_looked_at_and_comes_back() -> None:
    before = "prepare"
    for service in OURS:
        assert set(SERVICES[service]["depends_on"]) == {before}
        assert SERVICES[service]["healthcheck"]["test"][0] == "CMD"
        assert SERVICES[service]["restart"] == "unless-stopped"
        before = service
    assert SERVICES["code-server"]["depends_on"] == {before: {"condition": "service_healthy"}}
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert compose["services"]["prepare"]["build"]["target"] == "${CLV_TARGET:-duckdb}"
    assert SERVICES["prepare"]["build"]["target"] == "spark"
    stages = re.findall(r"^FROM base AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)
    assert stages == ["spark", "duckdb"]
    assert DEFAULTS["spark.driver.extraJavaOptions"] == "-XX:+ExitOnOutOfMemoryError"


def test_nobody_reaches_spark_but_the_code_server() -> None:
    for service in OURS:
        assert "ports" not in SERVICES[service]
        assert SERVICES[service]["networks"] == ["spark"]
        assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert set(SERVICES["code-server"]["networks"]) == {"default", "spark"}
    assert DEFAULTS["spark.ui.enabled"] == DEFAULTS["spark.master.rest.enabled"] == "false"
    [policy] = [manifest for manifest in MANIFESTS if manifest["kind"] == "NetworkPolicy"]
    among_each_other, from_outside = policy["spec"]["ingress"]
    chosen = policy["spec"]["podSelector"]["matchLabels"]
    assert among_each_other["from"] == [{"podSelector": {"matchLabels": chosen}}]
    assert from_outside["ports"] == [{"port": DEFAULT_PORT}]
    for manifest in MANIFESTS:
        if manifest["kind"] == "Deployment":
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            assert chosen.items() <= labels.items()
            assert manifest["spec"]["selector"]["matchLabels"] == labels


@pytest.mark.parametrize("service", OURS)
def test_kubernetes_runs_what_the_compose_file_runs(service: str) -> None:
    pod = pods()[service]
    [container] = pod["containers"]
    command = [word.replace("spark://", "spark://clv-") for word in SERVICES[service]["command"]]
    assert container["command"] == command
    assert container["workingDir"] == SERVICES[service]["working_dir"]
    values = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8"))
    image = values["dagsterWebserver"]["image"]
    assert container["image"] == f"{image['repository']}:{image['tag']}"
    assert pod["securityContext"] == values["dagsterWebserver"]["podSecurityContext"]
    assert container["securityContext"] == values["dagsterWebserver"]["securityContext"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("clv-spark", False)
    # Else it would have SPARK_MASTER_PORT=tcp://…
    assert pod["enableServiceLinks"] is False
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"/var/lib/spark"} | ({"/var/lib/clv_lake"} if service != "spark-master" else set())


def test_kubernetes_names_its_services_as_the_commands_and_the_document_do() -> None:
    services = {entry["metadata"]["name"]: entry["spec"] for entry in MANIFESTS if entry["kind"] == "Service"}
    assert {name: spec["ports"][0]["port"] for name, spec in services.items()} == {
        "clv-spark-master": 7077,
        "clv-spark-connect": DEFAULT_PORT,
    }
    assert "the host `clv-spark-connect`" in DOCUMENT


def test_the_marked_lines_of_the_chart_give_the_code_server_the_tables_and_the_account() -> None:
    text = (DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
    assert "sed --in-place 's/# spark: //' deploy/kubernetes/values.yaml" in text
    [code_server] = yaml.safe_load(re.sub(r"^( *)# spark: ", r"\1", text, flags=re.MULTILINE))[
        "dagster-user-deployments"
    ]["deployments"]
    names = {entry["kind"]: entry["metadata"]["name"] for entry in MANIFESTS}
    assert code_server["serviceAccount"] == {"name": names["ServiceAccount"]}
    assert {"name": "lake", "mountPath": "/var/lib/clv_lake"} in code_server["volumeMounts"]
    claim = {"name": "lake", "persistentVolumeClaim": {"claimName": names["PersistentVolumeClaim"]}}
    assert claim in code_server["volumes"]
    assert all(claim in pod["volumes"] for name, pod in pods().items() if name != "spark-master")
    [lake] = [entry for entry in MANIFESTS if entry["kind"] == "PersistentVolumeClaim"]
    assert lake["spec"]["accessModes"] == ["ReadWriteMany"]
    [policy] = [entry for entry in MANIFESTS if entry["kind"] == "NetworkPolicy"]
    [outside] = policy["spec"]["ingress"][1]["from"]
    assert outside["podSelector"]["matchLabels"]["deployment"] == code_server["name"]


def test_libraries_are_fetched_when_the_image_is_built_and_found_when_it_runs() -> None:
    [folder] = re.findall(r"python -m clv_pipeline\.spark\.jars (\S+)", DOCKERFILE)
    assert f"{FOLDER}={folder} " in DOCKERFILE
    assert f"COPY --from=build_spark {folder} {folder}" in DOCKERFILE
    assert DEFAULTS["spark.jars"] == f"{folder}/*.jar"
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in pinned())


def test_no_version_is_written_twice() -> None:
    [pyspark] = locked("requirements-spark.lock")["pyspark"]
    once = [pyspark, *(jar.version for jar in pinned()), *(jar.sha256 for jar in pinned())]
    files = [ROOT / "Makefile", ROOT / "pyproject.toml", *DEPLOY.rglob("*"), *(ROOT / "docs" / "how-to").glob("*.md")]
    for path in files:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            found = [word for word in once if re.search(rf"(?<!\d)(?<!\d\.){re.escape(word)}(?!\.?\d)", text)]
            assert (path.name, found) == (path.name, [])


def test_pyspark_its_range_and_the_library_of_iceberg_are_of_one_spark() -> None:
    [pyspark] = locked("requirements-spark.lock")["pyspark"]
    release = pyspark.rpartition(".")[0]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    [requirement] = extras["spark"]
    assert f">={release}," in requirement
    assert all(f"-{release}_" in jar.artifact for jar in pinned() if jar.group == "org.apache.iceberg")


def test_the_lock_of_spark_agrees_with_the_other_about_every_package_in_both() -> None:
    ours, spark = locked("requirements.lock"), locked("requirements-spark.lock")
    assert {"numpy", "pandas", "pyarrow", "grpcio"} <= set(ours) & set(spark)
    assert {package: spark[package] for package in set(ours) & set(spark) if spark[package] != ours[package]} == {}
