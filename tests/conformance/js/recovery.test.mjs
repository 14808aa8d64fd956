// The official client when the network fails between it and the service.
//
// A reliable connection is recovered: it keeps its id and groups, nothing is lost and nothing comes
// twice, and the client's callbacks are not called. `OfficialClient.receive` insists on gapless
// sequence ids, so whatever a test receives is also all that was sent.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { SendMessageError } from "@azure/web-pubsub-client";

import { fromGroup, fromServer, Hub, PROTOCOLS, serviceSdk, until } from "./sdk.mjs";
import { Service } from "./service.mjs";

const QUICK_PINGS = '[hubs._default]\nweb_socket_keep_alive_interval = "1s"\n';
const SHORT_WINDOW = '[limits]\nrecovery_window = "500ms"\n';
const SMALL_BUFFER = "[hubs._default]\nreliable_buffer_messages = 10\n";

const services = [];
let hub;

before(async () => {
  await startService();
});

after(async () => {
  await Promise.all(services.map((service) => service.stop()));
});

beforeEach(() => {
  hub = new Hub(services[0]);
});

afterEach(async (context) => {
  await hub.close();
  services.forEach((service) => service.showLogOfFailure(context));
});

for (const reset of [true, false]) {
  test(`a ${reset ? "reset" : "closed"} connection is recovered with all that was sent meanwhile`, async () => {
    const client = await open({ userId: "alice", groups: ["of the token"] });
    const other = await open({ userId: "bob" });
    await client.join("room");
    await hub.sendTexts("room", numbered("before", 3));
    assert.deepEqual(await client.receiveData(3), numbered("before", 3));
    client.proxy.refuse();
    client.proxy.cut({ reset });
    await hub.sendTexts("room", numbered("during", 5));
    await other.send("room", { from: "bob" }, "json");
    await hub.sendTexts("of the token", ["still in it"]);
    await client.proxy.refused(2);
    assert.equal(await hub.rest.connectionExists(client.connectionId), true);
    client.proxy.admit();
    assert.deepEqual(await client.receiveData(5), numbered("during", 5));
    assert.deepEqual(await client.receive(), fromGroup("room", "json", { from: "bob" }, "bob"));
    assert.deepEqual(await client.receive(), fromGroup("of the token", "text", "still in it"));
    await expectSameConnection(client);
  });
}

test("a connection survives cut after cut", async () => {
  const client = await open({ groups: ["room"] });
  for (let number = 0; number < 4; number++) {
    await hub.sendTexts("room", numbered(`before ${number}`, 5));
    client.proxy.cut();
    await hub.sendTexts("room", numbered(`after ${number}`, 5));
    assert.deepEqual(await client.receiveData(5), numbered(`before ${number}`, 5));
    assert.deepEqual(await client.receiveData(5), numbered(`after ${number}`, 5));
  }
  await expectSameConnection(client);
});

test("messages lost on their way are sent again", async () => {
  const client = await open({ groups: ["room"] });
  client.proxy.hold("down");
  await hub.sendTexts("room", numbered("swallowed", 5));
  client.proxy.cut();
  client.proxy.release();
  assert.deepEqual(await client.receiveData(5), numbered("swallowed", 5));
  await expectSameConnection(client);
});

test("messages whose acknowledgement was lost do not come twice", async () => {
  const client = await open({ groups: ["room"] });
  client.proxy.hold("up");
  await hub.sendTexts("room", numbered("seen", 5));
  assert.deepEqual(await client.receiveData(5), numbered("seen", 5));
  client.proxy.cut();
  client.proxy.release();
  await hub.sendTexts("room", numbered("new", 5));
  assert.deepEqual(await client.receiveData(5), numbered("new", 5));
  await expectSameConnection(client);
});

test("a request whose ack was lost is repeated by the client and done once", async () => {
  const sender = await open({ groups: ["room"] }, { messageRetryOptions: { maxRetries: 20, retryDelayInMs: 200 } });
  const receiver = await open({ groups: ["room"] });
  sender.proxy.hold("down");
  const sent = sender.send("room", "once", "text", { ackId: 1000 });
  assert.deepEqual(await receiver.receive(), fromGroup("room", "text", "once"));
  sender.proxy.cut();
  sender.proxy.release();
  assert.deepEqual(await sent, { ackId: 1000, isDuplicated: true });
  assert.deepEqual(await sender.receive(), fromGroup("room", "text", "once"));
  await expectSameConnection(sender, receiver);
});

test("a request that did not reach the service is repeated by the client", async () => {
  const sender = await open({}, { messageRetryOptions: { maxRetries: 20, retryDelayInMs: 200 } });
  const receiver = await open({ groups: ["room"] });
  sender.proxy.hold("up");
  const sent = sender.send("room", "once", "text", { ackId: 1000 });
  sender.proxy.cut();
  sender.proxy.release();
  assert.deepEqual(await sent, { ackId: 1000, isDuplicated: false });
  assert.deepEqual(await receiver.receive(), fromGroup("room", "text", "once"));
  await expectSameConnection(sender, receiver);
});

