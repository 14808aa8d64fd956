// The official client: what it can do, on both subprotocols it offers.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { InvocationError, SendMessageError } from "@azure/web-pubsub-client";

import { JsonClient } from "./clients.mjs";
import { fromGroup, fromServer, Hub, PROTOCOLS, until, WAIT_TIMEOUT_MS } from "./sdk.mjs";
import { Service } from "./service.mjs";
import { within } from "./within.mjs";

const CLOSED = "Application server closed the connection.";

// A google.protobuf.Any: field 1 is the type, field 2 the serialized message.
const ANY = Buffer.concat([Buffer.from("\x0a\x12example.test/Thing"), Buffer.from([0x12, 3, 8, 0x96, 1])]);

const PAYLOADS = [
  ["text", "Hello \u00e4 world", "Hello \u00e4 world"],
  ["json", { from: "user1", data: [1, 2.5, null, true] }, { from: "user1", data: [1, 2.5, null, true] }],
  ["json", "just a string", "just a string"],
  ["binary", toArrayBuffer([0, 1, 255]), "AAH/"],
  ["protobuf", toArrayBuffer(ANY), ANY.toString("base64")],
];

let service;
let hub;

before(async () => {
  service = await Service.start();
});

after(async () => {
  await service?.stop();
});

beforeEach(() => {
  hub = new Hub(service);
});

afterEach(async (context) => {
  await hub.close();
  service.showLogOfFailure(context);
});

