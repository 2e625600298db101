/** A headless Chromium, and pages whose errors are collected. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { installedProgram } from "./installed_program.ts";

const options = [
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync",
  "--disable-background-networking --disable-component-update",
  // A page behind another one is drawn as often as that one.
  "--disable-renderer-backgrounding --disable-backgrounding-occluded-windows --disable-background-timer-throttling",
].flatMap((line) => line.split(" "));

export class Browser implements AsyncDisposable {
  /** Errors of scripts and of the console, and each request for anything but the page. */
  readonly problems: string[] = [];
  readonly #context: BrowserContext;
  readonly #profile: string;

  private constructor(context: BrowserContext, profile: string) {
    this.#context = context;
    this.#profile = profile;
  }

  static async start(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "plait-chromium-"));
    const executablePath = installedProgram("chromium");
    const context = await chromium.launchPersistentContext(profile, {
      ...{ executablePath, headless: true, args: options, acceptDownloads: true },
    });
    return new Browser(context, profile);
  }

  async open(url: string): Promise<Page> {
    const page = await this.#context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error") this.problems.push(message.text());
    });
    page.on("pageerror", (error) => this.problems.push(String(error.stack)));
    page.on("request", (request) => {
      if (request.url() !== url && !/^(data|blob):/.test(request.url())) {
        this.problems.push(`a request for ${request.url()}`);
      }
    });
    await page.goto(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close();
    rmSync(this.#profile, { recursive: true, force: true });
  }
}
