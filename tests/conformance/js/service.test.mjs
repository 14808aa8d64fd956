// The official JavaScript package against one server. Every test has a hub of its own, so that
// "everyone" means everyone whom the test connected.

import assert from "node:assert/strict";
import { once } from "node:events";
import { Readable } from "node:stream";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { odata, WebPubSubServiceClient } from "@azure/web-pubsub";
import { WebSocket } from "ws";

import { JsonClient, SimpleClient } from "./clients.mjs";
import { Service } from "./service.mjs";
import { within } from "./within.mjs";

const OPTIONS = { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } };
const HELLO = { from: "user1", data: "Hello world" };
const CLOSED = "Application server closed the connection.";

let service;
let hub;
let sdk;
let clients = [];
let fences = 0;
let hubs = 0;

before(async () => {
  service = await Service.start();
});

after(async () => {
  await service?.stop();
});

beforeEach(() => {
  hub = `chat_${++hubs}`;
  sdk = sdkOf(hub);
});

afterEach((context) => {
  clients.forEach((client) => client.close());
  clients = [];
  service.showLogOfFailure(context);
});

test("JSON is sent to all", async () => {
  const [simple, json] = [await connectSimple(), await connectJson()];
  await sdk.sendToAll(HELLO);
  assert.equal(await simple.receive(), JSON.stringify(HELLO));
  assert.deepEqual(await json.receive(), fromServer("json", HELLO));
});

test("a string is JSON unless it is said to be text", async () => {
  const [simple, json] = [await connectSimple(), await connectJson()];
  await sdk.sendToAll("Hello world");
  assert.equal(await simple.receive(), '"Hello world"');
  assert.deepEqual(await json.receive(), fromServer("json", "Hello world"));
  await sdk.sendToAll("Hello world", { contentType: "text/plain" });
  assert.equal(await simple.receive(), "Hello world");
  assert.deepEqual(await json.receive(), fromServer("text", "Hello world"));
});

test("a buffer is binary", async () => {
  const [simple, json] = [await connectSimple(), await connectJson()];
  const bytes = new Uint8Array([72, 101, 108, 108, 111, 0, 255]);
  await sdk.sendToAll(bytes.buffer);
  assert.deepEqual(await simple.receive(), Buffer.from(bytes));
  assert.deepEqual(await json.receive(), fromServer("binary", Buffer.from(bytes).toString("base64")));
});

test("a stream is binary", async () => {
  const [simple, json] = [await connectSimple(), await connectJson()];
  await sdk.sendToAll(() => Readable.from([Buffer.from("Hello "), Buffer.from("World")]));
  assert.deepEqual(await simple.receive(), Buffer.from("Hello World"));
  assert.deepEqual(await json.receive(), fromServer("binary", "SGVsbG8gV29ybGQ="));
});

test("a send to all spares the excluded", async () => {
  const [excluded, other] = [await connectJson(), await connectJson()];
  await sdk.sendToAll(HELLO, { excludedConnections: [excluded.connectionId] });
  assert.deepEqual(await other.receive(), fromServer("json", HELLO));
  await expectNothingMore(excluded, other);
});

test("a group message reaches the members", async () => {
  const [simple, json] = [await connectSimple({ groups: ["a/b c"] }), await connectJson({ groups: ["a/b c"] })];
  const excluded = await connectJson({ groups: ["a/b c"] });
  const stranger = await connectJson({ groups: ["a"] });
  await sdk.group("a/b c").sendToAll(HELLO, { excludedConnections: [excluded.connectionId] });
  assert.equal(await simple.receive(), JSON.stringify(HELLO));
  assert.deepEqual(await json.receive(), fromGroup("a/b c", "json", HELLO));
  await expectNothingMore(simple, json, excluded, stranger);
});

test("a user message reaches each connection of the user", async () => {
  const [simple, json] = [await connectSimple({ userId: "alice" }), await connectJson({ userId: "alice" })];
  const stranger = await connectJson({ userId: "bob" });
  await sdk.sendToUser("alice", "hi", { contentType: "text/plain" });
  assert.equal(await simple.receive(), "hi");
  assert.deepEqual(await json.receive(), fromServer("text", "hi"));
  await expectNothingMore(simple, json, stranger);
});

test("a connection message reaches that connection only", async () => {
  const [receiver, other] = [await connectJson({ userId: "alice" }), await connectJson({ userId: "alice" })];
  await sdk.sendToConnection(receiver.connectionId, HELLO);
  assert.deepEqual(await receiver.receive(), fromServer("json", HELLO));
  await expectNothingMore(receiver, other);
});

