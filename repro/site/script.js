(() => {
  "use strict";

  // Series: a switch per label, over all panels of its figure.
  for (const chart of document.querySelectorAll("[data-chart]")) {
    const hidden = new Set();
    for (const button of chart.querySelectorAll(".legend button")) {
      button.addEventListener("click", () => {
        const label = button.dataset.label;
        const show = hidden.has(label);
        if (show) hidden.delete(label); else hidden.add(label);
        button.setAttribute("aria-pressed", String(show));
        for (const item of chart.querySelectorAll(".panel [data-label]")) {
          if (item.dataset.label === label) item.classList.toggle("off", !show);
        }
      });
    }
    for (const panel of chart.querySelectorAll(".panel")) readValues(panel, hidden);
  }

  // A value with two decimals, or two digits where these would be nought.
  const short = (value) => value !== 0 && Math.abs(value) < 0.1 ? value.toPrecision(2) : value.toFixed(2);

  // Values under the pointer, or at the place that the arrow keys moved to.
  function readValues(panel, hidden) {
    const svg = panel.querySelector("svg");
    const cursor = svg.querySelector(".cursor");
    const box = panel.querySelector(".values");
    const numbers = JSON.parse(panel.querySelector("script").textContent);
    const [low, high, left, right] = numbers.x;
    const places = [...new Set(numbers.lines.flatMap((line) => line.x))]
      .filter((x) => x >= low && x <= high).sort((a, b) => a - b);
    if (!places.length) return;
    let at = -1;

    const nearest = (sorted, x) => {
      let best = 0;
      for (let i = 1; i < sorted.length; i++) if (Math.abs(sorted[i] - x) < Math.abs(sorted[best] - x)) best = i;
      return best;
    };
    const clear = () => { box.textContent = ""; cursor.setAttribute("visibility", "hidden"); };
    const show = (index) => {
      at = Math.max(0, Math.min(places.length - 1, index));
      const x = places[at];
      const near = (high - low) / 40;
      const rows = new Map();
      for (const line of numbers.lines) {
        if (hidden.has(line.label) || !line.x.length) continue;
        const i = nearest(line.x, x);
        if (Math.abs(line.x[i] - x) > near) continue;
        if (!rows.has(line.label)) rows.set(line.label, [line.y[i], line.colour, []]);
        rows.get(line.label)[2].push(`${line.of} ${short(line.y[i])}`);
      }
      box.replaceChildren();
      const head = document.createElement("div");
      head.textContent = `${numbers.name} ${x.toLocaleString("en")}`;
      box.append(head);
      for (const [label, [, colour, said]] of [...rows].sort(([, [a]], [, [b]]) => b - a)) {
        const row = document.createElement("div");
        const name = document.createElement("b");
        name.className = colour;
        name.textContent = label;
        row.append(name, ` ${said.join(", ")}`);
        box.append(row);
      }
      const px = left + (x - low) / (high - low) * (right - left);
      cursor.setAttribute("x1", px);
      cursor.setAttribute("x2", px);
      cursor.setAttribute("visibility", "visible");
      const scale = svg.clientWidth / svg.viewBox.baseVal.width;
      const most = document.documentElement.clientWidth - panel.getBoundingClientRect().left - box.offsetWidth - 8;
      box.style.left = `${Math.min(px * scale - 20, most)}px`;
    };

    svg.addEventListener("pointermove", (event) => {
      const area = svg.getBoundingClientRect();
      const px = (event.clientX - area.left) * svg.viewBox.baseVal.width / area.width;
      const x = low + (px - left) / (right - left) * (high - low);
      if (x < low || x > high) clear(); else show(nearest(places, x));
    });
    svg.addEventListener("pointerleave", clear);
    panel.addEventListener("blur", clear);
    panel.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
      if (event.key === "Escape") clear();
      if (!(event.key in steps)) return;
      event.preventDefault();
      show(at < 0 && event.key === "ArrowLeft" ? places.length - 1 : at + steps[event.key]);
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
