// The chat of the examples, and people who use it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import readline from "node:readline";
import { isDeepStrictEqual } from "node:util";

import { until } from "./sdk.mjs";
import { cleanEnvironment } from "./service.mjs";
import { within } from "./within.mjs";

const WAIT_MS = 10_000;

/** The chat and the service behind it, on free ports. */
export class Chat {
  #process;
  #log = "";

  static async start() {
    const folder = process.env.CHAT_FOLDER;
    if (!folder) {
      throw new Error("CHAT_FOLDER is not set; `cargo xtask conformance browser` installs the chat and sets it");
    }
    const chat = new Chat();
    chat.#process = spawn(process.execPath, ["start.mjs"], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...cleanEnvironment(),
        HUBWIRE_BIN: process.env.HUBWIRE_BIN,
        HUBWIRE_LISTEN: "127.0.0.1:0",
        PORT: "0",
      },
    });
    chat.#process.stderr.setEncoding("utf8").on("data", (text) => (chat.#log += text));
    const lines = readline.createInterface({ input: chat.#process.stdout });
    const ended = once(chat.#process, "close").then(() => {
      throw new Error(`the chat ended before it was ready; its log:\n${chat.#log}`);
    });
    ended.catch(() => {});
    const [line] = await within(WAIT_MS, "the address of the chat", Promise.race([once(lines, "line"), ended]));
    [, chat.url] = /^Chat: (http:\S+)$/.exec(line);
    return chat;
  }

  showLogOfFailure(context) {
    if (context.passed === false) {
      console.error(`stderr of the chat until the end of "${context.name}":\n${this.#log || "(nothing)"}`);
    }
  }

  /** Ends it as Ctrl-C does. */
  async stop() {
    const exit = once(this.#process, "exit");
    this.#process.kill("SIGINT");
    const [code] = await within(WAIT_MS, "the end of the chat after SIGINT", exit);
    assert.equal(code, 0, this.#log);
  }
}

/** Somebody at a page of the chat. */
export class Person {
  constructor(page) {
    this.page = page;
  }

  async says(text) {
    await this.page.getByRole("textbox", { name: "Message" }).fill(text);
    await this.page.getByRole("button", { name: "Send" }).click();
  }

  async goesTo(room) {
    await this.page.getByRole("textbox", { name: "Room" }).fill(room);
    await this.page.getByRole("button", { name: "Go there" }).click();
  }

  /** Waits until a list of the page has exactly these entries. */
  async sees(list, expected) {
    let seen;
    const items = this.page.locator(`#${list} li`);
    const isSeen = async () => {
      seen = await items.evaluateAll((found) =>
        found.map((item) => {
          const [from, text] = [item.querySelector("strong"), item.querySelector("div")];
          return from ? `${from.textContent}: ${text.textContent}` : item.textContent;
        }),
      );
      return isDeepStrictEqual(seen, expected);
    };
    await until(`${list} are ${JSON.stringify(expected)}`, isSeen).catch(() => assert.deepEqual(seen, expected));
  }

  /** Waits until the page shows an error like this. */
  async isTold(pattern) {
    await this.page.getByRole("alert").filter({ hasText: pattern }).waitFor();
  }
}
