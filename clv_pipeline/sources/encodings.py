"""Text that is not UTF-8: whether it is certainly windows-1252, and the question if it is not.

Here belongs judging words by their letters. Any byte means something in many encodings, so a wrong guess is not seen: a
name of Prague becomes another name. A file is certainly windows-1252 if nearly all words beyond ASCII are spelled as
Western European languages spell, and a second opinion (charset-normalizer) can read it so. Every other file is asked
about. Icelandic is asked about too, because its letters are those that Turkish has in windows-1254.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import BinaryIO

from clv_pipeline.errors import SourceError

SAMPLE_BYTES = 4_000
"""Bytes of distinct lines beyond ASCII that are judged."""

SHARE_OF_WORDS = 0.95
"""Share of their words beyond ASCII that must be spelled as in a Western European language. Some names are foreign
everywhere."""

_LOWER = (
    "äöüßéè",  # German, with names from elsewhere
    "àâçéèêëîïôùûüÿœ",  # French
    "áéíóúüñçàèòï",  # Spanish, Catalan
    "áâãàçéêíóôõú",  # Portuguese
    "àèéìíîòóùú",  # Italian
    "åäöæøéüáà",  # Danish, Norwegian, Swedish, Finnish
    "áéëïíóöüèêç",  # Dutch, English
)
_ALPHABETS = tuple(frozenset(letters + letters.replace("ß", "").replace("ÿ", "").upper()) for letters in _LOWER)
_ASCII_LETTER = re.compile(r"[A-Za-z]")
_ACCENTED = "À-ÖØ-öø-ÿŠšŽžŒœŸ"
_LETTER = rf"[A-Za-z{_ACCENTED}]"
_IMPOSSIBLE = re.compile(
    rf"[{_ACCENTED}]{{4}}"  # so many only in other scripts
    rf"|{_LETTER}[^\x00-\x7f{_ACCENTED}’´·­–—]{_LETTER}"  # a sign inside a word
    rf"|{_LETTER}[‘“„‚‰†‡ƒˆ˜«¿¡¤¦¨¬¸¹¼½¾×÷¯]"  # a sign that ends no word
    r"|[^\x00-\x7f’”“‘–—…»«](?<![À-ÖØ-öø-ÿŠšŽžŒœŸ])[^\x00-\x7f’”“‘–—…»«](?<![À-ÖØ-öø-ÿŠšŽžŒœŸ])"  # two signs
    rf"|[a-zß-öø-ÿ][À-ÖØ-Þ](?![A-ZÀ-ÖØ-Þ])"  # a capital inside a word
    r"|õ(?!e)|Õ(?!E)"  # Portuguese has it in -ões, Hungarian (ő) anywhere
)

_CANDIDATES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("iso8859_2", "iso8859_5", "iso8859_7", "iso8859_9", "koi8_r", "cp437", "cp850", "cp852", "cp866", "mac_roman"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""Python's names of the encodings that are in use; those of many bytes for a character are the last."""

_NAMES = {"cp932": "shift_jis", "cp949": "euc_kr"}
_MOST_SHOWN = 6


class UncertainEncodingError(SourceError):
    """The error for a file whose encoding is not certain.

    Attributes:
        label: the file.
        likely: the encoding that is most likely; None if none can be meant.
    """

    def __init__(self, label: str, examples: Sequence[str], likely: str | None) -> None:
        super().__init__(
            f"{label}: is not UTF-8, and its encoding is not certain",
            quoted=f"a line of it reads {', or '.join(examples)}" if examples else "",
            to_do="state the source's format.encoding, in which it reads right",
        )
        self.label = label
        self.likely = likely


def odd_lines(stream: BinaryIO, chunk_bytes: int) -> bytes:
    """The first distinct lines of the stream that are not ASCII."""
    stream.seek(0)
    found: dict[bytes, None] = {}
    size, rest, chunk = 0, b"", b" "
    while size < SAMPLE_BYTES and chunk:
        chunk = stream.read(chunk_bytes)
        *lines, rest = (rest + chunk).splitlines(keepends=True) or [b""]
        for line in [*lines, *([rest] if not chunk else [])]:
            if size < SAMPLE_BYTES and not line.isascii():
                size += len(line) if line not in found else 0
                found[line] = None
    return b"".join(found)[: 2 * SAMPLE_BYTES]


def is_western(lines: bytes) -> bool:
    """Whether lines are certainly windows-1252."""
    from charset_normalizer import from_bytes

    try:
        text = lines.decode("windows-1252")
    except UnicodeDecodeError:
        return False
    words = [word for word in re.split(r"[\s,;|\"]+", text) if not word.isascii()]
    if sum(map(_is_spelled_western, words)) < SHARE_OF_WORDS * len(words):
        return False
    # Of signs alone, such as € and £, it thinks nothing.
    return not re.search(f"[{_ACCENTED}]", text) or bool(from_bytes(lines, cp_isolation=["cp1252"]))


def _is_spelled_western(word: str) -> bool:
    accented = set(re.findall(f"[{_ACCENTED}]", word))
    if _IMPOSSIBLE.search(word) or (len(accented) > 1 and not _ASCII_LETTER.search(word)):
        return False
    return not accented or any(accented <= alphabet for alphabet in _ALPHABETS)


def question(label: str, lines: bytes) -> UncertainEncodingError:
    """The error that asks for the encoding of the file `label`, with its first odd line in the likely ones."""
    from charset_normalizer import from_bytes

    shown: dict[str, str] = {}
    western = lines.decode("windows-1252", errors="replace")
    matches = from_bytes(lines, cp_isolation=list(_CANDIDATES))
    # In an encoding of many bytes for a character, nearly any text is some text.
    for match in sorted(matches, key=lambda match: (round(match.chaos, 1), match.encoding in _CANDIDATES[-5:])):
        name = "windows-1252" if str(match) == western else _named(match.encoding)
        line = str(match).splitlines()[0].strip()
        first = next(place for place, letter in enumerate(line) if not letter.isascii())
        line = line[max(0, first - 20) : first + 40]
        if line not in shown.values():
            shown[name] = line
    examples = [f"{line!r} in {encoding}" for encoding, line in list(shown.items())[:_MOST_SHOWN]]
    return UncertainEncodingError(label, examples, next(iter(shown), None))


def _named(encoding: str) -> str:
    return _NAMES.get(encoding, re.sub(r"^cp(125\d)$", r"windows-\1", encoding).replace("iso8859_", "iso-8859-"))
