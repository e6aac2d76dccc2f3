"""Gunicorn for the two Flasks that are compared: the service's numbers, Gunicorn's own worker."""

import os

bind = f"0.0.0.0:{os.environ['PORT']}"
workers = int(os.environ["WEB_CONCURRENCY"])
threads = int(os.environ["THREADS"])
keepalive = 75
control_socket_disable = True
