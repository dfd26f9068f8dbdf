"""The report in headless Chromium: what is rendered, what can be done with it, and whether everybody can.

Skipped where there is no Chromium with its driver (Debian: chromium, chromium-driver); the accessibility check also
where there is no axe-core (npm install --prefix .cache axe-core, or $AXE_CORE, the path of axe.min.js).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install '.[test]'")
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
AXE = Path(os.environ.get("AXE_CORE") or ROOT / ".cache/node_modules/axe-core/axe.min.js")
DESKTOP, TELEPHONE = (1280, 900), (390, 844)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--remote-allow-origins=*",
)  # fmt: skip

pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="no chromium and chromedriver on this machine"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=CHROMEDRIVER))
    yield driver
    driver.quit()


def open_page(browser: Any, page: Path, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page.as_uri())


def open_short(browser: Any, whole_report: Path, **how: Any) -> None:
    """The front page with the evidence of two sources."""
    open_page(browser, whole_report / "index.html", **how)
    Select(browser.find_element(By.ID, "evidence")).select_by_visible_text("CIFAR-10, JPEG copy · preset short")


def every_kind(whole_report: Path) -> list[Path]:
    run = whole_report / "runs" / "yours--cifar10-jpeg--short--plain-20--seed-0.html"
    failed = whole_report / "runs" / "second--digits--demo--resnet-32--seed-0.html"
    return [whole_report / "index.html", whole_report / "runs.html", run, failed]


def displayed(browser: Any, selector: str) -> list[Any]:
    return [item for item in browser.find_elements(By.CSS_SELECTOR, selector) if item.is_displayed()]


def test_no_page_asks_for_anything_or_has_an_error(browser: Any, whole_report: Path) -> None:
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    for page in every_kind(whole_report):
        open_page(browser, page)
        assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")], page
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        assert page.as_uri() in asked, "the log is empty"
        assert not browser.find_elements(By.TAG_NAME, "img"), "markup in a record"
        assert all(url.startswith(("file:///", "data:")) for url in asked), asked


def lines(chart: Any) -> dict[str, list[Any]]:
    """The lines of a chart by their label."""
    about = json.loads(chart.find_element(By.CSS_SELECTOR, "script").get_attribute("textContent"))
    found: dict[str, list[Any]] = {}
    for line in about["series"]:
        found.setdefault(line["label"], []).append(chart.find_element(By.ID, f"{about['name']}-{line['id']}"))
    return found


def test_lines_can_be_switched_off_and_on(browser: Any, whole_report: Path) -> None:
    open_short(browser, whole_report)
    chart = displayed(browser, "#figure-1 [data-chart]")[0]
    button = chart.find_element(By.CSS_SELECTOR, "button[data-label='plain-56']")

    def shown() -> set[str]:
        found = lines(chart).items()
        return {label for label, of in found if any(line.value_of_css_property("display") != "none" for line in of)}

    assert chart.size["width"] > 550 and "training error" in chart.text, "its text is text"
    assert shown() == {"plain-20", "plain-56"}
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "false"
    assert shown() == {"plain-20"}
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert shown() == {"plain-20", "plain-56"}


def test_values_are_read_by_pointer_and_by_keys(browser: Any, whole_report: Path) -> None:
    open_short(browser, whole_report)
    chart = displayed(browser, "#figure-1 [data-chart]")[0]
    picture, values = (chart.find_element(By.CSS_SELECTOR, name) for name in ("svg", ".values"))
    assert values.text == ""
    picture.send_keys(Keys.ARROW_DOWN)
    picture.send_keys(Keys.END)
    assert values.text.splitlines() == ["iteration 8,000", "plain-56 test error 32.00", "plain-20 test error 18.00"]
    picture.send_keys(Keys.ESCAPE)
    assert values.text == ""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    right = json.loads(chart.find_element(By.CSS_SELECTOR, "script").get_attribute("textContent"))["panels"][1][
        "place"
    ][2]
    scale = browser.execute_script("return arguments[0].clientWidth / arguments[0].viewBox.baseVal.width", picture)
    ActionChains(browser).move_to_element_with_offset(
        picture, int(right * scale - picture.size["width"] / 2) - 2, 0
    ).perform()
    assert values.text.splitlines()[0] == "iteration 8,000"
    assert chart.find_element(By.CSS_SELECTOR, ".cursor").get_attribute("visibility") == "visible"


def test_one_group_is_shown_at_a_time_or_all(browser: Any, whole_report: Path) -> None:
    open_page(browser, whole_report / "index.html")
    select = Select(browser.find_element(By.ID, "evidence"))

    def groups() -> set[str]:
        return {item.get_attribute("data-group") for item in displayed(browser, "[data-group]")}

    assert select.first_selected_option.text == "CIFAR-10 · preset paper", "the one with the most headlines"
    assert groups() == {"cifar10--paper"}
    select.select_by_visible_text("8×8 digits · preset demo")
    assert groups() == {"digits--demo"}
    assert displayed(browser, "[data-lacks]")[0].text.startswith("Not run with 8×8 digits")
    select.select_by_visible_text("all of them")
    assert groups() > {"cifar10--paper", "cifar10-jpeg--short", "digits--demo"}


def test_runs_sort_by_each_column(browser: Any, whole_report: Path) -> None:
    open_page(browser, whole_report / "runs.html")
    head = next(cell for cell in displayed(browser, "thead th") if cell.text.startswith("test (%)"))
    index = browser.execute_script("return arguments[0].cellIndex", head)

    def column() -> list[str]:
        rows = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
        return [row.find_elements(By.CSS_SELECTOR, "th, td")[index].text for row in rows]

    button = head.find_element(By.CSS_SELECTOR, "button")
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    numbers = [float(text) for text in column() if text]
    assert numbers == sorted(numbers) and len(numbers) > 15
    assert column()[len(numbers) :] == [""] * 4, "the empty ones last"
    button.send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column() if text] == numbers[::-1]


@pytest.mark.parametrize("size", [DESKTOP, TELEPHONE])
def test_nothing_is_wider_than_the_screen(browser: Any, whole_report: Path, size: tuple[int, int]) -> None:
    for page in every_kind(whole_report):
        open_page(browser, page, size)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= size[0], page


def test_a_figure_is_moved_sideways_on_a_telephone_and_keeps_its_size(browser: Any, whole_report: Path) -> None:
    open_short(browser, whole_report, size=TELEPHONE)
    box = displayed(browser, "#figure-1 .drawn")[0]
    inside, outside = browser.execute_script("return [arguments[0].scrollWidth, arguments[0].clientWidth]", box)
    assert inside > 1.3 * outside
    text = box.find_element(By.CSS_SELECTOR, "svg text").rect
    assert text["height"] >= 8
    hint = "return getComputedStyle(document.querySelector('#figure-1 .drawn'), '::before').content"
    assert "sideways" in browser.execute_script(hint)
    open_short(browser, whole_report)
    assert browser.execute_script(hint) == "none"


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: npm install --prefix .cache axe-core")
@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (TELEPHONE, "light")])
def test_axe_finds_no_serious_issue(browser: Any, whole_report: Path, size: tuple[int, int], scheme: str) -> None:
    for page in every_kind(whole_report):
        open_page(browser, page, size, scheme)
        if browser.find_elements(By.ID, "evidence"):
            Select(browser.find_element(By.ID, "evidence")).select_by_visible_text("all of them")
        browser.execute_script(AXE.read_text(encoding="utf-8"))
        found = browser.execute_async_script("axe.run(document).then(arguments[arguments.length - 1])")
        assert found["passes"], "axe did not look"
        serious = [
            f"{issue['id']}: {node['html'][:120]}"
            for issue in found["violations"]
            for node in issue["nodes"]
            if issue["impact"] in ("serious", "critical", "moderate")
        ]
        assert not serious, f"{page.name}: {serious[:8]}"
