"use strict";
// The scan map: hovering, tapping or the arrow keys choose a scan point, whose pattern is cut from the sheet and shown.
(function () {
  const holder = document.getElementById("scan-data");
  if (!holder) return;
  const scan = JSON.parse(holder.textContent);
  const map = document.getElementById("scan-map"), marker = document.getElementById("scan-marker");
  const canvas = document.getElementById("scan-pattern"), sheet = new Image();

  function draw(target, k) {
    const side = scan.side, context = target.getContext("2d");
    target.width = target.height = side;
    context.drawImage(sheet, (k % scan.columns) * side, Math.floor(k / scan.columns) * side, side, side, 0, 0, side, side);
  }
  function put(id, text) { document.getElementById(id).textContent = text; }

  let chosen = scan.first;
  function choose(k) {
    chosen = k;
    marker.setAttribute("cx", scan.x[k]);
    marker.setAttribute("cy", scan.y[k]);
    draw(canvas, k);
    canvas.setAttribute("aria-label", "pattern " + scan.number[k]);
    put("scan-number", scan.number[k]);
    put("scan-position", scan.y[k].toFixed(1) + ", " + scan.x[k].toFixed(1) + " px");
    put("scan-dose", scan.dose[k].toPrecision(4));
  }
  function nearest(x, y) {
    let best = 0, least = Infinity;
    for (let k = 0; k < scan.x.length; k++) {
      const d = (scan.x[k] - x) ** 2 + (scan.y[k] - y) ** 2;
      if (d < least) { least = d; best = k; }
    }
    return best;
  }
  function follow(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
    choose(nearest(at.x, at.y));
  }
  map.addEventListener("pointermove", follow);
  map.addEventListener("pointerdown", follow);
  map.addEventListener("keydown", function (event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose((chosen + step + scan.x.length) % scan.x.length);
  });
  sheet.onload = function () {
    choose(scan.first);
    for (const target of document.querySelectorAll("canvas[data-pattern]")) draw(target, Number(target.dataset.pattern));
    document.body.dataset.ready = "yes";
  };
  sheet.src = scan.sheet;
})();
