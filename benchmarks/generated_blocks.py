"""Blocks of a document that a command writes: they stand between `<!-- name -->` and `<!-- end -->`."""

import re


def replace_block(text: str, name: str, block: str) -> str:
    """`text` with the generated block `name` replaced.

    Raises:
        ValueError: the text has no such block.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n)(?:(?!<!-- end -->).*\n)*(<!-- end -->)")
    if not pattern.search(text):
        raise ValueError(f"the document has no block <!-- {name} --> … <!-- end -->")
    return pattern.sub(lambda match: f"{match[1]}{block}\n{match[2]}", text)
