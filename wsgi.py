"""The entry point for WSGI servers: `gunicorn wsgi:app`."""

import sys

from dotenv import load_dotenv

from portal_service import ConfigError, create_app

load_dotenv(".env")  # real variables win

try:
    app = create_app()
except ConfigError as error:
    sys.exit(str(error))
