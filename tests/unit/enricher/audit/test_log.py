"""The audit log: what it stores, what it proves, and that no falsification passes."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymerkle
import pytest
import sqlalchemy as sa

from services.enricher.audit.checkpoints import Signer, Untrusted, Verifier
from services.enricher.audit.log import AuditLog, Entry, checkpoint_path, reason_key
from services.enricher.audit.merkle import Frontier
from services.runtime.database import open_records
from services.runtime.errors import Fatal, Transient
from tests.unit.enricher.audit import fixtures as falsify
from tests.unit.enricher.audit.fixtures import Bench, entry, open_bench

ENTRIES = 60
TABLES = ("audit_leaves", "audit_head", "audit_checkpoints")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = open_bench(tmp_path)
    yield opened
    opened.records.dispose()


@pytest.mark.parametrize("size", [*range(18), 63, 64, 65, 1000])
def test_root_equals_an_independent_implementation(size: int) -> None:
    """Every size's root is the one pymerkle computes."""
    leaves = [random.Random(n).randbytes(1 + n % 50) for n in range(size)]
    oracle, frontier = pymerkle.InmemoryTree(algorithm="sha256"), Frontier()
    for leaf in leaves:
        oracle.append_entry(leaf)
        frontier.append(leaf)
    assert frontier.root() == oracle.get_root()


def test_known_roots_of_rfc_6962() -> None:
    """The certificate transparency test vectors, which RFC 9162 keeps."""
    frontier = Frontier()
    assert frontier.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"):
        frontier.append(bytes.fromhex(leaf))
    assert frontier.root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_frontier_survives_storage() -> None:
    frontier = Frontier()
    for n in range(37):
        frontier.append(bytes([n]))
        assert Frontier.from_bytes(frontier.size, frontier.to_bytes()).root() == frontier.root()


@pytest.mark.parametrize("damage", [b"", b"x" * 31, b"x" * 64])
def test_frontier_refuses_an_edge_of_another_size(damage: bytes) -> None:
    with pytest.raises(ValueError, match="do not belong"):
        Frontier.from_bytes(1, damage)


def test_checkpoint_is_a_signed_note() -> None:
    """origin, size, base64 root, blank line, em dash, name, base64 of key id and signature."""
    signer = Signer(bytes(32))
    lines = signer.sign(3, bytes(range(32))).split("\n")
    assert lines[:4] == [signer.origin, "3", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", ""]
    assert lines[4].startswith(f"\u2014 {signer.origin} ")
    assert lines[5:] == [""]
    assert signer.open(signer.sign(3, bytes(32))).size == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda note: note.replace("\n3\n", "\n4\n"), "no valid signature"),
        (lambda note: note.replace("\n3\n", "\nx\n"), "no origin"),
        (lambda note: note.replace("AAA", "BAA", 1), "no valid signature"),
        (lambda note: note.replace("\u2014", "-"), "no valid signature"),
        (lambda note: note.replace("voile-audit/", "voile-audit/f"), "another log"),
        (lambda note: note[:-1], "no signed note"),
        (lambda note: note.split("\n\n")[0] + "\n\n", "no valid signature"),
        (lambda _: "", "no signed note"),
    ],
)
def test_changed_note_is_not_trusted(change: Callable[[str], str], says: str) -> None:
    signer = Signer(bytes(32))
    with pytest.raises(Untrusted, match=says):
        signer.open(change(signer.sign(3, bytes(32))))


def test_note_of_another_key_is_not_trusted() -> None:
    with pytest.raises(Untrusted, match="another"):
        Signer(bytes(32)).open(Signer(bytes([1] * 32)).sign(3, bytes(32)))


def test_leaf_holds_no_clear_text_of_subject_or_reason(bench: Bench) -> None:
    """Account and reason stand in no byte of the database; the reason opens with its key."""
    reason = "Jeanne Moreau cannot open her invoice"
    subject = bench.log.subject("club", "jeanne.moreau")
    bench.log.append([Entry("agent", "support", "viewActivity", "club", subject, reason=reason)])
    bench.records.dispose()
    stored = b"".join(path.read_bytes() for path in bench.folder.glob("identity.db*"))
    assert b"eanne" not in stored
    assert subject.encode() in stored
    assert bench.log.newest(1)[0].reason == reason


def test_pseudonym_tells_tenants_and_accounts_apart(bench: Bench) -> None:
    pairs = [("a", "bc"), ("ab", "c"), ("a", "b"), ("b", "bc")]
    assert len({bench.log.subject(*pair) for pair in pairs}) == len(pairs)
    assert bench.log.subject("a", "bc") == bench.log.subject("a", "bc")


def test_destroying_a_months_key_closes_its_reasons_and_keeps_the_proof(bench: Bench) -> None:
    bench.fill(6)
    bench.keys.destroy(reason_key("2026-03"))
    assert {logged.reason for logged in bench.log.newest(10)} == {""}
    assert bench.verify().whole


