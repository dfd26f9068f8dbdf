"""The report in headless Chromium: what is rendered, what can be done with it, and whether everybody can.

Skipped where there is no Chromium with its driver (Debian: chromium, chromium-driver); the accessibility check also
where there is no axe-core (npm install --prefix .cache axe-core, or $AXE_CORE, the path of axe.min.js).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from planted import plant

from repro import report
from repro.figures.chart import Chart, Panel, log_axis
from repro.site import svg

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install '.[test]'")
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
AXE = Path(os.environ.get("AXE_CORE") or ROOT / ".cache/node_modules/axe-core/axe.min.js")
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two groups and two sources, with markup in a record."""
    root = tmp_path_factory.mktemp("browser")
    for network, train, test in (("plain-20", 16.0, 18.0), ("plain-56", 30.0, 32.0), ("resnet-20", 15.0, 17.0)):
        plant(root / "yours", network, data="cifar10-jpeg", train_end=train, test_end=test, responses=1.5)
    plant(root / "theirs", "plain-20", data="cifar10-jpeg", train_end=16.0, test_end=18.5)
    plant(root / "yours", "plain-20", data="digits", preset="demo", train_end=1.0, test_end=2.0)
    plant(
        root / "theirs",
        "resnet-32",
        data="digits",
        preset="demo",
        status="failed",
        extra={"error": HOSTILE, "traceback": HOSTILE, "environment": {"commit": HOSTILE, "device": HOSTILE}},
    )
    arguments = ["--results", str(root / "yours"), "--results", str(root / "theirs")]
    assert report.main([*arguments, "--out", str(root / "out")]) == 0
    return root / "out"


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


def every_kind(folder: Path) -> list[Path]:
    run = folder / "runs" / "yours--cifar10-jpeg--short--plain-20--seed-0.html"
    failed = folder / "runs" / "theirs--digits--demo--resnet-32--seed-0.html"
    return [folder / "index.html", folder / "runs.html", run, failed]


def displayed(browser: Any, selector: str) -> list[Any]:
    return [item for item in browser.find_elements(By.CSS_SELECTOR, selector) if item.is_displayed()]


