"""The table of docs/explanation/reliability.md."""

import xml.etree.ElementTree as ET

import pytest

from benchmarks.reliability import DOCUMENT, FAULTS, Tally, count, table

REPORT = """
<testsuites><testsuite>
  <testcase classname="clv_pipeline_tests.faults.test_kills" name="a"><properties>
    <property name="fault" value="kill -9"/><property name="times" value="8"/></properties></testcase>
  <testcase classname="clv_pipeline_tests.acceptance.test_faults_kills" name="b"><properties>
    <property name="fault" value="kill -9"/><property name="times" value="12"/></properties>
    <failure message="lost"/></testcase>
  <testcase classname="clv_pipeline_tests.acceptance.test_faults_disk" name="c"><properties>
    <property name="fault" value="disk full"/><property name="times" value="1"/></properties><skipped/></testcase>
  <testcase classname="clv_pipeline_tests.bad_input" name="test_bad_input_ends_as_the_catalogue_says[d]"/>
  <testcase classname="clv_pipeline_tests.bad_input" name="test_bad_input_ends_as_the_catalogue_says[e]"/>
</testsuite></testsuites>
"""


def test_times_and_losses_are_counted_by_fault() -> None:
    tallies = count(ET.fromstring(REPORT))  # noqa: S314
    assert tallies["kill -9"] == Tally(times=20, losses=1)
    assert tallies["disk full"] == Tally(skipped=1)
    assert tallies["bad input"] == Tally(times=2)
    assert "| 20 | 1 |" in table(tallies)
    assert "| 0 (1 skipped) | 0 |" in table(tallies)


def test_a_fault_that_nobody_explains_is_an_error() -> None:
    with pytest.raises(ValueError, match="injects earthquake: not one of FAULTS"):
        count(ET.fromstring(REPORT.replace("kill -9", "earthquake")))  # noqa: S314


def test_the_document_has_every_fault_with_no_loss() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    _, found, rest = text.partition("<!-- faults -->\n")
    assert found
    block, _, _ = rest.partition("<!-- end -->")
    rows = [line.split("|") for line in block.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert set(FAULTS) <= {row[1].strip() for row in rows}
    assert {row[4].strip() for row in rows} == {"0"}
