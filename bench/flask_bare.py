"""The floor: Flask with routes that do nothing, on the service's own Gunicorn settings."""

from flask import Flask

from bench.upstreams import CHECKOUT_URL, PORTAL_URL

app = Flask(__name__)


@app.get("/healthz")
def healthz():
    return {"status": "ok"}


@app.post("/api/stripe/portal")
def portal():
    return {"url": PORTAL_URL}


@app.post("/api/stripe/webhook")
def webhook():
    return {"received": True}


@app.get("/api/stripe/subscription")
def subscription():
    return {"plan": "pro", "status": "active"}


@app.post("/api/stripe/checkout")
def checkout():
    return {"url": CHECKOUT_URL}
