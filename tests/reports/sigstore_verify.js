// Verifies Sigstore bundles with npm's @sigstore/verify: node sigstore_verify.js KEY.pub CHAIN BUNDLE...
// CHAIN: certificates of a time-stamping authority as DER files joined by commas, its own first; or "-" for none.
// Prints a line for each bundle. A key-only bundle has no entry of a transparency log, so none is asked for.
"use strict";
const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { createHash, createPublicKey } = require("node:crypto");

const library = createRequire(process.env.FEDAUDIT_NODE_MODULES + "/");
const { bundleFromJSON } = library("@sigstore/bundle");
const { Verifier, toSignedEntity, toTrustMaterial } = library("@sigstore/verify");

const [, , keyPath, chain, ...bundles] = process.argv;
const der = createPublicKey(readFileSync(keyPath)).export({ format: "der", type: "spki" });
const hint = createHash("sha256").update(der).digest("base64");
const stamped = chain !== "-";
const certificates = stamped ? chain.split(",").map((path) => ({ rawBytes: readFileSync(path) })) : [];
const root = {
  certificateAuthorities: [],
  timestampAuthorities: stamped ? [{ certChain: { certificates } }] : [],
  tlogs: [],
  ctlogs: [],
};
const trust = toTrustMaterial(root, { [hint]: { rawBytes: der } });
const verifier = new Verifier(trust, { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: stamped ? 1 : 0 });
for (const path of bundles) {
  try {
    verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(readFileSync(path, "utf8")))));
    console.log("verified");
  } catch (error) {
    console.log(`${error.code || error.name}: ${error.message.split("\n")[0]}`);
  }
}
