"""The data dictionary of the whole graph: only the graph knows the inputs of tables built in Python.

Run: python -m clv_pipeline.orchestration.dictionary (`make dictionary`) writes docs/reference/data-dictionary.md
"""

from pathlib import Path

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.dictionary import DictionaryEntry, as_markdown, dictionary_entries
from clv_pipeline.orchestration.assets import all_assets
from clv_pipeline.pipeline import Pipeline

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "data-dictionary.md"


def data_dictionary(pipeline: Pipeline) -> list[DictionaryEntry]:
    """An entry for every table of the graph."""
    reads = {
        spec.key.to_user_string(): [dep.asset_key.to_user_string() for dep in spec.deps]
        for asset in all_assets(pipeline)
        for spec in asset.specs
    }
    # The table `publication`, which describes a publication, is not an asset.
    reads["publication"] = reads["published_marts"]
    return dictionary_entries(pipeline.models, reads)


if __name__ == "__main__":
    DOCUMENT.write_text(as_markdown(data_dictionary(Pipeline.of(Settings.load()))), encoding="utf-8")