def test_no_page_asks_for_anything_or_has_an_error(browser: Any, folder: Path) -> None:
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    for page in every_kind(folder):
        open_page(browser, page)
        assert not [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")], page
        events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        assert page.as_uri() in asked, "the log is empty"
        assert all(url.startswith(("file:///", "data:")) for url in asked), asked


def test_figures_1_and_6_and_table_6_are_rendered(browser: Any, folder: Path) -> None:
    open_page(browser, folder / "index.html")
    for figure, panels in (("figure-1", 2), ("figure-6", 3)):
        pictures = displayed(browser, f"#{figure} .panel svg[role=img]")
        assert len(pictures) == 2 * panels, "of two sources"
        for picture in pictures[:panels]:
            assert picture.size["width"] > 250
            assert picture.size["height"] > 200
    colours = {
        line.get_attribute("data-label"): line.value_of_css_property("stroke")
        for line in displayed(browser, "#figure-1 polyline")
    }
    assert colours == {"plain-20": "rgb(140, 138, 0)", "plain-56": "rgb(216, 30, 30)"}
    dashes = {
        line.value_of_css_property("stroke-dasharray") for line in displayed(browser, "#figure-6 polyline.dashed")
    }
    assert dashes == {"5px, 3px"}
    cells = [cell.text for cell in displayed(browser, "#table-6 tbody tr:nth-child(7) > *")]
    assert cells[:3] == ["ResNet-20", "0.27M", "8.75"]
    assert "17.00 (n = 1)" in cells


def test_lines_can_be_switched_off_and_on(browser: Any, folder: Path) -> None:
    open_page(browser, folder / "index.html")
    chart = displayed(browser, "#figure-1 [data-chart]")[0]
    button = chart.find_element(By.CSS_SELECTOR, "button[data-label='plain-56']")

    def lines() -> set[str]:
        found = chart.find_elements(By.CSS_SELECTOR, "polyline")
        return {line.get_attribute("data-label") for line in found if line.is_displayed()}

    assert lines() == {"plain-20", "plain-56"}
    button.send_keys(Keys.SPACE)
    assert button.get_attribute("aria-pressed") == "false"
    assert lines() == {"plain-20"}
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert lines() == {"plain-20", "plain-56"}


def test_values_are_read_by_pointer_and_by_keys(browser: Any, folder: Path) -> None:
    open_page(browser, folder / "index.html")
    panel = displayed(browser, "#figure-1 .panel")[1]
    values = panel.find_element(By.CSS_SELECTOR, ".values")
    assert values.text == ""
    panel.send_keys(Keys.END)
    assert values.text.splitlines() == ["iteration 8,000", "plain-56 test error 32.00", "plain-20 test error 18.00"]
    panel.send_keys(Keys.ESCAPE)
    assert values.text == ""
    picture = panel.find_element(By.CSS_SELECTOR, "svg")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    frame = panel.find_element(By.CSS_SELECTOR, "rect.axis")
    ActionChains(browser).move_to_element_with_offset(frame, int(frame.size["width"] / 2) - 1, 0).perform()
    assert values.text.splitlines()[0] == "iteration 8,000"
    assert panel.find_element(By.CSS_SELECTOR, ".cursor").get_attribute("visibility") == "visible"


def test_one_group_is_shown_at_a_time_or_all(browser: Any, folder: Path) -> None:
    open_page(browser, folder / "index.html")
    select = Select(browser.find_element(By.ID, "evidence"))

    def groups() -> set[str]:
        return {item.get_attribute("data-group") for item in displayed(browser, "[data-group]")}

    assert select.first_selected_option.text == "CIFAR-10, JPEG copy · preset short", "the one with the most networks"
    assert groups() == {"cifar10-jpeg--short"}
    select.select_by_visible_text("8×8 digits · preset demo")
    assert groups() == {"digits--demo"}
    assert displayed(browser, "[data-lacks]")[0].text.startswith("Not run with 8×8 digits")
    select.select_by_visible_text("all of them")
    assert groups() == {"cifar10-jpeg--short", "digits--demo"}


def test_without_scripts_everything_is_shown(browser: Any, folder: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_page(browser, folder / "index.html")
        shown = browser.execute_cdp_cmd("Page.captureSnapshot", {})["data"]
        assert "Deep Residual Learning" in shown
        counts = browser.execute_cdp_cmd(
            "Runtime.evaluate",
            {
                "expression": "[document.querySelectorAll('[data-group][hidden]').length,"
                "document.querySelectorAll('[data-group]').length].join()",
                "returnByValue": True,
            },
        )["result"]["value"]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    hidden, all_of_them = map(int, counts.split(","))
    assert hidden == 0
    assert all_of_them > 10


def test_runs_sort_by_each_column(browser: Any, folder: Path) -> None:
    open_page(browser, folder / "runs.html")
    head = next(cell for cell in displayed(browser, "thead th") if cell.text.startswith("test (%)"))
    index = browser.execute_script("return arguments[0].cellIndex", head)

    def column() -> list[str]:
        rows = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
        return [row.find_elements(By.CSS_SELECTOR, "th, td")[index].text for row in rows]

    button = head.find_element(By.CSS_SELECTOR, "button")
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column() == ["2.00", "17.00", "18.00", "18.50", "32.00", ""], "as numbers, the empty one last"
    button.send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert column() == ["32.00", "18.50", "18.00", "17.00", "2.00", ""]


@pytest.mark.parametrize("size", [DESKTOP, TELEPHONE])
def test_nothing_is_wider_than_the_screen(browser: Any, folder: Path, size: tuple[int, int]) -> None:
    for page in every_kind(folder):
        open_page(browser, page, size)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= size[0], page


def test_panels_stand_below_one_another_on_a_telephone(browser: Any, folder: Path) -> None:
    tops = {}
    for size in (DESKTOP, TELEPHONE):
        open_page(browser, folder / "index.html", size)
        tops[size] = [panel.rect["y"] for panel in displayed(browser, "#figure-1 .panel")[:2]]
    assert tops[DESKTOP][0] == tops[DESKTOP][1]
    assert tops[TELEPHONE][0] < tops[TELEPHONE][1]


def luminance(browser: Any) -> float:
    colour = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("size", [DESKTOP, TELEPHONE])
@pytest.mark.parametrize("limits", [(0.002, 0.2), (0.1, 100.0), (50.0, 5000.0), (1e-9, 1e4)])
def test_no_tick_lies_under_the_label_of_its_axis(
    browser: Any, tmp_path: Path, limits: tuple[float, float], size
) -> None:
    bounds, ticks = log_axis(*limits)
    panel = Panel("a", "layer index", "gradient norm", (0.0, 1.0), bounds, (), ticks, log=True)
    drawn = svg.chart(Chart("a", "A", "", (panel, replace(panel, y_ticks=bounds)), (), stacked=True), "a")
    style = (ROOT / "repro/site/style.css").read_text(encoding="utf-8")
    (tmp_path / "a.html").write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><style>{style}</style><main>{drawn}</main>', encoding="utf-8"
    )
    open_page(browser, tmp_path / "a.html", size)
    for picture in displayed(browser, "svg[role=img]"):
        label = picture.find_element(By.CSS_SELECTOR, ".label.y").rect
        written = [tick.rect for tick in picture.find_elements(By.CSS_SELECTOR, ".tick.y")]
        assert len(written) >= 2
        assert all(label["x"] + label["width"] <= rect["x"] for rect in written)
        assert label["x"] >= picture.rect["x"]


def test_light_and_dark_follow_the_reader_and_paper_is_white(browser: Any, folder: Path) -> None:
    page = folder / "index.html"
    open_page(browser, page, scheme="light")
    assert luminance(browser) > 240
    open_page(browser, page, scheme="dark")
    assert luminance(browser) < 40
    assert displayed(browser, "nav")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    assert luminance(browser) > 240
    assert not displayed(browser, "nav, .evidence, .downloads")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_markup_in_a_record_is_text_on_the_page(browser: Any, folder: Path) -> None:
    open_page(browser, folder / "runs" / "theirs--digits--demo--resnet-32--seed-0.html")
    assert HOSTILE in browser.find_element(By.TAG_NAME, "pre").text
    assert not browser.find_elements(By.TAG_NAME, "img")
    open_page(browser, folder / "runs.html")
    assert HOSTILE in browser.find_element(By.ID, "trouble").text
    assert not browser.find_elements(By.TAG_NAME, "img")


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core: npm install --prefix .cache axe-core")
@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (DESKTOP, "dark"), (TELEPHONE, "light")])
def test_axe_finds_no_serious_issue(browser: Any, folder: Path, size: tuple[int, int], scheme: str) -> None:
    for page in every_kind(folder):
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