test("a pending request fails at a cut if it is not to be repeated", async () => {
  const client = await open();
  client.proxy.hold("down");
  const joined = client.join("room");
  client.proxy.cut();
  client.proxy.release();
  await assert.rejects(joined, SendMessageError);
  await expectSameConnection(client);
});

test("a new socket takes over while the service believes in the old one", async () => {
  const client = await open({ groups: ["room"] });
  client.proxy.hold("down");
  await hub.sendTexts("room", numbered("swallowed", 5));
  client.proxy.cutClients();
  client.proxy.release();
  assert.deepEqual(await client.receiveData(5), numbered("swallowed", 5));
  await client.proxy.dropped(1);
  await expectSameConnection(client);
});

test("a client that hears nothing gives its socket up and is recovered", async () => {
  const client = await open({ groups: ["room"] }, { keepAliveIntervalInMs: 100, keepAliveTimeoutInMs: 500 });
  client.proxy.hold("down");
  await hub.sendTexts("room", numbered("swallowed", 5));
  await client.proxy.dropped(1);
  await hub.sendTexts("room", numbered("later", 5));
  client.proxy.release();
  assert.deepEqual(await client.receiveData(5), numbered("swallowed", 5));
  assert.deepEqual(await client.receiveData(5), numbered("later", 5));
  await expectSameConnection(client);
});

test("a client that the service does not hear is dropped and recovered", async () => {
  hub = new Hub(await startService(QUICK_PINGS));
  const client = await open({ groups: ["room"] });
  client.proxy.hold();
  await hub.sendTexts("room", numbered("swallowed", 5));
  await client.proxy.dropped(1);
  await hub.sendTexts("room", numbered("later", 5));
  client.proxy.release();
  assert.deepEqual(await client.receiveData(5), numbered("swallowed", 5));
  assert.deepEqual(await client.receiveData(5), numbered("later", 5));
  await expectSameConnection(client);
});

test("a held up connection goes on", async () => {
  const client = await open({ groups: ["room"] });
  client.proxy.hold();
  await hub.sendTexts("room", numbered("held", 5));
  client.proxy.release();
  assert.deepEqual(await client.receiveData(5), numbered("held", 5));
  await expectSameConnection(client);
});

for (const protocol of Object.keys(PROTOCOLS)) {
  test(`a slow way changes nothing for a ${protocol} connection`, async () => {
    const client = await hub.open(protocol);
    const other = await hub.open(protocol, { groups: ["room"] });
    client.proxy.delayMs = 200;
    await client.join("room");
    await client.send("room", "there and back", "text", { noEcho: true });
    assert.deepEqual(await other.receive(), fromGroup("room", "text", "there and back"));
    await hub.sendTexts("room", numbered("slow", 5));
    assert.deepEqual(await client.receiveData(5), numbered("slow", 5));
    await client.leave("room");
    await hub.expectNothingMore(client);
  });
}

test("a connection is recovered over a slow way", async () => {
  const client = await open({ groups: ["room"] });
  client.proxy.delayMs = 200;
  await hub.sendTexts("room", numbered("on their way", 5));
  client.proxy.cut();
  await hub.sendTexts("room", numbered("during", 5));
  assert.deepEqual(await client.receiveData(5), numbered("on their way", 5));
  assert.deepEqual(await client.receiveData(5), numbered("during", 5));
  await expectSameConnection(client);
});

test("a narrow way loses nothing although it is cut", async () => {
  const client = await open({ groups: ["room"] });
  client.proxy.bytesPerSecond = 256 * 1024;
  const texts = numbered("message", 40).map((text) => text.padEnd(16 * 1024, "x"));
  await hub.sendTexts("room", texts.slice(0, 20));
  assert.deepEqual(await client.receiveData(5), texts.slice(0, 5));
  client.proxy.cut();
  await hub.sendTexts("room", texts.slice(20));
  assert.deepEqual(await client.receiveData(35), texts.slice(5));
  await expectSameConnection(client);
});

test("a connection closed while it was away is replaced", async () => {
  const client = await open();
  await client.join("room");
  const first = client.connectionId;
  client.proxy.refuse();
  client.proxy.cut();
  await client.proxy.refused(1);
  await hub.rest.closeConnection(first);
  client.proxy.admit();
  assert.deepEqual(await client.nextEvent(), ["disconnected", first, undefined]);
  await expectReplaced(client, first);
});

