"""What `check` asks Supabase: the key, what the migrations made, a trial write, who else may in."""

from collections.abc import Callable, Iterator

from portal_service.commands.findings import Check, Finding, Subject, green, red, yellow
from portal_service.supabase_db import Database
from portal_service.supabase_errors import BAD_KEY, DatabaseError, ValueRefused

_MIGRATE = (
    "Run the migrations (portal-service migrate writes them). Where they ran: PostgREST answers "
    "from an older copy of the schema, which `notify pgrst, 'reload schema';` renews"
)
_GRANT = "Run the migrations again: they grant each thing to service_role by name"
_BAD_KEY = ("PGRST301", "PGRST302", "PGRST303", "401")
_MISSING = ("42P01", "42703", "42883", "PGRST202", "PGRST204", "PGRST205")


def _database(subject: Subject) -> Iterator[Finding]:
    """Reachable, by our key, and what the migrations made; the first thing that is wrong."""
    database = subject.services.database
    try:
        missing = database.missing_schema()
    except DatabaseError as error:
        yield _unanswered(subject, error)
        return
    if missing:
        yield _missing(subject, missing)
        return
    yield green("supabase", subject.settings.supabase_url)
    parts = list(_parts(database))
    yield from parts
    if not parts:
        yield green("schema", "Tables, columns and functions are there")
        yield from _writes(database)
        yield from _owners(subject)
    yield from _open_doors(database)


def _missing(subject: Subject, name: str) -> Finding:
    if name != "schema":
        return red("schema", f"{name} is missing", _MIGRATE)
    return red(
        "schema",
        f"The schema {subject.settings.supabase_schema} is not exposed, or holds nothing of ours",
        "Add it in Project settings > Data API > Exposed schemas, or correct SUPABASE_SCHEMA",
    )


def _unanswered(subject: Subject, error: DatabaseError) -> Finding:
    code = error.database_code
    if code in _BAD_KEY or BAD_KEY in error.message:
        return red(
            "supabase_key",
            f"Supabase refuses SUPABASE_SERVICE_ROLE_KEY ({code or error.message})",
            "Take the service role key, or an sb_secret_… key, of the project of SUPABASE_URL",
        )
    if code == "42501":
        return red("grants", error.message, _GRANT)
    url = subject.settings.supabase_url
    return red(
        "supabase",
        f"{url} does not answer as Supabase does ({code}: {error.message})",
        "Correct SUPABASE_URL; a free project that was paused is restored in its dashboard",
    )


def _parts(database: Database) -> Iterator[Finding]:
    """What `missing_schema` does not touch. Nothing of it changes anything: a mark that is taken
    off nothing, a link and a row without an id, which are refused.
    """
    asked: dict[str, Callable[[], object]] = {
        "gone_customers": database.gone_customers,
        "billing_customers": lambda: database.owner_of_customer(""),
        "mark_customer": lambda: database.mark_customer("", gone=False),
        "upsert_subscription": lambda: database.upsert({"stripe_subscription_id": ""}, None, None),
        "billing_trial_write": database.refused_write,
        "billing_syncs": lambda: database.call("billing_syncs"),
    }
    for name, ask in asked.items():
        try:
            ask()
        except ValueRefused:
            continue  # it is there
        except DatabaseError as error:
            if error.database_code in _MISSING:
                yield red("schema", f"{name} is missing", _MIGRATE)
            elif error.database_code == "42501":
                yield red("grants", f"{name}: {error.message}", _GRANT)
            else:
                yield red("schema", f"{name}: {error.message} ({error.database_code})", _MIGRATE)


def _writes(database: Database) -> Iterator[Finding]:
    if reason := database.refused_write():
        yield red(
            "writes",
            f"A purchase can't be stored: {reason}",
            "Run the migrations again: they name what refuses it, and the way out",
        )
    else:
        yield green("writes", "A purchase can be stored (tried, and rolled back)")


def _owners(subject: Subject) -> Iterator[Finding]:
    billed = subject.settings.billing_owner
    if count := subject.services.mirror.whose.rows_of_the_other_kind():
        yield yellow(
            "owners",
            f"BILLING_OWNER={billed}, and {count} subscriptions are of the other kind: of nobody",
            "docs/owners.md says what to do with them",
        )
    else:
        yield green("owners", f"Each {billed} has its own subscription")


def _open_doors(database: Database) -> Iterator[Finding]:
    try:
        found = database.open_doors()
    except DatabaseError as error:
        if error.database_code not in _MISSING:
            yield yellow("access", f"It could not be looked at: {error.message}", _MIGRATE)
        else:
            yield yellow(
                "access",
                "Who may read and write could not be looked at: billing_open_doors is missing",
                _MIGRATE,
            )
        return
    for door in found:
        yield red("access", door, "Run the migrations again: they close it")
    if not found:
        yield green("access", "Nobody but the service writes; each user reads their own rows")


DATABASE = Check("supabase", _database)
