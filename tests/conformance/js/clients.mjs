// WebSocket clients without any SDK: what they see is what is on the wire.

import assert from "node:assert/strict";
import { once } from "node:events";

import { WebSocket } from "ws";

import { Arrivals } from "./arrivals.mjs";
import { within } from "./within.mjs";

const RECEIVE_TIMEOUT_MS = 10_000;

export const JSON_SUBPROTOCOL = "json.webpubsub.azure.v1";

/** A client that negotiated no subprotocol: payloads come as they are. */
export class SimpleClient {
  #socket;
  #arrivals = new Arrivals();

  static async connect(url, subprotocols) {
    const client = new this(url, subprotocols);
    await client.opened();
    return client;
  }

  constructor(url, subprotocols = []) {
    this.#socket = new WebSocket(url, subprotocols, { perMessageDeflate: false });
    this.#socket.on("message", (data, isBinary) => this.#arrivals.push({ message: isBinary ? data : data.toString() }));
    this.#socket.on("close", (code, reason) => this.#arrivals.push({ close: [code, reason.toString()] }));
  }

  async opened() {
    await within(RECEIVE_TIMEOUT_MS, "the WebSocket to open", once(this.#socket, "open"));
  }

  get negotiated() {
    return this.#socket.protocol;
  }

  /** The next message: a string of a text frame, a buffer of a binary one. */
  async receive() {
    const next = await this.#arrivals.next(RECEIVE_TIMEOUT_MS, "a message");
    assert.ok("message" in next, `expected a message, was closed: ${next.close}`);
    return next.message;
  }

  /** Code and reason of the close, which must be the next thing that comes. */
  async closed() {
    const next = await this.#arrivals.next(RECEIVE_TIMEOUT_MS, "a close");
    assert.ok("close" in next, `expected a close, received ${next.message}`);
    return next.close;
  }

  /** Sends a text frame of a string, a binary one of bytes. */
  send(data) {
    this.#socket.send(data);
  }

  close() {
    this.#socket.terminate();
  }
}

/** A client of `json.webpubsub.azure.v1`; it is connected once the service said so. */
export class JsonClient extends SimpleClient {
  #lastAckId = 0;

  constructor(url) {
    super(url, [JSON_SUBPROTOCOL]);
  }

  async opened() {
    await super.opened();
    const connected = await this.receive();
    assert.equal(connected.event, "connected");
    this.connectionId = connected.connectionId;
    this.userId = connected.userId;
  }

  async receive() {
    const text = await super.receive();
    assert.equal(typeof text, "string", "a JSON client receives text frames");
    return JSON.parse(text);
  }

  /** Sends a frame with the next ack id and returns its ack, the next frame that comes. */
  async request(frame) {
    const ackId = ++this.#lastAckId;
    this.send(JSON.stringify({ ...frame, ackId }));
    const ack = await this.receive();
    assert.deepEqual([ack.type, ack.ackId], ["ack", ackId]);
    return ack;
  }
}
