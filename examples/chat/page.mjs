// The page, with the official client package bundled into its script.

import path from "node:path";

import { build } from "esbuild";
import express from "express";

export async function page(folder) {
  const { outputFiles } = await build({
    entryPoints: [path.join(folder, "script.mjs")],
    bundle: true,
    format: "esm",
    minify: true,
    write: false,
  });
  const router = express.Router();
  router.use((_, response, next) => {
    response.set("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'");
    next();
  });
  router.get("/script.js", (_, response) => response.type("text/javascript").send(outputFiles[0].text));
  router.use(express.static(folder));
  return router;
}
