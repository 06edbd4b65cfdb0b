// Charts are drawn when they come near the window, by Vega's interpreter: nothing is evaluated as code.
(() => {
  const figures = [...document.querySelectorAll("figure.chart")];
  if (!figures.length) return;
  const source = document.currentScript.dataset.vega;
  let loading = null;
  const vega = () => loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.onload = () => resolve(window.vegaEmbed);
    script.onerror = () => reject(new Error(`${source} can't be loaded`));
    document.head.append(script);
  });

  const config = () => {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    const font = getComputedStyle(document.body).fontFamily;
    const [text, quiet, rule, accent] = ["text", "quiet", "rule", "accent"].map(color);
    const words = { labelColor: text, titleColor: text, labelFont: font, titleFont: font, labelFontSize: 12,
      titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: "transparent", font, view: { stroke: null },
      axis: { ...words, gridColor: rule, domainColor: quiet, tickColor: quiet },
      legend: { ...words, symbolStrokeColor: text }, text: { color: text, fontSize: 12 },
      range: { category: [1, 2, 3, 4, 5, 6].map((index) => color(`series-${index}`)) },
      ...Object.fromEntries(["point", "line", "rule", "tick"].map((mark) => [mark, { color: accent }])),
    };
  };

  const parsed = new Map(figures.map((figure) => [figure, null]));
  const chart = (figure) => {
    if (!parsed.get(figure)) {
      parsed.set(figure, JSON.parse(figure.querySelector('script[type="application/json"]').textContent));
    }
    return parsed.get(figure);
  };
  const views = new Map();

  const draw = async (figure) => {
    const embed = await vega();
    const options = { actions: false, renderer: "svg", ast: true, config: config(), defaultStyle: false,
      tooltip: { disableDefaultStyle: true } };
    const place = figure.querySelector(".plot");
    views.get(figure)?.finalize();
    const result = await embed(place, structuredClone(chart(figure).spec), options);
    views.set(figure, result);
    const choice = figure.querySelector("select");
    if (choice) {
      const choose = () => result.view.signal("task", choice.value).resize().runAsync();
      choice.onchange = choose;
      if (choice.selectedIndex > 0) await choose();
    }
    figure.dataset.drawn = "yes";
  };
  const failed = (figure) => (error) => {
    figure.querySelector(".plot").textContent = `The chart could not be drawn: ${error.message}`;
  };

  const table = (figure) => {
    const { spec, columns, title } = chart(figure);
    const made = document.createElement("table");
    made.createCaption().textContent = title;
    const head = made.createTHead().insertRow();
    for (const [, name] of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = made.createTBody();
    for (const point of spec.data.values) {
      const row = body.insertRow();
      for (const [key] of columns) row.insertCell().textContent = point[key];
    }
    const box = document.createElement("div");
    Object.assign(box, { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `${title}, numbers, scrollable` });
    box.append(made);
    return box;
  };

  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      draw(target).catch(failed(target));
    }
  }, { rootMargin: "300px" });
  for (const figure of figures) {
    watcher.observe(figure);
    const details = figure.querySelector("details.numbers");
    details.addEventListener("toggle", () => { if (details.open && !details.querySelector("table")) details.append(table(figure)); });
  }
  document.addEventListener("themechange", () => {
    for (const figure of views.keys()) draw(figure).catch(failed(figure));
  });
})();
