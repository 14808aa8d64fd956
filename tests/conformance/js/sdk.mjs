// The official client package, with what a client was told kept until the test asks for it.

import assert from "node:assert/strict";

import { WebPubSubServiceClient } from "@azure/web-pubsub";
import { WebPubSubClient, WebPubSubJsonProtocol, WebPubSubJsonReliableProtocol } from "@azure/web-pubsub-client";

import { Arrivals } from "./arrivals.mjs";
import { JsonClient, SimpleClient } from "./clients.mjs";
import { Proxy } from "./proxy.mjs";
import { within } from "./within.mjs";

export const WAIT_TIMEOUT_MS = 20_000;
export const PROTOCOLS = { reliable: WebPubSubJsonReliableProtocol, plain: WebPubSubJsonProtocol };

const ALL_ROLES = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"];
const SERVICE_OPTIONS = { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } };

// The client's timers outlive it by their interval, and Node does not end before them.
const CLIENT_OPTIONS = {
  keepAliveIntervalInMs: 1000,
  keepAliveTimeoutInMs: 0,
  messageRetryOptions: { maxRetries: 0 },
  reconnectRetryOptions: { maxRetries: 20, retryDelayInMs: 200 },
};

let hubs = 0;

/** A hub of one test: official clients, and the official package of the service as `rest`. */
export class Hub {
  #service;
  #clients = [];
  #proxies = [];
  #fences = 0;

  constructor(service, name = `chat_${++hubs}`) {
    this.#service = service;
    this.name = name;
    this.rest = serviceSdk(service.connectionString, this.name);
  }

  /** A connected client, by default one that may do everything in every group. */
  async open(protocol, token, options) {
    const client = await this.make(protocol, token, options);
    await client.start();
    await client.expectConnected();
    return client;
  }

