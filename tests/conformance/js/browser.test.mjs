// A page in Chromium as a client, the official JavaScript package as its service.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { WebPubSubServiceClient } from "@azure/web-pubsub";

import { startChromium } from "./chromium.mjs";
import { JSON_SUBPROTOCOL } from "./clients.mjs";
import { Service } from "./service.mjs";
import { Site } from "./site.mjs";

const HUB = "chat";
const WAIT_MS = 10_000;

let browser;
let allowedSite;
let otherSite;
const services = [];

before(async () => {
  [allowedSite, otherSite] = [await Site.start(), await Site.start()];
  browser = await startChromium();
});

after(async () => {
  await browser?.close();
  await Promise.all(services.map((service) => service.stop()));
  allowedSite?.stop();
  otherSite?.stop();
});

afterEach((context) => services.forEach((service) => service.showLogOfFailure(context)));

test("a page joins a group, hears it and is told that it is closed", async () => {
  const sdk = sdkOf(await startService());
  const page = await openPage(allowedSite);
  const { url } = await sdk.getClientAccessToken({ userId: "alice", roles: ["webpubsub.joinLeaveGroup.room"] });

  await connect(page, url);
  const connected = await next(page);
  assert.equal(connected.negotiated, JSON_SUBPROTOCOL);
  assert.deepEqual([connected.frame.event, connected.frame.userId], ["connected", "alice"]);

  await page.evaluate(() => globalThis.socket.send(JSON.stringify({ type: "joinGroup", group: "room", ackId: 1 })));
  assert.deepEqual((await next(page)).frame, { type: "ack", ackId: 1, success: true });

  await sdk.group("room").sendToAll({ text: "hello page" });
  assert.deepEqual((await next(page)).frame, {
    type: "message",
    from: "group",
    group: "room",
    fromUserId: null,
    dataType: "json",
    data: { text: "hello page" },
  });

  await sdk.closeConnection(connected.frame.connectionId, { reason: "good night" });
  assert.deepEqual((await next(page)).frame, {
    type: "system",
    event: "disconnected",
    message: "Application server closed the connection. Reason: good night",
  });
  assert.deepEqual(await next(page), { close: 1000, wasClean: true });
  await page.context().close();
});

test("a page of a simple client sees text and binary", async () => {
  const sdk = sdkOf(await startService());
  const page = await openPage(allowedSite);
  await connect(page, (await sdk.getClientAccessToken()).url, []);
  assert.deepEqual(await next(page), { opened: true });
  await sdk.sendToAll("hello page", { contentType: "text/plain" });
  assert.deepEqual(await next(page), { text: "hello page" });
  await sdk.sendToAll(new Uint8Array([0, 255]).buffer);
  assert.deepEqual(await next(page), { bytes: [0, 255] });
  await page.evaluate(() => globalThis.socket.close(1000));
  assert.deepEqual(await next(page), { close: 1000, wasClean: true });
  await page.context().close();
});

test("a hub with allowed origins admits their pages and no other", async () => {
  const service = await startService(`[hubs.${HUB}]\nallowed_origins = ["${allowedSite.origin}"]\n`);
  const { url } = await sdkOf(service).getClientAccessToken();

  const foreign = await openPage(otherSite);
  await connect(foreign, url);
  assert.deepEqual(await next(foreign), { error: true });
  assert.deepEqual(await next(foreign), { close: 1006, wasClean: false });
  await foreign.context().close();

  const allowed = await openPage(allowedSite);
  await connect(allowed, url);
  assert.equal((await next(allowed)).frame.event, "connected");
  await allowed.context().close();
});

async function startService(config) {
  const service = await Service.start(config);
  services.push(service);
  return service;
}

function sdkOf(service) {
  return new WebPubSubServiceClient(service.connectionString, HUB, {
    allowInsecureConnection: true,
    retryOptions: { maxRetries: 0 },
  });
}

async function openPage(site) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  await page.goto(site.origin);
  return page;
}

/** Opens a WebSocket in the page, which notes everything that happens to it, in order. */
async function connect(page, url, subprotocols = [JSON_SUBPROTOCOL]) {
  await page.evaluate(
    ([address, names]) => {
      const socket = new WebSocket(address, names);
      socket.binaryType = "arraybuffer";
      globalThis.socket = socket;
      globalThis.happened = [];
      const note = (what) => globalThis.happened.push(what);
      if (names.length === 0) {
        socket.onopen = () => note({ opened: true });
      }
      socket.onmessage = ({ data }) => {
        if (typeof data !== "string") {
          note({ bytes: [...new Uint8Array(data)] });
        } else if (names.length === 0) {
          note({ text: data });
        } else {
          note({ frame: JSON.parse(data), negotiated: socket.protocol });
        }
      };
      socket.onerror = () => note({ error: true });
      socket.onclose = ({ code, wasClean }) => note({ close: code, wasClean });
    },
    [url, subprotocols],
  );
}

/** What happened next to the WebSocket of the page. */
async function next(page) {
  const handle = await page.waitForFunction(() => globalThis.happened.shift());
  return handle.jsonValue();
}