def test_leaf_is_canonical_json(bench: Bench) -> None:
    """Sorted names, no spaces: the same entry has the same bytes everywhere."""
    bench.log.append([entry(1)])
    with bench.records.begin() as connection:
        leaf = connection.execute(sa.text("SELECT leaf FROM audit_leaves")).scalar_one()
    fields = json.loads(leaf)
    assert leaf == json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    assert fields["time"] == "2026-03-02T12:00:00.000+00:00"
    assert fields["ticket"] == "SUP-1"


def test_whole_log_verifies_also_against_an_old_checkpoint(bench: Bench, tmp_path: Path) -> None:
    bench.fill(20)
    old = tmp_path / "kept-elsewhere"
    old.write_bytes(checkpoint_path(bench.folder).read_bytes())
    bench.fill(30)
    verdict = bench.verify(old)
    assert verdict.whole, verdict.problem
    assert (verdict.entries, verdict.outside) == (50, 2)


def test_new_log_verifies(bench: Bench) -> None:
    assert bench.verify().whole


def test_verify_names_the_place(bench: Bench) -> None:
    """One sentence that says what is wrong and where."""
    log = AuditLog(bench.records, bench.keys, bench.clock, checkpoint_path(bench.folder), checkpoint_every=10)
    for n in range(40):
        log.append([entry(3 * n + 1)])
    with bench.records.begin() as connection:
        connection.execute(sa.text("UPDATE audit_leaves SET leaf = replace(CAST(leaf AS TEXT), 'agent-1', 'agent-9')"
                                   " WHERE position = 25"))  # fmt: skip
    assert bench.verify().problem.startswith("An entry between 19 and 28 was changed")


@pytest.fixture(scope="module")
def falsified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, dict[str, list[tuple[object, ...]]]]]:
    """A log with checkpoints at 10, 20, ... and the rows to put it right again with."""
    bench = open_bench(tmp_path_factory.mktemp("audit"))
    log = AuditLog(bench.records, bench.keys, bench.clock, checkpoint_path(bench.folder), checkpoint_every=10)
    for n in range(0, ENTRIES, 5):
        log.append([entry(k) for k in range(n, n + 5)])
    with bench.records.begin() as connection:
        rows = {t: [tuple(r) for r in connection.execute(sa.text(f"SELECT * FROM {t}"))] for t in TABLES}
    yield bench, rows
    bench.records.dispose()


def _restore(bench: Bench, rows: dict[str, list[tuple[object, ...]]]) -> None:
    with bench.records.begin() as connection:
        for table, content in rows.items():
            connection.execute(sa.text(f"DELETE FROM {table}"))
            marks = ",".join("?" * len(content[0]))
            connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({marks})", content)


@pytest.mark.parametrize("mutation", falsify.MUTATIONS, ids=lambda m: m.__name__)
def test_eighty_falsifications_of_each_kind_are_noticed(
    falsified: tuple[Bench, dict[str, list[tuple[object, ...]]]], mutation: falsify.Mutation
) -> None:
    """K8: 13 kinds x 80 random falsifications, every one detected with a sentence; restored, the log is whole."""
    bench, rows = falsified
    dice = random.Random(mutation.__name__)
    for _ in range(80):
        with bench.records.begin() as connection:
            done = mutation(connection, dice)
        verdict = bench.verify(checkpoint_every=10)
        _restore(bench, rows)
        assert not verdict.whole, f"not noticed: {done}"
        assert verdict.problem.endswith(".")
    assert bench.verify().whole


