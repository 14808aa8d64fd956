// The official middleware as the event handler: what it is asked and told about connections, and what its answers do.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { Application } from "./application.mjs";
import { JsonClient, SimpleClient } from "./clients.mjs";
import { fromGroup, Hub, PROTOCOLS } from "./sdk.mjs";
import { Service } from "./service.mjs";

/** A hub whose application decides about events, but not about connections. */
const EVENTS_ONLY = "events_only";

let application;
let service;
let hub;

before(async () => {
  application = await Application.start();
  service = await Service.start(`${application.configuration}
[limits]
recovery_window = "500ms"

[[hubs.${EVENTS_ONLY}.event_handlers]]
url_template = "${application.origin}/api/webpubsub/hubs/{hub}/"
user_event_pattern = "*"
`);
});

after(async () => {
  await service?.stop();
  application?.stop();
});

beforeEach(() => {
  hub = new Hub(service);
});

afterEach(async (context) => {
  await hub.close();
  service.showLogOfFailure(context);
});

/** How a client of each kind is opened. */
const KINDS = {
  raw: (token) => hub.connect(SimpleClient, token),
  ...Object.fromEntries(
    Object.keys(PROTOCOLS).map((protocol) => [protocol, (token) => hub.open(protocol, { roles: [], ...token })]),
  ),
};

for (const [kind, open] of Object.entries(KINDS)) {
  describe(kind, () => {
    test("a connection is as its application wants it", async () => {
      const handled = application.handle(hub.name, {
        connect: (_, response) =>
          response.success({
            userId: "bob",
            groups: ["room"],
            roles: ["webpubsub.sendToGroup.room", "webpubsub.joinLeaveGroup"],
          }),
      });
      const client = await open({ userId: "alice", groups: ["hall"] });
      const { context } = await handled.next("connected");
      assert.equal(context.userId, "bob");
      assert.deepEqual(await hub.members("room"), [context.connectionId]);
      assert.deepEqual(await hub.members("hall"), []);
      assert.equal(await hub.rest.userExists("bob"), true);
      assert.equal(await hub.rest.userExists("alice"), false);
      const mayIt = (permission) =>
        hub.rest.hasPermission(context.connectionId, permission, { targetName: "room" });
      assert.deepEqual([await mayIt("sendToGroup"), await mayIt("joinLeaveGroup")], [true, true]);
      await hub.sendTexts("room", ["welcome"]);
      const received = await client.receive();
      assert.deepEqual(received, kind === "raw" ? "welcome" : fromGroup("room", "text", "welcome"));
    });

    test("a connection is as its token says where the application only accepts it", async () => {
      const handled = application.handle(hub.name);
      await open({ userId: "alice", groups: ["hall"], roles: ["webpubsub.sendToGroup.hall"] });
      const { context } = await handled.next("connected");
      assert.equal(context.userId, "alice");
      assert.deepEqual(await hub.members("hall"), [context.connectionId]);
      const permission = { targetName: "hall" };
      assert.equal(await hub.rest.hasPermission(context.connectionId, "sendToGroup", permission), true);
    });

    test("a client that the application refuses gets its status and leaves no trace", async () => {
      const handled = application.handle(hub.name, { connect: (_, response) => response.fail(401, "not today") });
      await assert.rejects(open({ userId: "alice" }), /401/);
      const { context } = await handled.next("connect");
      assert.equal(await hub.rest.connectionExists(context.connectionId), false);
      assert.deepEqual([handled.count("connected"), handled.count("disconnected")], [0, 0]);
    });

    test("a connection that the service ends is told with the reason", async () => {
      const handled = application.handle(hub.name);
      await open({ userId: "alice" });
      const { context } = await handled.next("connected");
      assert.deepEqual([context.eventName, context.hub], ["connected", hub.name]);
      await hub.rest.closeConnection(context.connectionId, { reason: "good night" });
      const ended = await handled.next("disconnected");
      assert.equal(ended.context.connectionId, context.connectionId);
      assert.equal(ended.context.userId, "alice");
      assert.match(ended.reason, /good night/);
    });

    test("what the application keeps for a connection comes with everything that is told of it", async () => {
      const handled = application.handle(hub.name, {
        connect: (_, response) => {
          response.setState("visits", 1);
          response.setState("name", "Zo\u00eb");
          response.success();
        },
        event: (_, response) => {
          response.setState("visits", 2);
          response.success("welcome back", "text");
        },
      });
      const client = await open();
      const states = async (request) => (await handled.next(request)).context.states;
      assert.deepEqual(await states("connect"), {});
      const { context } = await handled.next("connected");
      assert.deepEqual(context.states, { visits: 1, name: "Zo\u00eb" });
      kind === "raw" ? client.send("again") : await client.sendEvent("visit", "again", "text");
      assert.deepEqual(await states("event"), { visits: 1, name: "Zo\u00eb" });
      await client.receive();
      await hub.rest.closeConnection(context.connectionId);
      assert.deepEqual(await states("disconnected"), { visits: 2, name: "Zo\u00eb" });
    });

    test("groups are told of by whatever way a connection gets into them and out", async () => {
      const handled = application.handle(hub.name);
      await open({ userId: "alice", groups: ["of the token"] });
      const presence = async (what) => {
        const { context, group } = await handled.next(what);
        assert.deepEqual([context.eventName, context.userId], [what, "alice"]);
        return group;
      };
      const { context } = await handled.next("connected");
      assert.equal(await presence("joined"), "of the token");
      await hub.rest.group("room").addConnection(context.connectionId);
      assert.equal(await presence("joined"), "room");
      await hub.rest.group("h\u00e4ll").addUser("alice");
      assert.equal(await presence("joined"), "h\u00e4ll");
      await hub.rest.group("room").removeConnection(context.connectionId);
      assert.equal(await presence("left"), "room");
      await hub.rest.closeConnection(context.connectionId);
      assert.deepEqual([await presence("left"), await presence("left")].sort(), ["h\u00e4ll", "of the token"]);
    });
  });
}

