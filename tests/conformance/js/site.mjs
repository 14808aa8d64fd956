import { once } from "node:events";
import http from "node:http";

import { within } from "./within.mjs";

const START_TIMEOUT_MS = 10_000;

/** A web server of one empty page, on a port and therefore an origin of its own. */
export class Site {
  #server;

  static async start() {
    const site = new Site();
    site.#server = http.createServer((request, response) => {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.end("<!doctype html><title>page</title>");
    });
    site.#server.listen(0, "127.0.0.1");
    await within(START_TIMEOUT_MS, "the page server", once(site.#server, "listening"));
    site.origin = `http://127.0.0.1:${site.#server.address().port}`;
    return site;
  }

  stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