test("a token carries user, roles and groups", async () => {
  const token = await sdk.getClientAccessToken({ userId: "alice" });
  assert.equal(token.baseUrl, service.clientUrl(hub));
  assert.equal(token.url, `${token.baseUrl}?access_token=${token.token}`);

  const client = await connectJson({ userId: "alice", roles: ["webpubsub.joinLeaveGroup.room"], groups: ["hall"] });
  assert.equal(client.userId, "alice");
  assert.equal((await client.request({ type: "joinGroup", group: "room" })).success, true);
  assert.equal((await client.request({ type: "joinGroup", group: "attic" })).error.name, "Forbidden");
  await sdk.group("hall").sendToAll("hi", { contentType: "text/plain" });
  assert.deepEqual(await client.receive(), fromGroup("hall", "text", "hi"));
});

test("connections, users and groups exist while they are there", async () => {
  const client = await connectJson({ userId: "alice", groups: ["room"] });
  const exist = async () => [
    await sdk.connectionExists(client.connectionId),
    await sdk.userExists("alice"),
    await sdk.groupExists("room"),
  ];
  assert.deepEqual(await exist(), [true, true, true]);
  await sdk.closeConnection(client.connectionId);
  assert.deepEqual(await exist(), [false, false, false]);
});

test("connections and users are added to groups and removed", async () => {
  const client = await connectJson({ userId: "alice" });
  const group = sdk.group("room");
  const steps = [
    [() => group.addConnection(client.connectionId), true],
    [() => group.removeConnection(client.connectionId), false],
    [() => group.addUser("alice"), true],
    [() => group.removeUser("alice"), false],
    [() => group.addUser("alice"), true],
    [() => sdk.removeUserFromAllGroups("alice"), false],
    [() => group.addConnection(client.connectionId), true],
    [() => sdk.removeConnectionFromAllGroups(client.connectionId), false],
  ];
  for (const [step, isMember] of steps) {
    await step();
    await group.sendToAll("roll call", { contentType: "text/plain" });
    if (isMember) {
      assert.deepEqual(await client.receive(), fromGroup("room", "text", "roll call"));
    }
    await expectNothingMore(client);
  }
});

test("adding what is not there is an error", async () => {
  await assert.rejects(sdk.group("room").addConnection("absent"), { statusCode: 404 });
  await assert.rejects(sdk.group("room").addUser("nobody"), { statusCode: 404 });
});

test("permissions are granted, asked for and revoked", async () => {
  const { connectionId } = await connectJson();
  for (const permission of ["joinLeaveGroup", "sendToGroup"]) {
    const targetName = "a/b & c";
    const isGranted = () => sdk.hasPermission(connectionId, permission, { targetName });
    assert.equal(await isGranted(), false);
    await sdk.grantPermission(connectionId, permission, { targetName });
    assert.equal(await isGranted(), true);
    await sdk.revokePermission(connectionId, permission, { targetName });
    assert.equal(await isGranted(), false);
  }
});

test("a closed connection is told the reason", async () => {
  const [client, other] = [await connectJson(), await connectJson()];
  await sdk.closeConnection(client.connectionId, { reason: "bye & thanks" });
  await expectClosed(client, `${CLOSED} Reason: bye & thanks`);
  await expectNothingMore(other);
});

test("the connections of a user are closed", async () => {
  const [simple, json] = [await connectSimple({ userId: "alice" }), await connectJson({ userId: "alice" })];
  const other = await connectJson({ userId: "bob" });
  await sdk.closeUserConnections("alice");
  assert.deepEqual(await simple.closed(), [1000, ""]);
  await expectClosed(json, CLOSED);
  await expectNothingMore(other);
});

test("the connections of a group are closed", async () => {
  const [member, other] = [await connectJson({ groups: ["room"] }), await connectJson()];
  await sdk.group("room").closeAllConnections({ reason: "bye" });
  await expectClosed(member, `${CLOSED} Reason: bye`);
  await expectNothingMore(other);
});

test("all connections of the hub are closed", async () => {
  const [simple, json] = [await connectSimple(), await connectJson()];
  const elsewhere = sdkOf(`${hub}_other`);
  const neighbour = track(await JsonClient.connect((await elsewhere.getClientAccessToken()).url));
  await sdk.closeAllConnections({ reason: "bye" });
  assert.deepEqual(await simple.closed(), [1000, ""]);
  await expectClosed(json, `${CLOSED} Reason: bye`);
  await elsewhere.sendToAll("still here", { contentType: "text/plain" });
  assert.equal((await neighbour.receive()).data, "still here");
});