for (const protocol of Object.keys(PROTOCOLS)) {
  test(`a ${protocol} client that joins and leaves is told of once`, async () => {
    const handled = application.handle(hub.name);
    const client = await hub.open(protocol);
    const presence = async (what) => {
      const { context, group } = await handled.next(what);
      return [context.connectionId, group];
    };
    await client.join("room");
    assert.deepEqual(await presence("joined"), [client.connectionId, "room"]);
    await client.join("room");
    await client.leave("room");
    assert.deepEqual(await presence("left"), [client.connectionId, "room"]);
    await client.leave("room");
    await client.join("hall");
    assert.deepEqual(await presence("joined"), [client.connectionId, "hall"]);
    assert.deepEqual([handled.count("joined"), handled.count("left")], [2, 1]);
  });

  // The official client closes without a code, after which a reliable connection may be recovered for a while.
  test(`the end of a ${protocol} client that stops is told`, async () => {
    const handled = application.handle(hub.name);
    const client = await hub.open(protocol, { groups: ["room"] });
    client.sdk.stop();
    const { context } = await handled.next("disconnected");
    assert.equal(context.connectionId, client.connectionId);
    assert.equal((await handled.next("left")).group, "room");
  });
}

test("an application that allows the service is asked once, and then gets events", async () => {
  const handled = application.handle(hub.name, { endpoints: [service.endpoint] });
  await hub.connect(SimpleClient);
  await handled.next("connected");
  const asked = await handled.next("OPTIONS");
  assert.equal(asked.headers["ce-awpsversion"], "1.0");
  const event = await handled.next("POST");
  assert.equal(event.headers["webhook-request-origin"], asked.headers["webhook-request-origin"]);
  assert.equal(handled.count("OPTIONS"), 1);
});

test("an application that allows another service gets no event", async () => {
  const handled = application.handle(hub.name, { endpoints: ["https://another.example.com"] });
  await assert.rejects(hub.connect(SimpleClient), /500/);
  await handled.next("OPTIONS");
  assert.equal(handled.count("POST"), 0);

  hub = new Hub(service, EVENTS_ONLY);
  const events = application.handle(hub.name, { endpoints: ["https://another.example.com"] });
  const client = await hub.connect(JsonClient);
  const ack = await client.request({ type: "event", event: "order", dataType: "text", data: "tea" });
  assert.deepEqual([ack.success, ack.error.name], [false, "InternalServerError"]);
  await events.next("OPTIONS");
  assert.equal(events.count("POST"), 0);
});

test("an application is asked with all that a client said, and chooses among its subprotocols", async () => {
  const handled = application.handle(hub.name, {
    connect: ({ subprotocols }, response) => response.success({ subprotocol: subprotocols[1] }),
  });
  const token = { userId: "alice", roles: ["webpubsub.sendToGroup"] };
  const offer = { subprotocols: ["one", "two"], query: "&room=blue&room=gr%C3%BCn" };
  const client = await hub.connect(SimpleClient, token, offer);
  assert.equal(client.negotiated, "two");
  const request = await handled.next("connect");
  const { context } = request;
  assert.deepEqual([context.eventName, context.hub, context.userId], ["connect", hub.name, "alice"]);
  assert.deepEqual([request.claims.sub, request.claims.role], [["alice"], ["webpubsub.sendToGroup"]]);
  assert.deepEqual(request.queries, { room: ["blue", "gr\u00fcn"] });
  assert.deepEqual(request.subprotocols, ["one", "two"]);
  assert.deepEqual(request.headers.Host ?? request.headers.host, [new URL(service.endpoint).host]);
  assert.deepEqual(request.clientCertificates, []);
  const key = /AccessKey=([^;]+)/.exec(service.connectionString)[1];
  const signature = createHmac("sha256", key).update(context.connectionId).digest("hex");
  assert.equal(context.signature, `sha256=${signature}`);
  client.send("as it is");
  const event = await handled.next("event");
  assert.deepEqual([event.context.eventName, event.data], ["message", "as it is"]);
});

test("a connection that its application makes anonymous has no user", async () => {
  const handled = application.handle(hub.name, { connect: (_, response) => response.success({ userId: "" }) });
  await hub.connect(SimpleClient, { userId: "alice" });
  const { context } = await handled.next("connected");
  assert.equal(context.userId, undefined);
  assert.equal(await hub.rest.userExists("alice"), false);
});

// The middleware reads header values as Latin-1, which is how Node gives them to it; the service sends them as UTF-8.
test("a user id beyond ASCII comes in UTF-8", async () => {
  const handled = application.handle(hub.name);
  await hub.connect(SimpleClient, { userId: "Zo\u00eb" });
  const { context } = await handled.next("connected");
  assert.equal(Buffer.from(context.userId, "latin1").toString(), "Zo\u00eb");
});

test("a client that nobody could be asked about is refused", async () => {
  await assert.rejects(hub.connect(SimpleClient), /500/);
});
