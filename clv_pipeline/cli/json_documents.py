"""What `--json` prints: one document per command, whose fields docs/reference/json.md describes.

This module turns results into fields. Everything printed beside a document goes to standard error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from clv_pipeline.cli.verdict_text import cure
from clv_pipeline.text import displayed

if TYPE_CHECKING:
    from clv_pipeline.config.settings import Settings
    from clv_pipeline.errors import ClvError
    from clv_pipeline.orchestration.rehearsal import Rehearsal
    from clv_pipeline.orchestration.runner import Outcome
    from clv_pipeline.publication.summary import Facts, ListedVersion
    from clv_pipeline.quality import CheckResult
    from clv_pipeline.sources.inspect import FurtherSurvey
    from clv_pipeline.sources.loaded import LoadedFile

Fields = dict[str, Any]

_FILE = ("source_file", "rows", "unreadable_rows", "bytes", "sha256", "format")


def as_json(document: Mapping[str, Any]) -> str:
    """The document as text: days and times in ISO 8601, NaN and infinity as null."""
    from pydantic_core import to_json

    return to_json(document, indent=1, inf_nan_mode="null").decode()


def error_document(command: str | None, error: ClvError) -> Fields:
    """The document of a command that failed."""
    # As displayed: names of files that are no UTF-8 hold halves of characters, which JSON does not take.
    return {
        "command": command,
        "status": "error",
        "error": {"kind": type(error).__name__, "message": displayed(str(error))},
    }


def run_document(outcome: Outcome, facts: Facts | None) -> Fields:
    """The document of `clv run`, with the facts of the publication."""
    return {
        "command": "run",
        "status": "ok" if outcome.success else "failed",
        "run_id": outcome.run_id,
        "published": outcome.published,
        "tables": [asdict(table) for table in outcome.tables],
        "failed_checks": [asdict(check) for check in outcome.failed_checks],
        "failed_steps": [asdict(step) for step in outcome.failed_steps],
        "publication": asdict(facts) if facts else None,
    }


def audit_document(audited: Mapping[str, Sequence[CheckResult]]) -> Fields:
    """The document of `clv audit`."""
    results = [result for checks in audited.values() for result in checks]
    return {
        "command": "audit",
        "status": "failed" if any(result.blocks for result in results) else "ok",
        "tables": [
            {"table": table, "checks": len(checks), "passed": sum(check.passed for check in checks)}
            for table, checks in audited.items()
        ],
        "failed_checks": [
            {**_check_fields(result), "expected": result.expected} for result in results if not result.passed
        ],
    }


def _check_fields(result: CheckResult) -> Fields:
    """What every command says of a failed check."""
    return {
        "table": result.table,
        "check": result.check,
        "severity": result.severity,
        "message": result.description,
        "observed": result.observed,
    }


def check_document(settings: Settings, notices: Sequence[str], found: Rehearsal) -> Fields:
    """The document of `clv check`."""
    survey = found.survey
    further: dict[str, FurtherSurvey | None] = {"customers": survey.demographics, "events": survey.events}
    transactions = asdict(survey)
    del transactions["demographics"], transactions["events"], transactions["costs"]
    return {
        "command": "check",
        "status": "failed" if found.stops else "ok",
        "config_file": settings.config_file,
        "notices": notices,
        "transactions": {**transactions, "files": _files(survey.files)},
        **{name: {**asdict(each), "files": _files(each.files)} if each else None for name, each in further.items()},
        "costs": {**asdict(survey.costs), "files": _files(survey.costs.files)} if survey.costs else None,
        "odd_files": [{**asdict(odd), "cure": cure(odd.measure)} for odd in found.odd_files],
        "odd_customers": [asdict(odd) for odd in found.odd_customers],
        "failed_checks": [{**_check_fields(result), "cure": cure(result.check)} for result in found.failed],
    }


def publish_document(versions: Sequence[ListedVersion]) -> Fields:
    """The document of `clv publish`."""
    return {"command": "publish", "status": "ok", "versions": [asdict(version) for version in versions]}


def _files(files: Sequence[LoadedFile]) -> list[Fields]:
    return [{name: getattr(file, name) for name in _FILE} for file in files]
