// A TCP proxy between a client and the service, with which a test makes the network fail.

import { EventEmitter, once } from "node:events";
import net from "node:net";
import { setTimeout as delay } from "node:timers/promises";

import { within } from "./within.mjs";

const WAIT_TIMEOUT_MS = 20_000;
const QUEUE_BYTES_MAX = 64 * 1024;
const WAYS = ["up", "down"];

/**
 * Forwards connections to the service until it is told to do otherwise. Whatever is forwarded
 * arrives `delayMs` later and not faster than `bytesPerSecond`. Both count for each direction of
 * each connection and may be set at any time.
 */
export class Proxy {
  delayMs = 0;
  bytesPerSecond = 0;
  #target;
  #server;
  #links = [];
  #held = new Set();
  #admits = true;
  #refused = 0;
  #passed = { up: 0, down: 0 };
  #changes = new EventEmitter().setMaxListeners(0);

  static async start(service) {
    const proxy = new Proxy();
    proxy.forwardTo(service);
    proxy.#server = net.createServer((client) => proxy.#accept(client));
    proxy.#server.listen(0, "127.0.0.1");
    await within(WAIT_TIMEOUT_MS, "the proxy", once(proxy.#server, "listening"));
    const endpoint = `http://127.0.0.1:${proxy.#server.address().port}`;
    /** That of the service, for tokens of clients that come through here. */
    proxy.connectionString = service.connectionString.replace(service.endpoint, endpoint);
    return proxy;
  }

  /** Ends every connection, on both sides by a reset or in the ordinary way of TCP. */
  cut({ reset = true } = {}) {
    for (const { client, service } of this.#links) {
      [client, service].forEach((side) => side.end(reset));
    }
  }

  /** Ends every connection on the side of the client; the service does not learn of it. */
  cutClients() {
    for (const link of this.#links) {
      link.isHalfOpen = true;
      link.client.end(true);
    }
  }

  /** Stops forwarding `up` to the service, `down` from it or both. Nothing is closed. */
  hold(...ways) {
    (ways.length > 0 ? ways : WAYS).forEach((way) => this.#held.add(way));
  }

  /** Forwards again, first what was held. */
  release() {
    this.#held.clear();
    this.#changes.emit("change");
  }

  /** Resets new connections. */
  refuse() {
    this.#admits = false;
  }

  /** Forwards new connections again. */
  admit() {
    this.#admits = true;
  }

  /** Forwards new connections to another server. */
  forwardTo(service) {
    this.#target = new URL(service.endpoint);
  }

  /** Waits until that many connections were refused in all. */
  async refused(count) {
    await this.#until(`${count} refused connections`, () => this.#refused >= count);
  }

  /** Waits until that many chunks were forwarded in a direction in all. */
  async passed(way, count) {
    await this.#until(`${count} chunks ${way}`, () => this.#passed[way] >= count);
  }

  /** Waits until the service's side of that many connections was ended in all. */
  async dropped(count) {
    const isDropped = ({ service }) => service.isEnded;
    await this.#until(`${count} dropped connections`, () => this.#links.filter(isDropped).length >= count);
  }

  close() {
    this.#server.close();
    this.cut();
    this.release();
  }

  #accept(socket) {
    const client = new Side(socket, this.#changes);
    if (!this.#admits) {
      client.end(true);
      this.#refused++;
      this.#changes.emit("change");
      return;
    }
    const service = new Side(net.connect(this.#target.port, this.#target.hostname), this.#changes);
    const link = { client, service, isHalfOpen: false };
    this.#links.push(link);
    this.#pump("up", link, client, service);
    this.#pump("down", link, service, client);
  }

  async #pump(way, link, source, target) {
    for (;;) {
      const item = await source.take();
      await this.#pace(way, item ?? { arrived: 0, chunk: "" });
      if (!item) {
        break;
      }
      await target.write(item.chunk);
      this.#passed[way]++;
      this.#changes.emit("change");
    }
    if (!link.isHalfOpen) {
      target.end(false);
    }
  }

  /** Waits until a chunk may go on. */
  async #pace(way, { arrived, chunk }) {
    const left = arrived + this.delayMs - Date.now();
    if (left > 0) {
      await delay(left);
    }
    if (this.bytesPerSecond > 0) {
      await delay((1000 * chunk.length) / this.bytesPerSecond);
    }
    while (this.#held.has(way)) {
      await once(this.#changes, "change");
    }
  }

  async #until(what, isSo) {
    const wait = async () => {
      while (!isSo()) {
        await once(this.#changes, "change");
      }
    };
    await within(WAIT_TIMEOUT_MS, what, wait());
  }
}

/** One socket. It is read although nobody takes what came, so that its end is noticed. */
class Side {
  isEnded = false;
  #socket;
  #changes;
  #chunks = [];
  #waitingBytes = 0;

  constructor(socket, changes) {
    this.#socket = socket;
    this.#changes = changes;
    socket.setNoDelay(true);
    socket.on("data", (chunk) => this.#arrive(chunk));
    socket.on("end", () => this.#ended());
    socket.on("close", () => this.#ended());
    // A reset; "close" follows.
    socket.on("error", () => {});
  }

  /** The next chunk and when it came, or nothing after the last one. */
  async take() {
    while (this.#chunks.length === 0 && !this.isEnded) {
      await once(this.#changes, "change");
    }
    const item = this.#chunks.shift();
    this.#waitingBytes -= item?.chunk.length ?? 0;
    if (this.#waitingBytes <= QUEUE_BYTES_MAX) {
      this.#socket.resume();
    }
    return item;
  }

  async write(chunk) {
    if (!this.#socket.writable) {
      return;
    }
    if (!this.#socket.write(chunk)) {
      await Promise.race([once(this.#socket, "drain"), once(this.#socket, "close")]).catch(() => {});
    }
  }

  end(reset) {
    if (reset) {
      this.#socket.resetAndDestroy();
    } else {
      this.#socket.end();
    }
  }

  #arrive(chunk) {
    this.#chunks.push({ arrived: Date.now(), chunk });
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes > QUEUE_BYTES_MAX) {
      this.#socket.pause();
    }
    this.#changes.emit("change");
  }

  #ended() {
    this.isEnded = true;
    this.#changes.emit("change");
  }
}
