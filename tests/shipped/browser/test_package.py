"""The npm package's components in Chromium, on a page of an app that is the sandbox's guest."""

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from demo import Demo
from flask import Flask
from in_browser import CHECKOUT, PORTAL
from playwright.sync_api import Page, expect
from started import ROOT, StartedSandbox, wait_for

from sandbox.web import Server

FRONTEND = ROOT / "frontend"
HTML = """<!doctype html>
<html lang="en"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>Billing</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="style.css">
<main id="root"></main><script type="module" src="page.js"></script>"""


@pytest.fixture(scope="module")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the page as an app's bundler makes it."""
    if not (FRONTEND / "node_modules" / ".bin" / "esbuild").exists():
        pytest.skip("the npm package is not installed: make frontend")
    folder = tmp_path_factory.mktemp("app")
    subprocess.run(  # noqa: S603
        [FRONTEND / "node_modules/.bin/esbuild", "test/page.jsx", "--bundle", "--format=esm",
         "--jsx=automatic", "--define:process.env.NODE_ENV=\"production\"",
         f"--outfile={folder / 'page.js'}", "--log-level=error"],
        cwd=FRONTEND, check=True,
    )  # fmt: skip
    shutil.copy(FRONTEND / "src/react/style.css", folder)
    app = Flask(__name__, static_folder=folder, static_url_path="")
    app.add_url_rule("/", view_func=lambda: HTML)
    with Server(app) as server:
        yield server.url.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def host(app_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedSandbox]:
    with StartedSandbox(tmp_path_factory.mktemp("host"), SANDBOX_APP_URL=app_url) as sandbox:
        yield sandbox


@pytest.fixture
def app(page: Page, host: StartedSandbox, app_url: str) -> Demo:
    host.post("/reset")
    page.add_init_script(f"window.SANDBOX = '{host.url}'")
    demo = Demo(page, host)
    demo.page.goto(app_url)  # nobody yet
    return demo


def visit(app: Demo, user: str) -> None:
    app.page.goto(f"{app.page.url.partition('?')[0]}?user={user}")


def plan(app: Demo, name: str) -> None:
    expect(app.page.locator("h2")).to_contain_text(name)


def subscribe(app: Demo, user: str, status: str = "active") -> None:
    app.sandbox.post("/stripe/subscriptions", user=user, price="price_pro", status=status)
    wait_for(lambda: app.sandbox.get("/rows"))


def test_a_plan_is_bought_by_keyboard_alone(app: Demo) -> None:
    visit(app, "ada")
    plan(app, "Free")
    # The plans come by a call of their own, and Tab goes past what is not there yet.
    expect(app.page.get_by_text("$49 per month")).to_be_visible()
    app.page.keyboard.press("Tab")  # the link to the plans
    app.page.keyboard.press("Tab")
    app.page.keyboard.press("ArrowRight")  # from monthly to yearly
    expect(app.page.get_by_text("$490 per year")).to_be_visible()
    for _ in range(2):
        app.page.keyboard.press("Tab")
    assert app.page.evaluate("document.activeElement.textContent") == "Choose Team"
    app.page.keyboard.press("Enter")
    app.at(CHECKOUT)
    app.click("Pay $490.00")
    plan(app, "Team Active")
    expect(app.page).to_have_url(re.compile(r":\d+/\?user=ada$"))


def test_three_clicks_are_one_call_and_the_way_back_works(app: Demo) -> None:
    subscribe(app, "ada")
    visit(app, "ada")
    plan(app, "Pro")
    app.page.evaluate(
        """() => {
          window.left = true
          const all = [...document.querySelectorAll('button')]
          const button = all.find((each) => each.textContent === 'Manage billing')
          button.click(); button.click(); button.click()
        }"""
    )
    app.at(PORTAL)
    assert app.calls.count("POST /portal") == 1
    app.page.go_back(wait_until="commit")
    assert app.page.evaluate("window.left"), "the page was not kept, so this proves nothing"
    # Sooner than after the 15 s by which a button gives up that has led nowhere.
    button = expect(app.button("Manage billing"))
    button.not_to_have_attribute("aria-busy", "true", timeout=8_000)
    app.manage()


def test_a_change_of_plan_shows_what_it_costs(app: Demo) -> None:
    subscribe(app, "ada")
    visit(app, "ada")
    app.click("Switch to Team")
    app.at(PORTAL)
    expect(app.page.locator("body")).to_contain_text("From now on: Team, $49.00 a month.")


@pytest.mark.parametrize("status", ["active", "past_due", None])
def test_it_fits_both_widths_in_both_themes(app: Demo, status: str | None) -> None:
    if status:
        subscribe(app, "ada", status)
    visit(app, "ada")
    plan(app, "Pro" if status else "Free")
    expect(app.page.get_by_text("$49 per month")).to_be_visible()
    app.picture(f"package-{status or 'free'}")


def test_a_page_of_a_proxy_is_no_answer(app: Demo) -> None:
    app.page.route("**/subscription", lambda r: r.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    visit(app, "ada")
    card = app.page.locator("section.ps-card")  # the table of plans says it too
    expect(card.get_by_role("alert")).to_contain_text("Something else than the billing service")
    expect(app.page.locator("main")).not_to_contain_text("Free")
    card.get_by_role("button", name="Try again").click()
    app.page.unroute("**/subscription")
    plan(app, "Free")  # by that click, or by the page's own next try
