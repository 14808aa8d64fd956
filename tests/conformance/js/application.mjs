// An application behind the service: express with the official middleware, which handles the events of hubs.

import { once } from "node:events";

import { WebPubSubEventHandler } from "@azure/web-pubsub-express";
import express from "express";

import { Arrivals } from "./arrivals.mjs";
import { within } from "./within.mjs";

const START_TIMEOUT_MS = 10_000;
const WAIT_TIMEOUT_MS = 20_000;

export class Application {
  #server;
  #express = express();

  /** Starts an application that handles no hub yet, on a free port of the loopback. */
  static async start() {
    const application = new Application();
    application.#express.disable("x-powered-by");
    application.#server = application.#express.listen(0, "127.0.0.1");
    await within(START_TIMEOUT_MS, "the application", once(application.#server, "listening"));
    application.origin = `http://127.0.0.1:${application.#server.address().port}`;
    return application;
  }

  /** The configuration of a service that sends it every event of every hub, and tries twice. */
  get configuration() {
    return `
[upstream]
retry_delays = ["10ms"]

[[hubs._default.event_handlers]]
url_template = "${this.origin}/api/webpubsub/hubs/{hub}/"
user_event_pattern = "*"
system_events = ["connect", "connected", "disconnected"]
group_presence_events = { event_names = ["joined", "left"] }
`;
  }

  /**
   * Handles a hub. `connect` and `event` answer what blocks a client, and accept it if they are left out; `endpoints` are
   * those that the middleware is told to allow, any if left out.
   */
  handle(hub, { connect, event, endpoints } = {}) {
    const handled = new HandledHub();
    this.#express.use(`/api/webpubsub/hubs/${hub}`, (request, response, next) => {
      handled.note(request.method, request);
      response.on("close", () => response.writableFinished || handled.note("given up", request));
      next();
    });
    const answer = (kind, respond) => (request, response) => {
      // The middleware writes new states into the request.
      handled.note(kind, structuredClone(request));
      respond ? respond(request, response) : response.success();
    };
    const middleware = new WebPubSubEventHandler(hub, {
      handleConnect: answer("connect", connect),
      handleUserEvent: answer("event", event),
      onConnected: (request) => handled.note("connected", request),
      onDisconnected: (request) => handled.note("disconnected", request),
      onGroupJoined: (request) => handled.note("joined", request),
      onGroupLeft: (request) => handled.note("left", request),
      allowedEndpoints: endpoints,
    });
    this.#express.use(middleware.getMiddleware());
    return handled;
  }

  stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** What came to the application from one hub. */
class HandledHub {
  #arrivals = new Map();
  #counts = new Map();

  note(kind, what) {
    this.#counts.set(kind, this.count(kind) + 1);
    this.#of(kind).push(what);
  }

  /**
   * The next request of a kind. As the middleware tells it: `connect`, `connected`, `disconnected`, `joined`, `left`,
   * `event`. As it is in HTTP: `OPTIONS`, `POST`, and `given up` when the service did not wait for the answer.
   */
  async next(kind) {
    return this.#of(kind).next(WAIT_TIMEOUT_MS, `a request: ${kind}`);
  }

  /** How many requests of a kind came so far. */
  count(kind) {
    return this.#counts.get(kind) ?? 0;
  }

  #of(kind) {
    if (!this.#arrivals.has(kind)) {
      this.#arrivals.set(kind, new Arrivals());
    }
    return this.#arrivals.get(kind);
  }
}
