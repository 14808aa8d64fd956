// Streams of the official client to a group, heard by official and by plain clients.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { JsonClient, SimpleClient } from "./clients.mjs";
import { Hub, PROTOCOLS, WAIT_TIMEOUT_MS } from "./sdk.mjs";
import { Service } from "./service.mjs";
import { within } from "./within.mjs";

const BYTES = new Uint8Array([0, 1, 255]).buffer;

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
    const open = (token) => hub.open(protocol, token);

    test("fragments and the end reach official and plain clients", async () => {
      const publisher = await open({ userId: "alice" });
      const subscriber = await open({ groups: ["room"] });
      const json = await hub.connect(JsonClient, { groups: ["room"] });
      const simple = await hub.connect(SimpleClient, { groups: ["room"] });
      const stranger = await open({ groups: ["hall"] });

      const writer = await openStream(publisher, "room", { streamId: "s 1" });
      assert.equal(writer.streamId, "s 1");
      await writer.write("one", "text");
      await writer.write({ number: 2 }, "json");
      await writer.write(BYTES, "binary");
      await writer.end();

      const stream = await subscriber.nextStream();
      assert.deepEqual([stream.groupName, stream.streamId], ["room", "s 1"]);
      assert.deepEqual(await readAll(stream), [
        [1, "text", "one", "alice"],
        [2, "json", { number: 2 }, "alice"],
        [3, "binary", BYTES, "alice"],
      ]);
      const frame = { type: "message", from: "group", group: "room", fromUserId: "alice" };
      for (const [id, dataType, data] of [
        [1, "text", "one"],
        [2, "json", { number: 2 }],
        [3, "binary", "AAH/"],
      ]) {
        const info = { streamId: "s 1", streamSequenceId: id };
        assert.deepEqual(await json.receive(), { ...frame, dataType, data, stream: info });
      }
      const end = { streamId: "s 1", streamSequenceId: 4, endOfStream: true };
      assert.deepEqual(await json.receive(), { ...frame, dataType: "text", data: "", stream: end });
      assert.deepEqual(await simple.receive(), "one");
      assert.deepEqual(JSON.parse(await simple.receive()), { number: 2 });
      assert.deepEqual(await simple.receive(), Buffer.from(BYTES));
      await subscriber.receiveData(4);
      await hub.expectNothingMore(publisher, subscriber, json, simple, stranger);
    });

    test("an end with an error is told to the subscribers", async () => {
      const publisher = await open();
      const subscriber = await open({ groups: ["room"] });
      const json = await hub.connect(JsonClient, { groups: ["room"] });
      const writer = await openStream(publisher, "room", { streamId: "s1" });
      await writer.write("one", "text");
      await writer.abort({ message: "out of words", userErrorCode: "E42" });
      const error = { name: "UserError", message: "out of words", userErrorCode: "E42" };
      assert.deepEqual(await readToError(await subscriber.nextStream()), [[[1, "text", "one", null]], error]);
      assert.deepEqual((await json.receive()).stream, { streamId: "s1", streamSequenceId: 1 });
      assert.deepEqual(await json.receive(), {
        type: "message",
        from: "group",
        group: "room",
        fromUserId: null,
        dataType: "text",
        data: "",
        stream: { streamId: "s1", streamSequenceId: 2, endOfStream: true, error },
      });
    });

    test("a stream without fragments has an end", async () => {
      const publisher = await open();
      const subscriber = await open({ groups: ["room"] });
      const writer = await openStream(publisher, "room");
      await writer.end();
      assert.deepEqual(await readAll(await subscriber.nextStream()), []);
    });

    test("a publisher hears itself unless it does not want to", async () => {
      const publisher = await open({ groups: ["room"] });
      const [loud, quiet] = [await openStream(publisher, "room"), await openStream(publisher, "room", { noEcho: true })];
      await quiet.write("quiet", "text");
      await quiet.end();
      await loud.write("loud", "text");
      await loud.end();
      const stream = await publisher.nextStream();
      assert.equal(stream.streamId, loud.streamId);
      assert.deepEqual(await readAll(stream), [[1, "text", "loud", null]]);
      assert.deepEqual(await publisher.receiveData(2), ["loud", ""]);
      await hub.expectNothingMore(publisher);
    });

    test("streams at the same time do not mix", async () => {
      const publishers = [await open({ userId: "alice" }), await open({ userId: "bob" })];
      const subscriber = await open({ groups: ["room"] });
      const writers = [];
      for (const publisher of [...publishers, ...publishers]) {
        writers.push(await openStream(publisher, "room"));
      }
      const texts = numbered("fragment", 50);
      await Promise.all(
        writers.map(async (writer) => {
          for (const text of texts) {
            await writer.write(`${writer.streamId} ${text}`, "text");
          }
          await writer.end();
        }),
      );
      const found = new Map();
      for (let count = 0; count < writers.length; count++) {
        const stream = await subscriber.nextStream();
        found.set(stream.streamId, await readAll(stream));
      }
      for (const { streamId } of writers) {
        const written = texts.map((text) => `${streamId} ${text}`);
        assert.deepEqual(
          found.get(streamId).map(([, , data]) => data),
          written,
        );
      }
    });

    test("a subscriber that joins late hears the rest", async () => {
      const publisher = await open();
      const [subscriber, late] = [await open({ groups: ["room"] }), await open()];
      const writer = await openStream(publisher, "room");
      await writer.write("early", "text");
      assert.equal((await subscriber.receive()).data, "early");
      await late.join("room");
      await writer.write("late", "text");
      await writer.end();
      assert.deepEqual(await readAll(await late.nextStream()), [[2, "text", "late", null]]);
    });

    test("a stream needs permission to send", async () => {
      const publisher = await open({ roles: ["webpubsub.sendToGroup.hall"] });
      const subscriber = await open({ groups: ["room"] });
      await assert.rejects(openStream(publisher, "room"), { name: "Forbidden" });
      await (await openStream(publisher, "hall")).end();
      publisher.expectNoEvent();
      await hub.expectNothingMore(publisher, subscriber);
    });

    test("a stream ends on both sides when its publisher is idle", async () => {
      const publisher = await open();
      const subscriber = await open({ groups: ["room"] });
      const writer = await openStream(publisher, "room", { idleTimeoutInMs: 300 });
      const failed = failureOf(writer);
      await writer.write("one", "text");
      const [fragments, error] = await readToError(await subscriber.nextStream());
      assert.deepEqual(fragments, [[1, "text", "one", null]]);
      assert.equal(error.name, "IdleTimeout");
      assert.equal((await failed).name, "IdleTimeout");
      await assert.rejects(writer.write("too late", "text"));
    });

    test("a stream ends on both sides when the permission is revoked", async () => {
      const publisher = await open();
      const subscriber = await open({ groups: ["room"] });
      const writer = await openStream(publisher, "room");
      const failed = failureOf(writer);
      await writer.write("one", "text");
      assert.equal((await subscriber.receive()).data, "one");
      await hub.rest.revokePermission(publisher.connectionId, "sendToGroup", { targetName: "room" });
      await writer.write("two", "text");
      const [fragments, error] = await readToError(await subscriber.nextStream());
      assert.deepEqual(fragments, [[1, "text", "one", null]]);
      assert.equal(error.name, "Forbidden");
      assert.equal((await failed).name, "Forbidden");
    });

    test("subscribers are told when the publisher is closed", async () => {
      const publisher = await open();
      const subscriber = await open({ groups: ["room"] });
      const writer = await openStream(publisher, "room");
      const failed = failureOf(writer);
      await writer.write("one", "text");
      assert.equal((await subscriber.receive()).data, "one");
      await hub.rest.closeConnection(publisher.connectionId);
      const [fragments, error] = await readToError(await subscriber.nextStream());
      assert.deepEqual(fragments, [[1, "text", "one", null]]);
      assert.equal(error.name, "Cancelled");
      await failed;
    });
  });
}

