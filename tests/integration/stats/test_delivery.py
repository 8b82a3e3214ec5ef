"""Releases by HTTPS, on the real service: who gets which, in which pieces, and what is written down of it."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as etree

import httpx
import pytest

from services.runtime.errors import Fatal
from services.runtime.keys import FileKeyService
from services.runtime.minisign import RELEASE_KEY, existing_public_key
from services.stats.delivery import acts, exports_api, feeds
from services.stats.delivery.downloads import Downloads
from services.stats.delivery.partners import Partners
from services.stats.delivery.publications import Publications
from services.stats.delivery.terms import TermsBook
from services.stats.releases.period import Period
from services.stats.releases.verify import verify
from tests.parts.dashboard import Pages, a_dashboard
from tests.parts.delivery import NAME, OTHER_NAME, TERMS, WHO, Delivered, build_release, fill_delivery, publish
from tests.parts.web import WAIT_S

LIST = "/exports/v1/datasets"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("delivery")


@pytest.fixture(scope="module")
def pages(folder: Path) -> Iterator[Pages]:
    with a_dashboard(folder, filled=False) as running:
        yield running


@pytest.fixture(scope="module")
def delivered(pages: Pages, folder: Path) -> Delivered:
    return fill_delivery(pages.engine, pages.clock, folder)


def get(pages: Pages, key: str, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    said = {"authorization": f"Bearer {key}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx.request(method, pages.url + path, headers=said, verify=False, timeout=WAIT_S)


def current(pages: Pages) -> int:
    """The number of the terms in force."""
    terms = TermsBook(pages.engine, pages.clock).current()
    assert terms is not None
    return terms.number


def accept(pages: Pages, *partners: str) -> None:
    for partner in partners:
        TermsBook(pages.engine, pages.clock).accept(partner, current(pages), f"{partner}'s lawyer")


def address(delivered: Delivered, file: str = "daily.csv", name: str = NAME) -> str:
    return f"{LIST}/{name}/{delivered.version}/{file}"


def test_a_partner_gets_the_package_as_it_was_signed(pages: Pages, delivered: Delivered, tmp_path: Path) -> None:
    """From the list to the last file, by what each answer says; the publisher's key verifies what arrived."""
    key = delivered.keys["acme"]
    (dataset,) = get(pages, key, LIST).json()["datasets"]
    (version,) = dataset["versions"]
    listed = httpx.get(version["url"], headers={"authorization": f"Bearer {key}"}, verify=False).json()
    for file in listed["files"]:
        answer = httpx.get(file["url"], headers={"authorization": f"Bearer {key}"}, verify=False)
        assert answer.headers["content-type"] == file["type"]
        assert len(answer.content) == file["bytes"]
        assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
        (tmp_path / file["name"]).write_bytes(answer.content)
    public = existing_public_key(FileKeyService(delivered.folder.parents[2] / "release-keys"), RELEASE_KEY)
    assert public is not None
    assert verify(tmp_path, public) == []
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        p.name: p.read_bytes() for p in delivered.folder.iterdir()
    }


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_page_tells_to_fetch_with_is_enough(pages: Pages, delivered: Delivered, tmp_path: Path) -> None:
    """docs/partners.md, "Getting it", with this machine's address and a key."""
    page = (Path(__file__).parents[3] / "docs" / "partners.md").read_text("utf-8")
    script = page.split("```sh name=fetch\n")[1].split("```")[0]
    here = script.replace("https://stats.example", pages.url).replace("2026.11.1", delivered.version)
    assert here.count(pages.url) == here.count(delivered.version) == 1
    env = {"KEY": delivered.keys["acme"], "PATH": os.environ["PATH"]}
    subprocess.run(["sh", "-ec", here], cwd=tmp_path, env=env, check=True, timeout=WAIT_S)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        p.name: p.read_bytes() for p in delivered.folder.iterdir()
    }


