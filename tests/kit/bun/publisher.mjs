// Sends COUNT messages of 1,024 bytes without any framing, and prints the same bytes: bun publisher.mjs PORT COUNT

import { writeSync } from "node:fs";

const [port, count] = process.argv.slice(2).map(Number);
let drained; // called when the socket takes more again
const socket = await Bun.connect({
  hostname: "127.0.0.1",
  port,
  socket: {
    data: () => process.exit(2), // a relay never speaks to a publisher
    drain: () => drained?.(),
    close: () => process.exit(),
    error: () => process.exit(3),
  },
});

for (let number = 0; number < count; number++) {
  const message = Buffer.alloc(1024, `message ${number} `);
  for (let sent = 0; (sent += socket.write(message.subarray(sent))) < message.length; ) {
    await new Promise((resolve) => (drained = resolve));
  }
  writeSync(1, message);
}
socket.end();
