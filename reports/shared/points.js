// Every design of a page as points, and as a table: hover tells a row, a click keeps it and names the next command;
// columns sort, a word filters, what is left goes into a CSV file. Without this program the page has its figures.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("points-data").textContent);
  const $ = (name) => document.getElementById(`points-${name}`);
  const MOST_LINES = 100; // of the table; the file has all
  const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "triangle-left", "triangle-right", "pentagon"];
  const order = { column: -1, down: false };
  let kept = data.best;

  const written = (value, column) => (typeof value !== "number" ? value : value.toLocaleString("en", {
    minimumFractionDigits: data.columns[column].digits, maximumFractionDigits: data.columns[column].digits,
  }));
  const textOf = (row) => row.map(written).join(" ").toLowerCase();
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function shownRows() {
    const wanted = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    return data.rows.map((_, place) => place).filter((place) => {
      const words = textOf(data.rows[place]).split(" ");
      return wanted.every((word) => words.some((own) => own.includes(word)));
    });
  }

  function commandOf(row) {
    const named = Object.fromEntries(data.columns.map((column, place) => [column.name, row[place]]));
    return (data.commands[data.by.map((column) => row[column]).join("\n")] ?? "").replace(/\{(\w+)\}/g, (_, name) => named[name] ?? data.fixed[name] ?? _);
  }

  function keep(place) {
    kept = place;
    const row = data.rows[place];
    const terms = data.columns.flatMap((column, index) => {
      const term = document.createElement("dt"), told = document.createElement("dd");
      [term.textContent, told.textContent] = [column.label, written(row[index], index)];
      return [term, told];
    });
    $("row").replaceChildren(...terms);
    $("command").textContent = commandOf(row);
    $("kept").hidden = false;
    draw();
  }

  function trace(name, places, across, up) {
    return {
      type: "scatter", mode: "markers", name, customdata: places,
      x: places.map((place) => data.rows[place][across]), y: places.map((place) => data.rows[place][up]),
      text: places.map((place) => data.rows[place].map((value, index) => `${data.columns[index].label}: ${written(value, index)}`).join("<br>")),
      hovertemplate: "%{text}<extra></extra>", marker: { size: 7, opacity: 0.8 },
    };
  }

  function draw() {
    const across = Number($("across").value), up = Number($("up").value), places = shownRows();
    const groups = new Map();
    for (const place of places) {
      const name = String(data.rows[place][data.color]);
      groups.set(name, [...(groups.get(name) ?? []), place]);
    }
    const traces = [...groups].map(([name, own]) => trace(name, own, across, up));
    traces.forEach((one, index) => { one.marker.symbol = SYMBOLS[index % SYMBOLS.length]; });
    const star = { size: 16, symbol: "star", color: "#E8C547", line: { width: 1, color: color("ink") } }, marked = data.marked.filter((place) => places.includes(place));
    if (marked.length) traces.push({ ...trace("recommended", marked, across, up), marker: star });
    const ring = { size: 15, symbol: "circle-open", color: color("ink"), line: { width: 2 } };
    if (kept !== null) traces.push({ ...trace("chosen", [kept], across, up), marker: ring });
    const axis = (column, rangemode) => ({ title: { text: data.columns[column].label }, gridcolor: color("line"), zeroline: false, rangemode });
    Plotly.react($("plot"), traces, {
      xaxis: axis(across, "normal"), yaxis: axis(up, "tozero"), paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: color("ink"), size: 12 },
      margin: { t: 10, r: 10, l: 55, b: 45 }, legend: { orientation: "h", y: -0.22 }, hovermode: "closest", height: innerWidth < 600 ? 380 + 19 * traces.length : 460, uirevision: `${across} ${up}`,
    }, { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] });
    fill(places);
  }

  function sorted(places) {
    if (order.column < 0) return places;
    const of = (place) => data.rows[place][order.column];
    const turn = order.down ? -1 : 1;
    return [...places].sort((a, b) => turn * (of(a) > of(b) ? 1 : of(a) < of(b) ? -1 : 0));
  }

  function fill(places) {
    const lines = sorted(places).slice(0, MOST_LINES).map((place) => {
      const line = document.createElement("tr");
      line.tabIndex = 0;
      line.className = place === kept ? "best" : "";
      data.rows[place].forEach((value, index) => { line.insertCell().textContent = written(value, index); });
      line.addEventListener("click", () => keep(place));
      line.addEventListener("keydown", (event) => { if (event.key === "Enter") keep(place); });
      return line;
    });
    $("table").tBodies[0].replaceChildren(...lines);
    $("count").textContent = `${places.length.toLocaleString("en")} of ${data.count.toLocaleString("en")} designs` +
      (places.length > MOST_LINES ? `, the first ${MOST_LINES} here` : "");
    [...$("table").tHead.rows[0].cells].forEach((cell, index) => {
      cell.setAttribute("aria-sort", index !== order.column ? "none" : order.down ? "descending" : "ascending");
    });
  }

  function save() {
    const quoted = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
    const lines = sorted(shownRows()).map((place) => data.rows[place].map(quoted).join(","));
    const text = [data.columns.map((column) => quoted(column.label)).join(","), ...lines, ""].join("\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = data.file;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  for (const [name, chosen] of [["across", data.across], ["up", data.up]]) {
    data.columns.forEach((column, index) => { if (column.digits !== null) $(name).add(new Option(column.label, index)); });
    $(name).value = chosen;
    $(name).addEventListener("change", draw);
  }
  data.columns.forEach((column, index) => {
    const head = document.createElement("th"), button = head.appendChild(document.createElement("button"));
    [button.textContent, button.title] = [column.label, column.about];
    button.addEventListener("click", () => {
      [order.down, order.column] = [order.column === index && !order.down, index];
      fill(shownRows());
    });
    $("table").tHead.rows[0].append(head);
  });
  $("filter").addEventListener("input", draw);
  $("csv").addEventListener("click", save);
  document.getElementById("points").hidden = false;
  draw();
  if (kept !== null) keep(kept);
  $("plot").on("plotly_click", (event) => keep(event.points[0].customdata));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
