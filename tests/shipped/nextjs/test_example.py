"""x"""
import pytest
from guest import Guest
from playwright.sync_api import Page
pytestmark = pytest.mark.xdist_group("rewrites")
def test_x(page: Page, rewrites: Guest):
    page.goto(rewrites.url+"/pricing")
    print(page.locator("body").aria_snapshot())
    page.get_by_text("Sign in", exact=True).click()
    page.get_by_role("button", name="Ada", exact=True).click()
    page.wait_for_timeout(3000)
    print(page.url, page.locator("body").aria_snapshot())
    page.goto(rewrites.url+"/account")
    page.wait_for_timeout(3000)
    print(page.url, page.locator("body").aria_snapshot())
    print(page.context.cookies())
