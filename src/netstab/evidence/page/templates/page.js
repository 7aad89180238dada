"use strict";
// Fills the figures: `study` holds every number once, each figure names the tables that it draws.
(async () => {
  const study = JSON.parse(document.getElementById("study").textContent);

  // A table is columns of one length; without one for epochs, its rows are epochs from 0 on.
  const rows = (sources) =>
    sources.flatMap(({ table, as }) => {
      const columns = Object.entries(study.tables[table]);
      return columns[0][1].map((_, index) => ({
        epoch: index,
        ...Object.fromEntries(columns.map(([name, values]) => [name, values[index]])),
        ...as,
      }));
    });

  // As many columns as fit, 7 pixels a letter and 46 for symbol and gaps, in even rows.
  const legendColumns = (width, labels) => {
    const entry = 46 + 7 * Math.max(1, ...labels.map((label) => label.length));
    const fitting = Math.max(1, Math.floor((width - 50) / entry));
    return Math.ceil(labels.length / Math.ceil(labels.length / fitting)) || 1;
  };

  const NARROW = 520;
  const PAPER = 680; // width of a sheet without its margins, in CSS pixels
  const columnsOfCells = (width, cells) => {
    if (width >= NARROW) return Math.min(cells, 4);
    return cells > 2 ? 2 : 1;
  };

  class Drawing {
    constructor(figure) {
      this.id = figure.id;
      this.element = figure.querySelector("div");
      this.chart = study.figures[this.id];
      this.group = figure.closest(".group");
      this.section = figure.closest("section");
      this.values = {}; // of the parameters that buttons set
      const datasets = Object.entries(this.chart.sources).map(([name, all]) => [name, rows(all)]);
      Object.assign((this.chart.spec.datasets ??= {}), Object.fromEntries(datasets));
    }

    has(param) {
      return (this.chart.spec.params ?? []).some(({ name }) => name === param);
    }

    // On paper a width of its own: drawn for a screen and shrunk, letters would be too small.
    get width() {
      if (!this.onPaper) return this.element.clientWidth;
      return this.element.parentElement.matches(".wide") ? PAPER : PAPER / 2 - 20;
    }

    get cellWidth() {
      return Math.floor(this.width / columnsOfCells(this.width, this.chart.cells)) - 40;
    }

    // What depends on the width, as parameters of the chart.
    get fitting() {
      const narrow = this.width < NARROW;
      const found = { columns: legendColumns(this.width, this.chart.labels), narrow };
      return Object.entries({ ...found, ...this.values }).filter(([name]) => this.has(name));
    }

    spec() {
      const { spec, cells } = this.chart;
      const values = Object.fromEntries(this.fitting);
      const params = spec.params?.map((p) => (p.name in values ? { ...p, value: values[p.name] } : p));
      if (!cells) return { ...spec, params };
      const columns = columnsOfCells(this.width, cells);
      const child = { ...spec.spec, width: this.cellWidth };
      return { ...spec, params, columns, spec: child };
    }

    async draw() {
      const { view } = await vegaEmbed(this.element, this.spec(), {
        actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
        config: study.config,
        logLevel: 1, // errors: Vega warns whenever no point is hovered over
        downloadFileName: `netstab-${this.id}`,
        renderer: "svg",
        scaleFactor: { png: 2 },
      });
      this.view?.finalize();
      this.view = view;
      this.drawnAt = this.width;
      if (this.chart.cells) await this.fillWidth();
      this.listen();
    }

    // Small multiples do not fit a width by themselves: give each its share of what is left. Up to
    // three times, since a legend or an axis can need another width once there is room.
    async fillWidth() {
      const columns = columnsOfCells(this.width, this.chart.cells);
      for (let turn = 0; turn < 3; turn++) {
        await this.view.resize().runAsync();
        const drawn = this.element.querySelector("svg.marks").getBoundingClientRect().width;
        const spare = Math.floor((this.width - drawn) / columns);
        if (!spare) return;
        await this.view.signal("child_width", this.view.signal("child_width") + spare).runAsync();
      }
      await this.view.resize().runAsync();
    }

    async fit() {
      if (!this.view || this.width === this.drawnAt) return;
      const { cells } = this.chart;
      const [before, now] = [this.drawnAt, this.width].map((width) => columnsOfCells(width, cells));
      if (cells && before !== now) return this.draw();
      this.drawnAt = this.width;
      for (const [name, value] of this.fitting) this.view.signal(name, value);
      if (cells) this.view.signal("child_width", this.cellWidth);
      else this.view.signal("width", this.width);
      await this.view.runAsync();
      // The title finds its place only after the legend has found its rows.
      await this.view.resize().runAsync();
      if (cells) await this.fillWidth();
    }

    async set(param, value) {
      if (!this.has(param)) return;
      this.values[param] = value;
      if (!this.view) return;
      if (this.chart.spec.params.some(({ name }) => name === "zoom")) {
        this.view.data("zoom_store", []); // zoom and pan belong to the other view
      }
      await this.view.signal(param, value).runAsync();
    }

    // A click in one legend highlights the same lines in every figure of the group.
    listen() {
      if (!this.has("pick")) return;
      this.view.addDataListener("pick_store", async (_name, picked) => {
        if (!this.group || this.group.dataset.busy) return;
        this.group.dataset.busy = "yes";
        const others = drawings.filter((d) => d !== this && d.group === this.group && d.view);
        await Promise.all(
          others.filter((d) => d.has("pick")).map((d) => d.view.data("pick_store", picked).runAsync()),
        );
        delete this.group.dataset.busy;
      });
    }
  }

  const drawings = [...document.querySelectorAll("figure")].map((figure) => new Drawing(figure));

  for (const choice of document.querySelectorAll(".views")) {
    const buttons = choice.querySelectorAll("button");
    for (const button of buttons) {
      button.addEventListener("click", async () => {
        for (const other of buttons) {
          other.setAttribute("aria-pressed", String(other === button));
        }
        const { param } = choice.dataset;
        const value = param === "start" ? Number(button.dataset.value) : button.dataset.value;
        for (const drawing of drawings) {
          if (drawing.section === choice.closest("section")) await drawing.set(param, value);
        }
      });
    }
  }

  for (const drawing of drawings) {
    await drawing.draw();
    // Let the page answer between two figures.
    await new Promise((resolve) => setTimeout(resolve));
  }

  let settled;
  window.addEventListener("resize", () => {
    clearTimeout(settled);
    settled = setTimeout(async () => {
      for (const drawing of drawings) await drawing.fit();
    }, 150);
  });

  const folded = document.querySelectorAll("details.more");
  const print = (onPaper) => {
    for (const details of folded) details.open = onPaper;
    // No figure waits for anything but promises, so all are done before the sheet is laid out.
    for (const drawing of drawings) Object.assign(drawing, { onPaper }).fit();
  };
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
  document.documentElement.dataset.drawn = "yes";
})();
