"""A stand-in for Clerk: signs session tokens as Clerk does and serves the key set to them."""

import base64
import json
import secrets
import sys
import time
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Blueprint, Flask, jsonify
from flask.typing import ResponseReturnValue
from jwt import PyJWS
from jwt.algorithms import RSAAlgorithm
from werkzeug.exceptions import HTTPException

from sandbox import control_requests
from sandbox.command_line import parser, serve
from sandbox.faults import Faults
from sandbox.organizations import Organizations

LIFETIME_SECONDS = 60
CLOCK_SKEW_SECONDS = 5
CATEGORY = "cl_B7d4PD111AAA"  # Clerk's mark of session tokens
JWKS_PATH = "/.well-known/jwks.json"
DISCOVERY_PATH = "/.well-known/openid-configuration"


class Clerk:
    """One Clerk instance. Its keys live as long as it does; sessions outlast no restart.

    `issuer` is set by whoever serves `app()`.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.issuer = ""
        self.jwks_requests = 0
        self.organizations = Organizations()
        self.rotate(keep_kid=False)

    @property
    def jwks_url(self) -> str:
        return self.issuer + JWKS_PATH

    @property
    def publishable_key(self) -> str:
        host = self.issuer.removeprefix("http://")
        return "pk_test_" + base64.b64encode(f"{host}$".encode()).decode().rstrip("=")

    @property
    def public_key_pem(self) -> str:
        """What Clerk's dashboard calls the JWKS Public Key."""
        public = self._key.public_key()
        return public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def rotate(self, *, keep_kid: bool) -> None:
        """Sign with a new key from now on. Clerk's `kid` names the instance, so it may stay."""
        if not keep_kid:
            self._kid = f"ins_{secrets.token_hex(12)}"
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def claims(self, clerk_user_id: str) -> dict[str, Any]:
        now = int(time.time())
        return {
            "exp": now + LIFETIME_SECONDS,
            "fva": [0, -1],
            "iat": now,
            "iss": self.issuer,
            "jti": secrets.token_hex(10),
            "nbf": now - CLOCK_SKEW_SECONDS,
            "sid": f"sess_{secrets.token_hex(13)}",
            "sts": "active",
            "sub": clerk_user_id,
            "v": 2,
        }

    def session_token(self, clerk_user_id: str, /, **overrides: Any) -> str:
        """A session token, version 2. An override of None removes its claim."""
        claims = self.claims(clerk_user_id) | overrides
        return self.sign({name: value for name, value in claims.items() if value is not None})

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """Any claims at all: PyJWT's own encode would refuse the nonsense that tests need."""
        headers = {"kid": self._kid, "cat": CATEGORY} | header
        return PyJWS().encode(json.dumps(claims).encode(), self._key, "RS256", headers)

    def app(self) -> Flask:
        app = Flask(__name__)
        app.add_url_rule(JWKS_PATH, view_func=self._jwks)
        app.add_url_rule(DISCOVERY_PATH, view_func=self._discovery)
        app.register_error_handler(HTTPException, _clerk_error)
        return app

    def _discovery(self) -> ResponseReturnValue:
        """Who it is, as OpenID Connect asks; of the rest only where the keys are."""
        return jsonify(issuer=self.issuer, jwks_uri=self.jwks_url)

    def _jwks(self) -> ResponseReturnValue:
        self.jwks_requests += 1
        if self._faults.clerk == "down":
            return _error("service_unavailable", "The sandbox's Clerk is switched off."), 503
        public = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        numbers = {name: public[name] for name in ("kty", "n", "e")}
        return jsonify(keys=[numbers | {"use": "sig", "alg": "RS256", "kid": self._kid}])


def _clerk_error(error: HTTPException) -> ResponseReturnValue:
    message = "The sandbox's Clerk does not serve this."
    return _error("resource_not_found", message), error.code or 500


def _error(code: str, message: str) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message, "long_message": message}]}


DESCRIPTION = """A stand-in for Clerk: signs session tokens as Clerk does (RS256, version 2 or 1,
with an organization or without) and serves the key set that verifies them. It has no sign-in page,
no users and no Backend API. Its keys are new at each start."""

WELCOME = """\
Clerk's stand-in is at {url} (Ctrl-C stops it; its tokens are then worthless)

  Issuer           {issuer}
  Key set          {issuer}{path}
  Publishable key  {publishable_key}
  A session token, for a minute:
    curl {url}/_sandbox/session -d '{{"clerk_id": "user_ada"}}'
    curl {url}/_sandbox/session -d '{{"clerk_id": "user_ada", "claims": {{"azp": "https://…"}}}}'
    curl {url}/_sandbox/session -d '{{"clerk_id": "user_ada", "organization": "org_acme"}}'
  Who is in which organization, and a new role (null: none any more):
    curl {url}/_sandbox/organizations
    curl {url}/_sandbox/organizations \\
      -d '{{"organization": "org_acme", "clerk_id": "user_ada", "role": "member"}}'"""


def main(arguments: list[str] | None = None) -> int:
    """`python -m sandbox.clerk`: on its own, for anybody's tests."""
    options = parser("sandbox.clerk", DESCRIPTION, port=12112)
    options.add_argument(
        "--issuer", metavar="URL", help="what tokens name as issuer (default: the address)"
    )
    chosen = options.parse_args(arguments)
    faults = Faults()
    clerk = Clerk(faults)
    app = clerk.app()
    app.register_blueprint(_control(clerk, faults))

    def welcome(url: str) -> str:
        clerk.issuer = (chosen.issuer or url).rstrip("/")
        return WELCOME.format(
            url=url, issuer=clerk.issuer, path=JWKS_PATH, publishable_key=clerk.publishable_key
        )

    return serve(app, chosen, welcome)


def _control(clerk: Clerk, faults: Faults) -> Blueprint:
    control = control_requests.blueprint(faults)
    clerk.organizations.add_to(control)

    @control.post("/session")
    def session() -> ResponseReturnValue:
        given = control_requests.body("clerk_id", "claims", "organization", "version")
        user = control_requests.text(given, "clerk_id")
        active = clerk.organizations.claims_of_request(user, given)
        return {"token": clerk.session_token(user, **active | control_requests.claims(given))}

    return control


if __name__ == "__main__":
    sys.exit(main())