def test_two_partners_and_a_thousand_requests_get_the_same_bytes(pages: Pages, delivered: Delivered) -> None:
    """Nothing is drawn for an answer. (Twenty requests here; that is what the code can see of a thousand.)"""
    second = Partners(pages.engine, pages.clock)
    second.put("third", "Third", [NAME], WHO)
    accept(pages, "third")
    keys = [delivered.keys["acme"], second.add_key("third", "x", WHO)] * 10
    answers = {get(pages, key, address(delivered, "totals.parquet")).content for key in keys}
    assert answers == {(delivered.folder / "totals.parquet").read_bytes()}


def test_what_is_known_is_not_sent_again(pages: Pages, delivered: Delivered) -> None:
    """The tag is the file's SHA-256; no cache on the way keeps the file."""
    key, path = delivered.keys["acme"], address(delivered)
    first = get(pages, key, path)
    digest = hashlib.sha256((delivered.folder / "daily.csv").read_bytes())
    assert first.headers["etag"] == f'"{digest.hexdigest()}"'
    assert first.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert first.headers["cache-control"] == "private, no-cache"
    again = get(pages, key, path, if_none_match=f'"other", {first.headers["etag"]}')
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    for listing in (LIST, "/exports/v1/feed.atom", "/exports/v1/feed.json", path.rpartition("/")[0]):
        tag = get(pages, key, listing).headers["etag"]
        assert get(pages, key, listing, if_none_match=tag).status_code == 304, listing


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=10-", slice(10, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=5-999999", slice(5, None)),
    ],
)
def test_a_part_is_sent_alone(pages: Pages, delivered: Delivered, asked: str, wanted: slice) -> None:
    """206 with the place of the part; a download that broke off goes on where it was."""
    whole = (delivered.folder / "daily.csv").read_bytes()
    answer = get(pages, delivered.keys["acme"], address(delivered), range=asked)
    begin, end, _ = wanted.indices(len(whole))
    assert (answer.status_code, answer.content) == (206, whole[wanted])
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(whole)}"


