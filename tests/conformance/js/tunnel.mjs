// A handler on this machine, and the official tunnel client in a process of its own that takes events to it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import readline from "node:readline";

import { WAIT_TIMEOUT_MS } from "./sdk.mjs";
import { within } from "./within.mjs";

/** An HTTP server that keeps what it was asked and answers with what `answer` makes of it. */
export class LocalHandler {
  requests = [];
  #server;

  static async start(answer) {
    const handler = new LocalHandler();
    handler.#server = http.createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) {
        chunks.push(chunk);
      }
      const { method, url, headers } = request;
      const asked = { method, url, headers, body: Buffer.concat(chunks) };
      handler.requests.push(asked);
      const { status = 204, headers: answered = {}, body } = answer(asked);
      response.writeHead(status, answered).end(body);
    });
    handler.#server.listen(0, "127.0.0.1");
    await once(handler.#server, "listening");
    handler.url = `http://127.0.0.1:${handler.#server.address().port}`;
    return handler;
  }

  /** The requests of an event so far. */
  of(event) {
    return this.requests.filter(({ headers }) => headers["ce-eventname"] === event);
  }

  async close() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export class TunnelTool {
  #process;
  #log = "";

  /** Starts the tunnel client and waits until it is connected. */
  static async start(service, hub, target) {
    const tool = new TunnelTool();
    try {
      await tool.#spawn(service.connectionString, hub, target);
    } catch (error) {
      await tool.kill();
      throw new Error(`${error.message}; what the tunnel client said:\n${tool.#log}`);
    }
    return tool;
  }

  async #spawn(connectionString, hub, target) {
    this.#process = spawn(process.execPath, ["tunnel-tool.mjs", hub, target], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, WebPubSubConnectionString: connectionString },
    });
    this.#process.stderr.setEncoding("utf8").on("data", (text) => (this.#log += text));
    const lines = readline.createInterface({ input: this.#process.stdout });
    const ended = once(this.#process, "close").then(([code, signal]) => {
      throw new Error(`the tunnel client ended with ${code ?? signal}`);
    });
    // Also rejected when the process ends after the tests, which is nobody's concern.
    ended.catch(() => {});
    await within(WAIT_TIMEOUT_MS, "the tunnel", Promise.race([once(lines, "line"), ended]));
  }

  /** Ends the process if it is still running; only ever this one. */
  async kill() {
    if (this.#process?.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null) {
      const exit = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await within(WAIT_TIMEOUT_MS, "the end of the tunnel client", exit);
    }
  }
}
