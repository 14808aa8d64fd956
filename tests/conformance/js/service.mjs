// The hubwire process under test, one for each test file that asks for it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import readline from "node:readline";

import { within } from "./within.mjs";

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;

const CONNECTION_STRING =
  /^Connection string: (Endpoint=(http:\/\/127\.0\.0\.1:\d+);AccessKey=[^;]+;Version=1\.0;)$/;

export class Service {
  #process;
  #folder;
  #log = "";

  /** Starts a server on a free port, with a configuration file of that text if there is one. */
  static async start(config) {
    const binary = process.env.HUBWIRE_BIN;
    if (!binary) {
      throw new Error("HUBWIRE_BIN is not set; `cargo xtask conformance js` builds the binary and sets it");
    }
    const service = new Service();
    const options = ["serve", "--listen", "127.0.0.1:0"];
    if (config !== undefined) {
      service.#folder = await mkdtemp(path.join(tmpdir(), "hubwire-"));
      const file = path.join(service.#folder, "hubwire.toml");
      await writeFile(file, config);
      options.push("--config", file);
    }
    try {
      await service.#spawn(binary, options);
    } catch (error) {
      await service.kill();
      throw new Error(`${error.message}; the log of hubwire:\n${service.#log}`);
    }
    return service;
  }

  async #spawn(binary, options) {
    this.#process = spawn(binary, options, {
      stdio: ["ignore", "pipe", "pipe"],
      env: cleanEnvironment(),
    });
    this.#process.stderr.setEncoding("utf8").on("data", (text) => (this.#log += text));
    const lines = readline.createInterface({ input: this.#process.stdout });
    const ended = once(this.#process, "close").then(([code, signal]) => {
      throw new Error(`hubwire ended with ${code ?? signal} before it was ready`);
    });
    // Also rejected when the process ends after the tests, which is nobody's concern.
    ended.catch(() => {});
    const [line] = await within(START_TIMEOUT_MS, "the connection string", Promise.race([once(lines, "line"), ended]));
    const found = CONNECTION_STRING.exec(line);
    if (!found) {
      throw new Error(`hubwire printed ${JSON.stringify(line)} where a connection string was expected`);
    }
    [, this.connectionString, this.endpoint] = found;
  }

  /** The address of a hub for WebSocket clients, without a token. */
  clientUrl(hub) {
    return `${this.endpoint.replace(/^http/, "ws")}/client/hubs/${hub}`;
  }

  /** Shows the log when the test failed. To be called after each test. */
  showLogOfFailure(context) {
    const log = this.#log;
    this.#log = "";
    if (context.passed === false) {
      console.error(`stderr of hubwire during "${context.name}":\n${log || "(nothing)"}`);
    }
  }

  /** Ends the process, first in the polite way, and fails if that is not enough. */
  async stop() {
    try {
      const exit = once(this.#process, "exit");
      if (this.#process.exitCode === null) {
        this.#process.kill("SIGTERM");
        const [code, signal] = await within(STOP_TIMEOUT_MS, "hubwire's exit after SIGTERM", exit);
        if (code !== 0) {
          throw new Error(`hubwire ended with ${code ?? signal} after SIGTERM; its log:\n${this.#log}`);
        }
      }
    } finally {
      await this.kill();
    }
  }

  /** Ends the process if it is still running; only ever this one. */
  async kill() {
    if (this.#process?.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null) {
      const exit = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await within(STOP_TIMEOUT_MS, "hubwire's exit after SIGKILL", exit);
    }
    if (this.#folder) {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }
}

/** The environment without settings that would change the server under test. */
export function cleanEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("HUBWIRE_")));
}