def test_falsification_passes_when_hashing_is_switched_off(
    falsified: tuple[Bench, dict[str, list[tuple[object, ...]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch: with a comparison that compares nothing, a changed byte goes unnoticed."""
    bench, rows = falsified
    with bench.records.begin() as connection:
        falsify.reorder(connection, random.Random(1))
    monkeypatch.setattr("services.enricher.audit.proof._compare", lambda *_: None)
    monkeypatch.setattr("services.enricher.audit.proof._check_edge", lambda *_: None)
    monkeypatch.setattr("services.enricher.audit.proof._check_reason", lambda *_: None)
    switched_off = bench.verify()
    monkeypatch.undo()
    switched_on = bench.verify()
    _restore(bench, rows)
    assert switched_off.whole
    assert not switched_on.whole


@pytest.mark.parametrize("cut_to", [9, 19, 49])
def test_cut_back_to_a_signed_checkpoint_is_noticed_from_outside_only(
    falsified: tuple[Bench, dict[str, list[tuple[object, ...]]]], tmp_path: Path, cut_to: int
) -> None:
    """Who owns the database can restore an earlier signed state; a checkpoint file outside it tells."""
    bench, rows = falsified
    witness = checkpoint_path(bench.folder)
    note = witness.read_bytes()
    with bench.records.begin() as connection:
        connection.execute(sa.text("DELETE FROM audit_leaves WHERE position >= :k"), {"k": cut_to})
        connection.execute(sa.text("DELETE FROM audit_checkpoints WHERE size > :k"), {"k": cut_to})
        falsify.set_head(connection, cut_to)
    with_file = bench.verify()
    witness.unlink()
    without = bench.verify()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(note)
    against_old = bench.verify(elsewhere)
    witness.write_bytes(note)
    _restore(bench, rows)
    assert "the end was cut off" in with_file.problem
    assert without.whole
    assert without.outside == 0
    assert "the end was cut off" in against_old.problem


def test_fork_signed_with_the_real_key_is_noticed_by_an_old_checkpoint(bench: Bench, tmp_path: Path) -> None:
    """Even who has the signing key cannot rewrite what a checkpoint kept elsewhere has fixed."""
    bench.fill(30)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(checkpoint_path(bench.folder).read_bytes())
    with bench.records.begin() as connection:
        falsify.fork(connection, random.Random(3))
        connection.execute(sa.text("DELETE FROM audit_checkpoints"))
        edge = connection.execute(sa.text("SELECT edge FROM audit_head")).scalar_one()
        note = Signer(bench.keys.get_or_create("audit/checkpoint")).sign(30, Frontier.from_bytes(30, edge).root())
        connection.execute(sa.text("INSERT INTO audit_checkpoints VALUES (30, :n)"), {"n": note})
    checkpoint_path(bench.folder).write_text(note)
    assert bench.verify().whole
    assert "differs from the signed checkpoint in the file" in bench.verify(elsewhere).problem


def test_append_refuses_to_continue_a_log_that_was_cut_back(bench: Bench) -> None:
    """Going on would overwrite the newer checkpoint file, and with it the proof."""
    bench.fill(10, in_batches_of=5)
    with bench.records.begin() as connection:
        connection.execute(sa.text("DELETE FROM audit_leaves WHERE position >= 5"))
        falsify.set_head(connection, 5)
    with pytest.raises(Fatal, match="does not continue"):
        bench.log.append([entry(1)])


@pytest.mark.parametrize("text", ["", "nonsense", "a\nb\nc\n\nd\n"])
def test_append_refuses_a_damaged_checkpoint_file(bench: Bench, text: str) -> None:
    bench.fill(3)
    checkpoint_path(bench.folder).write_text(text)
    with pytest.raises(Fatal, match="is no audit checkpoint"):
        bench.log.append([entry(1)])
    assert not bench.verify().whole


def test_append_fails_when_the_checkpoint_cannot_be_written(bench: Bench) -> None:
    """Fail closed: the caller shows nothing."""
    log = AuditLog(bench.records, bench.keys, bench.clock, bench.folder / "gone" / "audit-checkpoint")
    with pytest.raises(Transient, match="cannot be written"):
        log.append([entry(1)])


def test_appenders_take_turns(bench: Bench) -> None:
    """Eight at once, each with its own connection: no entry is lost, and the log is whole."""
    engines = [open_records(str(bench.records.url)) for _ in range(8)]
    logs = [AuditLog(engine, bench.keys, bench.clock, checkpoint_path(bench.folder)) for engine in engines]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: logs[n % 8].append([entry(n)]), range(80)))
    for engine in engines:
        engine.dispose()
    verdict = bench.verify()
    assert verdict.whole, verdict.problem
    assert verdict.entries == 80
    assert {logged.leaf["ticket"] for logged in bench.log.newest(100)} == {f"SUP-{n}" for n in range(80)}
    assert Verifier.open(Signer(bench.keys.get_or_create("audit/checkpoint")),
                         checkpoint_path(bench.folder).read_text()).size == 80  # fmt: skip


def test_checkpoints_are_kept_sparsely(bench: Bench) -> None:
    """One at each `checkpoint_every` and the newest: a million entries need a thousand signatures."""
    log = AuditLog(bench.records, bench.keys, bench.clock, checkpoint_path(bench.folder), checkpoint_every=10)
    for n in range(35):
        log.append([entry(n)])
    with bench.records.begin() as connection:
        sizes = [row[0] for row in connection.execute(sa.text("SELECT size FROM audit_checkpoints ORDER BY size"))]
    assert sizes == [9, 19, 29, 35]  # the newest of each ten


@pytest.mark.parametrize("batches", [[3] * 20, [35, 1, 24], [60], [9, 1, 10, 40]])
def test_whatever_is_appended_at_once_each_thousand_keeps_a_checkpoint(bench: Bench, batches: list[int]) -> None:
    """Here each ten; so that one that is missing was removed."""
    log = AuditLog(bench.records, bench.keys, bench.clock, checkpoint_path(bench.folder), checkpoint_every=10)
    for count in batches:
        log.append([entry(n) for n in range(count)])
        verdict = bench.verify(checkpoint_every=10)
        assert verdict.whole, verdict.problem
    with bench.records.begin() as connection:
        connection.execute(sa.text("DELETE FROM audit_checkpoints WHERE size BETWEEN 20 AND 29"))
    assert "for 20 to 29 entries: it was removed" in bench.verify(checkpoint_every=10).problem


def test_verifying_is_fast_enough_for_a_million_entries(bench: Bench) -> None:
    """A tenth of K8's million in a tenth of its 10 s, of processor time: the machine is shared."""
    for start in range(0, 100_000, 5000):
        bench.log.append([entry(3 * n + 1) for n in range(start, start + 5000)])
    before = time.process_time()
    verdict = bench.verify()
    assert verdict.whole, verdict.problem
    assert verdict.entries == 100_000
    assert time.process_time() - before < 1.0
