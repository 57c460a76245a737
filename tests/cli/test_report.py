"""``ptychofold report``: one page, by itself, that a browser shows and that answers to the pointer."""

import html.parser
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.cli.files import good_scan
from typer.testing import CliRunner

from ptychofold.cli.main import app
from ptychofold.data.store import PatternStore
from ptychofold.diagnosis import Diagnosis, Finding
from ptychofold.plotting import html_report
from ptychofold.plotting.explorer import LARGEST_SIDE, pattern_sheet, shown_points
from ptychofold.plotting.page import Section, page
from ptychofold.testing import make_scan

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


def report(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["report", *arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def scan_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    report(str(good_scan(folder / "scan.npz")), "-o", str(folder / "scan.html"))
    return folder / "scan.html"


class Addresses(html.parser.HTMLParser):
    """Collects every address that a page names, and its open tags."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_of_a_scan_loads_nothing_and_says_what_the_scan_holds(scan_page: Path) -> None:
    text = scan_page.read_text(encoding="utf-8")
    parser = Addresses()
    parser.feed(text)
    assert not parser.open
    assert parser.found
    assert all(address.startswith(("data:", "#")) for address in parser.found)
    assert not re.search(r"(?:https?:)?//\w", re.sub(r'base64,[^"]*', "", text).replace("// The scan map", ""))
    for heading in (
        "Facts",
        "Doctor",
        "Scan map",
        "Patterns",
        "Pattern statistics",
        "Probe",
        "Coverage",
        "Reconstruction",
    ):
        assert f"<h2>{heading}</h2>" in text
    assert text.count("<circle") == 26
    data = json.loads(re.findall(r'id="scan-data">(.*?)</script>', text)[0])
    assert data["number"] == list(range(25))
    assert len(data["x"]) == len(data["y"]) == len(data["dose"]) == 25


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_a_browser_shows_the_page_and_the_pattern_under_the_pointer(scan_page: Path) -> None:
    assert CHROMIUM is not None
    probe = scan_page.with_name("probed.html")
    script = """<script>
    window.addEventListener("load", function () { setTimeout(function () {
      const say = {}, map = document.getElementById("scan-map"), point = map.querySelectorAll("circle")[3];
      const canvas = document.getElementById("scan-pattern");
      const sum = () => canvas.getContext("2d").getImageData(0, 0, 16, 16).data.reduce((a, b) => a + b, 0);
      say.first = document.getElementById("scan-number").textContent; say.before = sum();
      const box = point.getBoundingClientRect();
      map.dispatchEvent(new PointerEvent("pointermove",
        { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 }));
      say.hovered = document.getElementById("scan-number").textContent; say.after = sum();
      map.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
      say.key = document.getElementById("scan-number").textContent;
      say.ready = document.body.dataset.ready;
      document.body.innerHTML = "<pre>" + JSON.stringify(say) + "</pre>";
    }, 300); });
    </script></body>"""
    probe.write_text(scan_page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    shot = scan_page.with_suffix(".png")
    seen = _chromium("--dump-dom", "--virtual-time-budget=5000", probe.as_uri())
    said = json.loads(re.findall(r"<pre>(\{.*?\})</pre>", seen)[0])
    assert said["ready"] == "yes"
    assert said["first"] == "12"
    assert said["hovered"] == "3"
    assert said["key"] == "4"
    assert said["before"] != said["after"]
    _chromium("--window-size=1240,1800", f"--screenshot={shot}", scan_page.as_uri())
    assert shot.read_bytes().startswith(b"\x89PNG")


def _chromium(*arguments: str) -> str:
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave figures undrawn, as they take most of the time."""
    monkeypatch.setattr(html_report, "figure_html", lambda _, caption: f"<figure>{caption}</figure>")


@pytest.mark.usefixtures("undrawn")
def test_a_store_a_result_and_a_product_without_patterns_have_pages(tmp_path: Path) -> None:
    scan = make_scan(n_scan=16, N=16, step=2.0)
    PatternStore.create(scan, tmp_path / "store")
    report(str(tmp_path / "store"), "-o", str(tmp_path / "store.html"))
    assert "<h2>Scan map</h2>" in (tmp_path / "store.html").read_text(encoding="utf-8")
    scan.to_file(tmp_path / "product.h5")
    report(str(tmp_path / "product.h5"), "-o", str(tmp_path / "product.html"))
    text = (tmp_path / "product.html").read_text(encoding="utf-8")
    assert "<h2>Reconstruction</h2>" in text
    assert "scan-data" not in re.sub(r"<script>.*", "", text, flags=re.DOTALL)
    scan.to_file(tmp_path / "scan.npz")
    arguments = ("--patterns", str(tmp_path / "scan.npz"), "-o", str(tmp_path / "both.html"))
    report(str(tmp_path / "product.h5"), *arguments)
    assert "<h2>Scan map</h2>" in (tmp_path / "both.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_a_training_run_shows_its_losses_and_what_its_network_makes_of_the_scan(tmp_path: Path) -> None:
    good_scan(tmp_path / "scan.npz")
    for extra in ((), ("--resume",)):
        arguments = ["train", str(tmp_path / "scan.npz"), "-o", str(tmp_path / "run"), "-e", "2", *extra]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.stderr
    history = json.loads((tmp_path / "run" / "history.json").read_text(encoding="utf-8"))
    assert [losses["epoch"] for losses in history] == [0, 1]
    report(str(tmp_path / "run"), "-o", str(tmp_path / "run.html"))
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    for heading in ("Training run", "Training losses", "Scan map", "Reconstruction"):
        assert f"<h2>{heading}</h2>" in text


def test_what_has_no_page_is_refused(tmp_path: Path) -> None:
    run = CliRunner().invoke
    result = run(app, ["report", str(good_scan(tmp_path / "a.npz")), "-o", str(tmp_path / "a.pdf")])
    assert result.exit_code == 2
    assert "expected a page that ends in .html" in result.stderr
    result = run(app, ["report", str(tmp_path), "-o", str(tmp_path / "a.html")])
    assert result.exit_code == 3
    assert "expected a store or a training run" in result.stderr
    assert not (tmp_path / "a.html").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_has_not_ended_shows_what_there_is_and_is_marked(tmp_path: Path) -> None:
    good_scan(tmp_path / "scan.npz")
    folder, page = tmp_path / "run", tmp_path / "run.html"
    folder.mkdir()
    (folder / "run.toml").write_text('scan = "../scan.npz"\n[training]\nepochs = 5\n', encoding="utf-8")
    report(str(folder), "-o", str(page))
    text = page.read_text(encoding="utf-8")
    assert "unfinished: 0 of 5 epochs have ended, no model yet" in text
    assert f"Train it with ptychofold train {folder / 'run.toml'}." in text
    assert "<h2>Training losses</h2>" not in text
    (folder / "last.ckpt").touch()
    (folder / "history.json").write_text('[{"epoch": 0.0, "train_loss": 0.25}, {"epoch": 1.0, "train_loss": 0.125}]')
    report(str(folder), "-o", str(page))
    text = page.read_text(encoding="utf-8")
    assert "unfinished: 2 of 5 epochs have ended, no model yet" in text
    assert "run.toml --resume." in text
    for heading in ("Training run", "Training losses", "Scan map"):
        assert f"<h2>{heading}</h2>" in text
    assert "Run run, unfinished" in text


def test_names_and_findings_cannot_become_markup() -> None:
    finding = Finding(subject="x<y", level="fix", says="<b>bold</b>", fix="<i>do</i>")
    sections = [Section(title="a<b", body=""), html_report.doctor_section(Diagnosis(findings=(finding,)))]
    text = page("<script>alert(1)</script>", sections)
    assert "<i>do" not in text
    assert "Verdict: fix." in text
    assert "<script>alert" not in text
    assert "&lt;b&gt;bold" in text
    assert "a&lt;b" in text


def test_a_page_without_trial_reconstructions_says_so_and_never_go() -> None:
    fine = Finding(subject="dose", level="go", says="enough")
    note = html_report.doctor_section(Diagnosis(findings=(fine,), tried=False)).note
    assert note is not None
    assert "No trial reconstructions were made" in note
    assert "Verdict: go" not in note
    bad = replace(fine, level="no-go")
    assert "Verdict: no-go." in str(html_report.doctor_section(Diagnosis(findings=(bad,), tried=False)).note)


@pytest.mark.parametrize("N", [16, 65, 128])
def test_the_sheet_holds_every_pattern_binned_to_at_most_64_pixels(N: int) -> None:
    scan = make_scan(n_scan=5, N=N, step=2.0)
    sheet = pattern_sheet(scan, shown_points(5))
    side = sheet.shape[1] // 3
    assert side <= LARGEST_SIDE
    assert sheet.shape == (2 * side, 3 * side)
    brightest = np.unravel_index(sheet[:side, :side].argmax(), (side, side))
    factor = int(np.ceil(N / side))
    intensity = scan.amplitude([0])[0] ** 2
    true = np.unravel_index(intensity.argmax(), intensity.shape)
    np.testing.assert_allclose(np.array(brightest) * factor, true, atol=2 * factor)
    assert not sheet[side:, 2 * side :].any()
