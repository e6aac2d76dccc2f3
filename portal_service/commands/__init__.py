"""`flask portal …`: what operators run by hand or by the clock."""

from portal_service.commands.forget import forget
from portal_service.commands.link import link
from portal_service.commands.migrate import migrate
from portal_service.commands.replay import replay
from portal_service.commands.sync import sync

# `portal-service …` has these too, and `serve`.
COMMANDS = (forget, link, migrate, replay, sync)

__all__ = ["COMMANDS", "forget", "link", "migrate", "replay", "sync"]