test("a filter chooses among those addressed", async () => {
  const user = "O'Brien";
  const receiver = await connectJson({ userId: user, groups: ["room"] });
  const others = [
    await connectJson({ userId: "alice", groups: ["room"] }),
    await connectJson({ groups: ["room"] }),
    await connectSimple({ userId: user }),
  ];
  const filter = odata`userId ne ${null} and userId eq ${user} and length(userId) gt ${6} and ${"room"} in groups`;
  await sdk.sendToAll("all", { filter, contentType: "text/plain" });
  await sdk.group("room").sendToAll("group", { filter, contentType: "text/plain" });
  await sdk.sendToUser(user, "user", { filter, contentType: "text/plain" });
  assert.deepEqual(await receiver.receive(), fromServer("text", "all"));
  assert.deepEqual(await receiver.receive(), fromGroup("room", "text", "group"));
  assert.deepEqual(await receiver.receive(), fromServer("text", "user"));
  await expectNothingMore(receiver, ...others);
});

test("a filter may ask for those without a user", async () => {
  const [anonymous, alice] = [await connectJson(), await connectJson({ userId: "alice" })];
  await sdk.sendToAll("hi", { filter: odata`userId eq ${undefined}`, contentType: "text/plain" });
  assert.deepEqual(await anonymous.receive(), fromServer("text", "hi"));
  await expectNothingMore(anonymous, alice);
});

test("a filter and excluded hold both", async () => {
  const [excluded, receiver] = [await connectJson({ userId: "alice" }), await connectJson({ userId: "alice" })];
  const other = await connectJson({ userId: "bob" });
  const filter = odata`userId eq ${"alice"}`;
  await sdk.sendToAll("hi", { filter, excludedConnections: [excluded.connectionId], contentType: "text/plain" });
  assert.deepEqual(await receiver.receive(), fromServer("text", "hi"));
  await expectNothingMore(excluded, receiver, other);
});

test("a bad filter is an error that says why", async () => {
  const client = await connectJson({ userId: "alice", groups: ["room"] });
  const filter = "userId lt 1";
  const calls = [
    () => sdk.sendToAll(HELLO, { filter }),
    () => sdk.group("room").sendToAll(HELLO, { filter }),
    () => sdk.sendToUser("alice", HELLO, { filter }),
    () => sdk.addConnectionsToGroups(["hall"], filter),
    () => sdk.removeConnectionsFromGroups(["room"], filter),
  ];
  for (const call of calls) {
    await assert.rejects(call(), {
      statusCode: 400,
      code: "Error.BadRequest",
      message: "Invalid syntax for 'userId lt 1': Type 'string', expect 'int'. (Parameter 'filter')",
    });
  }
  assert.deepEqual([await sdk.groupExists("hall"), await sdk.groupExists("room")], [false, true]);
  await expectNothingMore(client);
});

test("a message with a time to live arrives", async () => {
  const client = await connectJson({ userId: "alice", groups: ["room"] });
  const options = { messageTtlSeconds: 60, contentType: "text/plain" };
  await sdk.sendToAll("all", options);
  await sdk.group("room").sendToAll("group", options);
  await sdk.sendToUser("alice", "user", options);
  await sdk.sendToConnection(client.connectionId, "connection", options);
  for (const text of ["all", "group", "user", "connection"]) {
    assert.equal((await client.receive()).data, text);
  }
});

test("connections that match a filter are added to groups and removed", async () => {
  const clients = [await connectJson({ userId: "alice" }), await connectJson({ userId: "alice" })];
  const bob = await connectJson({ userId: "bob" });
  const filter = odata`userId eq ${"alice"}`;
  await sdk.addConnectionsToGroups(["room", "a/b c"], filter);
  assert.deepEqual(await membersOf("room"), members(...clients));
  assert.deepEqual(await membersOf("a/b c"), members(...clients));
  await sdk.removeConnectionsFromGroups(["room", "absent"], odata`connectionId eq ${clients[0].connectionId}`);
  assert.deepEqual(await membersOf("room"), members(clients[1]));
  assert.deepEqual(await membersOf("a/b c"), members(...clients));
  await expectNothingMore(...clients, bob);
});

test("without a filter all connections of the hub are added to groups and removed", async () => {
  const clients = [await connectJson({ userId: "alice" }), await connectJson(), await connectJson()];
  await sdk.addConnectionsToGroups(["room", "hall"], "");
  assert.deepEqual(await membersOf("room"), members(...clients));
  await sdk.removeConnectionsFromGroups(["room"]);
  assert.deepEqual(await membersOf("room"), []);
  assert.deepEqual(await membersOf("hall"), members(...clients));
});

