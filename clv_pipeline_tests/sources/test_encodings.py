"""Text that is not UTF-8: loaded if it is certainly windows-1252, else asked about with its readings."""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline_tests.helpers.shop_files import load, write

WESTERN = {
    "German": "Müller,Köln\nSchröder,Düsseldorf\nWeiß,Nürnberg\n",
    "German capitals": "MÜLLER,KÖLN\nWEIß,GROẞ\n".replace("ẞ", "ß"),
    "French": "Frédéric,Besançon\nHélène,Orléans\nFrançois,Nîmes\nLœuillet,Très bien\n",
    "Spanish": "Muñoz,Málaga\nPEÑA,Córdoba\nGarcía,León\n",
    "Danish": "Søren Kjærgård,Ålborg\nJørgensen,København\n",
    "Swedish": "Åsa,Öst\nBjörk,Malmö\nHäägg,Ängelholm\n",
    "Finnish": "Hämäläinen Matti,Jyväskylä 40100\nVirtanen,Töölö 00250\n",
    "Portuguese": "João,São Paulo\nConceição,Camões\n",
    "Italian": "Università,città\nperché,caffè\n",
    "one word": "Zoë,x\n",
    "a currency": "12 €,x\n13 €,£\n",
    "punctuation": "RED BAG – 50’S “CHRISTMAS”…,20° ½\n",
}
OTHERS = {
    "windows-1250": ("Jiří Dvořák,Plzeň\nŁódź,Wałęsa\n", "Győr,Szőke\nErdős,Pécs\n", "Bucureşti,Braşov\n"),
    "iso-8859-2": ("Štěpán,Příbram\nŁódź,Wałęsa\n",),
    "windows-1251": ("Москва,Иванов\n",),
    "koi8_r": ("Москва,Иванов\n",),
    "windows-1253": ("Αθήνα,Παπαδόπουλος\n",),
    "windows-1254": ("İstanbul,Yılmaz\nÇağlar,Şişli\n",),
    "windows-1255": ("תל אביב,כהן\n",),
    "windows-1256": ("القاهرة,محمد\n",),
    "windows-1257": ("Šiauliai,Žemaitė\nKęstutis,Čiurlionis\n",),
    "shift_jis": ("東京,田中さん\n",),
    "euc_kr": ("서울,김철수\n",),
    "gb18030": ("北京,王小明\n",),
    "big5": ("北京,王小明\n",),
    "cp850": ("Müller,Köln\n", "Frédéric,Besançon\n"),
    "mac_roman": ("Müller,Köln\n", "René,Orléans\n"),
}
HEADER = "customer,city,date,amount\n"


def _rows(text: str) -> str:
    return HEADER + "".join(f"{line},2024-05-01,12.50\n" for line in text.splitlines())


@pytest.mark.parametrize("text", WESTERN.values(), ids=WESTERN)
def test_what_is_certainly_windows_1252_loads_as_it_is_spelled(tmp_path: Path, text: str) -> None:
    write(tmp_path, "a.csv", _rows(text), "windows-1252")
    loaded = load(tmp_path, path="a.csv")
    assert loaded.column("customer_id") == [line.split(",")[0] for line in text.splitlines()]


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in OTHERS.items() for text in texts])
def test_any_other_encoding_is_asked_about_with_its_readings(tmp_path: Path, encoding: str, text: str) -> None:
    write(tmp_path, "a.csv", _rows(text), encoding)
    with pytest.raises(SourceError, match=r"a\.csv: is not UTF-8, and its encoding is not certain") as asked:
        load(tmp_path, path="a.csv")
    assert "format.encoding" in asked.value.to_do
    assert "a line of it reads" in asked.value.quoted
    loaded = load(tmp_path, path="a.csv", format={"encoding": encoding})
    assert loaded.column("customer_id") == [line.split(",")[0] for line in text.splitlines()]


def test_a_file_is_not_doubted_for_one_foreign_name_among_many(tmp_path: Path) -> None:
    names = [f"Müller{number}" for number in range(60)] + ["Guðrún"]
    write(tmp_path, "a.csv", _rows("".join(f"{name},Köln\n" for name in names)), "windows-1252")
    assert load(tmp_path, path="a.csv").column("customer_id") == names


def test_the_odd_line_may_be_the_last_of_a_large_file(tmp_path: Path) -> None:
    ascii_rows = "".join(f"{number},x,2024-05-01,1\n" for number in range(80_000))
    write(tmp_path, "a.csv", HEADER + ascii_rows + "Москва,x,2024-05-01,1\n", "windows-1251")
    with pytest.raises(SourceError) as asked:
        load(tmp_path, path="a.csv")
    assert "'Москва,x,2024-05-01,1' in windows-1251" in asked.value.quoted
