"""The process that draws pictures. It reads requests and writes pictures until there are no more requests.

The renderer is native code. Input that it cannot handle ends its process, so it has a process of its own. This file is
run by its path and imports nothing from the package, so that it starts at once. A message is its length and its bytes.
A request is JSON. An answer begins with a byte that says whether a picture follows or the reason why there is none.
"""

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

# The renderer measures all text with the font that it brings along, on every machine alike. It would prefer the
# machine's copy of the same font, and open that file for every text: a third of the time of a picture.
os.environ["FONTCONFIG_FILE"] = str(Path(__file__).with_name("fonts.conf"))


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until their stream ends."""
    while header := requests.read(4):
        request = json.loads(requests.read(*struct.unpack(">I", header)))
        try:
            is_drawn, content = True, drawn(request)
        except Exception as error:  # reported to the process that asked
            is_drawn, content = False, str(error).encode("utf-8", "backslashreplace")
        answers.write(struct.pack(">?I", is_drawn, len(content)) + content)
        answers.flush()


def drawn(request: dict[str, Any]) -> bytes:
    """The requested picture as SVG."""
    import vl_convert

    svg = vl_convert.vegalite_to_svg(request["spec"], vl_version=request["vl_version"], allowed_base_urls=[])
    return str(svg).encode()


if __name__ == "__main__":
    # Native code may print. Its output goes to stderr and not between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
