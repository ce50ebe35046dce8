"""The documents say what is there: commands, options, targets of make, files, and the messages of errors."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import duckdb
import pytest

from clv_pipeline.cli.commands import main
from clv_pipeline.cli.reference import DOCUMENT as COMMAND_LINE
from clv_pipeline.cli.reference import as_markdown
from clv_pipeline.contracts.contract import load_contract
from clv_pipeline_tests.helpers.own_tables import write_clone_example

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
RUNBOOK = ROOT / "docs" / "how-to" / "operate.md"
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"


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
    if words[0] in ("--version", "--help", "-h"):
        return []
    command: click.Command | None = main
    path = "clv"
    # A group alone, as in a sentence about all its commands, is known, too.
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        path, command, words = f"{path} {words[0]}", command.commands.get(words[0]), words[1:]
    if command is None:
        return [path]
    known = {name for parameter in command.params if isinstance(parameter, click.Option) for name in parameter.opts}
    return [f"{path} {word}" for word in words if word.startswith("--") and word not in known]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_clv_command_and_option_exists(document: Path) -> None:
    assert {name for words in invocations(document) for name in unknown(words)} == set()


def test_the_search_for_commands_finds_them() -> None:
    found = {words[0] for document in DOCUMENTS for words in invocations(document)}
    assert found >= {"init", "check", "run", "audit", "explain", "publish"}
    assert unknown(["rum"]) == ["clv rum"]
    assert unknown(["run", "--selekt", "rfm"]) == ["clv run --selekt"]
    assert unknown(["campaign", "strat", "spring"]) == ["clv campaign strat"]
    assert unknown(["campaign", "start", "spring", "--topp", "5"]) == ["clv campaign start --topp"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_target_of_make_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {found[1] for line in code(document) if (found := re.search(r"(?:^|\s)make ([a-z-]+)", line))}
    assert named <= targets


def prose(text: str) -> str:
    """The text without code, in which brackets are no links and `#` makes no heading."""
    return re.sub(
        r"`[^`\n]*`", lambda code: "`" * len(code[0]), re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    )


def anchors(text: str) -> set[str]:
    """What `#…` may name in a document: its headings in lower case, without punctuation, with `-` for spaces."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), flags=re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    """The relative links of a document whose file or heading is not there."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)[^)]*\)", prose(document.read_text(encoding="utf-8"))):
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_and_anchor_leads_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_a_link_to_a_file_or_heading_that_is_not_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A heading, with `code`\n```sh\n# no heading\n```\n", encoding="utf-8")
    links = [
        "there.md#a-heading-with-code",
        "there.md",
        "#here",
        "there.md#no-heading",
        "gone.md",
        "#gone",
        "https://x.org",
    ]
    page = tmp_path / "page.md"
    page.write_text("# Here\n`[code](code.md)`\n" + " ".join(f"[text]({link})" for link in links), encoding="utf-8")
    assert broken_links(page) == ["there.md#no-heading", "gone.md", "#gone"]


def test_no_document_is_left_out_of_the_site() -> None:
    named = re.findall(r"docs/\S+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))


def test_the_readme_is_a_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 1000


def test_the_reference_of_the_command_line_is_up_to_date() -> None:
    assert COMMAND_LINE.read_text(encoding="utf-8") == as_markdown(main), "`make commands` writes it anew"


def test_the_picture_of_the_rooms_shows_the_layers_that_imports_are_held_to() -> None:
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][
        0
    ]
    boxes = re.findall(r"subgraph .*\n((?: {8}.*\n)+) {4}end", ARCHITECTURE.read_text(encoding="utf-8"))
    assert [box.strip().split(" ~~~ ") for box in boxes] == [layer.split(" : ") for layer in layers["layers"]]


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


def test_the_table_that_is_added_as_an_example_is_what_its_contract_says(tmp_path: Path) -> None:
    query, promised = write_clone_example(tmp_path / "insights")
    contract = load_contract(promised)
    with duckdb.connect() as shop:
        shop.execute("create table history_span as select date '2024-01-08' as as_of")
        shop.execute("create table customer_days (customer_id text, purchase_day date, revenue decimal(18, 4))")
        shop.execute(
            "insert into customer_days values ('a', '2024-01-01', 2), ('b', '2024-01-08', 3), ('b', '2024-01-09', 9)"
        )
        table = shop.sql(query.read_text(encoding="utf-8"))
        assert table.columns == [column.name for column in contract.columns]
        assert [str(kind) for kind in table.types] == [column.type for column in contract.columns]
        assert table.fetchall() == [(1, 2, 5)]
