"""Clerk's Frontend API and sign-in page, as far as a signed-in browser needs them: an app with
Clerk's own SDKs works on the sandbox. The page asks for no password: whoever is chosen is in.

What is asked how: @clerk/clerk-js 6 and @clerk/backend 3, which were run against this. clerk-js
itself is served from where the Next.js example has installed it.
"""

from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import (
    Blueprint,
    Response,
    abort,
    after_this_request,
    redirect,
    render_template,
    request,
    send_from_directory,
)
from flask.typing import ResponseReturnValue

from sandbox.clerk_sessions import ClerkSessions, Session
from sandbox.faults import Faults
from sandbox.service import ROOT

Json = dict[str, Any]

BROWSER = "__clerk_db_jwt"  # the browser's name in addresses, and for the app's server
CLIENT = "__client"  # the same as a cookie of Clerk's own, where app and Clerk are on one site
CLERK_JS_PATH = "/npm/@clerk/clerk-js@6/dist"
_PAGES = Path(__file__).with_name("clerk_pages")
_CLERK_JS = ROOT / "examples" / "nextjs" / "node_modules" / "@clerk" / "clerk-js" / "dist"


def blueprint(sessions: ClerkSessions, faults: Faults) -> Blueprint:
    made = Blueprint("clerk_frontend", __name__, template_folder=str(_PAGES))
    _FrontendApi(sessions).add_to(made)
    _SignIn(sessions).add_to(made)

    @made.before_request
    def obey() -> ResponseReturnValue | None:
        if faults.clerk == "down":
            return _refused(503, "service_unavailable")
        return None

    @made.after_request
    def let_pages_ask(response: Response) -> Response:
        if origin := request.headers.get("Origin"):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Access-Control-Allow-Headers"] = "*"
        response.headers["Cache-Control"] = "no-store"
        return response

    @made.get("/npm/@clerk/clerk-js@<version>/dist/<path:name>")
    def clerk_js(version: str, name: str) -> ResponseReturnValue:
        return send_from_directory(_CLERK_JS, name)

    return made


class _FrontendApi:
    def __init__(self, sessions: ClerkSessions) -> None:
        self._sessions = sessions

    def add_to(self, made: Blueprint) -> None:
        made.route("/v1/environment", methods=["GET", "POST"])(self.environment)
        made.route("/v1/client", methods=["GET", "POST"])(self.client)
        made.get("/v1/client/handshake")(self.handshake)
        made.post("/v1/client/sessions")(self.sign_out)
        of_session = "/v1/client/sessions/<id>"
        made.post(f"{of_session}/<any(end, remove):action>")(self.end)
        made.post(f"{of_session}/touch")(self.touch)
        made.post(f"{of_session}/tokens")(self.token)
        made.post(f"{of_session}/tokens/<template>")(self.template_token)

    def environment(self) -> ResponseReturnValue:
        return _ENVIRONMENT

    def client(self) -> ResponseReturnValue:
        return {"response": self._client(), "client": None}

    def handshake(self) -> ResponseReturnValue:
        """A document without a token that is good: it gets one here, and goes back."""
        back = request.args.get("redirect_url", "")
        origin = _origin(back)
        handshake = self._sessions.handshake(self._browser(), origin)
        return redirect(_with(back, "__clerk_handshake", handshake), 307)

    def sign_out(self) -> ResponseReturnValue:
        self._sessions.sign_out(self._browser())
        return self.client()

    def end(self, id: str, action: str) -> ResponseReturnValue:
        session = self._session(id)
        gone = self._sessions.session_resource(session, _asking()) | {"status": f"{action}d"}
        self._sessions.sign_out(self._browser())
        return {"response": gone, "client": self._client()}

    def touch(self, id: str) -> ResponseReturnValue:
        session = self._session(id)
        if "active_organization_id" in request.form:
            chosen = request.form["active_organization_id"] or None
            try:
                self._sessions.activate(session, chosen)
            except KeyError:
                return _refused(404, "organization_not_found_or_unauthorized")
        shown = self._sessions.session_resource(session, _asking())
        return {"response": shown, "client": self._client()}

    def token(self, id: str) -> ResponseReturnValue:
        return {"object": "token", "jwt": self._sessions.token(self._session(id), _asking())}

    def template_token(self, id: str, template: str) -> ResponseReturnValue:
        jwt = self._sessions.template_token(self._session(id), _asking())
        return {"object": "token", "jwt": jwt}

    def _client(self) -> Json:
        return self._sessions.client(self._browser(), _asking())

    def _browser(self) -> str:
        return _browser(self._sessions)

    def _session(self, id: str) -> Session:
        session = self._sessions.session(self._browser(), id)
        if session is None:
            abort(_refused(401, "authentication_invalid"))
        return session


class _SignIn:
    """The page that Clerk hosts for apps without one of their own."""

    def __init__(self, sessions: ClerkSessions) -> None:
        self._sessions = sessions

    def add_to(self, made: Blueprint) -> None:
        for path in ("/sign-in", "/sign-up"):
            made.get(path, endpoint=f"show{path}")(self.show)
        made.post("/sign-in")(self.sign_in)

    def show(self) -> ResponseReturnValue:
        back = request.args.get("redirect_url", "")
        return render_template("sign_in.html", back=back, roles=self._sessions.roles())

    def sign_in(self) -> ResponseReturnValue:
        back, browser = request.form.get("back", ""), _browser(self._sessions)
        _origin(back)
        user, _, organization = request.form.get("who", "").partition(" ")
        try:
            self._sessions.sign_in(browser, user, organization or None)
        except (KeyError, ValueError):
            return _refused(404, "form_identifier_not_found")
        return redirect(_with(back, BROWSER, browser), 303)


def _browser(sessions: ClerkSessions) -> str:
    """The one that asks; it is told its name, so that it is known again."""
    named = [request.args.get(BROWSER, ""), request.cookies.get(CLIENT, "")]
    browser = next(filter(sessions.knows, named), None) or sessions.new_browser()

    @after_this_request
    def remember(response: Response) -> Response:
        response.set_cookie(CLIENT, browser, httponly=True, samesite="Lax")
        return response

    return browser


def _asking() -> str | None:
    return request.headers.get("Origin")


def _origin(url: str) -> str:
    """Of an address to go back to; anything else is refused."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        abort(_refused(400, "invalid_url_scheme"))
    return f"{parts.scheme}://{parts.netloc}"


def _with(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    others = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != name]
    return parts._replace(query=urlencode([*others, (name, value)])).geturl()


def _refused(status: int, code: str) -> Response:
    words = HTTPStatus(status).phrase
    response = Response(status=status, content_type="application/json")
    error = f'{{"code": "{code}", "message": "{words}", "long_message": "{words}", "meta": {{}}}}'
    response.set_data(f'{{"errors": [{error}]}}')
    return response


# What clerk-js asks about the instance; all else has its own defaults there.
_ENVIRONMENT: Json = {
    "auth_config": {"object": "auth_config", "id": "aconf_sandbox", "single_session_mode": True},
    "display_config": {
        "object": "display_config",
        "id": "display_config_sandbox",
        "instance_environment_type": "development",
        "application_name": "Sandbox",
        "branded": False,
    },
    "user_settings": {},
    "organization_settings": {"enabled": True, "max_allowed_memberships": 5},
    "maintenance_mode": False,
}
