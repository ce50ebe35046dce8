"""The process that draws pictures: a request is read, a picture is written, until there are no more requests.

The renderer is native code: what it does not take ends its process, so it has one of its own. This file is run by its
path and imports nothing of the package, so that it starts at once. A message is its length and its bytes; a request is
JSON, an answer begins with a byte that says whether it is a picture or the reason why there is none.
"""

import json
import os
import struct
import sys
from typing import Any, BinaryIO


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until their stream ends."""
    while header := requests.read(4):
        request = json.loads(requests.read(*struct.unpack(">I", header)))
        try:
            is_drawn, content = True, drawn(request)
        except Exception as error:  # told to whoever asked
            is_drawn, content = False, str(error).encode("utf-8", "backslashreplace")
        answers.write(struct.pack(">?I", is_drawn, len(content)) + content)
        answers.flush()


def drawn(request: dict[str, Any]) -> bytes:
    """The picture that is asked for: PNG with `scale` pixels per px, SVG where no scale is given."""
    import vl_convert

    named = {"vl_version": request["vl_version"], "allowed_base_urls": []}
    if request["scale"] is None:
        return str(vl_convert.vegalite_to_svg(request["spec"], **named)).encode()
    return bytes(vl_convert.vegalite_to_png(request["spec"], scale=request["scale"], **named))


if __name__ == "__main__":
    # Native code may print: that goes where messages go, and not between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
