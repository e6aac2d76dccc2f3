"""The tutorial's routes in Flask, written straight from the documentation of both SDKs: their own
clients, a token verified with PyJWT. The service's own Gunicorn settings, nothing else of it.
"""

import os
from datetime import UTC, datetime

import jwt
import stripe
from flask import Flask, request
from supabase import create_client

APP_URL = os.environ["APP_URL"]
PRICE = os.environ["STRIPE_PRICE"]
stripe_client = stripe.StripeClient(
    os.environ["STRIPE_SECRET_KEY"], base_addresses={"api": os.environ["STRIPE_API_BASE"]}
)
supabase = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_ROLE_KEY"])

app = Flask(__name__)


def clerk_user_id():
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, os.environ["CLERK_JWT_KEY"], algorithms=["RS256"])
    except jwt.PyJWTError:
        return None
    return claims["sub"] if claims.get("azp") in (None, APP_URL) else None


def user_db_id(clerk_id):
    found = supabase.table("users").select("id").eq("clerk_id", clerk_id).limit(1).execute()
    return found.data[0]["id"] if found.data else None


def row_of(user_id):
    query = supabase.table("subscriptions").select("*").eq("user_id", user_id)
    rows = query.limit(1).execute().data
    return rows[0] if rows else None


@app.get("/healthz")
def healthz():
    return {"status": "ok"}


@app.post("/api/stripe/portal")
def portal():
    clerk_id = clerk_user_id()
    if not clerk_id:
        return {"error": "Unauthorized"}, 401
    user_id = user_db_id(clerk_id)
    if not user_id:
        return {"error": "User not found"}, 404
    row = row_of(user_id)
    if not row or not row["stripe_customer_id"]:
        return {"error": "No subscription found"}, 404
    session = stripe_client.v1.billing_portal.sessions.create(
        {"customer": row["stripe_customer_id"], "return_url": f"{APP_URL}/dashboard"}
    )
    return {"url": session.url}


@app.post("/api/stripe/webhook")
def webhook():
    try:
        event = stripe.Webhook.construct_event(
            request.get_data(),
            request.headers.get("Stripe-Signature", ""),
            os.environ["STRIPE_WEBHOOK_SECRET"],
        )
    except (ValueError, stripe.SignatureVerificationError):
        return {"error": "Bad signature"}, 400
    if event.type in ("customer.subscription.updated", "customer.subscription.deleted"):
        sub = event.data.object
        item = sub["items"].data[0]
        row = {
            "stripe_subscription_id": sub.id,
            "stripe_customer_id": sub.customer,
            "status": sub.status,
            "plan": "pro" if item.price.id == PRICE else "free",
            "current_period_end": datetime.fromtimestamp(item.current_period_end, UTC).isoformat(),
            "updated_at": datetime.now(UTC).isoformat(),
        }
        query = supabase.table("subscriptions")
        query.upsert(row, on_conflict="stripe_subscription_id", returning="minimal").execute()
    return {"received": True}


@app.get("/api/stripe/subscription")
def subscription():
    clerk_id = clerk_user_id()
    if not clerk_id:
        return {"error": "Unauthorized"}, 401
    user_id = user_db_id(clerk_id)
    row = row_of(user_id) if user_id else None
    if not row:
        return {"plan": "free", "status": None}
    return {key: row[key] for key in ("plan", "status", "current_period_end")}


@app.post("/api/stripe/checkout")
def checkout():
    clerk_id = clerk_user_id()
    if not clerk_id:
        return {"error": "Unauthorized"}, 401
    user_id = user_db_id(clerk_id)
    row = row_of(user_id) if user_id else None
    session = stripe_client.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": PRICE, "quantity": 1}],
            "customer": row["stripe_customer_id"] if row else None,
            "client_reference_id": clerk_id,
            "success_url": f"{APP_URL}/dashboard",
            "cancel_url": f"{APP_URL}/dashboard",
        }
    )
    return {"url": session.url}
