// Prints what comes, without looking for any framing, until the relay closes: bun subscriber.mjs PORT

import { writeSync } from "node:fs";

Bun.connect({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  socket: {
    data: (_, chunk) => {
      for (let written = 0; written < chunk.length; ) written += writeSync(1, chunk, written);
    },
    close: () => process.exit(),
    error: () => process.exit(3),
  },
});
