"""Stripe, Supabase and Clerk for a load: static answers, after a delay that can be changed. No
state, no checks, so that it is never what a measurement waits for.

    BENCH_KEY_SET=… python -m bench.upstreams SUPABASE_PORT STRIPE_PORT CLERK_PORT

`GET /_delay/<seconds>` on a port sets that vendor's delay; `inf` never answers. The stand-ins with
a memory are in sandbox/.
"""

import asyncio
import json
import os
import re
import sys
from email.utils import formatdate

BUYER = "user_buyer"  # whose id begins so has a customer and nothing that runs
CUSTOMER, SUBSCRIPTION, PRICE, PRODUCT = "cus_bench", "sub_bench", "price_bench", "prod_bench"
PORTAL_URL = "https://billing.stripe.com/p/session/bench"
CHECKOUT_URL = "https://checkout.stripe.com/c/pay/cs_test_bench"

ROW = {
    "stripe_subscription_id": SUBSCRIPTION, "stripe_customer_id": CUSTOMER, "status": "active",
    "plan": "pro", "price_id": PRICE, "product_id": PRODUCT, "quantity": 1,
    "collection_method": "charge_automatically", "current_period_end": "2099-01-01T00:00:00+00:00",
    "cancel_at": None, "canceled_at": None, "trial_end": None, "ended_at": None,
    "pause_resumes_at": None, "cancel_at_period_end": False, "pause_collection": None,
    "paused_reason": None, "livemode": False, "as_of": "2026-01-01T00:00:00+00:00",
    "items": [{"price_id": PRICE, "product_id": PRODUCT, "quantity": 1,
               "current_period_end": "2099-01-01T00:00:00+00:00"}],
    "clerk_owner_id": "user_bench", "user_id": "7", "revision": 7,
    "created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00",
}  # fmt: skip
_ACCOUNT = {"user_id": "7", "stripe_customer_id": CUSTOMER, "gone_customers": []}
_EMPTY_LIST = {"object": "list", "data": [], "has_more": False}

# What a request's first line (and, for accounts, its body) must hold -> status and answer.
_ANSWERS: list[tuple[bytes, int, object]] = [
    (b"POST /rest/v1/rpc/upsert_subscription", 200, [ROW]),
    (b"POST /rest/v1/rpc/billing_account", 200, _ACCOUNT | {"subscriptions": [ROW]}),
    (b"POST /rest/v1/subscriptions", 201, None),
    (b"GET /rest/v1/subscriptions", 200, [ROW]),
    (b"GET /rest/v1/users", 200, [{"id": 7}]),
    (b"POST /v1/billing_portal/sessions", 200,
     {"id": "bps_bench", "object": "billing_portal.session", "url": PORTAL_URL}),
    (b"POST /v1/checkout/sessions", 200,
     {"id": "cs_test_bench", "object": "checkout.session", "url": CHECKOUT_URL}),
    (b"GET /v1/checkout/sessions", 200, _EMPTY_LIST),
    (b"GET /v1/subscriptions", 200, _EMPTY_LIST),
    (b"GET /.well-known/jwks.json", 200, json.loads(os.environ.get("BENCH_KEY_SET", "{}"))),
]  # fmt: skip
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)


def _wire(status: int, answer: object) -> bytes:
    body = b"" if answer is None else json.dumps(answer).encode()
    head = (
        f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nRequest-Id: req_bench\r\n"
        f"Date: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_WIRE = [(begins, _wire(status, answer)) for begins, status, answer in _ANSWERS]
# PostgREST answers one row, no list, to who asks for `vnd.pgrst.object`.
_ONE = {begins: _wire(200, answer[0]) for begins, _, answer in _ANSWERS
        if isinstance(answer, list)}  # fmt: skip
_BUYERS = _wire(200, _ACCOUNT | {"subscriptions": []})
_UNKNOWN = _wire(404, {"message": "bench/upstreams.py has no answer to this"})


class Vendor:
    """delay: seconds before each answer."""

    def __init__(self) -> None:
        self.delay = 0.0

    def answer(self, head: bytes, body: bytes) -> bytes:
        for begins, wire in _WIRE:
            if head.startswith(begins):
                if b"vnd.pgrst.object" in head:
                    return _ONE[begins]
                is_buyers = begins.endswith(b"billing_account") and BUYER.encode() in body
                return _BUYERS if is_buyers else wire
        if head.startswith(b"GET /_delay/"):
            self.delay = float(head.split(b" ", 2)[1].rpartition(b"/")[2])
            return _wire(200, {"delay": str(self.delay)})
        print("unknown:", head.partition(b"\r\n")[0].decode(), file=sys.stderr, flush=True)
        return _UNKNOWN


class Connection(asyncio.Protocol):
    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            sent = _LENGTH.search(self._read, 0, end + 2)
            until = end + 4 + (int(sent[1]) if sent else 0)
            if len(self._read) < until:
                return
            head, body = self._read[:end], self._read[end + 4 : until]
            self._read = self._read[until:]
            self._later(self._vendor.answer(head, body), b"GET /_delay/" in head[:12])

    def _later(self, wire: bytes, at_once: bool) -> None:
        delay = 0.0 if at_once else self._vendor.delay
        if delay == 0:
            self._transport.write(wire)
        elif delay < float("inf"):
            asyncio.get_running_loop().call_later(delay, self._transport.write, wire)


async def _serve(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        vendor = Vendor()
        await loop.create_server(lambda v=vendor: Connection(v), "127.0.0.1", port, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve([int(port) for port in sys.argv[1:]]))
