/** Starts the page: its charts, its theme and its buttons. */

/** @type {Figure[]} */
const figures = [];

/** @param {string} selector */
function jsonOf(selector) {
  return document.querySelector(selector)?.textContent ?? "null";
}

function drawFigures() {
  const data = /** @type {PageData} */ (JSON.parse(jsonOf("#data")));
  for (const figure of document.querySelectorAll("figure.chart")) {
    if (!(figure instanceof HTMLElement)) continue;
    const map = data.heatMaps[figure.dataset.heatMap ?? ""];
    const chart = data.charts[figure.dataset.chart ?? ""];
    if (map !== undefined) figures.push(new HeatChart(figure, map));
    else if (chart !== undefined) drawChart(figure, chart, data);
    else figure.hidden = true;
  }
}

/**
 * @param {HTMLElement} figure
 * @param {import("./data.ts").Chart} chart
 * @param {PageData} data
 */
function drawChart(figure, chart, data) {
  const axis = data.axes[chart.axis];
  const isEmpty = axis === undefined || axis.places.length === 0;
  if (isEmpty || chart.views.every(({ lines }) => lines.length === 0)) {
    const words = element("p", { class: "none" }, "The run has no values for this chart.");
    figure.append(element("figcaption", {}, element("h3", {}, chart.label)), words);
  } else {
    figures.push(new LineChart(figure, chart, axis));
  }
}

// The theme: that of the system, until a reader chooses one.

const themeKey = "plait load theme";
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

/** A page that is opened from a file may have no storage. */
function storedTheme() {
  try {
    return localStorage.getItem(themeKey);
  } catch {
    return null;
  }
}

/** @type {string | null} */
let chosenTheme = storedTheme();

function isDark() {
  return chosenTheme === null ? systemIsDark.matches : chosenTheme === "dark";
}

/** @param {string | null} theme */
function applyTheme(theme) {
  document.documentElement.style.colorScheme = theme ?? "light dark";
}

/** Charts have colours of their own, and are drawn anew. @param {string | null} theme */
function showTheme(theme) {
  applyTheme(theme);
  for (const figure of figures) figure.build();
}

function prepareTheme() {
  const button = document.querySelector("button.theme");
  const word = button?.querySelector(".word");
  if (!(button instanceof HTMLElement) || !word) return;
  const name = () => {
    word.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
  };
  const show = () => {
    name();
    showTheme(chosenTheme);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    chosenTheme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(themeKey, chosenTheme);
    } catch {
      // It holds until the page is left.
    }
    show();
  });
  systemIsDark.addEventListener("change", show);
  // Paper is white.
  addEventListener("beforeprint", () => showTheme("light"));
  addEventListener("afterprint", () => showTheme(chosenTheme));
  name();
}

// Buttons.

function prepareCopy() {
  for (const button of document.querySelectorAll("button.copy")) {
    const code = button.previousElementSibling;
    if (!(button instanceof HTMLElement) || code === null) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent ?? "");
        button.textContent = "Copied";
      } catch {
        // Without a clipboard the reader copies it by hand.
        getSelection()?.selectAllChildren(code);
        button.textContent = "Selected";
      }
    });
  }
}

function prepareDownload() {
  const button = document.querySelector("button.download");
  if (!(button instanceof HTMLElement)) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const blob = new Blob([jsonOf("script.report")], { type: "application/json" });
    const url = URL.createObjectURL(blob);
    element("a", { href: url, download: "report.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
}

applyTheme(chosenTheme);
drawFigures();
prepareTheme();
prepareCopy();
prepareDownload();
