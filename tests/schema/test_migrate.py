"""`portal migrate`: which files it writes into a team's folder, and what it says. What they do in a
database is in test_migrated_database.py.
"""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from portal_service.commands.migrate import SOURCE, migrate

ROOT = Path(__file__).resolve().parents[2]
TWO = {
    "20200101000000_upgrade.sql": "begin;\nalter table public.one add n int;\ncommit;\n",
    "20200101000001_rest.sql": "begin;\ncreate table public.one (id public.users);\ncommit;\n",
}

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A team's own."""
    folder = tmp_path / "supabase" / "migrations"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release of two small migrations instead of ours."""
    originals = tmp_path / "originals"
    originals.mkdir()
    for name, text in TWO.items():
        (originals / name).write_text(text)
    module = sys.modules["portal_service.commands.migrate"]  # by attribute it is the command
    monkeypatch.setattr(module, "SOURCE", originals)
    return originals


@pytest.fixture
def run(folder: Path) -> Run:
    def run(*options: str, to: Path | None = folder) -> Result:
        return CliRunner().invoke(migrate, [*(["--to", str(to)] if to else []), *options])

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def kinds(folder: Path) -> list[str]:
    """The names without their timestamps, in order."""
    return [name.partition("_")[2] for name in names(folder)]


def refused(result: Result) -> str:
    """The one line that says why."""
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


# Where it can be started


def test_it_needs_no_settings(tmp_path: Path, folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "portal_service", "migrate"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert kinds(folder) == [path.name.partition("_")[2] for path in sorted(SOURCE.glob("*.sql"))]


def test_it_is_one_of_the_services_commands(app: Flask, folder: Path) -> None:
    result = app.test_cli_runner().invoke(args=["portal", "migrate", "--to", str(folder)])
    assert result.exit_code == 0, result.output
    assert names(folder)


# What is written


def test_the_files_are_ours_with_the_time_of_now_in_their_order(
    run: Run, folder: Path, originals: Path
) -> None:
    before = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    result = run()

    assert result.exit_code == 0, result.output
    assert kinds(folder) == ["upgrade.sql", "rest.sql"]
    for name, text in zip(names(folder), TWO.values(), strict=True):
        assert (
            before
            <= name[:14]
            <= (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y%m%d%H%M%S")
        )
        first, _, rest = (folder / name).read_text().partition("\n")
        assert first.startswith("-- Written by portal_service's migrate command")
        assert rest == text
        assert f"Wrote {folder / name}" in result.output


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ("20991231235958_x.sql", ["20991231235959", "21000101000000"]),
        ("2099_x.sql", ["21000101000000", "21000101000001"]),
        ("20990228_x.sql", ["20990301000000", "20990301000001"]),  # "0" comes before "_"
        ("20990228120000123_x.sql", ["20990228120001", "20990228120002"]),
        ("20990228120000_x", ["20990228120001", "20990228120002"]),  # a folder is one too
    ],
)
def test_they_come_after_all_that_are_there(
    run: Run, folder: Path, originals: Path, there: str, expected: list[str]
) -> None:
    (folder / "20200101000000_first.sql").write_text("select 1;")
    if there.endswith(".sql"):
        (folder / there).write_text("select 1;")
    else:
        (folder / there).mkdir()

    assert run().exit_code == 0
    assert [name[:14] for name in names(folder)[-2:]] == expected
    assert names(folder)[-3] == there


@pytest.mark.parametrize("there", ["9_x.sql", "99999999999999_x.sql", "20991399_x.sql"])
def test_what_nothing_can_come_after_is_named(run: Run, folder: Path, there: str) -> None:
    (folder / there).write_text("select 1;")
    assert f"the migration {there.partition('_')[0]}_" in refused(run())
    assert names(folder) == [there]


def test_what_the_cli_passes_over_does_not_count(run: Run, folder: Path, originals: Path) -> None:
    for name in ("99999999999999.sql", "x_99999999999999.sql", "99999999999999_x.txt", ".9_x.sql"):
        (folder / name).write_text("")
    assert run().exit_code == 0
    assert len(names(folder)) == 6


# What is there already


def test_a_second_run_writes_nothing(run: Run, folder: Path, originals: Path) -> None:
    run()
    before = names(folder)
    result = run()
    assert result.exit_code == 0
    assert "This release is there already: nothing to write." in result.output
    assert all(f"{name} is this release's" in result.output for name in before)
    assert names(folder) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.partition("\n")[2],  # copied by hand, without our line
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.strip() + "\n\n",
    ],
    ids=["no first line", "windows", "mark", "space"],
)
def test_it_is_known_by_its_content(
    run: Run, folder: Path, originals: Path, change: Callable[[str], str]
) -> None:
    run()
    for name in names(folder):
        path = folder / name
        changed = change(path.read_text()).encode()
        path.unlink()
        (folder / f"2021{name[4:14]}_renamed.sql").write_bytes(changed)
    result = run()
    assert "nothing to write" in result.output
    assert len(names(folder)) == 2


def test_only_what_is_new_is_written(run: Run, folder: Path, originals: Path) -> None:
    run()
    before = names(folder)
    (originals / "20200101000001_rest.sql").write_text("begin;\n-- newer\ncommit;\n")
    result = run()
    assert result.exit_code == 0
    assert names(folder)[:2] == before
    assert kinds(folder) == ["upgrade.sql", "rest.sql", "rest.sql"]
    assert f"{before[1]} is of another release, or was edited: it stays." in result.output
    assert f"{before[0]} is this release's 20200101000000_upgrade.sql" in result.output


def test_the_schema_that_was_chosen_before_is_kept(run: Run, folder: Path, originals: Path) -> None:
    run("--schema", "billing")
    assert "nothing to write" in run().output
    (originals / "20200101000002_more.sql").write_text("begin;\ncreate table public.two ();\n")

    result = run()
    assert result.exit_code == 0
    assert "for the schema billing, so these are too" in result.output
    assert kinds(folder) == ["upgrade.sql", "rest.sql", "more.sql"]
    assert "create table billing.two" in (folder / names(folder)[-1]).read_text()


def test_another_schema_is_written_beside_it_and_said(
    run: Run, folder: Path, originals: Path
) -> None:
    run()
    before = names(folder)
    result = run("--schema", "billing")
    assert result.exit_code == 0
    for name in before:
        assert re.search(f"{name} is this .* for the schema public. Delete it if", result.output)
    assert names(folder)[:2] == before
    assert kinds(folder) == ["upgrade.sql", "rest.sql"] * 2


# A schema of its own


def test_only_what_is_ours_moves(run: Run, folder: Path, originals: Path) -> None:
    (originals / "20200101000002_more.sql").write_text(
        "-- public.one\nbegin;\n"
        "create or replace function public.two(a public.one) returns setof public.users\n"
        "language sql set search_path = public as $$ select 'public.one'::regclass $$;\n"
        "revoke all on function public.two(public.one) from public, anon;\n"
        "create view billing_private.three as select * from public.onerous, public.one_more;\n"
        "select format('drop index public.%I', replace(name, 'public.', ''));\n"
        "commit;\n"
    )
    run("--schema", "pay")

    text = (folder / names(folder)[-1]).read_text()
    assert text.splitlines()[1:] == [
        "-- pay.one",
        "begin;",
        "",
        "set local client_min_messages = warning;",
        "create schema if not exists pay;",
        "set local client_min_messages to default;",
        "grant usage on schema pay to authenticated, service_role;",
        "create or replace function pay.two(a pay.one) returns setof public.users",
        "language sql set search_path = public as $$ select 'pay.one'::regclass $$;",
        "revoke all on function pay.two(pay.one) from public, anon;",
        "create view pay_private.three as select * from public.onerous, public.one_more;",
        "select format('drop index pay.%I', replace(name, 'pay.', ''));",
        "commit;",
    ]
    assert "alter table pay.one" in (folder / names(folder)[0]).read_text()


def test_of_public_only_the_apps_users_are_left(run: Run, folder: Path) -> None:
    """Whoever adds to the migrations a name that this can't tell from the app's learns it here."""
    run("--schema", "pay")
    for path in folder.iterdir():
        assert set(re.findall(r"\bpublic\.(\w+|\S)", path.read_text())) <= {"users"}


@pytest.mark.parametrize(
    "name",
    ["", "Billing", '"billing"', "billing.x", "1st", "a b", "bill-ing", "billing;", "x" * 56, "ö",
     "pg_billing", "auth", "storage", "information_schema", "supabase_functions", "user", "select"],
)  # fmt: skip
def test_a_schema_that_cannot_be_ours(run: Run, folder: Path, name: str) -> None:
    assert f"--schema {name}" in refused(run("--schema", name))
    assert names(folder) == []


# What is next


def test_what_is_next_is_said(run: Run, tmp_path: Path) -> None:
    spaced = tmp_path / "my project"
    spaced.mkdir()
    said = run(to=spaced).output
    paths = [f"-f '{spaced / name}'" for name in names(spaced)]
    assert f'psql "$DATABASE_URL" -v ON_ERROR_STOP=1 {" ".join(paths)}\n' in said
    for words in ("Nothing has been run", "supabase db push", "supabase db pull", "SQL editor",
                  "select * from public.billing_notices();",
                  "create index concurrently"):  # fmt: skip
        assert words in said
    assert "SUPABASE_SCHEMA" not in said


def test_what_is_next_for_a_schema_of_its_own(run: Run) -> None:
    said = run("--schema", "billing").output
    assert "expose the schema billing" in said
    assert "set SUPABASE_SCHEMA=billing" in said
    assert "select * from billing.billing_notices();" in said
    assert "concurrently" not in said  # the tables are new


# What stops it


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(CliRunner().invoke(migrate, []))
    assert "There is no folder supabase/migrations" in line
    assert list(tmp_path.iterdir()) == []


def test_a_project_of_the_cli_without_migrations_gets_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `supabase init` leaves it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").write_text("")
    assert CliRunner().invoke(migrate, []).exit_code == 0
    assert len(list((tmp_path / "supabase" / "migrations").glob("*.sql"))) == 2


def test_a_file_is_no_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "There is no folder" in refused(run(to=tmp_path / "file"))


def test_our_own_folder_is_not_a_teams(run: Run, tmp_path: Path) -> None:
    before = names(SOURCE)
    (tmp_path / "link").symlink_to(SOURCE)
    for ours in (SOURCE, tmp_path / "link"):
        assert "holds the originals" in refused(run(to=ours))
    assert names(SOURCE) == before


def test_an_installation_without_migrations(run: Run, folder: Path, originals: Path) -> None:
    for path in originals.iterdir():
        path.unlink()
    assert "has no migrations" in refused(run())


def test_where_the_disk_is_full_nothing_is_left(tmp_path: Path, folder: Path) -> None:
    """A limit on the size of files stands for the disk: the kernel refuses just so."""
    (folder / "20200101000000_first.sql").write_text("select 1;")
    ended = subprocess.run(
        [sys.executable, "-m", "portal_service", "migrate"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "Error: supabase/migrations: File too large. Nothing was written.\n"
    assert names(folder) == ["20200101000000_first.sql"]


@pytest.mark.parametrize("when", [1, 2, 3, 4])
def test_an_interrupt_leaves_nothing_behind(
    run: Run, folder: Path, originals: Path, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    """Each file is written, then each gets its name; Ctrl-C comes in one of these four steps."""
    steps = 0

    def step(real: Callable[..., object]) -> Callable[..., object]:
        def interrupted(*args: object) -> object:
            nonlocal steps
            steps += 1
            done = real(*args)
            if steps == when:
                raise KeyboardInterrupt
            return done

        return interrupted

    monkeypatch.setattr(os, "fsync", step(os.fsync))
    monkeypatch.setattr(Path, "rename", step(Path.rename))
    result = run()
    assert (result.exit_code, result.stdout) == (1, "")
    assert steps == when
    assert names(folder) == []


def test_a_file_that_cannot_be_read_is_named(run: Run, folder: Path) -> None:
    path = folder / "20200101000000_loop.sql"
    path.symlink_to(path)
    assert f"{path}: Too many levels of symbolic links. Nothing was written." in refused(run())
    assert names(folder) == [path.name]