  /** A client that is not started yet, behind a proxy of its own. */
  async make(protocol, token, options) {
    const proxy = await Proxy.start(this.#service);
    this.#proxies.push(proxy);
    const tokens = serviceSdk(proxy.connectionString, this.name);
    const { url } = await tokens.getClientAccessToken({ roles: ALL_ROLES, ...token });
    const client = new OfficialClient(proxy, url, { ...CLIENT_OPTIONS, protocol: PROTOCOLS[protocol](), ...options });
    this.#clients.push(client);
    return client;
  }

  /** A client without any SDK of one of the kinds in `clients.mjs`; `query` is added to its URL. */
  async connect(kind, token, { subprotocols, query = "" } = {}) {
    const { url } = await this.rest.getClientAccessToken(token);
    const client = await kind.connect(url + query, subprotocols);
    this.#clients.push(client);
    return client;
  }

  /** The connection ids of a group's members. */
  async members(group) {
    const ids = [];
    for await (const { connectionId } of await this.rest.group(group).listConnections()) {
      ids.push(connectionId);
    }
    return ids;
  }

  /** Sends the texts to a group, one after the other. */
  async sendTexts(group, texts) {
    for (const text of texts) {
      await this.rest.group(group).sendToAll(text, { contentType: "text/plain" });
    }
  }

  /**
   * Every client has received all it was sent. Proved by a message to the whole hub that each of
   * them must see next, since a connection receives in the order of acceptance.
   */
  async expectNothingMore(...clients) {
    const fence = `fence ${++this.#fences}`;
    await this.rest.sendToAll(fence, { contentType: "text/plain" });
    for (const client of clients) {
      const received = await client.receive();
      assert.equal(client instanceof SimpleClient && !(client instanceof JsonClient) ? received : received.data, fence);
    }
  }

  async close() {
    try {
      await Promise.all(this.#clients.map((client) => client.close()));
    } finally {
      this.#proxies.forEach((proxy) => proxy.close());
    }
  }
}

/** An official client and what it was told. */
export class OfficialClient {
  #happened = new Arrivals();
  #messages = new Arrivals();
  #streams = new Arrivals();
  #isReliable;
  #isStopped = true;
  #lastSequenceId = 0;

  constructor(proxy, url, options) {
    this.proxy = proxy;
    this.sdk = new WebPubSubClient(url, options);
    this.#isReliable = options.protocol.isReliableSubProtocol;
    this.sdk.on("connected", ({ connectionId, userId }) => this.#happened.push(["connected", connectionId, userId]));
    this.sdk.on("disconnected", ({ connectionId, message }) =>
      this.#happened.push(["disconnected", connectionId, message?.message]),
    );
    this.sdk.on("stopped", () => {
      this.#isStopped = true;
      this.#happened.push(["stopped"]);
    });
    this.sdk.on("rejoin-group-failed", ({ group, error }) =>
      this.#happened.push(["rejoin failed", group, error.errorDetail.name]),
    );
    this.sdk.on("group-message", ({ message }) => this.#messages.push(message));
    this.sdk.on("server-message", ({ message }) => this.#messages.push(message));
    this.sdk.onGroupStream((stream) => this.#streams.push(stream));
  }

  async start() {
    await within(WAIT_TIMEOUT_MS, "the start", this.sdk.start());
    this.#isStopped = false;
  }

  /** Stops the client in whichever state a test left it. */
  async close() {
    this.proxy.admit();
    this.proxy.release();
    // While it has no socket it forgets that it was told to stop.
    await until("the client stopped", () => {
      this.sdk.stop();
      return this.#isStopped;
    });
  }

  /** The next thing that happened is a new connection. */
  async expectConnected() {
    let what;
    [what, this.connectionId, this.userId] = await this.nextEvent();
    assert.equal(what, "connected");
    this.#lastSequenceId = 0;
  }

  /** What happened next to the connection. */
  async nextEvent() {
    return this.#happened.next(WAIT_TIMEOUT_MS, "an event");
  }

  /** Nothing has happened to the connection that was not asked for yet. */
  expectNoEvent() {
    assert.deepEqual(this.#happened.waiting, []);
  }

  async join(group, options) {
    return within(WAIT_TIMEOUT_MS, "the ack of a join", this.sdk.joinGroup(group, options));
  }

  async leave(group, options) {
    return within(WAIT_TIMEOUT_MS, "the ack of a leave", this.sdk.leaveGroup(group, options));
  }

  async send(group, data, dataType, options) {
    return within(WAIT_TIMEOUT_MS, "the ack of a send", this.sdk.sendToGroup(group, data, dataType, options));
  }

  async sendEvent(name, data, dataType, options) {
    return within(WAIT_TIMEOUT_MS, "the ack of an event", this.sdk.sendEvent(name, data, dataType, options));
  }

  async invoke(name, data, dataType, options) {
    return within(WAIT_TIMEOUT_MS, "the result of an invocation", this.sdk.invokeEvent(name, data, dataType, options));
  }

  /** The next message. On a reliable connection it has the next sequence id. */
  async receive() {
    const { kind, type, sequenceId, ...message } = await this.#messages.next(WAIT_TIMEOUT_MS, "a message");
    assert.equal(sequenceId, this.#isReliable ? ++this.#lastSequenceId : undefined);
    return withoutUndefined(message);
  }

  /** The payloads of the next messages. */
  async receiveData(count) {
    const payloads = [];
    while (payloads.length < count) {
      payloads.push((await this.receive()).data);
    }
    return payloads;
  }

  /** The next stream that begins for this client. */
  async nextStream() {
    return this.#streams.next(WAIT_TIMEOUT_MS, "a stream");
  }
}

/** The official package of the service. */
export function serviceSdk(connectionString, hub) {
  return new WebPubSubServiceClient(connectionString, hub, SERVICE_OPTIONS);
}

function withoutUndefined(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

export function fromServer(dataType, data) {
  return { from: "server", dataType, data };
}

export function fromGroup(group, dataType, data, fromUserId = null) {
  return { from: "group", group, fromUserId, dataType, data };
}

/** Waits for what nobody tells of. */
export async function until(what, isSo) {
  const deadline = Date.now() + WAIT_TIMEOUT_MS;
  while (!(await isSo())) {
    assert.ok(Date.now() < deadline, `waited ${WAIT_TIMEOUT_MS} ms until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
