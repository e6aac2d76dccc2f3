"""`flask portal …`: what operators run by hand or by the clock."""

from portal_service.commands.check import check
from portal_service.commands.configure import configure
from portal_service.commands.forget import forget
from portal_service.commands.link import link
from portal_service.commands.migrate import migrate
from portal_service.commands.replay import replay
from portal_service.commands.sync import sync
from portal_service.commands.webhook import webhook

# `portal-service …` has these too, and `serve`.
COMMANDS = (check, configure, forget, link, migrate, replay, sync, webhook)

__all__ = [
    "COMMANDS",
    "check",
    "configure",
    "forget",
    "link",
    "migrate",
    "replay",
    "sync",
    "webhook",
]
