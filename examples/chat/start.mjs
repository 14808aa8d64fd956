// Starts Hubwire and the web server of the chat, and ends both together.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";

import express from "express";

import { chat } from "./chat.mjs";
import { page } from "./page.mjs";

const FOLDER = path.dirname(fileURLToPath(import.meta.url));
const PORT = Number(process.env.PORT ?? 3000);
const ACCESS_KEY = process.env.HUBWIRE_ACCESS_KEY ?? randomBytes(33).toString("base64url");

const app = express().disable("x-powered-by");
const server = app.listen(PORT, "127.0.0.1");
await once(server, "listening");
const { port } = server.address();

const hubwire = startHubwire(port);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => hubwire.kill(signal));
}
hubwire.on("exit", (code, signal) => {
  server.close();
  server.closeAllConnections();
  process.exitCode = code ?? (signal ? 1 : 0);
});

const endpoint = await readEndpoint(hubwire);
if (endpoint) {
  app.use(chat(endpoint, ACCESS_KEY), await page(path.join(FOLDER, "page")));
  console.log(`Chat: http://127.0.0.1:${port}/`);
}

function startHubwire(chatPort) {
  const [program, ...options] = findHubwire();
  const { HUBWIRE_BIN: _, ...environment } = process.env;
  const started = spawn(program, [...options, "serve", "--config", path.join(FOLDER, "hubwire.toml")], {
    stdio: ["ignore", "pipe", "inherit"],
    // Ctrl-C in a terminal is for this process, which passes it on, once.
    detached: true,
    env: { ...environment, CHAT_PORT: String(chatPort), HUBWIRE_ACCESS_KEY: ACCESS_KEY },
  });
  started.on("error", (error) => {
    console.error(`cannot start ${program}: ${error.message}`);
    process.exit(1);
  });
  return started;
}

/** HUBWIRE_BIN, or what is on PATH, or else the repository that this folder is in, which is built first. */
function findHubwire() {
  if (process.env.HUBWIRE_BIN) {
    return [process.env.HUBWIRE_BIN];
  }
  const folders = (process.env.PATH ?? "").split(path.delimiter);
  if (folders.some((folder) => isProgram(path.join(folder, "hubwire")))) {
    return ["hubwire"];
  }
  return ["cargo", "run", "--release", "--manifest-path", path.join(FOLDER, "../../Cargo.toml"), "--"];
}

function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where Hubwire is, which it prints when it is ready; nothing if it ends before that. */
async function readEndpoint(started) {
  for await (const line of readline.createInterface({ input: started.stdout })) {
    const found = /^Connection string: Endpoint=([^;]+);/.exec(line);
    if (found) {
      started.stdout.resume();
      return found[1];
    }
  }
}
