"""Names, focus, contrast and width. A smoke test, no replacement for listening to the page."""

from typing import Any

import pytest
from demo import Demo
from playwright.sync_api import Page, expect

CONTROLS = {"button", "link", "combobox", "radio", "checkbox", "textbox"}

# Text whose contrast with what is behind it is below 4.5 to 1. Gradients are left out.
PALE = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => {
    const linear = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4
    return .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255)
  }
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e)
      if (style.backgroundImage !== 'none') return null
      const colour = rgb(style.backgroundColor)
      if (colour.length < 4 || colour[3] === 1) return colour
    }
    return [255, 255, 255]
  }
  const pale = []
  for (const element of document.body.querySelectorAll('*')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())
    if (!own || !element.checkVisibility() || element.closest('.hidden, .skip')) continue
    const back = behind(element)
    if (!back) continue
    const lights = [light(rgb(getComputedStyle(element).color)), light(back)]
    const contrast = (Math.max(...lights) + .05) / (Math.min(...lights) + .05)
    if (contrast < 4.5) pale.push([element.tagName, element.textContent.trim(), contrast])
  }
  return pale
}"""

FOCUSED = """() => {
  const e = document.activeElement
  const shown = e.matches('input') ? e.parentElement : e
  const style = getComputedStyle(shown)
  const seen = style.outlineStyle !== 'none' || getComputedStyle(e).outlineStyle !== 'none'
  return [e.labels?.[0]?.textContent ?? e.ariaLabel ?? e.textContent, seen]
}"""


def nameless(page: Page) -> list[Any]:
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    return [
        node["nodeId"]
        for node in tree["nodes"]
        if node.get("role", {}).get("value") in CONTROLS
        and not node.get("name", {}).get("value", "").strip()
    ]


def look_at(page: Page) -> None:
    page.wait_for_load_state()  # with its style sheet, without which dark has no background
    assert nameless(page) == []
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(PALE) == [], scheme


def test_the_demo_page_on_the_free_plan(demo: Demo) -> None:
    look_at(demo.page)


def test_the_demo_page_with_everything_on_it(demo: Demo) -> None:
    demo.buy()
    for summary in demo.page.locator("summary").all():
        summary.click()
    demo.turn("Stripe’s API", "answers 500")
    demo.click("Manage billing")
    demo.says("Stripe does not answer")
    look_at(demo.page)
    demo.page.set_viewport_size({"width": 375, "height": 700})
    assert demo.page.evaluate("document.documentElement.scrollWidth") <= 375


def test_the_pages_of_stripe(demo: Demo) -> None:
    demo.upgrade()
    look_at(demo.page)
    demo.click("Let the card be declined")
    look_at(demo.page)
    demo.click("Pay $19.00")
    demo.says("Renews on")
    demo.manage()
    look_at(demo.page)
    demo.click("Let the card fail")
    look_at(demo.page)


def test_the_keyboard_reaches_everything_and_is_seen(demo: Demo) -> None:
    names = []
    for _ in range(30):
        demo.page.keyboard.press("Tab")
        name, seen = demo.page.evaluate(FOCUSED)
        if not name or demo.page.evaluate("document.activeElement === document.body"):
            break
        assert seen, name
        names.append(" ".join(name.split()))
    expected = ["Skip to the account", "Ada", "Pro $19 a month", "Upgrade", "Webhook delay"]
    assert [name for name in names if name in expected] == expected
    assert "Start over …" in names


def test_the_skip_link_leads_to_the_account(demo: Demo) -> None:
    demo.page.keyboard.press("Tab")
    demo.page.keyboard.press("Enter")
    expect(demo.account).to_be_focused()


def test_the_whole_way_by_keyboard(demo: Demo) -> None:
    demo.button("Upgrade").focus()
    demo.page.keyboard.press("Enter")
    expect(demo.button("Pay $19.00")).to_be_visible()
    demo.button("Pay $19.00").focus()
    demo.page.keyboard.press("Enter")
    demo.says("Renews on")


@pytest.mark.parametrize("role", ["status", "alert"])
def test_what_happens_is_announced(demo: Demo, role: Any) -> None:
    region = demo.account.get_by_role(role)
    expect(region).to_have_count(1)
    if role == "status":
        demo.buy()
        expect(region).to_contain_text("Thank you")
    else:
        demo.turn("Database", "is down")
        demo.click("Upgrade")
        expect(region).to_contain_text("We can’t look up your plan")
        expect(region.get_by_role("button")).to_have_text("Try again")
