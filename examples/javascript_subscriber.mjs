// Write each message to standard output as a line: node javascript_subscriber.mjs [HOST PORT], or bun instead of node

import { once } from "node:events";
import { connect } from "node:net";

async function* messages(stream) {
  let parts = []; // of a message that is not whole yet
  let held = 0;
  let needed = 4;
  for await (const chunk of stream) {
    parts.push(chunk);
    held += chunk.length;
    if (held < needed) continue; // joining the parts of a long message for each chunk anew would be slow
    let bytes = Buffer.concat(parts);
    while (bytes.length >= (needed = frameLength(bytes))) {
      yield bytes.subarray(4, needed);
      bytes = bytes.subarray(needed);
    }
    parts = [bytes];
    held = bytes.length;
  }
  if (held) throw new Error("the connection ended within a message");
}

const frameLength = (bytes) => 4 + (bytes.length < 4 ? 0 : bytes.readUInt32BE());

const [host = "127.0.0.1", port = 8002] = process.argv.slice(2);
const newline = Buffer.from("\n");
process.stdout.on("error", () => process.exit()); // a reader that has enough, as in `| head`
try {
  for await (const message of messages(connect(Number(port), host))) {
    if (!process.stdout.write(Buffer.concat([message, newline]))) await once(process.stdout, "drain");
  }
  console.error("the relay closed the connection");
} catch (error) {
  console.error(`relay at ${host}:${port}: ${error.message}`);
  process.exitCode = 1;
}
