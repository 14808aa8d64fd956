// The official middleware as the event handler of what clients send: with every kind of client, data and answer.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { SendMessageError } from "@azure/web-pubsub-client";

import { Application } from "./application.mjs";
import { JsonClient, SimpleClient } from "./clients.mjs";
import { fromServer, Hub, PROTOCOLS } from "./sdk.mjs";
import { Service } from "./service.mjs";

/** Data types with what a client sends, what the middleware gets of it, and how it answers with the same. */
const DATA = {
  text: ["Hello \u00e4 world", "Hello \u00e4 world", "Hello \u00e4 world"],
  json: [{ number: [1, 2.5, null, true] }, { number: [1, 2.5, null, true] }, '{"number":[1,2.5,null,true]}'],
  binary: [toArrayBuffer([0, 1, 255]), Buffer.from([0, 1, 255]), Buffer.from([0, 1, 255])],
};

let application;
let service;
let hub;

before(async () => {
  application = await Application.start();
  service = await Service.start(application.configuration);
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

for (const protocol of Object.keys(PROTOCOLS)) {
  describe(protocol, () => {
    const open = (token) => hub.open(protocol, token);

    for (const [dataType, [sent, handed, answer]] of Object.entries(DATA)) {
      test(`an event of ${dataType} reaches the application and its answer the client`, async () => {
        const handled = application.handle(hub.name, {
          event: (_, response) => response.success(answer, dataType),
        });
        const [client, other] = [await open({ userId: "alice" }), await open()];
        await client.sendEvent("echo.it", sent, dataType);
        const request = await handled.next("event");
        assert.deepEqual([request.dataType, bytesOrValue(request.data)], [dataType, handed]);
        const { connectionId, eventName, userId } = request.context;
        assert.deepEqual([connectionId, eventName, userId], [client.connectionId, "echo.it", "alice"]);
        assert.deepEqual(await client.receive(), fromServer(dataType, sent));
        await hub.expectNothingMore(client, other);
      });
    }

    test("an event without ack is handled and answered", async () => {
      application.handle(hub.name, { event: (_, response) => response.success("it is", "text") });
      const client = await open();
      await client.sendEvent("echo", "is it?", "text", { fireAndForget: true });
      assert.deepEqual(await client.receive(), fromServer("text", "it is"));
    });

    test("an empty answer is an ack and nothing else", async () => {
      application.handle(hub.name);
      const client = await open();
      assert.equal((await client.sendEvent("order", "tea", "text")).isDuplicated, false);
      await hub.expectNothingMore(client);
    });

    test("an event that the application refuses rejects, once, and the connection stays", async () => {
      const handled = application.handle(hub.name, { event: (_, response) => response.fail(400, "no tea") });
      const client = await open();
      await assert.rejects(client.sendEvent("order", "tea", "text"), (error) => {
        assert.ok(error instanceof SendMessageError, error);
        assert.equal(error.errorDetail.name, "InternalServerError");
        assert.doesNotMatch(error.errorDetail.message, /no tea/);
        return true;
      });
      assert.equal(handled.count("event"), 1);
      client.expectNoEvent();
      await hub.expectNothingMore(client);
    });

    test("an event that the application fails at is the same event when it is tried again", async () => {
      let failures = 0;
      const handled = application.handle(hub.name, {
        event: (_, response) => (failures++ === 0 ? response.fail(500) : response.success("at last", "text")),
      });
      const client = await open();
      await handled.next("POST");
      await handled.next("POST");
      await client.sendEvent("order", "tea", "text");
      assert.deepEqual(await client.receive(), fromServer("text", "at last"));
      const [first, second] = [await handled.next("POST"), await handled.next("POST")];
      for (const header of ["ce-id", "ce-time", "ce-type", "content-length"]) {
        assert.equal(first.headers[header], second.headers[header], header);
      }
    });

    test("an event with a used ack id is a duplicate and is not handled again", async () => {
      const handled = application.handle(hub.name);
      const client = await open();
      const ackId = 1000;
      assert.deepEqual(await client.sendEvent("order", "tea", "text", { ackId }), { ackId, isDuplicated: false });
      assert.deepEqual(await client.sendEvent("order", "tea", "text", { ackId }), { ackId, isDuplicated: true });
      assert.equal(handled.count("event"), 1);
    });

    test("events of a connection are handled one after the other, of two at the same time", async () => {
      const waiting = [];
      const handled = application.handle(hub.name, { event: (_, response) => waiting.push(response) });
      const [client, other] = [await open(), await open()];
      const acks = ["first", "second"].map((text) => client.sendEvent("order", text, "text"));
      assert.equal((await handled.next("event")).data, "first");
      acks.push(other.sendEvent("order", "of another", "text"));
      assert.equal((await handled.next("event")).data, "of another");
      waiting.splice(0).forEach((response) => response.success());
      assert.equal((await handled.next("event")).data, "second");
      waiting.forEach((response) => response.success());
      await Promise.all(acks);
    });

    // The middleware knows no protobuf: it leaves such a request to the application, which has no route for it.
    test("an event of protobuf rejects with the middleware, which does not know it", async () => {
      const handled = application.handle(hub.name);
      const client = await open();
      const event = client.sendEvent("order", toArrayBuffer([10, 1, 97]), "protobuf");
      await assert.rejects(event, SendMessageError);
      assert.equal(handled.count("event"), 0);
      await hub.expectNothingMore(client);
    });
  });
}

test("an answer that a lost network kept from a reliable client comes after recovery, and is not asked for again", async () => {
  const handled = application.handle(hub.name, { event: (_, response) => response.success("tea", "text") });
  const client = await hub.open("reliable");
  client.proxy.hold("down");
  await client.sendEvent("order", "tea", "text", { fireAndForget: true });
  await handled.next("event");
  client.proxy.cut();
  client.proxy.release();
  assert.deepEqual(await client.receive(), fromServer("text", "tea"));
  client.expectNoEvent();
  assert.equal(handled.count("event"), 1);
  assert.deepEqual([handled.count("connected"), handled.count("disconnected")], [1, 0]);
});

for (const [dataType, [, handed, answer]] of Object.entries(DATA)) {
  test(`a frame of a raw client is an event, and its answer of ${dataType} a frame`, async () => {
    const handled = application.handle(hub.name, { event: (_, response) => response.success(answer, dataType) });
    const client = await hub.connect(SimpleClient, { userId: "alice" });
    client.send(answer);
    const request = await handled.next("event");
    assert.deepEqual([request.context.eventName, request.context.userId], ["message", "alice"]);
    assert.equal(request.dataType, dataType === "binary" ? "binary" : "text");
    assert.deepEqual(bytesOrValue(request.data), dataType === "binary" ? handed : answer);
    assert.deepEqual(await client.receive(), answer);
    await hub.expectNothingMore(client);
  });
}

test("a raw client whose event is refused is closed", async () => {
  const handled = application.handle(hub.name, { event: (_, response) => response.fail(400, "no tea") });
  const client = await hub.connect(SimpleClient);
  client.send("tea");
  const [code, reason] = await client.closed();
  assert.equal(code, 1011);
  assert.doesNotMatch(reason, /no tea/);
  await handled.next("disconnected");
});

test("an answer comes before the ack of its event", async () => {
  application.handle(hub.name, { event: (_, response) => response.success("tea", "text") });
  const client = await hub.connect(JsonClient);
  client.send(JSON.stringify({ type: "event", event: "order", dataType: "text", data: "tea", ackId: 7 }));
  assert.deepEqual(await client.receive(), { type: "message", ...fromServer("text", "tea") });
  assert.deepEqual(await client.receive(), { type: "ack", ackId: 7, success: true });
});

function toArrayBuffer(bytes) {
  return new Uint8Array(bytes).buffer;
}

function bytesOrValue(data) {
  return data instanceof Uint8Array ? Buffer.from(data) : data;
}
