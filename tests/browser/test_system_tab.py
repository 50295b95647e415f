"""The tab of the machine: gauges, traces, models, sensors, the doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.scripted import OllamaFacade, ScriptedServer
from support.served import serving

expect: Any = pytest.importorskip("playwright.sync_api").expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from support.served import Served

NONE = "no sensor of a GPU or processor can be read"
SAMPLE: dict[str, Any] = {
    "cpu_percent": 25.0,
    "ram_used_mb": 8000.0,
    "ram_total_mb": 32000.0,
    "sensors": [
        {
            "id": "0000:03:00.0",
            "name": "Radeon <b>",
            "vendor": "amd",
            "power_w": 180.5,
            "util_pct": 90.0,
            "vram_used_mb": 12000.0,
            "vram_total_mb": 16000.0,
            "temp_c": 71.0,
            "clock_mhz": None,
        }
    ],
}


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server beside one with a model in memory."""
    model = OllamaFacade()
    model.loaded = True
    home: Path = tmp_path_factory.mktemp("served")
    with ScriptedServer(model) as ollama, serving(home, OLLAMA_HOST=ollama.host) as found:
        yield found


def test_processors_and_memory_have_gauges_and_traces(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/system")
    expect(page.get_by_role("meter", name="CPU")).to_be_visible()
    expect(page.get_by_role("meter", name="RAM")).to_be_visible()
    expect(page.get_by_role("figure", name="CPU")).to_be_visible()
    page.get_by_role("figure", name="RAM").get_by_role("button", name="Table").click()
    expect(page.get_by_role("figure", name="RAM").get_by_role("table")).to_contain_text("GB")


@pytest.fixture
def shown(served: Served, opened: Callable[..., Page]) -> Callable[[list[Any]], Page]:
    """Return a function that opens the tab on a machine with some sensors."""

    def open_tab(sensors: list[Any]) -> Page:
        sample = {**SAMPLE, "sensors": sensors}
        times = [{**sample, "time": f"2026-11-30T12:00:0{n}.000Z"} for n in range(0, 8, 2)]
        routes = {
            "**/system/history": lambda route: route.fulfill(json=times),
            "**/events": lambda route: route.abort(),
        }
        return opened(served, "#/system", wrong=True, routes=routes)

    return open_tab


def test_what_has_no_sensor_is_a_dash_with_the_reason(shown: Callable[[list[Any]], Page]) -> None:
    page = shown([])
    for name in ("GPU", "VRAM", "Temperature", "Power"):
        page.locator(".gauge").filter(has_text=name).last.get_by_text("–").focus()
        expect(page.get_by_role("tooltip")).to_have_text(NONE)
    expect(page.get_by_role("figure", name="VRAM")).to_have_count(0)


def test_a_gpu_has_gauges_and_traces(shown: Callable[[list[Any]], Page]) -> None:
    page = shown(SAMPLE["sensors"])
    expect(page.locator(".gauge").filter(has_text="VRAM")).to_contain_text("12 of 16 GB")
    expect(page.locator(".gauge").filter(has_text="Temperature")).to_contain_text("71 °C")
    for name in ("GPU", "VRAM", "Temperature", "Power"):
        expect(page.get_by_role("figure", name=name, exact=True)).to_contain_text("Radeon <b>")


def test_models_in_memory_and_sensors_are_listed(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/system")
    models = page.get_by_role("group", name="Models in memory")
    expect(models).to_contain_text("tiny")
    sensors = page.get_by_role("group", name="Sensors")
    expect(sensors.get_by_role("row", name="nvidia-smi")).to_be_visible()


def test_the_doctor_says_its_lines_those_that_need_something_first(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/system")
    doctor = page.get_by_role("group", name="Doctor")
    expect(doctor.get_by_role("row", name="server.reachable")).to_be_visible()
    levels = [text.split()[0] for text in doctor.get_by_role("row").all_inner_texts()[1:]]
    assert levels == sorted(levels, key=["fail", "warn", "ok"].index)
    page.get_by_role("button", name="Ask again: the doctor").click()
    expect(doctor.get_by_role("row", name="server.reachable")).to_be_visible()


def test_a_server_that_is_gone_is_told_in_its_place(
    served: Served, opened: Callable[..., Page]
) -> None:
    refused = {"detail": "LLAMABURN_TIMEOUT: 'soon' is refused", "field": None}
    routes = {"**/system/status": lambda route: route.fulfill(status=503, json=refused)}
    page = opened(served, "#/system", wrong=True, routes=routes)
    expect(page.get_by_role("alert").first).to_have_text("LLAMABURN_TIMEOUT: 'soon' is refused")


def test_nothing_is_asked_that_would_disturb_a_job(
    served: Served, opened: Callable[..., Page]
) -> None:
    job = {
        "id": "20261130T120000-0a1b2c",
        "kind": "benchmark",
        "state": "running",
        "command": "llamaburn benchmark",
        "created": "2026-11-30T12:00:00Z",
        "wrote": [],
    }
    listed = {"jobs": [job], "total": 1, "unfinished": []}
    routes = {"**/jobs?*": lambda route: route.fulfill(json=listed)}
    page = opened(served, "#/results", wrong=True, routes=routes)
    expect(page.get_by_role("complementary", name="Running job")).to_be_visible()
    page.get_by_role("tab", name="System").click()
    told = page.get_by_text("Not asked while a job runs, because that would disturb it.")
    expect(told).to_have_count(3)
    page.get_by_role("button", name="Ask now: the server").click()
    expect(told).to_have_count(1)
