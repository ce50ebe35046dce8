"""The documents say what is there: commands, options, targets of make, files, and the messages of errors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from clv_pipeline.cli.commands import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
RUNBOOK = ROOT / "docs" / "RUNBOOK.md"


def code(document: Path) -> Iterator[str]:
    """Every line of a shell block, and every inline code, without a prompt and a trailing comment."""
    text = document.read_text(encoding="utf-8")
    for block in re.findall(r"```(?:console|bash|sh)\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            yield line.removeprefix("$ ").split(" #")[0].strip()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def invocations(document: Path) -> Iterator[list[str]]:
    """The words of every `clv` command, whatever stands before it."""
    for line in code(document):
        for part in re.split(r"\s(?:&&|\|)\s", line):
            if found := re.search(r"(?:^|[\s/])clv\s+(\S.*)", part):
                yield shlex.split(found[1].replace("…", ""))


def unknown(words: list[str]) -> list[str]:
    """The parts of a `clv` command that click does not know, as `clv run --wait`."""
    command = main.commands.get(words[0])
    if words[0] in ("--version", "--help", "-h"):
        return []
    if command is None:
        return [f"clv {words[0]}"]
    known = {name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts}
    return [f"clv {words[0]} {word}" for word in words[1:] if word.startswith("--") and word not in known]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_clv_command_and_option_exists(document: Path) -> None:
    assert {name for words in invocations(document) for name in unknown(words)} == set()


def test_the_search_for_commands_finds_them() -> None:
    found = {words[0] for document in DOCUMENTS for words in invocations(document)}
    assert found >= {"init", "check", "run", "audit", "explain", "publish"}
    assert unknown(["rum"]) == ["clv rum"]
    assert unknown(["run", "--selekt", "rfm"]) == ["clv run --selekt"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_target_of_make_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {found[1] for line in code(document) if (found := re.search(r"(?:^|\s)make ([a-z-]+)", line))}
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
    files = [link for link in links if not link.startswith(("http:", "https:", "mailto:"))]
    assert [link for link in files if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_that_is_named_is_there(document: Path) -> None:
    named = [text for text in code(document) if re.fullmatch(r"[a-z_]+(?:/[a-z_]+)+\.(?:py|sql|yml)", text)]
    places = (ROOT, ROOT / "clv_pipeline", ROOT / "dbt_like_sql")
    missing = [text for text in named if not any((place / text).exists() for place in places)]
    # What begins with my_ is the reader's own.
    assert [text for text in missing if not text.startswith("my_")] == []


def messages() -> list[str]:
    """The texts in the first column of the runbook's table of failures, cut where a name stands in for `…`."""
    rows = re.findall(r"^\| (.*?) \|", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    return [part.strip(" ,") for text in quoted for part in text.split("…") if len(part.strip(" ,")) > 1]


def source() -> str:
    """Code and contracts, with adjacent strings joined as Python does it."""
    files = [*(ROOT / "clv_pipeline").rglob("*.py"), *(ROOT / "dbt_like_sql").rglob("*.yml")]
    return re.sub(r"\"\s*\n\s*f?\"", "", "\n".join(path.read_text(encoding="utf-8") for path in sorted(files)))


def test_the_runbook_explains_messages_that_the_code_says() -> None:
    said = source()
    assert len(messages()) > 20
    assert [message for message in messages() if message not in said] == []