test("a connection that was away for too long is replaced", async () => {
  hub = new Hub(await startService(SHORT_WINDOW));
  const client = await open();
  await client.join("room");
  const first = client.connectionId;
  client.proxy.refuse();
  client.proxy.cut();
  await until("its time was over", async () => !(await hub.rest.connectionExists(first)));
  client.proxy.admit();
  assert.deepEqual(await client.nextEvent(), ["disconnected", first, undefined]);
  await expectReplaced(client, first);
});

test("a connection that acknowledges too little is replaced", async () => {
  hub = new Hub(await startService(SMALL_BUFFER));
  const client = await open();
  await client.join("room");
  const first = client.connectionId;
  client.proxy.hold("up");
  await hub.sendTexts("room", numbered("kept", 10));
  assert.deepEqual(await client.receiveData(10), numbered("kept", 10));
  await hub.rest.sendToConnection(first, "one too many", { contentType: "text/plain" });
  assert.equal(await hub.rest.connectionExists(first), false);
  client.proxy.release();
  assert.deepEqual((await client.nextEvent()).slice(0, 2), ["disconnected", first]);
  await expectReplaced(client, first);
});

test("nothing is lost or doubled in a crowd that is cut again and again", async () => {
  const clients = [];
  for (let number = 0; number < 5; number++) {
    clients.push(await open({ groups: ["room"] }));
  }
  const texts = numbered("message", 200);
  for (const [index, text] of texts.entries()) {
    await hub.sendTexts("room", [text]);
    if (index % 5 === 0) {
      clients[(index / 5) % clients.length].proxy.cut();
    }
  }
  for (const client of clients) {
    assert.deepEqual(await client.receiveData(texts.length), texts);
  }
  await expectSameConnection(...clients);
});

test("requests repeated after cut after cut are done once each", async () => {
  const sender = await open({}, { messageRetryOptions: { maxRetries: 100, retryDelayInMs: 100 } });
  const receiver = await open({ groups: ["room"] });
  const texts = numbered("message", 100);
  const sent = [];
  for (const [index, text] of texts.entries()) {
    sent.push(sender.send("room", text, "text", { ackId: 1000 + index }));
    if (index % 20 === 10) {
      sender.proxy.cut();
      await hub.rest.groupExists("room");
    }
  }
  await Promise.all(sent);
  const received = await receiver.receiveData(texts.length);
  assert.deepEqual(received.toSorted(), texts.toSorted());
  await expectSameConnection(sender, receiver);
});

for (const protocol of Object.keys(PROTOCOLS)) {
  test(`a ${protocol} client finds a restarted service`, async () => {
    const service = await startService();
    hub = new Hub(service);
    const client = await hub.open(protocol, { userId: "alice" });
    await client.join("room");
    const first = client.connectionId;
    await service.stop();
    const restarted = await startService();
    client.proxy.forwardTo(restarted);
    assert.deepEqual((await client.nextEvent()).slice(0, 2), ["disconnected", first]);
    await client.expectConnected();
    assert.deepEqual([client.connectionId !== first, client.userId], [true, "alice"]);
    const rest = serviceSdk(restarted.connectionString, hub.name);
    await rest.group("room").sendToAll("welcome back", { contentType: "text/plain" });
    assert.deepEqual(await client.receive(), fromGroup("room", "text", "welcome back"));
    client.expectNoEvent();
  });
}

test("a plain connection that was cut is replaced", async () => {
  const client = await hub.open("plain");
  await client.join("room");
  const first = client.connectionId;
  client.proxy.refuse();
  client.proxy.cut();
  await client.proxy.refused(1);
  await until("the service noticed the cut", async () => !(await hub.rest.connectionExists(first)));
  await hub.sendTexts("room", ["lost"]);
  client.proxy.admit();
  assert.deepEqual(await client.nextEvent(), ["disconnected", first, undefined]);
  await expectReplaced(client, first);
});

async function startService(config) {
  services.push(await Service.start(config));
  return services.at(-1);
}

function open(token, options) {
  return hub.open("reliable", token, options);
}

function numbered(what, count) {
  return Array.from({ length: count }, (_, number) => `${what} ${number}`);
}

/** The clients can be reached and can send, without having been told of anything. */
async function expectSameConnection(...recovered) {
  for (const client of recovered) {
    await hub.rest.sendToConnection(client.connectionId, "still you?", { contentType: "text/plain" });
    assert.deepEqual(await client.receive(), fromServer("text", "still you?"));
    await client.join("recovered");
    await client.leave("recovered");
    client.expectNoEvent();
  }
  await hub.expectNothingMore(...recovered);
}

/** The client got a new connection and is a member of `room` again. */
async function expectReplaced(client, first) {
  await client.expectConnected();
  assert.notEqual(client.connectionId, first);
  assert.deepEqual(await hub.members("room"), [client.connectionId]);
  await hub.sendTexts("room", ["welcome back"]);
  assert.deepEqual(await client.receive(), fromGroup("room", "text", "welcome back"));
  client.expectNoEvent();
  await hub.expectNothingMore(client);
}