test("a plain publisher that is cut off loses its streams", async () => {
  const publisher = await hub.open("plain");
  const subscriber = await hub.open("reliable", { groups: ["room"] });
  const writer = await openStream(publisher, "room");
  const failed = failureOf(writer);
  await writer.write("one", "text");
  assert.equal((await subscriber.receive()).data, "one");
  publisher.proxy.cut();
  const [fragments, error] = await readToError(await subscriber.nextStream());
  assert.deepEqual(fragments, [[1, "text", "one", null]]);
  assert.equal(error.name, "Cancelled");
  await failed;
});

test("a stream goes on after a cut of its publisher", async () => {
  const publisher = await hub.open("reliable");
  const subscriber = await hub.open("reliable", { groups: ["room"] });
  const json = await hub.connect(JsonClient, { groups: ["room"] });
  const texts = numbered("fragment", 100);
  const writer = await openStream(publisher, "room");
  await writeAll(writer, texts.slice(0, 50));
  publisher.proxy.refuse();
  publisher.proxy.cut();
  const rest = writeAll(writer, texts.slice(50));
  await publisher.proxy.refused(2);
  publisher.proxy.admit();
  await within(WAIT_TIMEOUT_MS, "the rest of the stream", rest);
  await writer.end();
  await expectWhole(subscriber, texts);
  await expectWholeOnTheWire(json, writer.streamId, texts);
  publisher.expectNoEvent();
  await hub.expectNothingMore(publisher, json);
});

test("fragments lost on their way to the service are sent again", async () => {
  const publisher = await hub.open("reliable");
  const subscriber = await hub.open("reliable", { groups: ["room"] });
  const json = await hub.connect(JsonClient, { groups: ["room"] });
  const texts = numbered("fragment", 100);
  const writer = await openStream(publisher, "room");
  await writeAll(writer, texts.slice(0, 20));
  publisher.proxy.hold("up");
  await writeAll(writer, texts.slice(20, 60));
  publisher.proxy.cut();
  publisher.proxy.release();
  await within(WAIT_TIMEOUT_MS, "the rest of the stream", writeAll(writer, texts.slice(60)));
  await writer.end();
  await expectWhole(subscriber, texts);
  await expectWholeOnTheWire(json, writer.streamId, texts);
  publisher.expectNoEvent();
});

