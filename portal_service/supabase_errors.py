"""What an error of Supabase's means to us: the one mapping. The log gets what an operator needs to
mend it, the caller a code.
"""

import logging
import re

from portal_service import last_call
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.metrics import VENDOR_ERRORS, error_label

# Postgres: deadlock detected, could not serialize. Both mean: somebody else was writing.
CONFLICTS = ("40P01", "40001")
# PostgREST and Postgres: a column, table or function that the migrations would have made, or a
# schema of its own that is not exposed.
SCHEMA_CODES = ("42703", "42P01", "42883", "PGRST106", "PGRST202", "PGRST204", "PGRST205")
# Postgres' classes of a wrong value, and `raise` of a trigger: the next try fails as well.
_REFUSALS = ("22", "23", "P0")
# A request, a schema, a key or a grant that won't do, and statuses that say so.
_FOR_GOOD = re.compile(r"42\w{3}|PGRST[1-9]\w\w|4(?!08|29)\d\d")
BAD_KEY = "Invalid API key"  # of the gateway, which gives no code
_NOT_ASKED = "PoolTimeout"  # httpx': no thread may wait for it now


class DatabaseError(ServiceError):
    """Raised when a call did not succeed; `database_code` is Postgres' or PostgREST's, if any."""

    code = "database_unavailable"

    def __init__(self, database_code: str, message: str) -> None:
        super().__init__()
        self.database_code = database_code
        self.message = message


class DatabaseAway(DatabaseError):
    """Raised when the same call can succeed a moment later."""


class ValueRefused(DatabaseError):
    """Raised when the database refuses a value for good, as a number that is too large, or a
    customer that is somebody else's. Trying again can't help.
    """

    code = "internal_error"


def failed(code: str, message: str) -> DatabaseError:
    """The error to be raised; it is counted, and told where nobody else tells it."""
    VENDOR_ERRORS.labels("supabase", error_label(code)).inc()
    if code != _NOT_ASKED:  # which `slots` tells, in one line for many
        level = logging.INFO if code in CONFLICTS else logging.ERROR
        log(level, "supabase call failed", **last_call.fields(), code=code, vendor_message=message)
    if code[:2] in _REFUSALS and len(code) == 5:
        return ValueRefused(code, message)
    if code in CONFLICTS or _FOR_GOOD.fullmatch(code) or BAD_KEY in message:
        return DatabaseError(code, message)
    return DatabaseAway(code, message)