for (const protocol of Object.keys(PROTOCOLS)) {
  describe(protocol, () => {
    const open = (token, options) => hub.open(protocol, token, options);

    test("starting and stopping are told", async () => {
      const client = await open({ userId: "alice" });
      assert.equal(client.userId, "alice");
      assert.equal(await hub.rest.connectionExists(client.connectionId), true);
      client.sdk.stop();
      assert.deepEqual(await client.nextEvent(), ["disconnected", client.connectionId, undefined]);
      assert.deepEqual(await client.nextEvent(), ["stopped"]);
    });

    test("a stopped client can be started again", async () => {
      const client = await open();
      const first = client.connectionId;
      client.sdk.stop();
      assert.deepEqual([(await client.nextEvent())[0], (await client.nextEvent())[0]], ["disconnected", "stopped"]);
      await client.start();
      await client.expectConnected();
      assert.notEqual(client.connectionId, first);
      await hub.expectNothingMore(client);
    });

    test("a client without a valid token is not started", async () => {
      const client = await hub.make(protocol, { expirationTimeInMinutes: -10 });
      await assert.rejects(client.start(), /401/);
      client.expectNoEvent();
    });

    test("a member hears its group until it leaves", async () => {
      const client = await open();
      await client.join("a/b \u00e4");
      await hub.sendTexts("a/b \u00e4", ["hi"]);
      assert.deepEqual(await client.receive(), fromGroup("a/b \u00e4", "text", "hi"));
      await client.leave("a/b \u00e4");
      await hub.sendTexts("a/b \u00e4", ["too late"]);
      await hub.expectNothingMore(client);
    });

    for (const [dataType, data, onTheWire] of PAYLOADS) {
      test(`members hear each other: ${dataType} ${JSON.stringify(onTheWire)}`, async () => {
        const [sender, receiver] = [await open({ userId: "alice" }), await open()];
        const [other, stranger] = [await hub.connect(JsonClient, { groups: ["room"] }), await open()];
        await sender.join("room");
        await receiver.join("room");
        await sender.send("room", data, dataType);
        for (const client of [sender, receiver]) {
          assert.deepEqual(await client.receive(), fromGroup("room", dataType, data, "alice"));
        }
        assert.deepEqual(await other.receive(), {
          type: "message",
          ...fromGroup("room", dataType, onTheWire, "alice"),
        });
        await hub.expectNothingMore(sender, receiver, other, stranger);
      });
    }

    test("a sender may spare itself", async () => {
      const [sender, receiver] = [await open(), await open({ groups: ["room"] })];
      await sender.join("room");
      await sender.send("room", "not to me", "text", { noEcho: true });
      assert.deepEqual(await receiver.receive(), fromGroup("room", "text", "not to me"));
      await hub.expectNothingMore(sender, receiver);
    });

    test("a send without ack arrives", async () => {
      const [sender, receiver] = [await open(), await open({ groups: ["room"] })];
      await sender.send("room", "hi", "text", { fireAndForget: true });
      assert.deepEqual(await receiver.receive(), fromGroup("room", "text", "hi"));
    });

    test("what is forbidden rejects and the connection stays", async () => {
      const client = await open({ roles: ["webpubsub.joinLeaveGroup.hall"] });
      const member = await open({ groups: ["room"] });
      const calls = [() => client.join("room"), () => client.leave("room"), () => client.send("room", "hi", "text")];
      for (const call of calls) {
        await assert.rejects(call(), failure("Forbidden"));
      }
      await client.send("room", "hi", "text", { fireAndForget: true });
      await client.join("hall");
      client.expectNoEvent();
      await hub.expectNothingMore(client, member);
    });

    test("a request with a used ack id is a duplicate and is not done again", async () => {
      const [sender, receiver] = [await open(), await open({ groups: ["room"] })];
      const ackId = 1000;
      assert.deepEqual(await sender.send("room", "once", "text", { ackId }), { ackId, isDuplicated: false });
      assert.deepEqual(await sender.send("room", "twice", "text", { ackId }), { ackId, isDuplicated: true });
      assert.deepEqual(await sender.join("room", { ackId }), { ackId, isDuplicated: true });
      assert.deepEqual(await receiver.receive(), fromGroup("room", "text", "once"));
      assert.deepEqual(await hub.members("room"), [receiver.connectionId]);
      await hub.expectNothingMore(sender, receiver);
    });

    test("an event that nobody handles rejects and the connection stays", async () => {
      const client = await open();
      const event = client.sdk.sendEvent("order", { id: 1 }, "json");
      await assert.rejects(within(WAIT_TIMEOUT_MS, "the ack of an event", event), failure("InternalServerError"));
      await client.sdk.sendEvent("order", "no answer wanted", "text", { fireAndForget: true });
      await client.join("room");
      client.expectNoEvent();
      await hub.expectNothingMore(client);
    });

    test("an invocation that nobody handles rejects and the connection stays", async () => {
      const client = await open();
      const invocation = client.sdk.invokeEvent("order", { id: 1 }, "json", { invocationId: "first" });
      await assert.rejects(within(WAIT_TIMEOUT_MS, "the answer to an invocation", invocation), (error) => {
        assert.ok(error instanceof InvocationError, error);
        assert.deepEqual([error.invocationId, error.errorDetail?.name], ["first", "NotFound"]);
        return true;
      });
      client.expectNoEvent();
      await hub.expectNothingMore(client);
    });

    test("the service sends to all, a user, a group and a connection", async () => {
      const [alice, bob] = [await open({ userId: "alice" }), await open({ userId: "bob", groups: ["room"] })];
      await hub.rest.sendToAll({ number: 1 });
      for (const client of [alice, bob]) {
        assert.deepEqual(await client.receive(), fromServer("json", { number: 1 }));
      }
      await hub.rest.sendToUser("alice", "to alice", { contentType: "text/plain" });
      assert.deepEqual(await alice.receive(), fromServer("text", "to alice"));
      await hub.rest.group("room").sendToAll(toArrayBuffer([0, 255]));
      assert.deepEqual(await bob.receive(), fromGroup("room", "binary", toArrayBuffer([0, 255])));
      await hub.rest.sendToConnection(bob.connectionId, "to bob", { contentType: "text/plain" });
      assert.deepEqual(await bob.receive(), fromServer("text", "to bob"));
      await hub.expectNothingMore(alice, bob);
    });

    test("a large message arrives whole", async () => {
      const [sender, receiver] = [await open(), await open({ groups: ["room"] })];
      const data = toArrayBuffer(Buffer.alloc(512 * 1024, "0123456789"));
      await sender.send("room", data, "binary");
      assert.deepEqual(await receiver.receive(), fromGroup("room", "binary", data));
    });

    test("many messages keep their order", async () => {
      const [sender, receiver] = [await open(), await open({ groups: ["room"] })];
      const texts = Array.from({ length: 200 }, (_, number) => `message ${number}`);
      await Promise.all(texts.map((text) => sender.send("room", text, "text")));
      assert.deepEqual(await receiver.receiveData(texts.length), texts);
      await hub.expectNothingMore(sender, receiver);
    });

    test("a silent connection is kept by pings", async () => {
      const client = await open({}, { keepAliveIntervalInMs: 100, keepAliveTimeoutInMs: 500 });
      await client.proxy.passed("down", 10);
      client.expectNoEvent();
      await hub.expectNothingMore(client);
    });

    test("a closed connection is replaced and is in its groups again", async () => {
      const client = await open({ userId: "alice", groups: ["of the token"] });
      for (const group of ["room", "hall", "left"]) {
        await client.join(group);
      }
      await client.leave("left");
      const first = client.connectionId;
      await hub.rest.closeConnection(first, { reason: "bye" });
      assert.deepEqual(await client.nextEvent(), ["disconnected", first, `${CLOSED} Reason: bye`]);
      await client.expectConnected();
      assert.notEqual(client.connectionId, first);
      assert.equal(client.userId, "alice");
      for (const group of ["room", "hall"]) {
        await hub.sendTexts(group, ["welcome back"]);
        assert.deepEqual(await client.receive(), fromGroup(group, "text", "welcome back"));
      }
      assert.deepEqual(await hub.members("left"), []);
      assert.equal(await hub.rest.connectionExists(first), false);
      client.expectNoEvent();
      await hub.expectNothingMore(client);
    });

    test("a group that may not be joined again is told", async () => {
      const client = await open({ roles: [] });
      await hub.rest.grantPermission(client.connectionId, "joinLeaveGroup", { targetName: "room" });
      await client.join("room");
      await hub.rest.closeConnection(client.connectionId);
      assert.equal((await client.nextEvent())[0], "disconnected");
      assert.deepEqual(await client.nextEvent(), ["rejoin failed", "room", "Forbidden"]);
      await client.expectConnected();
      assert.deepEqual(await hub.members("room"), []);
    });

    test("a client that is not to reconnect stops", async () => {
      const client = await open({}, { autoReconnect: false });
      await hub.rest.closeAllConnections();
      assert.deepEqual(await client.nextEvent(), ["disconnected", client.connectionId, CLOSED]);
      assert.deepEqual(await client.nextEvent(), ["stopped"]);
    });
  });
}

test("a stopped plain client is gone", async () => {
  const client = await hub.open("plain");
  client.sdk.stop();
  await until("the connection is gone", async () => !(await hub.rest.connectionExists(client.connectionId)));
});

/** What a request rejects with when the service's ack has an error of that name. */
function failure(name) {
  return (error) => {
    assert.ok(error instanceof SendMessageError, error);
    assert.equal(error.errorDetail?.name, name);
    return true;
  };
}

function toArrayBuffer(bytes) {
  return new Uint8Array(bytes).buffer;
}
