"""`portal migrate`: gives a team our migrations, as files in its own folder. Needs no settings and
no database, and runs nothing: that is the Supabase CLI's, the SQL editor's or psql's.
"""

import os
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import click

from portal_service.commands.own_schema import checked_schema, in_schema, own_names
from portal_service.commands.shipped import shipped

SOURCE = shipped("migrations", "supabase/migrations")

# How the Supabase CLI knows a migration: by text, not by date (supabase/cli, pkg/migration).
_VERSION = re.compile(r"([0-9]+)_")
_STAMP = "%Y%m%d%H%M%S"
_LAST = "99991231235959"
# What the migrations would make while everybody waits, and a team can make before. Held to them by
# a test.
BEFORE_A_BIG_TABLE = (
    "alter table public.subscriptions add column if not exists clerk_owner_id text;",
    "create index concurrently on public.subscriptions (user_id);",
    "create index concurrently on public.subscriptions ((user_id::text));"
    "  -- not where user_id is text",
    "create index concurrently on public.subscriptions (stripe_customer_id);",
    "create index concurrently on public.subscriptions (clerk_owner_id)"
    " where clerk_owner_id is not null;",
)


@dataclass(frozen=True)
class Migration:
    """A migration in a folder. `text` is without our first line, `schema` what that line says."""

    name: str
    text: str
    schema: str | None

    @classmethod
    def read(cls, path: Path) -> "Migration":
        # Git may have changed the line ends, an editor the mark at the beginning.
        text = path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n").strip() + "\n"
        header = re.match(_header(r"(\w+)"), text)
        if header is None:
            return cls(path.name, text, None)
        return cls(path.name, text[header.end() :], header[1])


@dataclass(frozen=True)
class Release:
    """Our migrations, in order, and the names of what they make."""

    migrations: list[Migration]

    @cached_property
    def names(self) -> frozenset[str]:
        return own_names(m.text for m in self.migrations)

    def text(self, migration: Migration, schema: str) -> str:
        return in_schema(migration.text, self.names, schema)


def _schema(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else checked_schema(value)
    except ValueError as error:
        raise click.ClickException(f"--schema {value}: {error}.") from error


@click.command()
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("supabase", "migrations"),
    show_default=True,
    help="The folder of your project's migrations.",
)
@click.option(
    "--schema",
    metavar="NAME",
    callback=_schema,
    help="Where our tables go, if `subscriptions` of the schema public is something else.",
)
def migrate(folder: Path, schema: str | None) -> None:
    """Write our migrations into your project's folder. Nothing is run.

    They get the time of now in their names, or a later one, so that they come after all that are
    there. Those that are there already, by content, are not written again. Exits with 1 and writes
    nothing where the folder won't do.
    """
    release = _release()
    try:
        theirs = _theirs(folder)
        written_for = next((m.schema for m in reversed(theirs) if m.schema), "public")
        chosen = schema or written_for
        new = _missing(release, theirs, chosen)
        stamps = _stamps([m.name for m in theirs], datetime.now(UTC), len(new))
        files = {
            folder / f"{stamp}_{m.name.partition('_')[2]}": _header(chosen)
            + release.text(m, chosen)
            for stamp, m in zip(stamps, new, strict=True)
        }
        _write(files)
    except OSError as error:
        message = f"{error.filename or folder}: {error.strerror or error}. Nothing was written."
        raise click.ClickException(message) from error
    if not files:
        click.echo("This release is there already: nothing to write.")
        return
    if schema is None and chosen != "public":
        click.echo(f"Those that are there are for the schema {chosen}, so these are too.")
    for path in files:
        click.echo(f"Wrote {path}")
    _tell_what_is_next(list(files), chosen)


def _release() -> Release:
    found = [Migration.read(path) for path in sorted(SOURCE.glob("*.sql"))]
    if not found:
        raise click.ClickException(
            f"This installation has no migrations ({SOURCE}): run it from a checkout or a wheel."
        )
    return Release(found)


