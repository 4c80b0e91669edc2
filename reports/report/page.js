// Shows the tables of the design that a reader chooses by pattern and word lengths; layer_tables.py made them all.
// Without this program the page shows the recommended point.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const chosen = ["pattern", "weight_bits", "signal_bits"];
  const select = (name) => document.getElementById(name);

  function barOf(shares, colors) {
    const bar = document.createElement("div");
    bar.className = "bar";
    shares.forEach((share, place) => {
      const part = bar.appendChild(document.createElement("i"));
      part.style.width = share + "%";
      part.style.background = colors[place];
    });
    return bar;
  }

  function lineOf(cells, heads, colors) {
    const line = document.createElement("tr");
    cells.forEach((content, place) => {
      const cell = line.insertCell();
      cell.className = heads[place].className;
      if (Array.isArray(content)) cell.append(barOf(content, colors));
      else if (typeof content === "number") [cell.textContent, cell.title] = data.titled[content];
      else cell.textContent = content;
    });
    return line;
  }

  function show([, title, summary, verdict, tables]) {
    const name = document.createElement("strong");
    name.textContent = title;
    document.getElementById("chosen").replaceChildren(name, `: ${summary}`);
    document.getElementById("verdict").textContent = verdict;
    tables.forEach((rows, place) => {
      const table = document.getElementById(data.tables[place]);
      const heads = table.tHead.rows[0].cells;
      const lines = rows.map((row) => lineOf(data.rows[row], heads, data.colors[place]));
      lines[lines.length - 1].className = "total";
      table.tBodies[0].replaceChildren(...lines);
    });
  }

  function follow() {
    // a fragment such as #pattern=kernel&weight_bits=4 chooses; what it does not say, or says wrong, is as recommended
    const asked = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
    chosen.forEach((name, place) => {
      const value = asked.get(name) ?? (name === "signal_bits" ? asked.get("weight_bits") : null);
      const known = [...select(name).options].some((option) => option.value === value);
      select(name).value = known ? value : data.shown[place];
    });
    const design = data.designs.find(([key]) => chosen.every((name, place) => key[place] === select(name).value));
    if (design) show(design);
  }

  for (const name of chosen) {
    select(name).addEventListener("change", () => {
      location.hash = chosen.map((x) => `${x}=${encodeURIComponent(select(x).value)}`).join("&");
    });
  }
  window.addEventListener("hashchange", follow);
  document.getElementById("choices").hidden = false;
  follow();
})();