test("fragments whose ack was lost are not published twice", async () => {
  const publisher = await hub.open("reliable");
  const subscriber = await hub.open("reliable", { groups: ["room"] });
  const json = await hub.connect(JsonClient, { groups: ["room"] });
  const texts = numbered("fragment", 100);
  const writer = await openStream(publisher, "room");
  publisher.proxy.hold("down");
  await writeAll(writer, texts.slice(0, 60));
  assert.deepEqual(await subscriber.receiveData(60), texts.slice(0, 60));
  publisher.proxy.cut();
  publisher.proxy.release();
  await within(WAIT_TIMEOUT_MS, "the rest of the stream", writeAll(writer, texts.slice(60)));
  await writer.end();
  await expectWhole(subscriber, texts);
  await expectWholeOnTheWire(json, writer.streamId, texts);
  publisher.expectNoEvent();
});

test("an end that was lost on its way is sent again", async () => {
  const publisher = await hub.open("reliable");
  const subscriber = await hub.open("reliable", { groups: ["room"] });
  const texts = numbered("fragment", 5);
  const writer = await openStream(publisher, "room");
  publisher.proxy.hold("up");
  await writeAll(writer, texts);
  await writer.end();
  publisher.proxy.cut();
  publisher.proxy.release();
  await expectWhole(subscriber, texts);
  publisher.expectNoEvent();
});

test("a stream is whole for a subscriber that was cut off", async () => {
  const publisher = await hub.open("reliable");
  const subscriber = await hub.open("reliable", { groups: ["room"] });
  const texts = numbered("fragment", 100);
  const writer = await openStream(publisher, "room");
  await writeAll(writer, texts.slice(0, 50));
  subscriber.proxy.refuse();
  subscriber.proxy.cut();
  await writeAll(writer, texts.slice(50));
  await writer.end();
  await subscriber.proxy.refused(2);
  subscriber.proxy.admit();
  await expectWhole(subscriber, texts);
  subscriber.expectNoEvent();
});

test("a stream survives cut after cut on both sides", async () => {
  const publisher = await hub.open("reliable");
  const subscriber = await hub.open("reliable", { groups: ["room"] });
  const writer = await openStream(publisher, "room");
  const texts = numbered("fragment", 120);
  for (let start = 0; start < texts.length; start += 40) {
    const writing = writeAll(writer, texts.slice(start, start + 40));
    publisher.proxy.cut();
    subscriber.proxy.cut();
    await within(WAIT_TIMEOUT_MS, "a part of the stream", writing);
    assert.deepEqual(await subscriber.receiveData(40), texts.slice(start, start + 40));
  }
  await writer.end();
  await expectWhole(subscriber, texts);
  publisher.expectNoEvent();
  subscriber.expectNoEvent();
});

async function openStream(publisher, group, options) {
  return within(WAIT_TIMEOUT_MS, "the start of a stream", publisher.sdk.openGroupStream(group, options));
}

async function writeAll(writer, texts) {
  await Promise.all(texts.map((text) => writer.write(text, "text")));
}

/** The error that ends a stream for its publisher. */
async function failureOf(writer) {
  return within(WAIT_TIMEOUT_MS, "the failure of a stream", new Promise((resolve) => writer.onError(resolve)));
}

/** The fragments of a stream that must come to its ordinary end. */
async function readAll(stream) {
  const [fragments, error] = await readToError(stream);
  assert.equal(error, undefined);
  return fragments;
}

/** The fragments of a stream and the error that ended it, if any. */
async function readToError(stream) {
  const fragments = [];
  const read = async () => {
    for await (const { stream: info, dataType, data, fromUserId } of stream) {
      fragments.push([info.streamSequenceId, dataType, data, fromUserId]);
    }
  };
  try {
    await within(WAIT_TIMEOUT_MS, "the end of a stream", read());
  } catch (error) {
    if (error instanceof Error) {
      throw error;
    }
    return [fragments, error];
  }
  return [fragments, undefined];
}

/** The next stream of a subscriber has the texts, in order and once each, and ended well. */
async function expectWhole(subscriber, texts) {
  assert.deepEqual(
    await readAll(await subscriber.nextStream()),
    texts.map((text, index) => [index + 1, "text", text, null]),
  );
}

/** The same of what a client without any SDK was sent. */
async function expectWholeOnTheWire(client, streamId, texts) {
  for (const [index, text] of texts.entries()) {
    const { data, stream } = await client.receive();
    assert.deepEqual([data, stream], [text, { streamId, streamSequenceId: index + 1 }]);
  }
  const end = { streamId, streamSequenceId: texts.length + 1, endOfStream: true };
  assert.deepEqual((await client.receive()).stream, end);
}

function numbered(what, count) {
  return Array.from({ length: count }, (_, number) => `${what} ${number}`);
}
