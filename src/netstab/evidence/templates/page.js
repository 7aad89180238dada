"use strict";
// Fills the figures: `study` holds every curve once, each figure names the curves that it draws.
(async () => {
  const study = JSON.parse(document.getElementById("study").textContent);

  const rows = ({ measure, lines }) =>
    lines.flatMap(({ label, variant, common }) => {
      const { mean, low, high } = study.curves[variant][measure];
      return mean.map((value, epoch) => ({
        curve: label, epoch, mean: value, low: low[epoch], high: high[epoch],
        own: epoch >= common - 1,
      }));
    });

  // As many columns as fit, 7 pixels a letter and 46 for symbol and gaps, in even rows.
  const legendColumns = (element, lines) => {
    const entry = 46 + 7 * Math.max(...lines.map(({ label }) => label.length));
    const fitting = Math.max(1, Math.floor((element.clientWidth - 50) / entry));
    return Math.ceil(lines.length / Math.ceil(lines.length / fitting));
  };

  // A click in one legend highlights the same curves in every figure of the experiment.
  const shareLegend = (views) => {
    let busy = false;
    for (const view of views) {
      view.addDataListener("pick_store", async (_name, picked) => {
        if (busy) return;
        busy = true;
        const others = views.filter((other) => other !== view);
        await Promise.all(others.map((other) => other.data("pick_store", picked).runAsync()));
        busy = false;
      });
    }
  };

  const viewButtons = (experiment, views) => {
    const buttons = experiment.querySelectorAll(".views button");
    for (const button of buttons) {
      button.addEventListener("click", async () => {
        for (const other of buttons) {
          other.setAttribute("aria-pressed", String(other === button));
        }
        for (const view of views) {
          // Forget zoom and pan, which belong to the other view.
          view.data("zoom_store", []).signal("start", Number(button.dataset.start));
          await view.runAsync();
        }
      });
    }
  };

  for (const experiment of document.querySelectorAll(".experiment")) {
    const views = [];
    for (const figure of experiment.querySelectorAll("figure")) {
      const chart = study.figures[figure.id];
      chart.spec.datasets = { ...chart.spec.datasets, curves: rows(chart) };
      const element = figure.querySelector("div");
      const columns = chart.spec.params.find(({ name }) => name === "columns");
      columns.value = legendColumns(element, chart.lines);
      const { view } = await vegaEmbed(element, chart.spec, {
        actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
        config: study.config,
        logLevel: 1, // errors: Vega warns whenever no point is hovered over
        downloadFileName: `netstab-${figure.id}`,
        renderer: "svg",
        scaleFactor: { png: 2 },
      });
      views.push(view);
      let settled;
      window.addEventListener("resize", () => {
        clearTimeout(settled);
        settled = setTimeout(async () => {
          await view.signal("columns", legendColumns(element, chart.lines)).runAsync();
          // The title finds its place only after the legend has found its rows.
          await view.resize().runAsync();
        }, 150);
      });
    }
    shareLegend(views);
    viewButtons(experiment, views);
  }
  document.documentElement.dataset.drawn = "yes";
})();
