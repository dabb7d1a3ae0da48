"""What `vtj-producer catalogue build` makes: whole, the same each time, closed in itself, in step with the schemas."""

import json
import os
import posixpath
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from producer.catalogue import snippets
from producer.catalogue.build import MARK, build, write
from producer.catalogue.site import Files
from producer.catalogue.topics import Contents, Topic
from producer.errors import SettingsError
from producer.events.codesets import Codesets
from producer.events.convert import Converter
from producer.events.framing import SingleObject
from producer.events.groups import Catalogue
from producer.model import Page as Answer
from producer.redaction import IDENTITY_CODE
from tests.catalogue.html import Page

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "catalogue" / MARK
KOTIKUNTA = "kotikunta"


@pytest.fixture(scope="module")
def pages(files: Files) -> dict[str, Page]:
    return {name: Page(text) for name, text in files.items() if name.endswith(".html")}


@pytest.fixture(scope="module")
def told(files: Files) -> dict[str, Any]:
    """catalogue.json"""
    read: dict[str, Any] = json.loads(files[MARK])
    return read


def test_what_is_committed_is_what_would_be_built_now(files: Files) -> None:
    fresh = COMMITTED.is_file() and COMMITTED.read_bytes() == files[MARK].encode()
    assert fresh, "docs/catalogue/catalogue.json is stale: run `make catalogue` and commit what it changes"


