"""The shapes of tables in shapes/*.sql: what a team has before the upgrade, and what it expects.

Each file begins with comments: what it is, then

    ends:          works, refused, or either, where a careful engineer would take both
    payer:         who paid before the upgrade: Clerk's id, customer and, where the row says it,
                   subscription
    buyer:         whom the app knows: Clerk's id, and the user_id that a purchase gets
    tells:         a pattern for what the team has to be told, by name, whatever the words
    way out:       of a refusal: `statements`, which are printed and then let the upgrade pass, or
                   `schema`, a schema of our own
    reader:        `printed`: a signed-in reader needs the statements that were printed
    app role:      a statement of the app's, which answers the same before and after; or, with a
                   [pattern], stops, which the pattern finds told

and then the SQL, as the role postgres; after a line `-- as supabase_admin`, as a superuser. The
first part of a file's name is its kind: it works as it is, a) no purchase can be stored, b) the ids
of Stripe stand elsewhere, c) it is not about billing, d) our names are taken, e) reads and writes
of the app's own change, bad) it is no table for us.
"""

import re
from dataclasses import dataclass
from pathlib import Path

SUPERUSER = "\n-- as supabase_admin\n"


@dataclass(frozen=True)
class App:
    """One statement of the app's own, and what is told where it stops."""

    role: str
    told: str | None
    statement: str


@dataclass(frozen=True)
class Shape:
    name: str
    sql: str
    as_superuser: str
    ends: str
    payer: list[str]
    buyer: list[str]
    tells: list[str]
    way_out: str | None
    reader: str | None
    app: list[App]


def read(path: Path) -> Shape:
    text = path.read_text()
    said: dict[str, list[str]] = {}
    app = []
    for line in text.splitlines():
        if found := re.match(r"-- (ends|payer|buyer|tells|way out|reader): (.+)", line):
            said.setdefault(found[1], []).append(found[2])
        elif found := re.match(r"-- app (\w+)(?: \[(.+?)\])?: (.+)", line):
            app.append(App(*found.groups()))
    sql, _, as_superuser = text.partition(SUPERUSER)
    return Shape(
        name=path.stem,
        sql=sql,
        as_superuser=as_superuser,
        ends=said["ends"][0],
        payer=said.get("payer", [""])[0].split(),
        buyer=said.get("buyer", [""])[0].split(),
        tells=said.get("tells", []),
        way_out=said.get("way out", [None])[0],
        reader=said.get("reader", [None])[0],
        app=app,
    )


SHAPES = [read(path) for path in sorted((Path(__file__).parent / "shapes").glob("*.sql"))]