def _theirs(folder: Path) -> list[Migration]:
    """What the team's folder holds, in the CLI's order; a folder counts for its name."""
    if not folder.exists() and (folder.parent / "config.toml").is_file():
        return []  # a project of the CLI's, before its first migration
    if not folder.is_dir():
        raise click.ClickException(
            f"There is no folder {folder}: run this where your supabase/ folder is, or name it "
            "with --to."
        )
    if folder.samefile(SOURCE):
        raise click.ClickException(
            f"{folder} holds the originals of portal_service: name your own project's folder with "
            "--to."
        )
    return [
        Migration(path.name, "", None) if path.is_dir() else Migration.read(path)
        for path in sorted(folder.iterdir())
        if _VERSION.match(path.name) and (path.suffix == ".sql" or path.is_dir())
    ]


def _missing(release: Release, theirs: list[Migration], schema: str) -> list[Migration]:
    """Those of ours whose content is not there for this schema; says what is there."""
    missing, known = [], set[str]()
    for migration in release.migrations:
        there = {
            found.name: found.schema or "public"
            for found in theirs
            if found.text == release.text(migration, found.schema or "public")
        }
        for name, other in there.items():
            if other == schema:
                click.echo(f"{name} is this release's {migration.name}: not written again.")
            else:
                click.echo(
                    f"{name} is this release's {migration.name} for the schema {other}. Delete it "
                    "if it was never run."
                )
        if schema not in there.values():
            missing.append(migration)
        known.update(there)
    for name in (found.name for found in theirs if found.schema and found.name not in known):
        click.echo(f"{name} is of another release, or was edited: it stays.")
    return missing


def _header(schema: str) -> str:
    return f"-- Written by portal_service's migrate command, for the schema {schema}.\n"


def _stamps(names: list[str], now: datetime, count: int) -> list[str]:
    """So many versions for new migrations, in order, and later than each that is there."""
    versions = [match[1] for name in names if (match := _VERSION.match(name))]
    # One that is only a day, as 20261127_x.sql, comes after each time of that day: "0" < "_".
    latest = max(((v + _LAST[len(v) :])[:14] for v in versions), default="")
    first = now
    if count and latest >= now.strftime(_STAMP):
        try:
            first = datetime.strptime(latest, _STAMP) + timedelta(seconds=1)
        except (ValueError, OverflowError) as error:
            raise click.ClickException(
                f"Nothing can be put after the migration {max(versions)}_…: its number is later "
                "than now and is no date. Rename it first."
            ) from error
    return [(first + timedelta(seconds=n)).strftime(_STAMP) for n in range(count)]


def _write(files: dict[Path, str]) -> None:
    """Write all of these new files, or none. The CLI passes over what does not end in .sql."""
    partly = {path: path.with_name(f".{path.name}.partly") for path in files}
    try:
        for path, text in files.items():
            path.parent.mkdir(exist_ok=True)
            with partly[path].open("wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        for path, partial in partly.items():
            partial.rename(path)
    except BaseException:  # Ctrl-C too
        for path in (*partly.values(), *files):
            path.unlink(missing_ok=True)
        raise


def _tell_what_is_next(files: list[Path], schema: str) -> None:
    commands = " ".join(f"-f {shlex.quote(str(path))}" for path in files)
    click.echo(
        "\nNothing has been run. Read them, then choose one way:\n"
        "  supabase db push    where tables were made in the dashboard, `supabase db pull` first\n"
        "  the SQL editor      one file after the other; the last result lists the notices\n"
        f'  psql "$DATABASE_URL" -v ON_ERROR_STOP=1 {commands}'
    )
    query = f"select * from {schema}.billing_notices();"  # noqa: S608 (shown, never run)
    click.echo(f"\nThe notices can be asked for again: {query}")
    if schema != "public":
        click.echo(
            f"\nThen expose the schema {schema} (Project settings > Data API > Exposed schemas; "
            f"locally `schemas` of [api] in supabase/config.toml), and set SUPABASE_SCHEMA={schema}"
            "."
        )
        return
    click.echo(
        "\nIs your subscriptions table big (100,000 rows or more)? Run these before, one by one, "
        "and nobody\nhas to wait for the indexes:"
    )
    for statement in BEFORE_A_BIG_TABLE:
        click.echo(f"  {statement}")