def test_is_the_same_in_every_process(files: Files, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        output = tmp_path / seed
        command = [sys.executable, "-m", "producer", "catalogue", "build", "--output", str(output)]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
        made = {path.relative_to(output).as_posix(): path for path in output.rglob("*") if path.is_file()}
        assert made.keys() == files.keys()
        assert [name for name, path in made.items() if path.read_bytes() != files[name].encode()] == []


def test_every_topic_and_code_set_has_a_page(pages: dict[str, Page]) -> None:
    catalogue = Catalogue.load()
    suffixes = {*(group.suffix for group in catalogue.groups.values()), "unmapped", "dead-letter"}
    wanted = {f"topics/{suffix}.html" for suffix in suffixes} | {f"codesets/{name}.html" for name in Codesets.load()}
    assert wanted == {name for name in pages if "/" in name}
    assert wanted <= {target(page, link)[0] for page in ("index.html", "codesets.html") for link in pages[page].links}


def test_every_topic_page_says_all_there_is(contents: Contents, pages: dict[str, Page]) -> None:
    wanted = {"f", "example", "read", "schema", "history"}
    for topic in contents.topics:
        page = pages[f"topics/{topic.suffix}.html"]
        more = {"changes", "turvakielto"} if topic.tietoryhma else set()
        more |= {"code-sets"} if topic.codesets else set()
        assert wanted | more | {f"f-{one.name}" for one in topic.own} <= page.ids, topic.suffix
        for said in (topic.name, topic.fingerprint, topic.title.fi, topic.title.en, f"{topic.retention_days} days"):
            assert said.replace("'", "&#39;") in page.text, (topic.suffix, said)


def target(page: str, link: str) -> tuple[str, str]:
    """File and fragment that a link on a page leads to."""
    path, _, fragment = link.partition("#")
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page, fragment


def test_no_link_leads_nowhere(files: Files, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for link in page.links:
            file, fragment = target(name, link)
            assert file in files, f"{name}: {link}"
            assert not fragment or fragment in pages[file].ids, f"{name}: {link}"


def test_the_search_leads_to_pages(contents: Contents, files: Files, pages: dict[str, Page]) -> None:
    entries = json.loads(files["search-index.js"].removeprefix("const CATALOGUE = ").rstrip().removesuffix(";"))
    assert len(entries) == len(contents.topics) + len(contents.codesets) + 1
    for entry in entries:
        anchor = "e" if entry["page"] == "event.html" else "f"
        assert {f"{anchor}-{one[0]}" for one in entry["fields"]} <= pages[entry["page"]].ids


def test_pages_ask_nothing_of_others(files: Files, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        assert "default-src 'none'" in page.metas["Content-Security-Policy"], name
        assert page.inline == [], name
        for load in page.loads:
            assert load == "data:," or target(name, load)[0] in files, f"{name}: {load}"
    assert "url(" not in files["style.css"]
    assert "@import" not in files["style.css"]


def test_only_synthetic_codes(files: Files) -> None:
    """Individual numbers 900-999 are given to nobody."""
    found = [code for text in files.values() for code in IDENTITY_CODE.findall(text)]
    assert len(found) > 100
    assert [code for code in found if code[7] != "9"] == []


def test_pages_show_the_examples(contents: Contents, pages: dict[str, Page]) -> None:
    for topic in contents.topics:
        assert json.loads(pages[f"topics/{topic.suffix}.html"].pres["example"]) == topic.example


def strays(topics: list[Topic]) -> list[str]:
    """Topics whose example is in another topic, or has other fields than their schema."""
    return [
        topic.suffix
        for topic in topics
        if topic.example["topic"] != topic.name
        or topic.example["value"].keys() != {one["name"] for one in topic.schema["fields"]}
    ]


def test_examples_are_of_their_topic(contents: Contents) -> None:
    assert strays(list(contents.topics)) == []


def test_withheld_fields_are_absent_under_turvakielto(contents: Contents) -> None:
    shown = [one for one in contents.topics if one.withheld]
    assert shown
    for topic in shown:
        assert topic.withheld
        value = topic.withheld["value"]
        assert (value["withheldFields"], value["data"]) == (topic.restricted, None), topic.suffix


def test_catalogue_json_has_every_group_and_field(told: dict[str, Any], files: Files) -> None:
    groups = Catalogue.load().groups
    by_group = {one["group"]: one for one in told["topics"] if one["group"]}
    assert by_group.keys() == groups.keys()
    for name, group in groups.items():
        one = by_group[name]
        assert [field["name"] for field in one["fields"]] == [field["name"] for field in group.own["fields"]], name
        assert one["fingerprint"] == SingleObject().prefix(group.schema)[:1:-1].hex(), name
        assert one["singleObjectPrefix"] == SingleObject().prefix(group.schema).hex(), name
        assert one["history"][0]["fingerprint"] == one["fingerprint"], name
        assert one["schema"] in files
        for field in one["fields"]:
            assert field["doc"]["fi"], (name, field)
            assert field["doc"]["en"], (name, field)
            assert field["pii"], (name, field)
            assert field.get("codeset") is None or field["codeset"] in told["codesets"], (name, field)
            assert not field["type"].startswith("fi.vtj.type.") or field["type"] in told["types"], (name, field)
    assert told["codesets"].keys() == set(Codesets.load())
    assert {one["topic"] for one in told["topics"] if not one["group"]} == {"vtj.change.unmapped", "vtj.dead-letter"}


def test_the_envelope_is_told_in_finnish_too(contents: Contents) -> None:
    assert [one.name for one in contents.envelope if one.doc.fi == one.doc.en] == []


def kotikunta(contents: Contents) -> Topic:
    return next(one for one in contents.topics if one.suffix == KOTIKUNTA)


def test_the_lines_without_a_registry_read_the_example(
    contents: Contents, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kotikunta(contents)
    record = json.loads((ROOT / "schemas" / "examples" / f"{KOTIKUNTA}.json").read_text("utf-8"))
    converter = Converter(Catalogue.load(), SingleObject(), prefix="vtj", feed="vtj")
    sent = converter.convert(Answer("CHANGE", "0", 1, 2, True, 0, [record])).events[0].value

    class Consumer:
        def __init__(self, settings: dict[str, str]) -> None:
            assert settings["isolation.level"] == "read_committed"

        def subscribe(self, topics: list[str]) -> None:
            assert topics == [topic.name]

        def poll(self, timeout: float) -> "Consumer":
            return self

        def value(self) -> bytes:
            return sent

    monkeypatch.setattr("confluent_kafka.Consumer", Consumer)
    monkeypatch.chdir(folder / "schemas")
    names: dict[str, Any] = {}
    exec(snippets.plain(topic), names)
    assert names["event"]["group"] == topic.tietoryhma
    assert names["event"]["data"].keys() == topic.example["value"]["data"].keys()


def test_the_lines_agree_with_the_manual(contents: Contents) -> None:
    """Those of docs/consume.md are run against a broker and a registry; these import and configure the same."""
    manual = (ROOT / "docs" / "consume.md").read_text("utf-8")
    topic = kotikunta(contents)
    compile(snippets.registry(topic), "registry", "exec")
    lines = snippets.registry(topic).splitlines()
    for line in lines:
        if line.startswith(("from ", "consumer.subscribe")):
            assert line in manual
    assert 'conf={"subject.name.strategy": topic_subject_name_strategy}' in manual
    assert any('conf={"subject.name.strategy": topic_subject_name_strategy}' in line for line in lines)


def test_a_folder_of_others_is_left_alone(files: Files, tmp_path: Path) -> None:
    mine = tmp_path / "thesis.txt"
    mine.write_text("mine", "utf-8")
    for wrong in (tmp_path, mine):
        command = [sys.executable, "-m", "producer", "catalogue", "build", "--output", str(wrong)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "something else than a catalogue" in done.stderr
        assert "→ Name an empty or new folder with --output." in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_pages_of_what_is_gone_are_removed(files: Files, tmp_path: Path) -> None:
    write(files, tmp_path)
    (tmp_path / "topics" / "gone.html").write_text("", "utf-8")
    write(files, tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == files.keys()


def test_a_folder_that_cannot_be_written(files: Files, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(SettingsError, match="cannot be written") as caught:
        write(files, tmp_path / "file" / "below")
    assert caught.value.hint


def test_without_jinja2_the_hint_names_the_extra(contents: Contents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(SettingsError, match="jinja2") as caught:
        build(contents)
    assert caught.value.exit_code == 2
    assert caught.value.hint == "pip install 'vtj-producer[catalogue]'"
