/**
 * Looks at the built site in a headless Chromium, from the file system as a reader may open it: no errors, nothing wider
 * than the screen, enough contrast in light and dark, and navigation and search that work. Pictures of some pages go to
 * build/docs-pictures.
 */

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { root } from "../build.ts";

const folder = join(root, "build", "docs");
const pictures = join(root, "build", "docs-pictures");

/** Pages of each kind, which are looked at in every way. */
const chosen = [
  "index.html",
  "sockets.html",
  "tls.html",
  "limits.html",
  "design.html",
  "guide/command.html",
  "reference/plait/index.html",
  "reference/plait/classes/Socket.html",
  "reference/plait/functions/connect.html",
  "source/examples/echo.ts.html",
];

const screens = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 900 } };

const options = [
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync",
  "--disable-background-networking --disable-component-update",
].flatMap((line) => line.split(" "));

/** Chromium, which Debian's package brings if this process is root's. */
function chromiumExecutable(): string {
  const find = (): string | null => Bun.which("chromium") ?? Bun.which("chromium-browser");
  const found = find();
  if (found !== null) return found;
  if (process.getuid?.() === 0 && Bun.which("apt-get") !== null) {
    console.error("plait: installing chromium to look at the documentation");
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    for (const command of ["update -qq", "install -y -qq --no-install-recommends chromium"]) {
      Bun.spawnSync(["apt-get", ...command.split(" ")], { env, stdin: "ignore" });
    }
  }
  const installed = find();
  if (installed === null)
    throw new Error("Chromium is not installed: bun run docs --check needs it");
  return installed;
}

function urlOf(path: string): string {
  return pathToFileURL(join(folder, path)).href;
}

const problems: string[] = [];

function check(holds: boolean, problem: string): void {
  if (!holds) problems.push(problem);
}

/** A tab whose errors are problems. */
async function openTab(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error.message}`));
  page.on("requestfailed", (request) => problems.push(`${page.url()}: no ${request.url()}`));
  return page;
}

async function checkWidth(page: Page, what: string): Promise<void> {
  const over = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth - clientWidth;
  });
  check(over <= 0, `${what} is ${over} px wider than the screen`);
}

/** Texts whose contrast is below 4.5 to 1 (WCAG 2.2, 1.4.3). */
async function faintTexts(page: Page): Promise<string[]> {
  return await page.evaluate(() => {
    type Colour = readonly [number, number, number, number];
    const parse = (text: string): Colour => {
      const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
      return [red, green, blue, alpha];
    };
    const luminance = (colour: Colour): number => {
      const [red, green, blue] = colour.slice(0, 3).map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
    };
    const background = (element: Element | null): Colour => {
      if (element === null) return [255, 255, 255, 1];
      const colour = parse(getComputedStyle(element).backgroundColor);
      return colour[3] === 0 ? background(element.parentElement) : colour;
    };
    const faint = new Set<string>();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
      const element = node.parentElement!;
      if (node.textContent!.trim() === "" || !element.checkVisibility({ opacityProperty: true })) {
        continue;
      }
      const pair = [parse(getComputedStyle(element).color), background(element)].map(luminance);
      const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
      if (ratio < 4.5) faint.add(`${element.localName}.${element.className} ${ratio.toFixed(2)}`);
    }
    return [...faint];
  });
}

async function lookAtAll(context: BrowserContext, paths: readonly string[]): Promise<void> {
  const page = await openTab(context);
  for (const path of paths) {
    await page.goto(urlOf(path));
    await checkWidth(page, `${path} on a phone`);
  }
}

async function lookAtChosen(
  context: BrowserContext,
  paths: readonly string[],
  screen: string,
): Promise<void> {
  for (const path of paths) {
    const page = await openTab(context);
    for (const colorScheme of ["light", "dark"] as const) {
      const what = `${path} on a ${screen}, ${colorScheme}`;
      await page.emulateMedia({ colorScheme });
      await page.goto(urlOf(path));
      await checkWidth(page, what);
      for (const text of await faintTexts(page)) problems.push(`${what}: faint: ${text}`);
      const name = `${path.replaceAll("/", "-").replace(/\.html$/, "")}-${screen}-${colorScheme}.png`;
      await page.screenshot({ path: join(pictures, name) });
    }
    await page.close();
  }
}

/** Goes through the site as a reader does. */
async function walk(context: BrowserContext): Promise<void> {
  const page = await openTab(context);
  await page.goto(urlOf("index.html"));
  const title = async (): Promise<string> => (await page.textContent("h1")) ?? "";
  await page.click("nav.pages a:text-is('TLS'):not([href^='guide'])");
  check((await title()) === "TLS", `the list of pages leads to ${await title()}, not TLS`);
  await page.click("footer a[rel=next]");
  check((await title()) !== "TLS", "the link to the next page does not lead on");
  await page.goto(urlOf("reference/plait/classes/Socket.html"));
  await page.fill(".search input", "happy eyeballs");
  await page.click(".search li a >> nth=0");
  const found = (await page.textContent("article")) ?? "";
  check(found.includes("Happy Eyeballs"), `the search leads to ${page.url()}`);
  await page.fill(".search input", "Channel");
  await page.waitForSelector(".search li");
  await page.press(".search input", "Enter");
  check(/Channel/.test(await title()), `the search for Channel leads to ${await title()}`);
  await page.screenshot({ path: join(pictures, "search-result.png") });
  await page.fill(".search input", "deadline");
  await page.waitForSelector(".search li");
  await page.screenshot({ path: join(pictures, "search.png") });
  await page.goto(urlOf("sockets.html"));
  await page.click("nav.contents a[href='#errors']");
  const top = await page
    .locator("#errors")
    .evaluate((element) => element.getBoundingClientRect().top);
  check(top >= 0 && top < 300, `the anchor of Errors is at ${top} px`);
  await page.setViewportSize(screens.phone);
  await page.goto(urlOf("sockets.html"));
  check(!(await page.isVisible("nav.pages li a >> nth=0")), "the list of pages is open on a phone");
  await page.click("nav.pages summary");
  await checkWidth(page, "the list of pages on a phone");
  await page.screenshot({ path: join(pictures, "menu-phone.png") });
  await page.click("nav.pages a:text-is('Fibers'):not([href^='guide'])");
  check((await title()) === "Fibers", `the list of pages on a phone leads to ${await title()}`);
}

const profile = mkdtempSync(join(tmpdir(), "plait-chromium-"));
rmSync(pictures, { recursive: true, force: true });
mkdirSync(pictures, { recursive: true });
const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
const paths = names.filter((name) => name.endsWith(".html")).sort();
const there = chosen.filter((path) => paths.includes(path));
const executablePath = chromiumExecutable();
try {
  for (const [screen, viewport] of Object.entries(screens)) {
    const settings = { executablePath, headless: true, args: options, viewport };
    const context = await chromium.launchPersistentContext(join(profile, screen), settings);
    try {
      if (screen === "phone") await lookAtAll(context, paths);
      else await walk(context);
      await lookAtChosen(context, there, screen);
    } finally {
      await context.close();
    }
  }
} finally {
  rmSync(profile, { recursive: true, force: true });
}
console.log(`looked at ${paths.length} pages; pictures of ${there.length} are in ${pictures}`);
if (problems.length > 0) {
  console.error([...new Set(problems)].map((problem) => `  ${problem}`).join("\n"));
  process.exit(1);
}