def test_a_part_beyond_the_end_is_refused_and_one_of_another_version_is_whole(
    pages: Pages, delivered: Delivered
) -> None:
    """416 with the size; `If-Range` with another tag gets the whole file, as do several ranges and nonsense."""
    key, path = delivered.keys["acme"], address(delivered)
    whole = (delivered.folder / "daily.csv").read_bytes()
    beyond = get(pages, key, path, range=f"bytes={len(whole)}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    assert beyond.headers["content-type"] == "application/problem+json"
    tag = get(pages, key, path).headers["etag"]
    assert get(pages, key, path, range="bytes=0-9", if_range=tag).status_code == 206
    for asked in ({"if_range": '"another"'}, {"if_range": "Mon, 02 Mar 2026 09:00:00 GMT"}):
        assert get(pages, key, path, range="bytes=0-9", **asked).content == whole
    for ranges in ("bytes=0-1,4-5", "bytes=9-2", "lines=0-1", "bytes=-"):
        answer = get(pages, key, path, range=ranges)
        assert (answer.status_code, answer.content) == (200, whole)


def test_head_tells_all_and_sends_nothing(pages: Pages, delivered: Delivered) -> None:
    """It is no download, and knows no parts."""
    before = len(Downloads(pages.engine, pages.clock).listed("acme", 10_000))
    answer = get(pages, delivered.keys["acme"], address(delivered), "HEAD", range="bytes=0-9")
    size = (delivered.folder / "daily.csv").stat().st_size
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", str(size))
    assert len(Downloads(pages.engine, pages.clock).listed("acme", 10_000)) == before


def test_every_download_is_written_down(pages: Pages, delivered: Delivered) -> None:
    """Who, by which key, which file of which version, and how many bytes went out."""
    key = delivered.keys["bolt"]
    get(pages, key, address(delivered, name=OTHER_NAME), range="bytes=0-9")
    get(pages, key, address(delivered, name=OTHER_NAME))
    get(pages, key, address(delivered, name=NAME))  # not theirs: nothing was sent
    whole, part = Downloads(pages.engine, pages.clock).listed("bolt")
    assert (part.key, part.person, part.name, part.version) == (key.split("_")[2], "", OTHER_NAME, delivered.version)
    assert (part.file, part.bytes) == ("daily.csv", 10)
    assert whole.bytes == (delivered.folders[OTHER_NAME] / "daily.csv").stat().st_size
    assert part.at == pages.clock.now().replace(microsecond=0)


def test_nothing_is_sent_that_is_not_written_down(
    pages: Pages, delivered: Delivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the log cannot be written the file is not sent."""

    def broken(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Downloads, "note", broken)
    answer = get(pages, delivered.keys["acme"], address(delivered))
    assert answer.status_code == 500
    assert (delivered.folder / "daily.csv").read_bytes()[:20] not in answer.content


def test_before_the_terms_nothing_can_be_downloaded(pages: Pages, delivered: Delivered) -> None:
    """Lists and feeds say what there is; a file is refused with what to do; a new version of the terms asks again."""
    key, terms = delivered.keys["late"], TermsBook(pages.engine, pages.clock)
    number = current(pages)
    assert get(pages, key, LIST).json()["terms"] == {"number": number, "accepted": False, "accepted_at": None}
    refused = get(pages, key, address(delivered))
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert "accept" in refused.json()["detail"]
    given = terms.accept("late", number, "lou")
    assert (given.who, given.at) == ("lou", pages.clock.now().replace(microsecond=0))
    assert get(pages, key, address(delivered)).status_code == 200
    assert terms.put(TERMS, WHO).number == number  # the same text: nobody is asked again
    assert terms.put(TERMS + "And pay.\n", WHO).number == number + 1
    assert get(pages, key, address(delivered)).status_code == 403
    assert get(pages, key, address(delivered), if_none_match="*").status_code == 403
    accept(pages, "acme", "bolt", "late")
    assert get(pages, key, address(delivered)).status_code == 200


def test_the_terms_are_what_keeps_files_back(
    pages: Pages, delivered: Delivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the rule taken out a partner that accepted nothing gets the file: the test above would fail."""
    partners = Partners(pages.engine, pages.clock)
    partners.put("hasty", "Hasty", [NAME], WHO)
    key = partners.add_key("hasty", "x", WHO)
    assert get(pages, key, address(delivered)).status_code == 403
    monkeypatch.setattr(exports_api, "require_terms", lambda *_: None)
    assert get(pages, key, address(delivered)).status_code == 200


def test_a_key_opens_what_it_was_made_for(pages: Pages, delivered: Delivered) -> None:
    """Not another partner's release, nor one that the partner lost; and not after it was revoked, or ended. A key that
    was made for no release by name opens what the partner got later too."""
    partners = Partners(pages.engine, pages.clock)
    partners.put("wide", "Wide", [NAME], WHO)
    accept(pages, "wide")
    narrow = partners.add_key("wide", "one", WHO, [NAME])
    wide = partners.add_key("wide", "both", WHO)
    partners.put("wide", "Wide", [NAME, OTHER_NAME], WHO)
    short = partners.add_key("wide", "short", WHO, term=timedelta(seconds=30))

    def opened(key: str) -> list[int]:
        return [get(pages, key, address(delivered, name=name)).status_code for name in (NAME, OTHER_NAME)]

    assert opened(narrow) == [200, 404]
    assert opened(wide) == opened(short) == [200, 200]
    partners.put("wide", "Wide", [NAME], WHO)
    assert opened(wide) == [200, 404]
    partners.revoke_key(narrow.split("_")[2], WHO)
    pages.clock.advance(timedelta(seconds=31))
    assert opened(narrow) == opened(short) == [401, 401]
    assert opened("x") == opened("voile_par_1_2") == opened(narrow[:-1] + "0") == [401, 401]
    assert opened(pages.keys.add("figures", ["*"])) == [401, 401]
    partners.remove("wide", WHO)
    assert opened(wide) == [401, 401]


def test_the_scope_is_what_keeps_releases_apart(
    pages: Pages, delivered: Delivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the rule taken out another partner gets the file: the test above would fail."""
    path = address(delivered, name=OTHER_NAME)
    assert get(pages, delivered.keys["acme"], path).status_code == 404
    monkeypatch.setattr(exports_api, "available", lambda *_: None)
    monkeypatch.setattr(exports_api, "require_terms", lambda *_: None)
    assert get(pages, delivered.keys["acme"], path).status_code == 200


def test_the_key_may_be_a_password(pages: Pages, delivered: Delivered) -> None:
    """For what knows no Bearer: feed readers, spreadsheets."""
    url = f"{pages.url}/exports/v1/feed.atom"
    assert httpx.get(url, auth=("acme", delivered.keys["acme"]), verify=False).status_code == 200
    refused = httpx.get(url, auth=("acme", "password"), verify=False)
    assert refused.status_code == 401
    assert "Basic" in refused.headers["www-authenticate"]


def test_a_withdrawn_version_is_gone_for_everybody(pages: Pages, delivered: Delivered, folder: Path) -> None:
    """410 with the reason, also for who has the file; it stays in the list and the feeds, as withdrawn."""
    key, path = delivered.keys["acme"], address(delivered)
    last = pages.clock.now().date() - timedelta(days=40)
    release, _ = build_release(pages.engine, folder, "chess-club", Period(last, last))
    publish(pages.engine, pages.clock, folder, NAME, release.version)
    path = f"{LIST}/{NAME}/{release.version}/totals.csv"
    tag = get(pages, key, path).headers["etag"]
    pages.clock.advance(timedelta(minutes=1))
    reason = "A <source> was counted twice & more"
    Publications(pages.engine, pages.clock).withdraw(NAME, release.version, reason, WHO)
    for asked in (path, path.rpartition("/")[0]):
        gone = get(pages, key, asked, if_none_match=tag)
        assert (gone.status_code, gone.json()["reason"]) == (410, reason)
    versions = get(pages, key, LIST).json()["datasets"][0]["versions"]
    assert [v["withdrawn_reason"] for v in versions if v["version"] == release.version] == [reason]
    entries = _atom(get(pages, key, "/exports/v1/feed.atom").content)
    items = get(pages, key, "/exports/v1/feed.json").json()["items"]
    assert entries[0] == f"urn:voile:release:{NAME}:{release.version}:withdrawn"
    assert [item["id"] for item in items] == entries
    assert reason in items[0]["content_text"]
    assert get(pages, delivered.keys["bolt"], "/exports/v1/feed.json").json()["items"][0]["id"].count(OTHER_NAME) == 1


def test_feeds_are_as_their_formats_say(pages: Pages, delivered: Delivered) -> None:
    """RFC 4287's required elements; JSON Feed 1.1's."""
    key = delivered.keys["acme"]
    answer = get(pages, key, "/exports/v1/feed.atom")
    assert answer.headers["content-type"] == feeds.ATOM
    feed = etree.fromstring(answer.content)
    space = "{http://www.w3.org/2005/Atom}"
    assert feed.tag == f"{space}feed"
    assert all(feed.find(f"{space}{name}") is not None for name in ("id", "title", "updated", "author"))
    for entry in feed.findall(f"{space}entry"):
        assert all(entry.find(f"{space}{name}") is not None for name in ("id", "title", "updated", "link", "summary"))
    as_json = get(pages, key, "/exports/v1/feed.json")
    assert as_json.headers["content-type"] == feeds.JSON
    told = json.loads(as_json.content)
    assert told["version"] == "https://jsonfeed.org/version/1.1"
    assert all({"id", "content_text", "url", "title", "date_published"} <= item.keys() for item in told["items"])


def _atom(text: bytes) -> list[str]:
    space = "{http://www.w3.org/2005/Atom}"
    return [entry.findtext(f"{space}id", "") for entry in etree.fromstring(text).findall(f"{space}entry")]


def test_a_member_accepts_the_terms_and_sees_the_release(pages: Pages, delivered: Delivered) -> None:
    """On the page, with its form's token; who and when is kept. The first page leads there."""
    terms = TermsBook(pages.engine, pages.clock)
    terms.put("Other terms, of now.\n", WHO)
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, verify=False, timeout=WAIT_S) as client:
        client.post(pages.login("paul"))
        assert client.get("/").headers["location"] == "/partner"
        page = client.get("/partner").text
        assert "Other terms, of now." in page
        assert client.get(f"/partner/{NAME}/{delivered.version}").status_code == 403
        form = {"number": current(pages), "csrf": page.split('name="csrf" value="')[1].split('"')[0]}
        assert client.post("/partner/terms", data={"number": form["number"]}).status_code == 403
        assert client.post("/partner/terms", data=form).status_code == 303
        shown = client.get(f"/partner/{NAME}/{delivered.version}").text
        assert client.get(address(delivered)).content == (delivered.folder / "daily.csv").read_bytes()
    given = terms.accepted("acme")
    assert given is not None
    assert (given.who, given.at) == ("paul", pages.clock.now().replace(microsecond=0))
    assert all(f'data-low="{low}"' in shown for low in _lows(delivered.folder / "daily.csv"))
    assert Downloads(pages.engine, pages.clock).listed("acme", 1)[0].person == "paul"


def test_the_operator_withdraws_on_the_page(pages: Pages, delivered: Delivered, folder: Path) -> None:
    """With a reason; it is in the record of what was done. An administrator of a tenant may not."""
    day = pages.clock.now().date() - timedelta(days=50)
    release, _ = build_release(pages.engine, folder, "chess-club", Period(day, day))
    publish(pages.engine, pages.clock, folder, NAME, release.version)
    pages.sessions.put_user("eve", ["admin"], ["chess-club"])
    pages.sessions.put_user("op", ["admin"], ["*"])
    form = {"name": NAME, "version": release.version, "reason": "Counted twice"}
    assert _post(pages, "eve", form) == 403
    assert _post(pages, "op", form | {"reason": " "}) == 400
    assert Publications(pages.engine, pages.clock).get(NAME, release.version).withdrawn is None  # type: ignore[union-attr]
    assert _post(pages, "op", form) == 303
    assert _post(pages, "op", form) == 409
    done = acts.listed(pages.engine, 1)[0]
    assert (done.who, done.act, done.about, done.reason) == (
        "op",
        "withdraw",
        f"{NAME} {release.version}",
        "Counted twice",
    )
    assert get(pages, delivered.keys["acme"], f"{LIST}/{NAME}/{release.version}/totals.csv").status_code in {403, 410}


def test_a_package_that_was_changed_is_not_published(pages: Pages, delivered: Delivered, folder: Path) -> None:
    """A changed byte, another release's folder, and what was withdrawn: nothing of it reaches a partner."""
    day = pages.clock.now().date() - timedelta(days=60)
    release, place = build_release(pages.engine, folder, "chess-club", Period(day, day))
    file = place / "totals.csv"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"1", b"2", 1))
    with pytest.raises(Fatal, match=r"totals\.csv was changed"):
        publish(pages.engine, pages.clock, folder, NAME, release.version)
    file.write_bytes(whole)
    with pytest.raises(Fatal, match="another release"):
        _publish_from(pages, folder, NAME, release.version, delivered.folder)
    Publications(pages.engine, pages.clock).withdraw(NAME, release.version, "Never", WHO)
    with pytest.raises(Fatal, match="was withdrawn"):
        publish(pages.engine, pages.clock, folder, NAME, release.version)
    assert Publications(pages.engine, pages.clock).get(NAME, release.version) is None


def _publish_from(pages: Pages, folder: Path, name: str, version: str, place: Path) -> None:
    key = existing_public_key(FileKeyService(folder / "release-keys"), RELEASE_KEY)
    assert key is not None
    Publications(pages.engine, pages.clock).publish(name, version, place, key, WHO)


def _post(pages: Pages, user: str, form: dict[str, str]) -> int:
    with httpx.Client(base_url=pages.url, headers={"accept": "text/html"}, verify=False, timeout=WAIT_S) as client:
        client.post(pages.login(user))
        token = client.get("/account").text.split('"X-CSRF-Token": "')[1].split('"')[0]
        return client.post("/releases/withdraw", data=form, headers={"x-csrf-token": token}).status_code


def _lows(daily: Path) -> list[str]:
    with daily.open(newline="") as file:
        return [row["value_lo"] for row in csv.DictReader(file) if row["measure"] == "visitors"]
