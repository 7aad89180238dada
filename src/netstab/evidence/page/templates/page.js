"use strict";
// What Vega does not do by itself: figures share the page's numbers and what is picked in a legend,
// and fill the width that the page, or a sheet of paper, has for them.
(async () => {
  const study = JSON.parse(document.getElementById("study").textContent);

  const drawings = [];
  // One after another, for two at once would each take the other's width for the one to start from.
  let fitted = Promise.resolve();
  const fitAll = (fit) => {
    fitted = fitted.then(async () => {
      for (const drawing of drawings) await fit(drawing);
    });
  };

  // A choice is an element with a value, to which the figures bind a parameter.
  for (const choice of document.querySelectorAll(".views")) {
    const buttons = [...choice.querySelectorAll("button")];
    const choose = (chosen) => {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
      choice.value = chosen.value;
      // In the order of a field of a form: zooms end with `input`, parameters follow `change`.
      for (const type of ["input", "change"]) choice.dispatchEvent(new Event(type));
    };
    for (const button of buttons) {
      button.addEventListener("click", () => {
        choose(button);
        // What is chosen has axes of another width.
        fitAll((drawing) => drawing.choices.includes(`#${choice.id}`) && drawing.fillWidth());
      });
    }
    choose(buttons[0]);
  }

  class Drawing {
    constructor(figure) {
      this.id = figure.id;
      this.element = figure.querySelector("div");
      this.group = figure.closest(".group");
      this.spec = study.figures[this.id];
      this.picks = this.spec.params.some(({ name }) => name === "pick");
      this.choices = this.spec.params.map(({ bind }) => bind?.element);
    }

    get width() {
      return this.element.clientWidth;
    }

    // Number of columns of small multiples; of a single plot there are none.
    get columns() {
      const narrow = this.spec.usermeta?.narrow;
      return this.width < narrow?.below ? narrow.columns : this.spec.columns;
    }

    // What a small multiple has of the width, less about as much as an axis needs.
    get share() {
      return Math.floor(this.width / this.columns) - 40;
    }

    async draw() {
      const { columns, width } = this;
      const spec = {
        ...this.spec,
        // From the first, for Vega does not cut lines anew where a figure stays as wide as it was.
        ...(columns && { columns, spec: { ...this.spec.spec, width: this.share } }),
        params: [...this.spec.params, { name: "room", value: width }],
        datasets: { ...this.spec.datasets, tables: study.tables },
      };
      const { view } = await vegaEmbed(this.element, spec, {
        actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
        config: study.config,
        logLevel: 1, // errors: Vega warns whenever no point is hovered over
        downloadFileName: `netstab-${this.id}`,
        renderer: "svg",
        scaleFactor: { png: 2 },
      });
      this.view?.finalize();
      Object.assign(this, { view, drawn: { columns, width } });
      await this.fillWidth();
      this.sharePick();
    }

    // Small multiples do not fit a width by themselves: give each its share, then of what is left.
    // Up to three times, since a legend or an axis can need another width once there is room.
    async fillWidth() {
      if (!this.view || !this.columns) return;
      this.view.signal("child_width", this.share);
      for (let turn = 0; turn < 3; turn++) {
        await this.view.resize().runAsync();
        const drawn = this.element.querySelector("svg.marks").getBoundingClientRect().width;
        const spare = Math.floor((this.width - drawn) / this.columns);
        if (!spare) return;
        await this.view.signal("child_width", this.view.signal("child_width") + spare).runAsync();
      }
      await this.view.resize().runAsync();
    }

    async fit() {
      const { columns, width } = this;
      if (!this.view || width === this.drawn.width) return;
      if (columns !== this.drawn.columns) return this.draw();
      this.drawn = { columns, width };
      await this.view.signal("room", width).signal(columns ? "room" : "width", width).runAsync();
      // The title finds its place only after the legend has found its rows.
      await this.view.resize().runAsync();
      await this.fillWidth();
    }

    // A click in one legend highlights the same lines in every figure of the group.
    sharePick() {
      if (!this.group || !this.picks) return;
      this.view.addDataListener("pick_store", async (_name, picked) => {
        if (this.group.dataset.busy) return;
        this.group.dataset.busy = "yes";
        const others = drawings.filter((d) => d.group === this.group && d !== this && d.picks);
        await Promise.all(others.map((d) => d.view?.data("pick_store", picked).runAsync()));
        delete this.group.dataset.busy;
      });
    }
  }

  drawings.push(...[...document.querySelectorAll("figure")].map((figure) => new Drawing(figure)));
  for (const drawing of drawings) {
    await drawing.draw();
    // Let the page answer between two figures.
    await new Promise((resolve) => setTimeout(resolve));
  }

  let settled;
  window.addEventListener("resize", () => {
    clearTimeout(settled);
    settled = setTimeout(() => fitAll((drawing) => drawing.fit()), 150);
  });

  // A sheet has a width of its own: drawn for a screen and shrunk, letters would be too small.
  const print = (onPaper) => {
    document.documentElement.classList.toggle("paper", onPaper);
    for (const details of document.querySelectorAll("details.more")) details.open = onPaper;
    // No figure waits for anything but promises, so all are done before the sheet is laid out.
    for (const drawing of drawings) drawing.fit();
  };
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
  document.documentElement.dataset.drawn = "yes";
})();
