// Fills the tables of the layers for the pattern and word lengths that a reader chooses, from the numbers in the page.
// It does what layer_tables.py does; without it the page shows the recommended point.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const chosen = ["pattern", "weight_bits", "signal_bits"];
  const select = (name) => document.getElementById(name);
  const named = (names, values) => Object.fromEntries(names.map((name, place) => [name, values[place]]));
  const designs = data.designs.map((values) => named(data.fields, values));
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  const count = (number) => number.toLocaleString("en-US");

  const formats = {
    text: (value) => value || "",
    count: count,
    share: (value) => (value * 100).toFixed(1) + " %",
    kib: (value) => (value * (1 / 8192)).toFixed(2),
    nano: (value) => (value * 1e9).toFixed(2),
  };

  function layerRow(layer, known, design) {
    const cycles = layer.compute_cycles + layer.drain_cycles + layer.fill_cycles + layer.stall_cycles;
    const kept = known ? known.weights * design.weight_bits : 0;
    const constants = layer.bias_memory_bits + layer.requantize_memory_bits;
    return {
      ...layer,
      ...(known ? {} : named(data.stored, data.stored.map(() => null))),
      cycles,
      accumulator_bits: layer.accumulator_bits || null,
      pattern: known ? known.pattern : "",
      encoding: known ? known.encoding : "",
      reason: known ? known.encoding_reason : "",
      weights: known ? known.weights : null,
      density: known && known.dense_weights ? known.weights / known.dense_weights : null,
      macs: (known && known.macs) || null,
      fft_multiplications: known ? known.fft_multiplications : null,
      utilization: known && known.macs ? known.macs / (data.lanes * cycles) : null,
      memory_bar: [kept, layer.control_bits, constants, layer.held_bits, layer.filling_bits],
      cycles_bar: [layer.compute_cycles, layer.drain_cycles, layer.fill_cycles, layer.stall_cycles],
    };
  }

  function layerRows(design) {
    const known = Object.fromEntries(data.known[design.pattern].map((row) => [row.name, row]));
    const layers = design.layers.map((values) => named(data.layer_fields, values));
    const rows = layers.map((layer) => layerRow(layer, known[layer.name], design));
    const total = named(data.sums, data.sums.map((name) => sum(rows.map((row) => row[name] || 0))));
    const dense = sum(Object.values(known).map((row) => row.dense_weights));
    Object.assign(total, {
      name: "all",
      held_bits: Math.max(...rows.map((row) => row.held_bits)),
      cycles: design.cycles,
      fill_cycles: design.cycles - total.compute_cycles - total.drain_cycles - total.stall_cycles,
      density: dense ? total.weights / dense : null,
      dram_bits: design.dram_bits,
      utilization: total.macs / (data.lanes * design.cycles),
      joules: design.joules,
    });
    return [...rows, total];
  }

  function blockRows(design) {
    const rows = design.memories.map((values) => named(data.memory_fields, values)).map((m) => ({
      name: m.name,
      wanted: (m.banks > 1 ? m.banks + " x " : "") + count(m.words) + " x " + m.width_bits + " bit",
      made: count(m.count) + " " + m.macro,
      macro_bits: m.macro_bits,
      payload_bits: m.payload_bits,
    }));
    rows.push({ name: "all", macro_bits: design.memory_bits, payload_bits: design.payload_bits });
    return rows.map((row) => ({ ...row, empty: 1 - row.payload_bits / row.macro_bits }));
  }

  function barOf(sizes, longest, parts) {
    const bar = document.createElement("div");
    bar.className = "bar";
    sizes.forEach((size, place) => {
      const part = bar.appendChild(document.createElement("i"));
      part.style.width = ((100 * size) / longest).toFixed(2) + "%";
      part.style.background = parts[place][1];
    });
    return bar;
  }

  function fill(table, rows) {
    const body = document.getElementById(table).tBodies[0];
    body.replaceChildren(...rows.map((row, place) => {
      const line = document.createElement("tr");
      if (place === rows.length - 1) line.className = "total";
      for (const [, field, format, left] of data.tables[table]) {
        const cell = line.insertCell();
        if (left) cell.className = "left";
        if (field === "encoding" && row.reason) cell.title = row.reason;
        if (format === "bar") {
          const bars = rows.slice(0, -1).map((other) => sum(other[field + "_bar"]));
          cell.append(barOf(row[field + "_bar"] || [], Math.max(...bars) || 1, data.bars[field]));
        } else if (row[field] != null) {
          cell.textContent = formats[format](row[field]);
        }
      }
      return line;
    }));
  }

  function show(design) {
    const error = data.errors.find((x) => x[0] === design.pattern && x[1] === design.weight_bits);
    const measured = error && design.weight_bits === design.signal_bits;
    const title = document.createElement("strong");
    title.textContent = `${design.pattern}, ${design.weight_bits}-bit weights, ${design.signal_bits}-bit signals`;
    const rate = measured ? (100 * error[2]).toFixed(2) + " % error" : "error not measured";
    const size = (design.stored_bits / 8192).toFixed(2);
    document.getElementById("chosen").replaceChildren(title, `: ${size} KiB of parameters and signals, ${rate}`);
    document.getElementById("verdict").textContent = design.verdict;
    const rows = layerRows(design);
    fill("layer-memory", rows);
    fill("layer-cycles", rows);
    fill("blocks", blockRows(design));
  }

  function follow() {
    // a fragment such as #pattern=kernel&weight_bits=4 chooses; what it does not say, or says wrong, is as recommended
    const asked = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
    for (const name of chosen) {
      const value = asked.get(name) ?? (name === "signal_bits" ? asked.get("weight_bits") : null);
      const known = [...select(name).options].some((option) => option.value === value);
      select(name).value = known ? value : String(data.shown[name]);
    }
    const values = chosen.map((name) => select(name).value);
    const design = designs.find((x) => chosen.every((name, place) => String(x[name]) === values[place]));
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
