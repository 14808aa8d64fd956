// Events of official clients go through the official tunnel client to a server on this machine, and its answers come back.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { Hub, WAIT_TIMEOUT_MS, fromServer, until } from "./sdk.mjs";
import { Service } from "./service.mjs";
import { LocalHandler, TunnelTool } from "./tunnel.mjs";
import { within } from "./within.mjs";

const CONFIG = `
[[hubs._default.event_handlers]]
url_template = "tunnel:///eventhandler/{event}?code=1"
user_event_pattern = "*"
system_events = ["connect", "connected", "disconnected"]
`;

let service;
let hub;
let handler;
let tool;

before(async () => {
  service = await Service.start(CONFIG);
});

after(async () => {
  await service?.stop();
});

beforeEach(async () => {
  hub = new Hub(service);
  handler = await LocalHandler.start(answer);
  tool = await TunnelTool.start(service, hub.name, handler.url);
});

afterEach(async (context) => {
  // Clients first: their end is an event too.
  await hub.close();
  await tool?.kill();
  await handler?.close();
  service.showLogOfFailure(context);
});

/** A handler that names whoever connects, and answers every event of a user with what it says. */
function answer({ headers, body }) {
  switch (headers["ce-type"]) {
    case "azure.webpubsub.sys.connect":
      return json({ userId: "named by the handler" });
    case "azure.webpubsub.user.text":
      return { status: 200, headers: { "Content-Type": "text/plain" }, body: `heard ${body}` };
    case "azure.webpubsub.user.bytes":
      return { status: 200, headers: { "Content-Type": "application/octet-stream" }, body };
    case "azure.webpubsub.user.bad":
      return { status: 500 };
    default:
      return {};
  }
}

function json(value) {
  return { status: 200, headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
}

async function sendEvent(client, name, data, dataType) {
  return within(WAIT_TIMEOUT_MS, "the ack of an event", client.sdk.sendEvent(name, data, dataType));
}

test("a connection, its events and its end reach the local server", async () => {
  const client = await hub.open("plain");
  assert.equal(client.userId, "named by the handler");
  await sendEvent(client, "text", "hello", "text");
  assert.deepEqual(await client.receive(), fromServer("text", "heard hello"));

  const [{ method, url, headers, body }] = handler.of("text");
  assert.deepEqual([method, body.toString()], ["POST", "hello"]);
  // The official client drops the query.
  assert.equal(url, "/eventhandler/text");
  assert.equal(headers["ce-type"], "azure.webpubsub.user.text");
  assert.equal(headers["ce-hub"], hub.name);
  assert.equal(headers["ce-connectionid"], client.connectionId);
  assert.equal(headers["ce-userid"], "named by the handler");
  assert.match(headers["content-type"], /^text\/plain/);
  assert.match(headers["ce-signature"], /^sha256=[0-9a-f]{64}/);

  await until("the local server was told of the connection", () => handler.of("connected").length === 1);
  await client.close();
  await until("the local server was told of the end", () => handler.of("disconnected").length === 1);
  assert.equal(handler.of("connect").length, 1);
});

test("bytes go there and back as they are", async () => {
  const client = await hub.open("plain");
  const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index % 256);
  await sendEvent(client, "bytes", bytes.buffer, "binary");
  const { dataType, data } = await client.receive();
  assert.equal(dataType, "binary");
  assert.deepEqual(new Uint8Array(data), bytes);
});

test("events of many clients at once get their own answers", async () => {
  const clients = await Promise.all(Array.from({ length: 10 }, () => hub.open("plain")));
  const texts = Array.from({ length: 10 }, (_, number) => `text ${number}`);
  const exchange = async (client, index) => {
    for (const text of texts) {
      await sendEvent(client, "text", `${text} of ${index}`, "text");
      assert.deepEqual(await client.receive(), fromServer("text", `heard ${text} of ${index}`));
    }
  };
  await Promise.all(clients.map(exchange));
  assert.equal(handler.of("text").length, 100);
});

test("an event waits for a tunnel that is on its way", async () => {
  const client = await hub.open("plain");
  await tool.kill();
  const sent = sendEvent(client, "text", "patience", "text");
  tool = await TunnelTool.start(service, hub.name, handler.url);
  await sent;
  assert.deepEqual(await client.receive(), fromServer("text", "heard patience"));
});

test("of two tunnels each connection uses one", async () => {
  const other = await LocalHandler.start(answer);
  const second = await TunnelTool.start(service, hub.name, other.url);
  try {
    const clients = await Promise.all(Array.from({ length: 20 }, () => hub.open("plain")));
    for (const client of clients) {
      await sendEvent(client, "text", "one", "text");
      await sendEvent(client, "text", "two", "text");
      const told = [handler, other].map(
        ({ requests }) => requests.filter(({ headers }) => headers["ce-connectionid"] === client.connectionId).length,
      );
      assert.ok(told.includes(0) && Math.max(...told) >= 3, `${told}`);
    }
    assert.ok(handler.requests.length > 0 && other.requests.length > 0);
    await hub.close();
  } finally {
    await second.kill();
    await other.close();
  }
});
