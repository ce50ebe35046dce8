"""Measure accuracy as served on many shops and write it into docs/ACCURACY.md.

Run: CLV_SHOPS=folder python -m benchmarks.accuracy [--only SHOP …] [--without-peers] [--tables] (`make accuracy`)
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy import DOCUMENT, document, targets
from benchmarks.accuracy.code_version import version
from benchmarks.accuracy.measure import Measured, RunFailedError, measure
from benchmarks.accuracy.peers import pymc_environment
from benchmarks.accuracy.shops import REAL_SHOPS, Absent, names, shops_of
from benchmarks.generated_blocks import replace_block
from benchmarks.measurement import WORK

RESULTS = WORK / "accuracy"
"""A file per shop: what was found when it was last measured."""


def run(chosen: Sequence[str], folder: Path | None, *, with_peers: bool) -> list[Absent]:
    """Measure these shops, one after the other; the shops that are not there, with the reason."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    absent: list[Absent] = []
    pymc = pymc_environment() if with_peers else "peers were not asked"
    for name in chosen:
        with tempfile.TemporaryDirectory() as place:
            for shop in shops_of(name, folder, Path(place)):
                if isinstance(shop, Absent):
                    print(f"{name}: left out, because {shop.reason}")
                    absent.append(shop)
                    continue
                print(f"{shop.key}:")
                # The seeds of a kind differ by chance: peers are asked about the first.
                asked = with_peers and shop.seed in (None, 1)
                try:
                    found = measure(shop, Path(place) / shop.key, with_peers=asked, pymc=pymc, tell=print)
                except RunFailedError as error:
                    print(error)
                    (RESULTS / f"{shop.key}.json").unlink(missing_ok=True)
                    absent.append(Absent(name, str(error)))
                    continue
                found.save(RESULTS / f"{shop.key}.json")
                if name in REAL_SHOPS:
                    print(document.shop_block(found))
    return absent


def write(absent: Sequence[Absent]) -> list[targets.Verdict]:
    """Write all tables of what has been measured, now or earlier, and say what is not reached."""
    found = [Measured.load(path) for path in sorted(RESULTS.glob("*.json"))]
    by_name = {name: [one for one in found if one.shop == name] for name in names()}
    by_name = {name: several for name, several in by_name.items() if several}
    in_order = [one for several in by_name.values() for one in several]
    for one in in_order:
        if one.made_by != version():
            print(f"{one.shop}: measured by other code than this; measure it again before you quote it")
    real = [one for one in in_order if one.shop in REAL_SHOPS]
    blocks = {
        "targets": targets.block(by_name),
        "coherence": document.coherence_block(in_order, absent),
        "coverage": document.coverage_block(real),
        "seeded": document.seeded_block([one for one in in_order if one.seed is not None]),
        "files": document.files_block(real),
        "cutoffs": document.cutoffs_block(),
        **{one.shop: document.shop_block(one) for one in real},
    }
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, block in blocks.items():
        text = replace_block(text, name, block)
    DOCUMENT.write_text(text, encoding="utf-8")
    return targets.verdicts(by_name)


def main() -> None:
    """Measure accuracy as served on many shops and write it into docs/ACCURACY.md."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--only", nargs="+", choices=names(), default=names(), help="shops to measure; default all")
    parser.add_argument("--without-peers", action="store_true", help="ask only the pipeline and the simple rules")
    parser.add_argument("--tables", action="store_true", help="measure nothing; write the tables anew")
    options = parser.parse_args()
    folder = os.environ.get("CLV_SHOPS")
    absent = (
        []
        if options.tables
        else run(options.only, Path(folder).resolve() if folder else None, with_peers=not options.without_peers)
    )
    for verdict in write(absent):
        print(f"[{'ok' if verdict.reached else '!!'}] {verdict.target}: {verdict.found}")


if __name__ == "__main__":
    main()