test("the members of a group are listed in pages", async () => {
  const clients = [];
  for (let number = 0; number < 5; number++) {
    clients.push(await connectJson({ userId: `user ${number}`, groups: ["a/b & c"] }));
  }
  const wanted = members(...clients);
  const group = sdk.group("a/b & c");
  const table = [
    [{}, [5]],
    [{ maxPageSize: 2 }, [2, 2, 1]],
    [{ maxPageSize: 5 }, [5]],
    [{ top: 3 }, [3]],
    [{ maxPageSize: 2, top: 3 }, [2, 1]],
    [{ maxPageSize: 2, top: 4 }, [2, 2]],
  ];
  for (const [options, sizes] of table) {
    const pages = [];
    for await (const page of (await group.listConnections(options)).byPage()) {
      pages.push(page);
    }
    assert.deepEqual([options, pages.map((page) => page.length)], [options, sizes]);
    assert.deepEqual(pages.flat(), wanted.slice(0, options.top));
  }
  assert.deepEqual(await membersOf("a/b & c"), wanted);
});

test("a list goes on where its link or its continuation token says", async () => {
  const clients = [await connectJson({ groups: ["room"] }), await connectJson({ groups: ["room"] })];
  const [first, second] = members(...clients);
  let nextLink;
  const onResponse = (response, body) => (nextLink = body.nextLink);
  const list = (options) => sdk.group("room").listConnections(options);
  const page = await (await list({ maxPageSize: 1, onResponse })).byPage().next();
  assert.deepEqual([...page.value], [first]);

  const fromLink = await (await list()).byPage({ continuationToken: nextLink }).next();
  assert.deepEqual([...fromLink.value], [second]);
  const continuationToken = new URL(nextLink).searchParams.get("continuationToken");
  const fromToken = await (await list({ continuationToken, onResponse })).byPage().next();
  assert.deepEqual([...fromToken.value], [second]);
  assert.equal(nextLink, null);

  await assert.rejects((await list({ continuationToken: "nonsense" })).next(), {
    statusCode: 400,
    message: "Invalid continuationToken.",
  });
});

test("a wrong key is refused by both sides of the service", async () => {
  const wrong = service.connectionString.replace(/AccessKey=[^;]+/, `AccessKey=${"x".repeat(44)}`);
  const client = new WebPubSubServiceClient(wrong, hub, OPTIONS);
  await assert.rejects(client.sendToAll("hi"), { statusCode: 401 });
  const { url } = await client.getClientAccessToken();
  assert.equal(await refusal(url), 401);
  assert.equal(await refusal(service.clientUrl(hub)), 401);
});

function sdkOf(name) {
  return new WebPubSubServiceClient(service.connectionString, name, OPTIONS);
}

function track(client) {
  clients.push(client);
  return client;
}

async function connectSimple(token) {
  return track(await SimpleClient.connect((await sdk.getClientAccessToken(token)).url));
}

async function connectJson(token) {
  return track(await JsonClient.connect((await sdk.getClientAccessToken(token)).url));
}

/** The members of a group as the service lists them. */
async function membersOf(name) {
  const listed = [];
  for await (const member of await sdk.group(name).listConnections()) {
    listed.push(member);
  }
  return listed;
}

/** Clients in the form and the order in which the service lists them. */
function members(...listed) {
  return listed
    .map(({ connectionId, userId }) => ({ connectionId, userId }))
    .sort((one, other) => (one.connectionId < other.connectionId ? -1 : 1));
}

/** The HTTP status with which the service refuses a WebSocket. */
async function refusal(url) {
  const socket = new WebSocket(url);
  socket.on("error", () => {});
  const [request, response] = await within(10_000, "a refusal", once(socket, "unexpected-response"));
  request.destroy();
  return response.statusCode;
}

/**
 * Every client has received all it was sent. Proved by a message to the whole hub that each of them
 * must see next, since a connection receives in the order of acceptance.
 */
async function expectNothingMore(...receivers) {
  const fence = `fence ${++fences}`;
  await sdk.sendToAll(fence, { contentType: "text/plain" });
  for (const client of receivers) {
    const received = await client.receive();
    assert.deepEqual(received, client instanceof JsonClient ? fromServer("text", fence) : fence);
  }
}

async function expectClosed(client, message) {
  assert.deepEqual(await client.receive(), { type: "system", event: "disconnected", message });
  assert.deepEqual(await client.closed(), [1000, ""]);
}

function fromServer(dataType, data) {
  return { type: "message", from: "server", dataType, data };
}

function fromGroup(group, dataType, data) {
  return { type: "message", from: "group", group, fromUserId: null, dataType, data };
}
