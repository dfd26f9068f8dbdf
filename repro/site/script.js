(() => {
  "use strict";

  // A value with two decimals, or two digits where these would be nought.
  const short = (value) => value !== 0 && Math.abs(value) < 0.1 ? value.toPrecision(2) : value.toFixed(2);
  const nearest = (values, x) =>
    values.reduce((best, value, i) => Math.abs(value - x) < Math.abs(values[best] - x) ? i : best, 0);

  for (const chart of document.querySelectorAll("[data-chart]")) {
    const { name, panels, series } = JSON.parse(chart.querySelector("script").textContent);
    const hidden = new Set();
    for (const button of chart.querySelectorAll(".legend button")) {
      button.addEventListener("click", () => {
        const label = button.dataset.label;
        const show = hidden.delete(label);
        if (!show) hidden.add(label);
        button.setAttribute("aria-pressed", String(show));
        for (const line of series) {
          if (line.label === label) document.getElementById(`${name}-${line.id}`).classList.toggle("off", !show);
        }
      });
    }
    readValues(chart, panels, series, hidden);
  }

  // Values under the pointer, or at the place that the arrow keys moved to.
  function readValues(chart, panels, series, hidden) {
    const svg = chart.querySelector("svg");
    const box = chart.querySelector(".values");
    const colours = {};
    for (const button of chart.querySelectorAll(".legend button")) colours[button.dataset.label] = button.className;
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("visibility", "hidden");
    svg.append(cursor);
    let panel = 0, at = -1;

    const readable = () => series.filter((line) => line.panel === panel && line.said && !hidden.has(line.label));
    const places = () => {
      const [low, high] = panels[panel].x;
      return [...new Set(readable().flatMap((line) => line.x))]
        .filter((x) => x >= low && x <= high).sort((a, b) => a - b);
    };
    const clear = () => { box.textContent = ""; cursor.setAttribute("visibility", "hidden"); at = -1; };
    const show = (index) => {
      const all = places();
      if (!all.length) return clear();
      at = Math.max(0, Math.min(all.length - 1, index));
      const { place: [left, top, right, bottom], x: [low, high], name } = panels[panel];
      const x = all[at];
      const rows = new Map();
      for (const line of readable()) {
        const i = nearest(line.x, x);
        if (!line.x.length || Math.abs(line.x[i] - x) > (high - low) / 40) continue;
        if (!rows.has(line.label)) rows.set(line.label, [line.y[i], []]);
        rows.get(line.label)[1].push(`${line.said} ${short(line.y[i])}`);
      }
      box.replaceChildren(`${name} ${x.toLocaleString("en")}`);
      for (const [label, [, said]] of [...rows].sort(([, [a]], [, [b]]) => b - a)) {
        const row = document.createElement("div");
        const head = document.createElement("b");
        head.className = colours[label] || "";
        head.textContent = label;
        row.append(head, ` ${said.join(", ")}`);
        box.append(row);
      }
      const px = left + (x - low) / (high - low) * (right - left);
      for (const [key, value] of Object.entries({ x1: px, x2: px, y1: top, y2: bottom, visibility: "visible" })) {
        cursor.setAttribute(key, value);
      }
      const area = svg.getBoundingClientRect(), frame = chart.getBoundingClientRect();
      const scale = area.width / svg.viewBox.baseVal.width;
      const most = document.documentElement.clientWidth - frame.left - box.offsetWidth - 8;
      box.style.left = `${Math.max(0, Math.min(area.left - frame.left + px * scale + 12, most))}px`;
      box.style.top = `${area.top - frame.top + (bottom + 30) * scale}px`;
    };

    svg.addEventListener("pointermove", (event) => {
      const area = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / area.width;
      const px = (event.clientX - area.left) * scale, py = (event.clientY - area.top) * scale;
      panel = panels.findIndex(({ place: [l, t, r, b] }) => px >= l && px <= r && py >= t && py <= b);
      if (panel < 0) { panel = 0; return clear(); }
      const { place: [left, , right], x: [low, high] } = panels[panel];
      const all = places();
      show(nearest(all, low + (px - left) / (right - left) * (high - low)));
    });
    svg.addEventListener("pointerleave", clear);
    svg.addEventListener("blur", clear);
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
      if (event.key === "Escape") clear();
      // Up and down go from panel to panel.
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        panel = (panel + (event.key === "ArrowDown" ? 1 : panels.length - 1)) % panels.length;
        event.preventDefault();
        return show(Math.max(0, at));
      }
      if (!(event.key in steps)) return;
      event.preventDefault();
      show(at < 0 && event.key === "ArrowLeft" ? Infinity : Math.max(at, 0) + steps[event.key]);
    });
  }

  // Which data set and preset is shown; without this script all are.
  const bar = document.querySelector(".evidence");
  if (bar) {
    const select = bar.querySelector("select");
    const filter = () => {
      for (const item of document.querySelectorAll("[data-group]")) {
        item.hidden = select.value !== "" && item.dataset.group !== select.value;
      }
      for (const item of document.querySelectorAll("[data-lacks]")) {
        item.hidden = item.dataset.lacks !== select.value;
      }
    };
    select.addEventListener("change", filter);
    bar.hidden = false;
    filter();
  }

  // Tables whose columns sort.
  for (const table of document.querySelectorAll("table[data-sortable], [data-sortable] table")) {
    const body = table.tBodies[0];
    const value = (row, column) => {
      const text = row.cells[column].textContent.trim().replace(/,/g, "");
      const time = /^(\d+):(\d\d):(\d\d)$/.exec(text);
      if (time) return time[1] * 3600 + time[2] * 60 + +time[3];
      const number = parseFloat(text);
      return text !== "" && !Number.isNaN(number) && /^[-−\d.]/.test(text) ? number : text;
    };
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [value(row, column), row]);
        rows.sort(([a], [b]) => {
          if (a === "" || b === "") return (a === "") - (b === "");
          const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
          return down ? -order : order;
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  addEventListener("beforeprint", () => {
    for (const item of document.querySelectorAll("details")) item.open = true;
  });
})();
